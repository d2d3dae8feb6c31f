"""MCP servers that runs share: one process for all, their requests kept apart, and started again when it ends."""

import asyncio
import json
import logging
import os
import sys

import psutil
import pytest
from mcp.types import JSONRPCRequest

from functions.worker.mcp import exchange, shared
from functions.worker.mcp.shared import SharedServers
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from tests.support.mcp_run import QUICK, mcp_run
from tests.support.waiting import until_async


@pytest.fixture(autouse=True)
def slot(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    processes.adopt_orphans()


@pytest.fixture
async def slot_of(tmp_path):
    """Return a function that begins the shared servers of a slot, and gives the way to begin runs with them."""
    slots = []
    before = set(processes.descendants(os.getpid()))

    def begin(entry=None, orders=None, **limits):
        file = tmp_path / "orders"
        if orders is not None:
            file.write_text(orders)
        arguments = ["-S", str(QUICK), *([] if orders is None else [str(file)])]
        document = {"a": {"command": sys.executable, "args": arguments, "shared": True, **(entry or {})}}
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": document}))
        settings = WorkerSettings(mcp_enabled=True, mcp_config=path, **limits)
        slots.append(SharedServers(settings))
        return slots[-1], lambda name="run": mcp_run(dict(settings.servers), tmp_path / name, slots[-1])

    yield begin
    for one in slots:
        await one.close()
    await until_async(lambda: set(processes.descendants(os.getpid())) <= before)


async def test_runs_share_one_process_that_outlives_them(slot_of):
    servers, run = slot_of()
    async with run() as first:
        one = await first.call("a", "state")
    async with run("next") as second:
        two = await second.call("a", "state")
    assert one["pid"] == two["pid"]
    assert two["calls"] == one["calls"] + 1
    assert servers.pids == {one["pid"]}


async def test_a_shared_server_starts_with_its_slot(slot_of):
    servers, _ = slot_of()
    servers.start()
    await until_async(lambda: servers.pids)
    await servers.close()
    assert servers.pids == set()


async def test_every_run_gets_the_handshake_without_asking_the_server(slot_of):
    _, run = slot_of()
    async with run() as first, run("next") as second:
        answers = [await one.begin("a") for one in (first, second, first)]
        assert {answer["result"]["serverInfo"]["name"] for answer in answers} == {"quick"}
        # What runs may not use of a shared server is not offered.
        assert all(set(answer["result"]["capabilities"]) == {"tools"} for answer in answers)


async def test_equal_ids_of_two_runs_do_not_mix(slot_of):
    _, run = slot_of()
    async with run() as first, run("next") as second:
        calls = [
            one.call("a", "echo", mine=(which, number))
            for number in range(10)
            for which, one in enumerate((first, second))
        ]
        answers = await asyncio.gather(*calls)
    assert answers == [{"mine": [which, number]} for number in range(10) for which in range(2)]


class Requester:
    """Stands for a link with a run."""

    def __init__(self):
        self.notifications, self.answers = [], []

    def answered(self, call, answer):
        self.answers.append((call.message.id, answer))

    def notified(self, notification):
        self.notifications.append((notification.method, notification.params))


async def test_news_reaches_its_run_and_changes_reach_all(slot_of):
    servers, run = slot_of()
    async with run():
        server = servers.get("a")
        first, second = Requester(), Requester()
        for requester in (first, second):
            server._exchange.join(requester)
        ask(server, first, "progress", token="mine")
        await until_async(lambda: first.answers)
        assert first.notifications == [("notifications/progress", {"progressToken": "mine", "progress": 1})]
        assert second.notifications == []
        assert "mine" not in str(first.answers), "the server sees a token of the broker"
        ask(server, second, "changed", token="mine")
        await until_async(lambda: second.answers)
        assert [one.notifications[-1][0] for one in (first, second)] == ["notifications/tools/list_changed"] * 2


def ask(server, requester, tool, token):
    params = {"name": tool, "arguments": {}, "_meta": {"progressToken": token}}
    request = JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/call", params=params)
    assert server._exchange.ask(requester, request) is None


@pytest.mark.parametrize("method", ["logging/setLevel", "resources/subscribe", "tasks/cancel", "x"])
async def test_a_run_cannot_change_a_shared_server_for_others(slot_of, method):
    _, run = slot_of()
    async with run() as one:
        assert (await one.ask("a", method))["error"]["code"] == -32601
        assert (await one.ask("a", "ping"))["result"] == {}


async def test_the_end_of_a_run_cancels_its_requests_and_no_others(slot_of):
    servers, run = slot_of()
    async with run() as stays:
        async with run("next") as leaves:
            hanging = asyncio.create_task(leaves.call("a", "hang"))
            await until_async(lambda: in_flight(servers) == 1)
        await asyncio.gather(hanging, return_exceptions=True)
        assert in_flight(servers) == 1, "the server has not answered, so it still counts"
        assert await stays.call("a", "echo", a=1) == {"a": 1}
        assert stays.broker.gone == leaves.broker.gone == set()


def in_flight(servers):
    return len(servers.get("a")._exchange._calls)


async def test_a_cancelled_request_is_answered_at_once(slot_of):
    servers, run = slot_of()
    async with run() as one:
        hanging = asyncio.create_task(one.call("a", "hang"))
        await until_async(lambda: in_flight(servers) == 1)
        # The handshake had the first id.
        await one.notify("a", "notifications/cancelled", requestId=1)
        assert (await hanging)["message"] == "Request cancelled"
        await one.notify("a", "notifications/cancelled", requestId=["no", "id"])
        assert await one.call("a", "echo", a=1) == {"a": 1}


async def test_a_flood_of_cancelled_requests_is_bounded(slot_of):
    servers, run = slot_of()
    async with run() as one:
        for number in range(exchange.MOST_CALLS + 5):
            call = asyncio.create_task(one.call("a", "hang"))
            await asyncio.sleep(0)
            await one.notify("a", "notifications/cancelled", requestId=number + 1)
            answer = await call
        assert "requests of this run" in answer["message"]
        assert in_flight(servers) == exchange.MOST_CALLS
    async with run("next") as other:
        assert await other.call("a", "echo", a=1) == {"a": 1}


async def test_a_server_that_dies_is_named_and_started_again(slot_of):
    _, run = slot_of()
    async with run() as one, run("next") as other:
        first = await one.call("a", "state")
        assert (await one.call("a", "die"))["message"] == "Connection closed"
        second = await one.call("a", "state")
        assert second["pid"] != first["pid"]
        assert (one.broker.gone, other.broker.gone) == ({"a"}, set()), "only the run that lost a call names it"
        assert (await other.call("a", "state"))["pid"] == second["pid"]


async def test_a_server_that_never_starts_delays_no_run_for_long(slot_of, monkeypatch, tmp_path):
    monkeypatch.setattr(shared, "_WORTH_WAITING", 0.1)
    servers, run = slot_of(orders="ends")
    async with run() as one:
        assert one.broker.gone == {"a"}
    # The pause before the second start is longer than any run waits.
    async with run("next") as second:
        assert (await second.call("a", "state"))["message"] == "Connection closed"
        assert second.broker.gone == {"a"}
    (tmp_path / "orders").write_text("")
    await until_async(lambda: servers.pids)


async def test_a_server_that_answers_nothing_is_ended_in_time(slot_of, monkeypatch):
    monkeypatch.setattr(shared, "_START_WITHIN", 0.5)
    servers, run = slot_of(orders="silent")
    async with run() as one:
        assert one.broker.gone == {"a"}
    await until_async(lambda: not servers.pids)


async def test_a_server_stuck_with_work_for_nobody_is_started_again(slot_of, monkeypatch):
    monkeypatch.setattr(exchange, "_STUCK_AFTER", 0.3)
    servers, run = slot_of()
    async with run() as one:
        before = (await one.call("a", "state"))["pid"]
        stuck = asyncio.create_task(one.call("a", "sleep", seconds=300))
        await until_async(lambda: in_flight(servers) == 1)
    await asyncio.gather(stuck, return_exceptions=True)
    async with run("next") as other:
        # The server has not read this request when it is ended: it is sent again.
        assert (await other.call("a", "state"))["pid"] != before
        assert other.broker.gone == set()


async def test_a_server_at_work_for_another_run_is_left_alone(slot_of, monkeypatch):
    monkeypatch.setattr(exchange, "_STUCK_AFTER", 0.1)
    servers, run = slot_of()
    async with run() as stays:
        works = asyncio.create_task(stays.call("a", "sleep", seconds=1))
        await until_async(lambda: in_flight(servers) == 1)
        async with run(
            "next",
        ) as leaves:
            waits = asyncio.create_task(leaves.call("a", "hang"))
            await until_async(lambda: in_flight(servers) == 2)
        await asyncio.gather(waits, return_exceptions=True)
        assert await works == "slept"


async def test_a_server_above_its_bounds_is_started_again(slot_of, caplog):
    caplog.set_level(logging.WARNING)
    _, run = slot_of(max_run_memory=200 << 20)
    async with run() as one:
        before = (await one.call("a", "state"))["pid"]
        await one.call("a", "memory", size=300 << 20)
        await until_async(lambda: not psutil.pid_exists(before))
        assert (await one.call("a", "state"))["pid"] != before
    assert "mcp_server_exceeds_bounds" in caplog.text


async def test_runs_end_their_processes_and_leave_those_of_shared_servers(slot_of):
    before = set(processes.descendants(os.getpid()))
    servers, run = slot_of()
    async with run() as one:
        server = (await one.call("a", "state"))["pid"]
        # Adopted by the slot, and still in the session of the server.
        orphan = await one.call("a", "orphan")
    await processes.end_descendants(lambda: asyncio.sleep(0, servers.pids | before), reaped=None, grace=0.1)
    assert psutil.pid_exists(server)
    assert psutil.pid_exists(orphan)
    await servers.close()
    await until_async(lambda: not processes.collect([orphan]) and not psutil.pid_exists(orphan))


async def test_the_directory_of_a_shared_server_goes_with_it(slot_of, tmp_path):
    servers, run = slot_of()
    async with run() as one:
        folder = (await one.call("a", "surroundings"))["cwd"]
    assert folder.startswith(str(tmp_path / f"claude-run-{os.getpid()}-")), "the pool removes such a directory"
    await servers.close()
    assert list(tmp_path.glob("claude-run-*")) == []
