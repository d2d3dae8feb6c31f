"""A slot: one process that runs one job at a time for as long as it lives.

RQ's loop runs in the main thread. asyncio and the SDK run in one other thread.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import uvloop
from redis.exceptions import RedisError

from functions.worker.cli.warm import WarmCli
from functions.worker.jobs import resuming
from functions.worker.jobs.attempt import attempt
from functions.worker.jobs.context import Signals, SlotContext
from functions.worker.jobs.finished import Note
from functions.worker.jobs.resuming import resume
from functions.worker.jobs.spool import Spool, spool_dir
from functions.worker.pool.counting import answer_waiting
from functions.worker.pool.redis_retries import Patience
from functions.worker.pool.rq_adapter import RqWorker
from functions.worker.pool.slot_memory import SlotMemory
from functions.worker.pool.tasks import end, wait_here
from functions.worker.relay.credential import Credential
from functions.worker.relay.relay import Relay
from functions.worker.sandbox.confine import Sandbox
from shared import logs
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from shared.store.fleet import slots
from shared.store.jobs.claims import Claim, notices
from shared.store.redis import failures
from shared.store.redis.client import async_client, close_clients, sync_client

log = logging.getLogger("worker.slot")

# Seconds to wait for a reply: twice as long as the wait for a job blocks.
_REPLY_TIMEOUT = 2.0
# Seconds after the grace in which a slot hands back its job and leaves the lists in Redis.
_OVERTIME = 6.0
_LEAVE_WITHIN = 1.0


class Flag(Protocol):
    """A boolean that a slot and its pool share."""

    value: bool


class AsyncSide:
    """The thread in which a slot's event loop runs."""

    def __init__(
        self, name: str, settings: WorkerSettings, busy: Flag, credential: Credential | None, sandbox: Sandbox
    ) -> None:
        self.name = name
        self.settings = settings
        self._busy = busy
        self._signals = Signals()
        self._running: str | None = None
        # Whether a stop left the settlement of the last job in the spool, since Redis did not take it.
        self.spooled = False
        self._relay = None
        if credential is not None:
            self._relay = Relay(credential, dict(os.environ), settings.claude_silence_timeout / 1000)
        self._warm = WarmCli(settings, self._relay, sandbox)
        self._spool = Spool(spool_dir(settings), settings.max_output_bytes)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="async side", daemon=True)
        self._thread.start()
        self._tasks: list[asyncio.Task[None]] = []
        self._counting: set[asyncio.Task[None]] = set()
        self.call(self._begin())

    async def _begin(self) -> None:
        self._warm.shared.start()
        self._tasks = [
            asyncio.create_task(work)
            for work in (
                self._send_heartbeats(),
                self._follow_messages(),
                self._warm.run(),
                self._warm.tool_reader.run(),
            )
        ]

    def call(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in that thread and wait for its end."""
        wait_here(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def run_claim(self, text: str) -> None:
        """Run the job of one claim."""
        claim = Claim.parse(text)
        self._begin_job(claim.job_id)
        try:
            self.spooled = await attempt(claim, self.name, self._context(), self._signals)
        finally:
            self._end_job()

    def _begin_job(self, job_id: str) -> None:
        self._running = job_id
        self._busy.value = True
        self._signals.cancel.clear()

    def _end_job(self) -> None:
        self._running = None
        self._busy.value = False

    def _context(self) -> SlotContext:
        return SlotContext(async_client(self.settings.redis_address), self.settings, self._warm, self._spool)

    async def resume_job(self, folder: Path, note: Note) -> None:
        """End the job of a run that has ended with another slot."""
        self._begin_job(note.job_id)
        try:
            self.spooled = await resume(folder, note, self.name, self._context(), self._signals)
        finally:
            self._end_job()

    def stop_after(self, seconds: float) -> None:
        """Hand back the job that runs after so many seconds; may be called from a signal handler."""
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self._signals.stop.set)

    def close(self) -> None:
        """Remove the slot from the list of live ones and end the thread."""

        async def leave() -> None:
            await end(*self._tasks, *self._counting)
            await self._warm.shared.close()
            try:
                async with asyncio.timeout(_LEAVE_WITHIN):
                    await slots.leave(async_client(self.settings.redis_address), self.name)
            except (RedisError, TimeoutError):
                log.warning("slot_not_removed")
            if self._relay is not None:
                await self._relay.close()
            await close_clients()

        self.call(leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        with suppress(OSError):  # uvloop raises it for a connection that is still being closed
            self._loop.close()

    async def _follow_messages(self) -> None:
        """Subscribe to requests to count tokens, and to what the lease's renewal notices too, only later."""
        while True:
            try:
                async for kind, job_id in notices(async_client(self.settings.redis_address)):
                    if kind == "counts":
                        self._answer_counts()
                    elif job_id == self._running:
                        (self._signals.cancel if kind == "cancelled" else self._signals.steer).set()
            except (RedisError, OSError) as error:
                failures.report(self.settings.redis_address, error, beside_pool=True)
            await asyncio.sleep(1)

    def _answer_counts(self) -> None:
        if self._relay is not None:
            task = asyncio.create_task(answer_waiting(async_client(self.settings.redis_address), self._relay))
            self._counting.add(task)
            task.add_done_callback(self._counting.discard)

    async def _send_heartbeats(self) -> None:
        while True:
            try:
                await slots.send_heartbeat(async_client(self.settings.redis_address), self.name)
            except RedisError as error:
                failures.report(self.settings.redis_address, error, beside_pool=True)
            await asyncio.sleep(slots.HEARTBEAT_EVERY)


class Slot(RqWorker):
    """RQ's loop in the main thread, around the asynchronous thread that does the work."""

    def __init__(
        self, name: str, settings: WorkerSettings, busy: Flag, credential: Credential | None, sandbox: Sandbox
    ) -> None:
        self._patience = Patience()
        connection = sync_client(settings.redis_address, reply_timeout=_REPLY_TIMEOUT, retry=self._patience)
        super().__init__(name, connection, "all" if sandbox.takes_tools else "plain", settings.caller_max_active)
        self._grace = settings.shutdown_grace
        self._async = AsyncSide(name, settings, busy, credential, sandbox)
        self._memory = SlotMemory()

    def run_claim(self, claim: str) -> None:
        """Run the job of one claim to its end."""
        self._run(self._async.run_claim(claim))

    def pop(self) -> Claim | None:
        """Take the next job off the queue, after those whose slots have died at their end."""
        while not self.is_stopping and (found := resuming.find(self._async.settings)) is not None:
            try:
                self._run(self._async.resume_job(*found))
            except RedisError:
                raise
            except Exception:  # as for a claim: the slot goes on
                log.exception("claim_failed", extra={"fields": {"slot": self.name, "claim": str(found[1].claim)}})
        return None if self.is_stopping else super().pop()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._async.call(work)
        if self._async.spooled:
            self._patience.give_up()
        if self._memory.is_used_up():
            logs.event(log, "slot_too_large", logging.WARNING, slot=self.name)
            super().request_stop(signal.SIGTERM, None)  # the pool starts another

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Take no new job, and give the running one its grace; a second signal changes nothing."""
        if not self.is_stopping:
            super().request_stop(signum, frame)
            self._patience.end(within=self._grace + _OVERTIME)
            self._async.stop_after(self._grace)

    def teardown(self) -> None:
        """Leave nothing behind in Redis, if it answers."""
        self._async.close()
        super().teardown()


def run_slot(name: str, settings: WorkerSettings, busy: Flag, credential: Credential | None, sandbox: Sandbox) -> None:
    """Run a slot until a stop is requested or the pool ends; `busy` shows the pool whether a job runs.

    Without a credential the CLI signs its requests for a cloud provider itself.
    """
    # A session of its own, so that Ctrl-C on the pool's terminal does not reach the CLI.
    os.setsid()
    processes.set_name("cg-slot")
    processes.end_with_pool()
    processes.adopt_orphans()
    processes.hide_memory()
    processes.keep_descriptors()
    logs.configure(settings)
    try:
        Slot(name, settings, busy, credential, sandbox).work(with_scheduler=False)
    except RedisError as error:
        # A slot needs Redis before its loop starts; the pool starts another.
        logs.event(log, "slot_not_started", logging.WARNING, slot=name, error=type(error).__name__)
        sys.exit(1)
