"""The client of the command line: the proxies it uses, and what it refuses before it connects."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from local.client import Client, CommandError


@pytest.fixture
def proxy(monkeypatch):
    """Set a server as the proxy for everything, and return the paths of its requests."""
    seen = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_response(502)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield seen
        server.shutdown()
        thread.join()


LOOPBACK = ["127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_proxy_is_not_used_for_loopback(proxy, host):
    with Client(f"http://{host}:1", None) as client, pytest.raises(CommandError, match="no gateway responds"):
        client.send("GET", "/health")
    assert proxy == []


def test_a_proxy_is_used_for_other_hosts(proxy):
    with Client("http://gateway.test", None) as client, pytest.raises(CommandError, match="502"):
        client.send("GET", "/health")
    assert proxy == ["http://gateway.test/health"]


@pytest.mark.parametrize("proxy_url", ["nonsense://proxy", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch, proxy_url):
    monkeypatch.setenv("HTTP_PROXY", proxy_url)
    monkeypatch.setenv("http_proxy", proxy_url)
    with pytest.raises(CommandError, match="proxy"):
        Client("http://gateway.test", None)
