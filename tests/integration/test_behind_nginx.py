"""The gateway's server behind a real nginx: early answers, and kept connections."""

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.served import served

CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 100m; client_body_buffer_size 16m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream gateway {{ server 127.0.0.1:{upstream}; keepalive 16; keepalive_timeout 60s; }}
  server {{
    listen 127.0.0.1:{port};
    location /plain/ {{ proxy_pass http://127.0.0.1:{upstream}/; }}
    location /unbuffered/ {{
      proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:{upstream}/;
    }}
    location /kept/ {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://gateway/; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    """An nginx in front of the server: with defaults, without buffering, and with kept connections."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        assert not os.environ.get("CI"), "nginx is not installed"
        pytest.skip("nginx is not installed")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    with served() as peer:
        text = CONFIGURATION.format(folder=folder, port=port, upstream=peer.port)
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        command = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "error.log")]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            # A connection for each request: nginx closes the client's connection after an early answer.
            once = httpx.Limits(max_keepalive_connections=0)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30, limits=once) as client:
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline:
                    with suppress(httpx.HTTPError):
                        client.get("/plain/health/live")
                        break
                yield client
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.parametrize("way", ["plain", "unbuffered", "kept"])
@pytest.mark.parametrize(("path", "status"), [("refuse", 413), ("keep", 401)])
def test_an_early_answer_passes_through(nginx, way, path, status):
    body = b"x" * (4 << 20)
    with ThreadPoolExecutor(8) as several:
        answers = several.map(lambda _: nginx.post(f"/{way}/{path}", content=body).status_code, range(40))
        assert set(answers) == {status}


def test_kept_connections_lose_no_request(nginx):
    with ThreadPoolExecutor(8) as several:
        answers = several.map(lambda n: nginx.post(f"/kept/{n}", content=b"x" * n).status_code, range(400))
        assert set(answers) == {200}
