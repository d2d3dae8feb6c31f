"""What is written for a response is what uvicorn would write."""

import asyncio
import logging

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from local.short_responses import Cycle
from tests.support.served import read_answer, served

# That of uvicorn. Its module has ours under the same name.
Usual = Cycle.__bases__[0]
LENGTH = (b"content-length", b"2")
DATE = [(b"date", b"Sat, 28 Nov 2026 07:00:00 GMT")]


class Written(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written, self.closed = b"", False

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def pause_reading(self):
        """Reading is not part of this."""

    resume_reading = pause_reading


def start(*fields, status=200):
    return {"type": "http.response.start", "status": status, "headers": list(fields)}


def body(data, **more):
    return {"type": "http.response.body", "body": data, **more}


async def outcome(kind, messages, *, method="GET", keep_alive=True, expects=False, change=None):
    """Return what is written, whether the connection ends, the error, and the state after it."""
    transport, ended = Written(), []
    cycle = kind(
        {"method": method, "http_version": "1.1", "path": "/"}, transport, FlowControl(transport),
        logging.getLogger(__name__), logging.getLogger(__name__), False, DATE, asyncio.Event(),
        expects, keep_alive, lambda: ended.append(True),
    )  # fmt: skip
    error = ""
    for message in messages:
        try:
            await cycle.send(dict(message))
        except (RuntimeError, KeyError, ValueError) as raised:
            error += f"{type(raised).__name__}: {raised}\n"
        if change is not None:
            change(cycle)
    state = {name: getattr(cycle, name) for name in (
        "response_started", "response_complete", "keep_alive", "chunked_encoding", "expected_content_length",
        "waiting_for_100_continue",
    )}  # fmt: skip
    return transport.written, transport.closed, ended, error, state, cycle.message_event.is_set()


RESPONSES = {
    "plain": [start(LENGTH), body(b"ok")],
    "fields": [start((b"x-a", b"1"), LENGTH, (b"set-cookie", b"a"), (b"set-cookie", b"b")), body(b"ok")],
    "tab and high bytes": [start(LENGTH, (b"x", b"a\tb \xe9\xff")), body(b"ok")],
    "empty value": [start(LENGTH, (b"x", b"")), body(b"ok")],
    "fields as lists": [start(list(LENGTH)), body(b"ok")],
    "empty body": [start((b"content-length", b"0")), body(b"")],
    "no body in the message": [start((b"content-length", b"0")), {"type": "http.response.body"}],
    "no content": [start(status=204), body(b"")],
    "not modified": [start(status=304), body(b"")],
    "refusal": [start(LENGTH, status=404), body(b"no")],
    "no length": [start((b"content-type", b"text/plain")), body(b"ok")],
    "no fields": [{"type": "http.response.start", "status": 200}, body(b"ok")],
    "in parts": [start(LENGTH), body(b"o", more_body=True), body(b"k")],
    "last part is empty": [start(LENGTH), body(b"ok", more_body=True), body(b"")],
    "stream": [start(), body(b"one", more_body=True), body(b"two", more_body=True), body(b"")],
    "chunked": [start((b"transfer-encoding", b"chunked")), body(b"ok")],
    "chunked with a length": [start((b"transfer-encoding", b"chunked"), LENGTH), body(b"ok")],
    "close": [start(LENGTH, (b"connection", b"close")), body(b"ok")],
    "connection in capitals": [start(LENGTH, (b"Connection", b"close")), body(b"ok")],
    "length in capitals": [start((b"Content-Length", b"2")), body(b"ok")],
    "new line in a value": [start(LENGTH, (b"x", b"a\r\nset-cookie: b")), body(b"ok")],
    "line feed in a value": [start(LENGTH, (b"x", b"a\nb")), body(b"ok")],
    "zero byte in a value": [start(LENGTH, (b"x", b"a\0b")), body(b"ok")],
    "delete in a value": [start(LENGTH, (b"x", b"a\x7f")), body(b"ok")],
    "new line in a name": [start(LENGTH, (b"x\r\ny", b"a")), body(b"ok")],
    "too long": [start(LENGTH), body(b"more")],
    "too short": [start(LENGTH), body(b"o")],
    "no number": [start((b"content-length", b"many")), body(b"ok")],
    "body first": [body(b"ok")],
    "two heads": [start(LENGTH), start(LENGTH), body(b"ok")],
    "two bodies": [start(LENGTH), body(b"ok"), body(b"ok")],
}


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("options", [
    {}, {"method": "HEAD"}, {"keep_alive": False}, {"expects": True}, {"method": "POST", "expects": True},
], ids=str)  # fmt: skip
async def test_a_response_is_written_as_uvicorn_writes_it(response, options):
    """Catches a field, an error or the end of a connection that the short way forgets."""
    messages = RESPONSES[response]
    assert await outcome(Cycle, messages, **options) == await outcome(Usual, messages, **options)


def last_response(cycle):
    """Make the response the last one of its connection, as a server that shuts down does."""
    cycle.keep_alive = False


def client_left(cycle):
    cycle.disconnected = True


@pytest.mark.parametrize("change", [last_response, client_left])
async def test_what_changes_within_a_response_counts(change):
    """Catches a connection that stays open after the server began to shut down, or a write to one that is lost."""
    messages = RESPONSES["plain"]
    ours, theirs = [await outcome(kind, messages, change=change) for kind in (Cycle, Usual)]
    assert ours == theirs
    assert ours[1] is (change is last_response)


async def test_the_short_way_is_taken(monkeypatch):
    """Catches a condition that no response meets, so that all take uvicorn's way."""

    async def send(_self, _message):
        pytest.fail("uvicorn's way")

    monkeypatch.setattr(Usual, "send", send)
    written, *_ = await outcome(Cycle, RESPONSES["fields"])
    assert written.endswith(b"\r\n\r\nok")


async def test_a_full_buffer_is_awaited(monkeypatch):
    """Catches a response that grows in memory while its client reads nothing."""
    waited = []

    async def drain(flow):
        waited.append(flow)
        flow.write_paused = False

    monkeypatch.setattr(FlowControl, "drain", drain)

    def pause(cycle):
        cycle.flow.write_paused = True

    written, *_ = await outcome(Cycle, RESPONSES["plain"], change=pause)
    assert written.endswith(b"ok")
    assert len(waited) == 1


def test_a_server_writes_its_responses_so(monkeypatch):
    """Catches a release of uvicorn that finds the class of its responses in another place."""
    ended, end = [], Cycle._end

    def noted(cycle, message):
        ended.append(message["body"])
        return end(cycle, message)

    monkeypatch.setattr(Cycle, "_end", noted)
    with served() as peer, peer.connect() as connection:
        connection.sendall(b"GET /keep HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_answer(connection).endswith(b"\r\n\r\nno key")
    assert ended == [b"no key"]
