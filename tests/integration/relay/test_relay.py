"""The relay between a run and Claude, in front of an upstream that sends the bytes of each fault."""

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import httpx
import pytest

from functions.worker.relay import retrying
from functions.worker.relay import run as run_module
from functions.worker.relay.heads import MAX_HEAD
from functions.worker.relay.request import MOST_VALUES
from functions.worker.relay.server import MAX_BODY
from tests.support.raw_upstream import BODY, EVENTS, GOOD, answer, chunk, error, relayed, sse


async def test_an_answer_passes_unchanged_and_is_metered(folder):
    async with relayed(folder) as relay:
        got = await relay.post()
        assert (got.status_code, got.content) == (200, sse())
        (spend,) = relay.run.ledger.spends
        assert (spend.model, spend.input, spend.output) == ("claude-opus-5-5", 10, 5)
        assert spend.cost == pytest.approx((10 * 4 + 5 * 20) / 1e6)
        assert (relay.run.answered, relay.run.limits.turns, relay.run.asking) == (1, 1, 0)


@pytest.mark.parametrize(
    ("variable", "header"),
    [
        ("ANTHROPIC_API_KEY", b"x-api-key: the secret\r\n"),
        ("ANTHROPIC_AUTH_TOKEN", b"authorization: Bearer the secret\r\n"),
        ("CLAUDE_CODE_OAUTH_TOKEN", b"authorization: Bearer the secret\r\n"),
    ],
)
async def test_the_relay_adds_the_credential_and_drops_the_runs(folder, variable, header):
    environ = {"ANTHROPIC_API_KEY": "", variable: "the secret", "ANTHROPIC_CUSTOM_HEADERS": "X-Extra: more"}
    async with relayed(folder, environ=environ) as relay:
        await relay.post(
            x_api_key="placeholder", authorization="Bearer placeholder", cookie="a=b", anthropic_beta="one,two"
        )
        head = relay.upstream.requests[0][0]
    assert header in head
    assert b"x-extra: more\r\n" in head
    assert b"placeholder" not in head
    assert b"cookie" not in head
    betas = next(line for line in head.split(b"\r\n") if line.startswith(b"anthropic-beta"))
    assert betas.startswith(b"anthropic-beta: one,two")
    assert (b"oauth-2025-04-20" in betas) == (variable == "CLAUDE_CODE_OAUTH_TOKEN")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_a_transient_refusal_is_retried(folder, quick, status):
    async with relayed(folder, error(status), error(status)) as relay:
        got = await relay.post()
        assert (got.status_code, len(relay.upstream.requests)) == (200, 3)
        assert [(attempt) for _, _, attempt in relay.seen.delays] == [1, 2]
        assert [failure["status"] for failure in relay.run.failures] == [status, status]
        assert relay.run.waiting is None
        assert not relay.run.ended.done()


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
async def test_a_refusal_of_a_runs_first_request_is_passed_on(folder, status):
    async with relayed(folder, error(status, "some_error", request_id="req_1")) as relay:
        got = await relay.post()
        assert (got.status_code, got.json()["error"]["type"]) == (status, "some_error")
        assert len(relay.upstream.requests) == 1
        kept = {name: value for name, value in relay.run.failures[0].items() if name != "at"}
        assert kept == {"status": status, "type": "some_error", "message": "scripted", "requestId": "req_1"}


@pytest.mark.parametrize("status", [401, 403])
async def test_credentials_refused_during_a_run_are_retried(folder, quick, status):
    async with relayed(folder, GOOD, error(status), error(status)) as relay:
        await relay.post()
        assert (await relay.post()).status_code == 200
        assert [code for code, _, _ in relay.seen.delays] == ["authentication_failed"] * 2


async def test_a_refused_connection_is_retried_until_the_timeout(folder, quick):
    async with relayed(folder, clock=4, environ={"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}) as relay:
        got = await relay.post()
        assert got.status_code == 403
        assert (await relay.run.ended).code == "server_error"
        assert {failure["message"] for failure in relay.run.failures} == {"connection refused"}
        assert len(relay.seen.delays) > 2


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (None, "connection lost"),
        (b"HTTP/1.1 200 OK\r\ncontent-ty", "no answer in time"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncontent-type: text/event-stream\r\n\r\n", "no answer in time"),
        (b"garbage\r\n\r\n", "malformed answer"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * MAX_HEAD * 2, "head too large"),
        (answer(sse(), x="a" * MAX_HEAD), "head too large"),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "malformed answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "malformed answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "malformed answer"),
        (answer(b"<html>busy</html>", content_type="text/html"), "The answer is not one of the Messages API"),
        (answer(b""), "The answer is not one of the Messages API"),
        (answer(b"\x28\xb5\x2f\xfd", content_encoding="zstd"), "The answer is compressed in an unknown way"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "malformed answer"),
    ],
    ids=["reset", "half a head", "no body", "garbage", "endless head", "huge head", "101", "two framings",
         "two lengths", "html", "empty", "zstd", "bad chunk"],
)  # fmt: skip
async def test_an_invalid_answer_is_retried(folder, quick, step, message):
    async with relayed(folder, step, first_byte=0.3) as relay:
        got = await relay.post()
        assert (got.status_code, got.content) == (200, sse())
        assert [failure["message"] for failure in relay.run.failures] == [message]
        assert relay.run.failures[0]["status"] is None


async def test_an_upstream_that_never_answers_is_retried(folder, quick):
    async def never(reader, writer):
        await reader.read()

    async with relayed(folder, never, first_byte=0.2) as relay:
        assert (await relay.post()).status_code == 200
        assert relay.run.failures[0]["message"] == "no answer in time"
        assert relay.upstream.connections == 2


@pytest.mark.parametrize("status", [200, 404, 529])
async def test_an_upstream_that_repeats_a_secret_is_not_repeated(folder, quick, status):
    """Catches a credential in the log, on a job's page or in a run because a gateway in front of Claude echoes it."""
    secrets = {"ANTHROPIC_API_KEY": "sk-the-secret", "ANTHROPIC_CUSTOM_HEADERS": "X-Gateway: another-secret"}
    text = "sk-the-secret and another-secret"
    event = {"type": "error", "error": {"type": text, "message": text}}
    body = sse(event) if status == 200 else json.dumps(event).encode()
    async with relayed(folder, answer(body, f"{status} X", request_id=text), environ=secrets) as relay:
        got = await relay.post()
        shown = str(relay.run.failures) + got.text + str(got.headers)
        assert "secret" not in shown
        assert relay.run.failures[0]["type"] == "[credential] and [credential]"


async def test_names_of_an_error_are_short_and_can_be_stored(folder):
    body = json.dumps({"error": {"type": "\ud800" + "x" * 9000, "message": "m"}}).encode()
    async with relayed(folder, answer(body, "404 X", request_id="r" * 9000)) as relay:
        assert (await relay.post()).status_code == 404
        kept = relay.run.failures[0]
        assert (kept["type"], kept["requestId"]) == ("?" + "x" * 99, "r" * 100)


async def test_an_error_with_html_has_no_type(folder, quick):
    page = answer(b"<html>bad gateway</html>", "502 Bad Gateway", content_type="text/html")
    async with relayed(folder, page) as relay:
        assert (await relay.post()).status_code == 200
        assert (relay.run.failures[0]["status"], relay.run.failures[0]["type"]) == (502, None)


async def test_an_endless_error_is_read_to_its_bound(folder, quick):
    async def endless(reader, writer):
        writer.write(b"HTTP/1.1 500 Error\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(chunk(b"x" * 65536))
            await writer.drain()

    async with relayed(folder, endless) as relay:
        assert (await relay.post()).status_code == 200
        assert relay.run.failures[0]["status"] == 500


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_refused_and_ends_the_run(folder, status):
    async with relayed(folder, answer(b"", f"{status} Moved", location="http://127.0.0.1:9/")) as relay:
        assert (await relay.post()).status_code == 403
        assert (await relay.run.ended).code == "server_error"
        assert (relay.run.failures[0]["status"], len(relay.upstream.requests)) == (status, 1)


async def test_gzip_passes_unchanged_and_is_metered(folder):
    packed = gzip.compress(sse())
    async with relayed(folder, answer(packed, content_encoding="gzip")) as relay:
        assert (await relay.post()).content == sse()
        assert relay.run.ledger.spends[0].output == 5
        assert b"accept-encoding: identity\r\n" in relay.upstream.requests[0][0]


async def test_http_1_0_ends_with_its_connection(folder):
    old = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + sse()
    async with relayed(folder, old) as relay:
        got = await relay.post()
        assert (got.content, got.headers["connection"]) == (sse(), "close")
        assert relay.run.ledger.spends[0].output == 5
        assert not relay.run.ended.done()
        assert (await relay.post()).status_code == 200


async def test_trailers_pass(folder):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    parts = head + chunk(sse()) + b"0\r\nx-trailer: content-length\r\n\r\n"
    async with relayed(folder, parts, parts) as relay:
        for _ in range(2):
            assert (await relay.post()).content == sse()
        assert relay.upstream.connections == 1


async def test_100_continue_is_answered_on_both_sides(folder):
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with relayed(folder, early + GOOD) as relay:
        reader, writer = await asyncio.open_unix_connection(str(relay.socket))
        body = json.dumps(BODY).encode()
        head = b"POST /v1/messages HTTP/1.1\r\nhost: relay\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(body))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(len(sse())) == sse()
        writer.close()


async def test_an_answer_in_single_bytes_is_metered_and_passed(folder):
    async def slowly(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for byte in chunk(sse()) + b"0\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()

    async with relayed(folder, slowly) as relay:
        assert (await relay.post()).content == sse()
        assert relay.run.ledger.spends[0].output == 5


async def test_a_stream_that_is_cut_is_metered_and_ends_the_run(folder):
    begun = sse(*EVENTS[:3])
    cut = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-cut: 1\r\ntransfer-encoding: chunked\r\n\r\n"
    async with relayed(folder, cut + chunk(begun)) as relay:
        with pytest.raises(httpx.TransportError):
            await relay.post()
        assert (await relay.run.ended).code == "server_error"
        assert (relay.run.ledger.spends[0].input, relay.run.answered) == (10, 0)
        assert len(relay.upstream.requests) == 1


async def test_an_error_event_in_a_stream_ends_the_run_with_its_code(folder):
    fault = {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}
    async with relayed(folder, answer(sse(*EVENTS[:3], fault))) as relay:
        await relay.post()
        assert (await relay.run.ended).code == "overloaded"


async def test_an_error_event_before_the_first_byte_is_retried(folder, quick):
    fault = {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}
    async with relayed(folder, answer(sse(fault))) as relay:
        assert (await relay.post()).content == sse()
        assert relay.seen.delays[0][0] == "overloaded"


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\n\r\n", b"x"])
async def test_bytes_behind_an_answer_never_reach_a_run(folder, extra):
    async with relayed(folder, GOOD + extra) as relay:
        try:
            got = (await relay.post()).content
        except httpx.TransportError:
            got = b""
        assert extra not in got.removeprefix(sse())


async def test_a_client_that_goes_away_ends_the_request_to_claude(folder):
    async def begun(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(chunk(sse(*EVENTS[:3])))
        await reader.readexactly(1)

    async with relayed(folder, begun) as relay:
        async with relay.client.stream("POST", "/v1/messages", content=json.dumps(BODY)) as got:
            async for _ in got.aiter_bytes():
                break
        async with asyncio.timeout(5):
            await relay.upstream.gone.wait()
        assert relay.run.ledger.spends[0].input == 10


def silent(requested):
    """Return an upstream that reads a request, sets the event and sends nothing."""

    async def reply(reader, writer):
        requested.set()
        await reader.readexactly(1)

    return reply


async def test_a_client_that_goes_away_before_the_answer_ends_it_too(folder):
    requested = asyncio.Event()
    async with relayed(folder, silent(requested)) as relay:
        request = asyncio.create_task(relay.post())
        await requested.wait()
        assert relay.run.asking == 1
        request.cancel()
        async with asyncio.timeout(5):
            await relay.upstream.gone.wait()
        assert relay.run.asking == 0


async def test_the_end_of_a_run_ends_what_is_in_flight(folder):
    requested = asyncio.Event()
    async with relayed(folder, silent(requested)) as relay:
        request = asyncio.create_task(relay.post())
        await requested.wait()
        relay.line.end()
        async with asyncio.timeout(5):
            await relay.upstream.gone.wait()
        with pytest.raises(httpx.TransportError):
            await request
        assert (await relay.post()).status_code == 403


async def test_connections_to_claude_are_kept(folder):
    async with relayed(folder) as relay:
        for _ in range(3):
            await relay.post()
        assert relay.upstream.connections == 1


async def test_a_request_cut_on_a_kept_connection_is_a_failure_like_any_other(folder, quick):
    async with relayed(folder, GOOD, None, b"SSH-2.0\r\n\r\n") as relay:
        await relay.post()
        assert (await relay.post()).status_code == 200
        assert [failure["message"] for failure in relay.run.failures] == ["connection lost", "malformed answer"]
        assert [tries for _, _, tries in relay.seen.delays] == [1, 2]


async def test_a_kept_connection_that_claude_has_closed_is_not_used(folder):
    async with relayed(folder, answer(sse(), x_cut="yes")) as relay:
        await relay.post()
        await asyncio.wait(relay.upstream.tasks)
        assert (await relay.post()).status_code == 200
        assert relay.run.failures == []


async def test_retry_after_in_seconds_is_kept(folder, quick):
    async with relayed(folder, error(529, retry_after="1")) as relay:
        started = asyncio.get_running_loop().time()
        await relay.post()
        assert asyncio.get_running_loop().time() - started >= 1


async def test_a_pause_beyond_the_clock_ends_the_run_at_once(folder):
    async with relayed(folder, error(429, "rate_limit_error", retry_after="3600")) as relay:
        assert (await relay.post()).status_code == 429
        ended = await relay.run.ended
        assert (ended.code, ended.retry_after) == ("rate_limited", 3600)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3), ({"retry-after": "0"}, 0), ({"retry-after": "2.5"}, 2.5), ({}, None),
        ({"retry-after": "-1"}, None), ({"retry-after": "soon"}, None), ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None), ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0), ({"retry-after": "99999999999"}, 30 * 86_400),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_every_form(headers, seconds):
    assert retrying.retry_after(headers) == seconds


def test_retry_after_is_read_as_a_date():
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    seconds = retrying.retry_after({"retry-after": moment})
    assert seconds is not None
    assert 18 < seconds <= 20


def test_pauses_grow_to_30_s_and_respect_retry_after():
    for tries, longest in ((1, 0.5), (2, 1), (3, 2), (7, 30), (5000, 30)):
        assert longest * 0.75 <= retrying.pause(tries, None) <= longest * 1.25
    assert retrying.pause(1, 7.0) == 7.0


async def test_an_overloaded_model_is_replaced_and_stays_replaced(folder, quick, monkeypatch):
    monkeypatch.setattr(run_module, "OVERLOADED_FOR", 0.3)
    trouble = [error(529, "overloaded_error")] * 40
    async with relayed(folder, *trouble, fallbacks=("haiku",)) as relay:
        request = asyncio.create_task(relay.post())
        while not any(b"claude-haiku" in body for _, body in relay.upstream.requests):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        relay.upstream.steps.clear()
        assert (await request).status_code == 200
        await relay.post()
        assert json.loads(relay.upstream.requests[-1][1])["model"] == "claude-haiku-5-5"
        assert json.loads(relay.upstream.requests[0][1])["model"] == BODY["model"]


async def test_another_models_answer_ends_no_overload(folder):
    """Catches a fallback that never comes because a subagent's model answers meanwhile."""
    model, overload = str(BODY["model"]), run_module.Failure(529, "overloaded_error", None)
    async with relayed(folder, fallbacks=("sonnet",)) as relay:
        await relay.post()
        assert relay.run.falls_back(model, overload, 1.0) == (1.0, False)
        await relay.post({"model": "claude-haiku-5-5"})
        assert relay.run.falls_back(model, overload, 60.0)[0] < run_module.OVERLOADED_FOR
        await relay.post()
        assert relay.run.falls_back(model, overload, 60.0)[0] == run_module.OVERLOADED_FOR


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"), ("POST", "/v1/messages/batches"), ("GET", "/v1/models"), ("POST", "/v1/files"),
        ("POST", "/v1/messages/"), ("POST", "//v1/messages"), ("POST", "/v1/messages/../files"),
        ("POST", "/v1/messages%2f..%2ffiles"), ("POST", "/v1/messages?beta=true&x=y"), ("POST", "/"),
        ("POST", "/api/oauth/profile"), ("OPTIONS", "/v1/messages"), ("POST", "http://relay/v1/files"),
    ],
)  # fmt: skip
async def test_only_the_messages_api_is_reached(folder, method, path):
    async with relayed(folder) as relay:
        got = await raw(relay.socket, b"%s %s HTTP/1.1" % (method.encode(), path.encode()), json.dumps(BODY).encode())
        assert got.startswith(b"HTTP/1.1 403 ")
        assert relay.upstream.requests == []


async def raw(socket, line, body=b"", *headers):
    """Send a request as bytes, and return the beginning of the answer."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    lines = [line, b"host: relay", *headers, b"content-length: %d" % len(body)]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    async with asyncio.timeout(10):
        got = await reader.read(65536)
    writer.close()
    return got


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"nonsense", b'{"model":1}', b'{"model":"claude-opus-5-5","model":"claude-fable-5"}',
        b'{"model":"claude-opus-5-5","\\u006dodel":"claude-fable-5"}', b"[" * 100_000, b'{"model":"a"', b"\xff",
        b'{"model":""}', b'{"model":"\\ud800"}', b'{"model":"a\\nb"}', b'{"model":"%s"}' % (b"a" * 257),
    ],
)  # fmt: skip
async def test_a_body_that_can_be_read_in_two_ways_is_refused(folder, body):
    async with relayed(folder) as relay:
        assert (await raw(relay.socket, b"POST /v1/messages HTTP/1.1", body)).startswith(b"HTTP/1.1 403 ")
        assert relay.upstream.requests == []


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (b"nonsense", [], b"400"),
        (b"POST /v1/messages HTTP/1.1", [b"transfer-encoding: chunked"], b"400"),
        (b"POST /v1/messages HTTP/1.1", [b"content-length: 5"], b"400"),
        (b"POST /v1/messages HTTP/1.1", [b"x: " + b"a" * MAX_HEAD * 2], b"431"),
    ],
)
async def test_a_malformed_request_is_refused(folder, line, headers, status):
    async with relayed(folder) as relay:
        got = await raw(relay.socket, line, json.dumps(BODY).encode(), *headers)
        assert got.startswith(b"HTTP/1.1 %s " % status) or got == b""
        assert relay.upstream.requests == []


async def test_a_body_above_the_limit_is_refused_before_it_comes(folder):
    async with relayed(folder) as relay:
        reader, writer = await asyncio.open_unix_connection(str(relay.socket))
        writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: r\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY + 1))
        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_body_of_30_mb_passes_whole(folder):
    body = json.dumps({**BODY, "messages": [{"role": "user", "content": "x" * (30 << 20)}]}).encode()
    async with relayed(folder, error(529), first_byte=30) as relay:
        assert (await relay.post(body)).status_code == 200
        assert [len(sent) for _, sent in relay.upstream.requests] == [len(body)] * 2


@pytest.mark.parametrize("item", [b"[],", b'{"":0},', b'"",', b"9,", b'"\\"[",'])
async def test_a_body_of_too_many_values_is_refused_unparsed(folder, item):
    """Catches a slot that takes a gigabyte and ten seconds for 30 MB of empty lists."""
    body = b'{"model":"claude-opus-5-5","x":[' + item * MOST_VALUES + b"0]}"
    async with relayed(folder) as relay:
        got = await relay.post(body)
        assert (got.status_code, got.json()["error"]["message"]) == (403, "The body has more than 1,000,000 values")
        assert relay.upstream.requests == []


@pytest.mark.parametrize("text", [",[{", '\\"[', '",{', "\\\\"])
async def test_commas_and_brackets_of_a_text_are_no_values(folder, text):
    message = {"role": "user", "content": text * MOST_VALUES}
    async with relayed(folder) as relay:
        assert (await relay.post({"messages": [message]})).status_code == 200


async def test_a_run_that_reads_slowly_slows_claude_down(folder):
    written = SimpleNamespace(size=0)

    async def endless(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(chunk(sse(*EVENTS[:2])))
        part = chunk(sse(EVENTS[2]) * 1000)
        while True:
            writer.write(part)
            written.size += len(part)
            await writer.drain()

    async with relayed(folder, endless) as relay:
        reader, writer = await asyncio.open_unix_connection(str(relay.socket), limit=1024)
        body = json.dumps(BODY).encode()
        writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: r\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != written.size:
            before = written.size
            await asyncio.sleep(0.3)
        assert written.size < 30 << 20
        # It goes on when there is room.
        read = 0
        while read <= before:
            read += len(await reader.read(1 << 20))
        writer.close()


async def test_a_run_has_a_bounded_number_of_connections(folder):
    async with relayed(folder) as relay:
        opened = [await asyncio.open_unix_connection(str(relay.socket)) for _ in range(70)]
        async with asyncio.timeout(5):
            for reader, _ in opened[64:]:
                assert await reader.read() == b""
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("model", ["claude-fable-5", "claude-opus-5-5-evil", "gpt", "claude-haiku"])
async def test_a_model_that_is_not_allowed_is_refused(folder, model):
    async with relayed(folder, models=["opus", "claude-sonnet-5"]) as relay:
        got = await relay.post({"model": model, "tools": [{"name": "Bash"}]})
        assert (got.status_code, relay.upstream.requests) == (403, [])
        assert not relay.run.ended.done()


@pytest.mark.parametrize(
    ("model", "tools"),
    [
        ("claude-opus-5-5", [{"name": "Bash"}]), ("claude-sonnet-5", []), ("claude-sonnet-5-20260101", []),
        ("claude-haiku-5-5", []), ("claude-3-5-haiku-20241022", []),
    ],
)  # fmt: skip
async def test_allowed_models_and_small_requests_pass(folder, model, tools):
    async with relayed(folder, models=["opus", "claude-sonnet-5"]) as relay:
        assert (await relay.post({"model": model, "tools": tools})).status_code == 200


async def test_a_small_model_with_tools_is_no_small_request(folder):
    async with relayed(folder, models=["opus"]) as relay:
        assert (await relay.post({"model": "claude-haiku-5-5", "tools": [{"name": "Bash"}]})).status_code == 403


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({"mcp_servers": [{"url": "https://evil.example"}]}, 403),
        ({"container": "c"}, 403),
        ({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, 403),
        ({"tools": [{"type": "code_execution_20250825", "name": "c"}]}, 403),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, 200),
        ({"tools": [{"type": ["web_search_"], "name": "x"}]}, 403),
        ({"tools": [{"type": "custom", "name": "x"}]}, 200),
    ],
)
async def test_claude_runs_no_tool_for_a_run_that_may_not_have_it(folder, extra, status):
    async with relayed(folder, tools=frozenset({"WebSearch"})) as relay:
        assert (await relay.post(extra)).status_code == status


URL = {"type": "image", "source": {"type": "url", "url": "https://evil.example/?secret"}}
FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
OWN = {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}}


@pytest.mark.parametrize(
    "content",
    [
        [URL],
        [FILE],
        [{"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "t", "content": [URL]}],
        [{"type": "document", "source": {"type": "content", "content": [URL]}}],
        [{"type": "container_upload", "file_id": "file_1"}],
        [{"type": "image", "source": {}}],
        URL,
    ],
)
async def test_claude_fetches_nothing_for_a_run(folder, content):
    """Catches a tool without a network that sends data out in the URL of an image."""
    async with relayed(folder) as relay:
        first = {"role": "user", "content": "hello"}
        for fields in (
            {"messages": [first, {"role": "user", "content": content}]},
            {"messages": [first], "system": content},
        ):
            assert (await relay.post(fields)).status_code == 403
        assert not relay.upstream.requests
        assert not relay.run.ended.done()


async def test_what_a_request_carries_itself_passes(folder):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    search = {"type": "search_result", "source": "https://a.example", "title": "a", "content": []}
    call = {"type": "tool_use", "id": "t", "name": "x", "input": {"source": {"type": "url"}, "file_id": 5}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image, OWN, search]}
    async with relayed(folder) as relay:
        messages = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result, "x", 5]}]
        assert (await relay.post({"messages": messages, "speed": "standard"})).status_code == 200


async def test_a_run_asks_at_no_higher_price_than_is_counted(folder):
    async with relayed(folder) as relay:
        assert (await relay.post({"speed": "fast"})).status_code == 403


async def test_a_rehearsal_is_answered_only_before_the_first_request(folder):
    """Catches a tool that learns the question, or a prompt that repeats it, and so keeps requests from Claude."""
    async with relayed(folder) as relay:
        question = {"messages": [{"role": "user", "content": relay.line.rehearsal}]}
        assert b"rehearsal" in (await relay.post(question)).content
        assert not relay.upstream.requests
        await relay.post()
        assert b"rehearsal" not in (await relay.post(question)).content
        assert len(relay.upstream.requests) == 2


async def test_a_run_that_offers_a_withheld_tool_ends(folder):
    """Catches a waiting CLI that offers the model a tool of its own which the job does not have."""
    async with relayed(folder, withheld=frozenset({"Bash", "Agent"})) as relay:
        assert (await relay.post({"tools": [{"name": "Read"}, {"name": "Bash"}]})).status_code == 403
        assert (await relay.run.ended).code == "server_error"
        assert not relay.upstream.requests


async def test_a_tool_that_offers_a_withheld_tool_ends_no_run(folder):
    """Catches a run that ends because one of its tools asks Claude something with tools of its own."""
    async with relayed(folder, withheld=frozenset({"Bash"})) as relay:
        assert (await relay.post({"tools": [{"name": "Read"}]})).status_code == 200
        assert (await relay.post({"tools": [{"name": "Bash"}, 5, {"name": ["x"]}]})).status_code == 403
        assert (await relay.post({"tools": [{"name": "Read"}]})).status_code == 200
        assert not relay.run.ended.done()


async def test_a_schema_that_the_cli_cannot_use_ends_the_run(folder):
    """Catches an answer without structure, and its cost, when the CLI ignores a schema that came late."""
    async with relayed(folder, answers_by="StructuredOutput") as relay:
        assert (await relay.post({"tools": [{"name": "Read"}]})).status_code == 403
        assert (await relay.run.ended).code == "invalid_request"
        assert not relay.upstream.requests


async def test_only_the_first_request_needs_the_tool_of_a_schema(folder):
    async with relayed(folder, answers_by="StructuredOutput") as relay:
        assert (await relay.post({"tools": [{"name": "StructuredOutput"}]})).status_code == 200
        assert (await relay.post({})).status_code == 200


async def test_turns_are_counted_without_subagents_and_end_the_run(folder):
    tools = {"tools": [{"name": "Bash"}]}
    async with relayed(folder, max_turns=2) as relay:
        assert (await relay.post(tools)).status_code == 200
        for _ in range(3):
            assert (await relay.post(tools, x_claude_code_agent_id="a")).status_code == 200
            assert (await relay.post({"model": "claude-haiku-5-5"})).status_code == 200
        assert (await relay.post(tools)).status_code == 200
        assert (await relay.post(tools)).status_code == 403
        assert (await relay.run.ended).code == "max_turns"


async def test_no_turn_follows_an_answer_that_reached_its_limit(folder):
    """Catches a continuation that the CLI asks for, and that costs, before the end of the run reaches it."""
    cut = answer(sse(*EVENTS).replace(b"end_turn", b"max_tokens"))
    async with relayed(folder, cut) as relay:
        assert (await relay.post()).status_code == 200
        assert (await relay.post()).status_code == 403
        assert (await relay.post(x_claude_code_agent_id="a")).status_code == 200


async def test_an_empty_answer_is_no_turn(folder):
    empty = answer(sse(EVENTS[0], *EVENTS[4:]))
    async with relayed(folder, empty, max_turns=1) as relay:
        assert (await relay.post()).status_code == 200
        assert (await relay.post()).status_code == 200
        assert (await relay.post()).status_code == 403


async def test_a_used_budget_ends_the_run(folder):
    async with relayed(folder, max_budget_usd=0.0001) as relay:
        assert (await relay.post()).status_code == 200
        assert (await relay.post(x_claude_code_agent_id="a")).status_code == 403
        assert (await relay.run.ended).code == "budget_exceeded"


async def test_nothing_passes_before_a_run_has_begun(folder):
    async with relayed(folder) as relay:
        relay.line.end()
        assert (await relay.post()).status_code == 403
        assert relay.upstream.requests == []


async def test_the_clis_default_model_is_allowed_and_no_other(folder):
    async with relayed(folder, models=["sonnet"], has_default_model=True) as relay:
        assert (await relay.post({"tools": [{"name": "Bash"}]})).status_code == 200
        assert (await relay.post({"tools": [{"name": "Bash"}]}, x_claude_code_agent_id="a")).status_code == 200
        other = {"model": "claude-fable-5", "tools": [{"name": "Bash"}]}
        assert (await relay.post(other)).status_code == 403


@pytest.mark.parametrize("size", [b"%x", b"0%x", b"%x;name=value"])
async def test_chunks_are_followed_however_they_are_written(folder, size):
    """Catches a chunk that is passed on without being read although it is not the plainest kind."""

    async def apart(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for event in (EVENTS[0], EVENTS[1], *[EVENTS[2]] * 20, *EVENTS[3:]):
            data = sse(event)
            writer.write(size % len(data) + b"\r\n" + data + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.002)
        writer.write(b"0\r\n\r\n")

    async with relayed(folder, apart, apart) as relay:
        for _ in range(2):
            assert (await relay.post()).content.count(b"text_delta") == 20
        assert (relay.upstream.connections, relay.run.ledger.spends[0].output) == (1, 10)


async def test_a_stream_that_falls_silent_is_cut(folder):
    async def begun(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(chunk(sse(*EVENTS[:3])))
        await reader.readexactly(1)

    async with relayed(folder, begun, first_byte=0.3) as relay:
        with pytest.raises(httpx.TransportError):
            await relay.post()
        assert (await relay.run.ended).code == "server_error"
        await relay.upstream.gone.wait()
