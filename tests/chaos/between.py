"""Kill slots and workers between a decision and the call that it allows, and show that the kill came in that moment."""

import asyncio
import collections
import random
import re
import signal
import time
from contextlib import suppress

import psutil
import redis

from shared.store import keys
from shared.store.jobs import records
from shared.store.jobs.records import StoredJob
from shared.store.redis.client import async_client, close_clients
from tests.support.deployment import Deployment

QUEUED, CLAIMED = "decided, waits for a slot", "decided, in a slot, call not begun"
# A killed slot or worker ends within this many s.
_END_WITHIN = 30


class Killer:
    """Kills while a decision is made and its call is not begun; `kills` counts those that the record confirms."""

    def __init__(self, deployment: Deployment, chance: random.Random) -> None:
        self.kills = dict.fromkeys((QUEUED, CLAIMED, "at any moment"), 0)
        self._deployment, self._chance = deployment, chance
        self._redis = redis.Redis(port=deployment.redis.port, decode_responses=True)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def kill_queued(self) -> bool:
        """Kill a worker while a decided job waits for a slot; return whether there was one."""
        before = [job for job in self._jobs(keys.WAITING) if "decision" in job.record]
        if not before:
            return False
        self._kill_worker()
        # The worker has ended: a job of the same claim has waited all the time.
        after = self._read([job.job_id for job in before])
        pairs = zip(before, after, strict=True)
        self.kills[QUEUED] += any(a.record["n"] == b.record["n"] and b.record["state"] == "waiting" for a, b in pairs)
        self._deployment.start_worker()
        return True

    def kill_claimed(self) -> bool:
        """Kill the slot of a job whose call is allowed and not begun; return whether there was one."""
        for job in self._jobs(keys.ACTIVE):
            # A job that loses two workers fails, so that each is lost in this way once.
            if not is_between(job) or "lost" in job.record:
                continue
            with suppress(psutil.NoSuchProcess, KeyError):
                slot = psutil.Process(self._pids()[job.record["slot"]])
                slot.send_signal(self._chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
                slot.wait(_END_WITHIN)
                [after] = self._read([job.job_id])
                # The claim has not begun the call, and now it cannot any more. An ended job has no decision.
                self.kills[CLAIMED] += after.record.get("ask") == job.record["ask"] and is_between(after)
                return True
        return False

    def kill_any(self) -> None:
        """Kill a slot, whatever it does."""
        if slots := self._deployment.slots():
            with suppress(psutil.NoSuchProcess):
                self._chance.choice(slots).kill()
                self.kills["at any moment"] += 1

    def rage(self, most: dict[str, int], seconds: float, is_over) -> None:
        """Kill until each moment is hit as often as `most` says; AssertionError after `seconds` s without that."""
        deadline = time.monotonic() + seconds
        kinds = {QUEUED: self.kill_queued, CLAIMED: self.kill_claimed}
        while not is_over() and any(self.kills[kind] < count for kind, count in most.items()):
            assert time.monotonic() < deadline, f"the moments were not hit: {self.kills}"
            for kind in [kind for kind in kinds if self.kills[kind] < most[kind]]:
                if kinds[kind]() and self._chance.random() < 0.3:
                    self.kill_any()
            time.sleep(0.02)

    def _kill_worker(self) -> None:
        if self._chance.random() < 0.5:
            self._deployment.kill_worker(signal.SIGTERM)
        else:
            self._deployment.kill_all_of_the_worker()

    def _jobs(self, queue: str) -> list[StoredJob]:
        return self._read([str(one) for one in self._redis.zrange(queue, 0, -1)])

    def _read(self, job_ids: list[str]) -> list[StoredJob]:
        async def read() -> list[StoredJob | None]:
            try:
                return await records.read_many(async_client(self._deployment.redis.url), job_ids)
            finally:
                await close_clients()

        return [job for job in asyncio.run(read()) if job is not None] if job_ids else []

    def _pids(self) -> dict[str, int]:
        log = (self._deployment.folder / "log").read_text()
        return {slot: int(pid) for slot, pid in re.findall(r"slot_started .*?slot=(\S+) pid=(\d+)", log)}


def is_between(job: StoredJob) -> bool:
    """Return whether a job's call is allowed, and no run has begun it."""
    return '"allow"' in job.record.get("decision", "") and "called" not in job.record


def outcomes(jobs) -> dict[str, int]:
    """Count how jobs ended: `completed`, or the code of the error."""
    return dict(collections.Counter(job["state"] if job["error"] is None else job["error"]["code"] for job in jobs))
