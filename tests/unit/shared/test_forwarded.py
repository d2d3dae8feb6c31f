"""The client's view of a request: address, scheme, host and prefix, with and without trusted proxies."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import APIRouter, Request
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.api.errors import NotFound
from shared.configuration.settings import ProxySettings, SettingsError, load
from shared.http.app import create_app, lambda_handler
from shared.http.authority import Origin, parse_host, parse_origin
from shared.http.forwarded import client_address, client_network, prefix_of, public_origin

router = APIRouter()


@router.get("/api/query")
@router.get("/health/live")
async def seen(request: Request) -> dict[str, object]:
    origin = public_origin(request, request.scope["scheme"])
    return {
        "address": client_address(request),
        "network": client_network(request),
        "scheme": request.scope["scheme"],
        "host": origin and f"{origin.host}:{origin.port}",
        "prefix": prefix_of(request),
    }


@router.get("/api/usage")
async def missing() -> None:
    raise NotFound("no")


APP = create_app(router)
HANDLER = lambda_handler(APP)


@pytest.fixture
def behind(monkeypatch, tmp_path):
    """Set the variables of proxies, and return a function that sends a request from an address."""
    monkeypatch.chdir(tmp_path)
    for name in ("TRUSTED_PROXIES", "ROOT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUTH_ENABLED", "true")  # without keys only known hosts are served

    def behind(trusted="", root_path=""):
        monkeypatch.setenv("TRUSTED_PROXIES", trusted)
        monkeypatch.setenv("ROOT_PATH", root_path)
        load.cache_clear()

        async def get(headers=(), peer="10.0.0.1", path="/api/query"):
            transport = httpx.ASGITransport(APP, client=(peer, 4000))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.get(path, headers=headers)

        return get

    yield behind
    load.cache_clear()


@pytest.mark.parametrize("peer", ["10.0.0.1", "127.0.0.1", "::1"])
async def test_without_trusted_proxies_no_header_is_used(behind, peer):
    headers = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    body = (await behind()(headers, peer)).json()
    assert (body["address"], body["scheme"], body["host"]) == (peer, "http", "gateway:80")


async def test_headers_of_an_unlisted_peer_are_ignored(behind):
    get = behind("10.0.0.0/30, 192.168.1.1")
    assert (await get({"X-Forwarded-For": "6.6.6.6"}, "10.0.0.4")).json()["address"] == "10.0.0.4"
    assert (await get({"X-Forwarded-For": "6.6.6.6"}, "10.0.0.3")).json()["address"] == "6.6.6.6"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("6.6.6.6", "6.6.6.6"),
        # The client itself wrote the first.
        ("1.1.1.1, 6.6.6.6", "6.6.6.6"),
        ("1.1.1.1, 6.6.6.6, 10.0.0.2", "6.6.6.6"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("6.6.6.6:443", "6.6.6.6"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:6.6.6.6", "6.6.6.6"),
        # Malformed: the nearest well-formed hop counts, and nothing beyond it.
        ("", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("1.1.1.1, garbage", "10.0.0.1"),
        ("1.1.1.1, garbage, 10.0.0.2", "10.0.0.2"),
        ("1.1.1.1, 6.6.6.6,", "10.0.0.1"),
        ("999.1.1.1", "10.0.0.1"),
        ("6.6.6.6:x", "10.0.0.1"),
    ],
)
async def test_the_client_is_the_nearest_untrusted_hop(behind, forwarded, address):
    assert (await behind("10.0.0.0/24")({"X-Forwarded-For": forwarded})).json()["address"] == address


async def test_several_header_lines_are_one_list(behind):
    lines = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "10.0.0.2")]
    assert (await behind("10.0.0.0/24")(lines)).json()["address"] == "6.6.6.6"


@pytest.mark.parametrize(
    ("hops", "schemes", "scheme"),
    [
        ("6.6.6.6", "https", "https"),
        ("6.6.6.6", "HTTPS", "https"),
        ("6.6.6.6, 10.0.0.2", "https, http", "https"),
        # The client itself wrote "https", and its proxy appended the real scheme.
        ("1.1.1.1, 6.6.6.6", "https, http", "http"),
        ("6.6.6.6, 10.0.0.2", "https", "https"),
        ("6.6.6.6", "javascript", "http"),
        ("", "https", "https"),
    ],
)
async def test_the_scheme_is_that_of_the_client(behind, hops, schemes, scheme):
    headers = {"X-Forwarded-For": hops, "X-Forwarded-Proto": schemes}
    assert (await behind("10.0.0.0/24")(headers)).json()["scheme"] == scheme


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("GW.example:8443", "gw.example:8443"),
        ("gw.example.", "gw.example:80"),
        ("a b", "gateway:80"),
        ("[", "gateway:80"),
    ],
)
async def test_a_trusted_proxy_names_the_public_host(behind, host, public):
    headers = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": host}
    assert (await behind("10.0.0.1")(headers)).json()["host"] == public


async def test_an_ipv6_client_is_limited_as_its_network(behind):
    networks = {(await behind()(peer=f"2001:db8::{number}")).json()["network"] for number in range(1, 5)}
    assert networks == {"2001:db8::/64"}
    assert (await behind()(peer="2001:db8:0:1::1")).json()["network"] == "2001:db8:0:1::/64"
    assert (await behind()(peer="::ffff:6.6.6.6")).json()["network"] == "6.6.6.6"


NAMES = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "origin", "host"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=60)), max_size=6))
@example([("x-forwarded-host", b"[::1"), ("x-forwarded-for", b"\xff, [")])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
async def test_no_header_of_a_trusted_proxy_is_a_server_error(behind, headers):
    assert (await behind("10.0.0.1")([(name.encode(), value) for name, value in headers])).status_code == 200


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://gw.example", Origin("https", "gw.example", 443)),
        ("HTTPS://GW.Example:443", Origin("https", "gw.example", 443)),
        ("http://gw.example.:8080", Origin("http", "gw.example", 8080)),
        ("http://[0:0::1]:3000", Origin("http", "::1", 3000)),
        ("https://b\u00fccher.example".encode().decode("latin-1"), Origin("https", "xn--bcher-kva.example", 443)),
        ("null", None),
        ("", None),
        ("http://[", None),
        ("http://[::1", None),
        ("http://", None),
        ("http://a:99999", None),
        ("http://a:0", None),
        ("http://a:x", None),
        ("http://a/path", None),
        ("http://user@a", None),
        ("http://a, http://b", None),
        ("ftp://a", None),
        ("http://\xff", None),
        ("http://.", None),
        ("http://" + "\xc3\xbc" * 300, None),
        ("http://[1.2.3.4]", None),
    ],
)
def test_an_origin_is_compared_by_its_parts(text, origin):
    assert parse_origin(text) == origin


@given(st.text(), st.sampled_from(["http", "https"]))
def test_no_text_breaks_the_parser_of_hosts_and_origins(text, scheme):
    for found in (parse_origin(text), parse_origin(f"{scheme}://{text}"), parse_host(text, scheme)):
        assert found is None or (found.host and 0 < found.port < 65_536)


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost:3000", "127.0.0.1", "127.9.9.9:1", "[::1]:3000", "LOCALHOST."]
)
def test_a_loopback_host_is_recognized_in_each_spelling(host):
    found = parse_host(host, "http")
    assert found is not None
    assert found.is_loopback


@pytest.mark.parametrize("path", ["/api/query", "/gateway/api/query"])
async def test_a_prefix_works_whether_or_not_the_proxy_removes_it(behind, path):
    answer = await behind(root_path="/gateway")(path=path)
    assert (answer.status_code, answer.json()["prefix"]) == (200, "/gateway")


@pytest.mark.parametrize(
    ("root_path", "path", "status"),
    [
        ("/api", "/api/query", 200),
        ("/api", "/api/api/query", 200),
        ("/health", "/health/live", 200),
        ("/health", "/health/health/live", 200),
        ("/gateway/", "/gateway/api/query", 200),
        ("/a/b", "/a/b/api/query", 200),
        ("/", "/api/query", 200),
        ("/gateway", "/gatewayapi/query", 404),
        ("/gateway", "/gateway/gateway/api/query", 404),
        ("/gateway", "/gateway", 404),
        ("", "/gateway/api/query", 404),
    ],
)
async def test_a_prefix_is_removed_once_and_as_whole_segments(behind, root_path, path, status):
    assert (await behind(root_path=root_path)(path=path)).status_code == status


async def test_a_problem_and_the_document_name_the_public_path(behind):
    get = behind(root_path="/gateway")
    assert (await get(path="/gateway/api/usage")).json()["instance"] == "/gateway/api/usage"
    assert (await get(path="/api/usage")).json()["instance"] == "/gateway/api/usage"
    assert (await get(path="/gateway/openapi.json")).json()["servers"] == [{"url": "/gateway"}]
    assert "servers" not in (await behind()(path="/openapi.json")).json()
    page = (await get(path="/gateway/docs")).text
    assert 'href="/' not in page
    assert 'fetch("/' not in page


@pytest.mark.parametrize(
    "value", ["gateway", "/a//b", "/a/../b", "/a b", "/a;Path=/", "https://x/y", "/admin", "/admin/x"]
)
def test_an_invalid_root_path_is_refused_by_name(monkeypatch, tmp_path, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOT_PATH", value)
    load.cache_clear()
    with pytest.raises(SettingsError, match="ROOT_PATH: "):
        load(ProxySettings)
    load.cache_clear()


def test_an_invalid_trusted_proxy_is_refused_by_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.1,proxy.example")
    load.cache_clear()
    with pytest.raises(SettingsError, match=r"TRUSTED_PROXIES: .*proxy\.example"):
        load(ProxySettings)
    load.cache_clear()


def invoke(event):
    """Call the handler as Lambda does, on its own event loop, because Mangum uses that of the thread."""

    def call():
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            return HANDLER(event, None)
        finally:
            loop.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def _event(path, stage, source="6.6.6.6", headers=()):
    http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": source, "userAgent": "t"}
    context = {"http": http, "stage": stage, "requestId": "r", "routeKey": "$default", "domainName": "gw.example"}
    given = {"host": "gw.example", "x-forwarded-proto": "https", "x-forwarded-port": "443", **dict(headers)}
    return {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": given,
        "requestContext": context, "isBase64Encoded": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "stage", "root_path", "prefix"),
    [
        ("/api/query", "$default", "", ""),
        # A named stage is part of the path.
        ("/prod/api/query", "prod", "", "/prod"),
        # Behind a custom domain with the base path `gateway`.
        ("/gateway/api/query", "$default", "/gateway", "/gateway"),
        ("/api/query", "prod", "", ""),
    ],
)
def test_api_gateways_stage_and_base_path_are_prefixes(behind, path, stage, root_path, prefix):
    behind(root_path=root_path)
    answer = invoke(_event(path, stage))
    assert answer["statusCode"] == 200
    body = json.loads(answer["body"])
    assert (body["prefix"], body["address"], body["scheme"]) == (prefix, "6.6.6.6", "https")


def test_in_lambda_the_event_names_the_client(behind):
    behind()
    spoofed = _event("/api/query", "$default", headers=[("x-forwarded-for", "1.1.1.1, 6.6.6.6")])
    assert json.loads(invoke(spoofed)["body"])["address"] == "6.6.6.6"


@pytest.mark.parametrize("host", ["[::1]:3000", "a:b:c", "a:x", "[", "", "gw.example:443"])
@pytest.mark.parametrize("port", ["443", "x", ""])
def test_no_host_of_an_event_is_a_server_error(behind, host, port):
    behind()
    event = _event("/api/query", "$default", headers=[("host", host), ("x-forwarded-port", port)])
    answer = invoke(event)
    assert answer["statusCode"] == 200
    found = parse_host(host, "https")
    assert json.loads(answer["body"])["host"] == (found and f"{found.host}:{found.port}")
