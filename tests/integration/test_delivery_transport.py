"""The network transport of webhooks, on real loopback sockets."""

import socket
import ssl
from ipaddress import ip_network

import httpx
import pytest
import trustme

from functions.worker.webhooks import attempt
from functions.worker.webhooks.transport import DeliveryTransport
from shared.egress import targets
from tests.support.receiver import Receiver

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.fixture
async def post():
    """Post once through a transport that allows these networks."""
    clients = []

    async def post(url, allowed=LOOPBACK):
        client = httpx.AsyncClient(transport=DeliveryTransport(allowed, connections=4), trust_env=False, timeout=5)
        clients.append(client)
        return (await attempt.post(client, url, '{"a": 1}', {"webhook-id": "msg_1"})).result

    yield post
    for client in clients:
        await client.aclose()


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def listener():
    """A socket that listens on every address of this machine, to record connections."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        listener.setblocking(False)
        yield listener


@pytest.fixture
def resolves(monkeypatch):
    """Resolve every name to these addresses."""

    def resolves(*addresses):
        async def resolve(target, owner):
            return list(addresses)

        monkeypatch.setattr(targets, "resolve", resolve)

    return resolves


async def test_a_webhook_is_delivered_unchanged(post, receiver):
    assert (await post(f"{receiver.url}/hook?a=b")).status == 204
    [hook] = receiver.hooks
    assert (hook.path, hook.body, hook.headers["webhook-id"]) == ("/hook?a=b", '{"a": 1}', "msg_1")
    assert hook.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]",
     "[::ffff:7f00:1]", "[::]"],
)  # fmt: skip
async def test_an_address_of_this_machine_is_refused_without_a_connection(post, listener, host):
    seen = await post(f"http://{host}:{listener.getsockname()[1]}/", allowed=())
    assert seen.status is None
    assert "not sent" in seen.error
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"]])
async def test_a_rebound_host_name_is_refused_without_a_connection(post, listener, resolves, addresses):
    resolves(*addresses)
    seen = await post(f"http://rebound.example:{listener.getsockname()[1]}/", allowed=())
    assert "not sent" in seen.error
    with pytest.raises(BlockingIOError):
        listener.accept()


async def test_a_redirect_is_a_failure_and_is_not_followed(post, receiver, listener):
    receiver.reply = lambda hook: (307, {"location": f"http://127.0.0.1:{listener.getsockname()[1]}/"})
    seen = await post(receiver.url)
    assert (seen.status, seen.error) == (307, "redirects are not followed")
    with pytest.raises(BlockingIOError):
        listener.accept()


async def test_no_proxy_of_the_environment_is_used(post, receiver, listener, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert (await post(receiver.url)).status == 204


async def test_an_endless_response_is_abandoned(post, receiver):
    receiver.reply = lambda hook: "endless"
    assert (await post(receiver.url)).status == 200


async def test_errors_are_described_in_our_own_words(post, receiver, resolves, monkeypatch):
    monkeypatch.setattr(attempt, "ATTEMPT_TIMEOUT", 0.3)
    receiver.reply = lambda hook: "hang"
    assert (await post(receiver.url)).error == "no answer within 0.3 s"
    receiver.reply = lambda hook: "reset"
    assert (await post(receiver.url)).error == "the connection broke"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert (await post(f"http://127.0.0.1:{port}/")).error == "connection refused"
    assert (await post("http://no-such-name.invalid/")).error == "its name does not resolve"
    resolves()
    assert (await post("http://no-address.example/")).error == "its name does not resolve"


async def test_tls_and_host_use_the_name_and_check_its_certificate(post, resolves, tmp_path, monkeypatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    resolves("127.0.0.1")
    server_names = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("hooks.example").configure_cert(context)
    context.sni_callback = lambda connection, name, _: server_names.append(name)
    with Receiver() as receiver:
        receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
        assert (await post(f"https://hooks.example:{receiver.port}/")).status == 204
        assert receiver.hooks[0].headers["host"] == f"hooks.example:{receiver.port}"
        assert (await post(f"https://other.example:{receiver.port}/")).error == "its certificate does not verify"
    assert server_names == ["hooks.example", "other.example"]
