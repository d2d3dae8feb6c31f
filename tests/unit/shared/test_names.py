"""Lookups that hang use the threads of their own caller."""

import asyncio
import socket
import threading

import pytest

from shared.egress import names
from tests.support.waiting import until_async


@pytest.fixture
def server(monkeypatch):
    """A name server that answers for `alive`, and for any other name when the event is set."""
    answers, lookups = threading.Event(), []

    def getaddrinfo(host, port, **_options):
        lookups.append(host)
        if host != "alive":
            answers.wait(30)
        if host == "unknown":
            raise socket.gaierror("no such name")
        return [(host, port)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield answers, lookups
    answers.set()


async def test_hosts_that_never_resolve_leave_threads_to_other_callers(server):
    answers, lookups = server
    stuck = [asyncio.create_task(names.look_up(f"dead-{n}", 443, "them")) for n in range(2 * names.THREADS)]
    await until_async(lambda: len(lookups) == names.THREADS // 2)
    async with asyncio.timeout(20):
        assert await names.look_up("alive", 443, "me") == [("alive", 443)]
    assert len(lookups) == names.THREADS // 2 + 1
    answers.set()
    assert len(await asyncio.gather(*stuck)) == 2 * names.THREADS


async def test_an_abandoned_lookup_holds_its_thread_until_it_ends(server):
    answers, lookups = server
    for number in range(names.THREADS):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names.look_up(f"dead-{number}", 443, "them"), 0.001)
    await until_async(lambda: len(lookups) == names.THREADS // 2)
    assert await names.look_up("alive", 443, "me") == [("alive", 443)]
    answers.set()
    assert await names.look_up("later", 443, "them") == [("later", 443)]


async def test_an_unknown_host_is_an_error(server):
    server[0].set()
    with pytest.raises(socket.gaierror):
        await names.look_up("unknown", 443, "me")
