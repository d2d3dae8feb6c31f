"""Rules for every route: hosts, headers of requests and of answers, HEAD."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.lambda_emulator.app import create_emulator
from shared import sealing
from shared.http.route_table import DOCUMENT
from shared.store.callers import callers
from shared.store.redis.client import async_client

UNKNOWN = "01a00000-0000-7000-8000-000000000000"
PATHS = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
UNLISTED = [
    ("GET", path)
    for path in ("/docs", "/openapi.json", "/start/start.js", "/admin/static/job.js", "/admin/session", "/nothing")
]
ROUTES = [
    (method.upper(), re.sub(r"\{\w+\}", UNKNOWN, path)) for path, operations in PATHS.items() for method in operations
] + UNLISTED
GETS = [path for method, path in ROUTES if method == "GET"]
PASSWORD = "twelve characters"
ALL_ON = {
    "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": PASSWORD, "METRICS_ENABLED": "true", "METRICS_AUTH": "false",
}  # fmt: skip

OF_CALLERS = [
    (method, path) for method, path in ROUTES
    if path.startswith(("/api/", "/v1/")) and not path.startswith("/api/downloads/")
]  # fmt: skip

LOOPBACK = ["localhost", "LOCALHOST:3000", "localhost.", "127.0.0.1", "127.8.9.10:80", "[::1]", "[::1]:3000"]
OTHERS = [
    "evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example",
    "evil.example#127.0.0.1", "localhost evil.example", "192.168.0.1", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]x",
    "127.1", "2130706433", "", "[::1", "localhost:port", "*", "xlocalhost", "gateway.localhost.", "\xe9vil",
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda part: part)
async def test_without_keys_another_host_is_refused(connect, method, path):
    client = await connect(**ALL_ON, ALLOWED_HOSTS="")
    answer = await client.request(method, path, headers={"Host": "evil.example", "Origin": "http://evil.example"})
    if path == "/health/live":
        assert answer.status_code == 200
        return
    assert answer.status_code == 403
    body = answer.json()
    assert "ALLOWED_HOSTS" in json.dumps(body)
    if path.startswith("/v1/"):
        assert body["error"]["type"] in {"invalid_request_error", "permission_error"}
    else:
        assert body["code"] == "forbidden"


@pytest.mark.parametrize("host", LOOPBACK)
async def test_loopback_hosts_are_served(connect, host):
    client = await connect(ALLOWED_HOSTS="")
    assert (await client.get("/api/query", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", OTHERS)
async def test_no_other_host_is_served(connect, host):
    client = await connect(ALLOWED_HOSTS="")
    answer = await client.get("/api/query", headers=[(b"Host", host.encode("latin-1"))])
    assert answer.status_code == 403


async def test_a_second_host_is_not_served(connect):
    client = await connect(ALLOWED_HOSTS="")
    answer = await client.get("/api/query", headers=[("Host", "localhost"), ("Host", "evil.example")])
    assert answer.status_code == 403


@pytest.mark.parametrize(("host", "status"), [
    ("gateway.example.com:3000", 200), ("a.b.example.org", 200), ("example.org", 403), ("x.gateway.example.com", 403),
    ("10.0.0.7:80", 200), ("[fd00::7]", 200), ("xexample.org", 403), ("localhost", 200), ("GATEWAY.example.com", 200),
])  # fmt: skip
async def test_allowed_hosts_are_served(connect, host, status):
    client = await connect(ALLOWED_HOSTS="Gateway.Example.com, *.example.org 10.0.0.7,[fd00::7]")
    assert (await client.get("/api/query", headers={"Host": host})).status_code == status


async def test_each_scope_opens_its_own_routes(connect, server):
    """Catches a route that takes any key: one for reading must not submit, by whichever API."""
    client = await connect(**ALL_ON, AUTH_ENABLED="true", CREDENTIALS_PUBLIC_KEY=sealing.new_pair()[0])
    assert len(OF_CALLERS) > 35
    for scope in ("submit", "read", "decide", "admin-read"):
        key = (await callers.create(async_client(server.url), scope, scopes=[scope])).key
        for method, path in OF_CALLERS:
            answer = await client.request(method, path, json={}, headers={"X-API-Key": key})
            needed = "read" if method == "GET" else "decide" if "/decisions/" in path else "submit"
            assert (answer.status_code == 403) == (scope != needed), (scope, method, path, answer.text)


async def test_with_keys_the_host_does_not_matter(connect):
    client = await connect(ALLOWED_HOSTS="", AUTH_ENABLED="true")
    assert (await client.get("/api/query", headers={"Host": "evil.example"})).status_code == 401


async def test_behind_api_gateway_the_host_does_not_matter(connect, monkeypatch):
    client = await connect(ALLOWED_HOSTS="", AUTH_ENABLED="false")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    assert (await client.get("/api/query", headers={"Host": "x.execute-api.example"})).status_code == 200


async def test_the_emulator_refuses_another_host(connect, tmp_path):
    await connect(ALLOWED_HOSTS="", AUTH_ENABLED="false")
    template = tmp_path / "template.yaml"
    template.write_text("Resources: {}")
    emulator = create_emulator(template)
    sent = []

    async def receive():
        raise AssertionError("the body is not read")

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/api/query", "method": "GET", "headers": [(b"host", b"evil.example")]}
    await emulator(scope, receive, send)
    assert sent[0]["status"] == 403


def strange():
    """Values that our parsers must survive."""
    known = st.sampled_from([
        "http://[", "null", "application/openmetrics-text; version=x", "Bearer", "Bearer \xff", "Basic ====",
        "Basic OjpcOg==", "wait=9999999999999999999999", "\xb2", "9" * 5000, "application/json; charset=\xff",
        "a=b; =c;; cg_admin=\xff", "00-zz-zz-00", '"', "[::1", "cg_admin=x; cg_admin=y", 'W/"x"', "multipart/form-data",
    ])  # fmt: skip
    return known | st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255), max_size=60)


HEADERS = [
    "accept", "accept-encoding", "authorization", "x-api-key", "content-type", "content-length", "content-encoding",
    "cookie", "idempotency-key", "if-none-match", "last-event-id", "origin", "prefer", "sec-fetch-site", "traceparent",
    "tracestate", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id", "anthropic-version",
    "anthropic-beta", "openai-organization", "user-agent", "referer", "forwarded", "range", "expect",
]  # fmt: skip


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(st.sampled_from(HEADERS), strange(), min_size=1, max_size=6))
@pytest.mark.parametrize("auth", ["true", "false"])
@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda part: part)
async def test_no_header_makes_a_500(connect, method, path, auth, values):
    client = await connect(**ALL_ON, AUTH_ENABLED=auth)
    sent = [(name.encode(), value.encode("latin-1")) for name, value in values.items()]
    answer = await client.request(method, path, headers=[(b"host", b"localhost"), *sent], content=b"{}")
    assert answer.status_code < 500 or answer.status_code == 503


@pytest.mark.parametrize("origin", ["http://[", "http://a:port", "null", "\xff", "http://a]b", ""])
@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] != "GET"], ids=lambda part: part)
async def test_no_origin_makes_a_500(connect, method, path, origin):
    client = await connect(**ALL_ON)
    sent = [(b"host", b"localhost"), (b"origin", origin.encode("latin-1")), (b"content-type", b"application/json")]
    assert (await client.request(method, path, headers=sent, content=b"{}")).status_code < 500


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=x", "application/openmetrics-text;version=",
                                    "text/plain; version=1.x", "\xff", ";,;="])  # fmt: skip
async def test_an_accept_that_cannot_be_parsed_gets_text(connect, accept):
    client = await connect(METRICS_ENABLED="true")
    answer = await client.get("/metrics", headers=[(b"accept", accept.encode("latin-1"))])
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("auth", ["true", "false"])
@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda part: part)
async def test_every_answer_has_the_security_headers(connect, method, path, auth):
    client = await connect(**ALL_ON, AUTH_ENABLED=auth)
    answer = await client.request(method, path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    if not path.startswith(("/admin/static/", "/start/")):
        assert "no-store" in answer.headers["cache-control"]
    if answer.headers.get("content-type", "").startswith("text/html"):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", GETS)
async def test_head_is_get_without_its_body(connect, path):
    client = await connect(**ALL_ON)
    answer, head = await client.get(path), await client.head(path)
    assert head.status_code == answer.status_code
    assert head.content == b""
    assert head.headers.get("content-type") == answer.headers.get("content-type")
    if path in {"/docs", "/openapi.json", "/admin"}:
        assert head.headers["content-length"] == answer.headers["content-length"]


async def test_head_is_in_the_allow_header_wherever_get_is(connect):
    client = await connect()
    assert (await client.request("PATCH", "/api/usage")).headers["allow"] == "GET, HEAD"
