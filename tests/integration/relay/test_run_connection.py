"""A run's connection to the relay: one request after the other, however soon the next one comes."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from functions.worker.relay import server

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def request(body):
    return b"POST /v1/messages HTTP/1.1\r\nhost: r\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


@asynccontextmanager
async def connected(folder, handler):
    """Connect a client to the handler; yield its reader and writer, and what the run's connections hold."""
    budget = server.Budget()
    path = str(folder / "relay")
    listening = await asyncio.get_running_loop().create_unix_server(
        lambda: server.RunConnection(handler, budget), path=path
    )
    reader, writer = await asyncio.open_unix_connection(path)
    async with asyncio.timeout(10):
        yield reader, writer, budget
    writer.close()
    listening.close()


@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_request_before_the_answers_end_is_noted_is_served(folder, pieces):
    # The client has read the whole answer before the relay has; a connection cut then costs the run a retry.
    bodies, may_finish = [], asyncio.Event()

    async def handler(head, method, body, reply):
        bodies.append(body)
        reply.write(ANSWER)
        if len(bodies) == 1:
            await may_finish.wait()
        reply.finish(keep=True)

    async with connected(folder, handler) as (reader, writer, budget):
        writer.write(request(b"1"))
        assert await reader.readexactly(len(ANSWER)) == ANSWER
        second = request(b"2" * 30_000)
        size = len(second) // pieces
        for start in range(0, len(second), size):
            writer.write(second[start : start + size])
            await writer.drain()
            (connection,) = budget.connections
            while connection._held < min(start + size, len(second)):  # noqa: ASYNC110 -- no event says that it has come
                await asyncio.sleep(0)
        may_finish.set()
        assert await reader.readexactly(len(ANSWER)) == ANSWER
        assert bodies == [b"1", b"2" * 30_000]
        assert budget.held == 0


async def test_what_comes_before_an_answer_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(server, "_MOST_HELD", 100_000)

    async def handler(head, method, body, reply):
        await asyncio.Event().wait()

    async with connected(folder, handler) as (reader, writer, budget):
        writer.write(request(b"1"))
        await asyncio.sleep(0)
        writer.write(b"x" * 400_000)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        assert budget.held == 0


async def test_two_requests_at_once_end_the_connection(folder):
    async def handler(head, method, body, reply):
        await asyncio.Event().wait()

    async with connected(folder, handler) as (reader, writer, _):
        writer.write(request(b"1") * 2)
        with suppress(ConnectionError):
            assert await reader.read() == b""


async def test_a_fault_of_the_relay_ends_one_connection(folder, caplog):
    async def handler(head, method, body, reply):
        if body == b"fault":
            raise RuntimeError("sk-ant-secret")
        reply.write(ANSWER)
        reply.finish(keep=True)

    async with connected(folder, handler) as (reader, writer, _):
        other_reader, other = await asyncio.open_unix_connection(str(folder / "relay"))
        writer.write(request(b"fault"))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        other.write(request(b"2"))
        assert await other_reader.readexactly(len(ANSWER)) == ANSWER
        other.close()
    [line] = [record for record in caplog.records if record.getMessage() == "relay_failed"]
    assert line.fields == {"error": "RuntimeError"}
