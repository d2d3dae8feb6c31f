"""A real Redis behind each form of REDIS_URL: TLS with its options, IPv6 and a socket."""

import shutil
import subprocess
import time
from contextlib import suppress

import pytest
import redis
import trustme

from shared.configuration.redis_address import address, check_host, check_url
from shared.store.redis.client import async_client, close_clients, sync_client
from tests.support.ports import free_port

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("the embedded Redis has no TLS, and no other is on the path")
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    places = {"tls": free_port(), "port": free_port(), "socket": folder / "s", "folder": folder}
    options = {
        "port": places["port"], "tls-port": places["tls"], "unixsocket": places["socket"], "bind": "127.0.0.1 ::1",
        "tls-cert-file": folder / "server.pem", "tls-key-file": folder / "server.pem", "tls-auth-clients": "no",
        "tls-ca-cert-file": folder / "ca.pem", "save": '""', "dir": folder,
    }  # fmt: skip
    (folder / "conf").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    process = subprocess.Popen([program, str(folder / "conf")], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        with redis.Redis(port=places["port"]) as client:
            while time.monotonic() < deadline and process.poll() is None:
                with suppress(redis.RedisError):
                    client.ping()
                    break
                time.sleep(0.02)
        if process.poll() is not None:
            pytest.skip("this Redis is built without TLS")
        yield places
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "url",
    [
        "rediss://localhost:{tls}/0?ssl_ca_certs={folder}/ca.pem",
        "rediss://127.0.0.1:{tls}/0?ssl_ca_certs={folder}/ca.pem&ssl_check_hostname=false",
        "rediss://127.0.0.1:{tls}/0?ssl_cert_reqs=none",
        "redis://[::1]:{port}/0",
        "redis://localhost:{port}?db=1",
        "unix://{socket}?db=1",
    ],
)
async def test_both_clients_reach_redis(server, url):
    url = check_url(url.format(**server))
    assert await async_client(url).ping()
    with sync_client(url) as client:
        assert client.ping()
    await close_clients()


@pytest.mark.parametrize("host", ["::1", "[::1]", "localhost"])
async def test_a_host_of_either_kind_is_reached(server, host):
    assert await async_client(address(None, check_host(host), server["port"], None)).ping()
    await close_clients()


async def test_an_unknown_certificate_is_refused(server):
    with pytest.raises(redis.ConnectionError):
        await async_client(check_url(f"rediss://localhost:{server['tls']}")).ping()
    await close_clients()
