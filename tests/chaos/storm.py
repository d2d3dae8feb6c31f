"""Kill slots and workers while jobs run, and record what happens to the jobs."""

import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import redis

from shared.store import keys
from tests.support.deployment import Deployment


@dataclass
class Watch:
    """Records the end of each job, and how long a job that lost its slot waits for its next start."""

    port: int
    ended: list[str] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)
    _orphans: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self.redis = redis.Redis(port=self.port, decode_responses=True)
        self._channel = self.redis.pubsub(ignore_subscribe_messages=True)
        self._channel.psubscribe(keys.channel("*"))
        self._channel.get_message(timeout=5)
        self._threads = [threading.Thread(target=work) for work in (self._listen, self._look)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._channel.close()
        self.redis.close()

    def _listen(self):
        while not self._stop.is_set():
            message = self._channel.get_message(timeout=0.1)
            if message and message["data"] == "end":
                self.ended.append(message["channel"].removeprefix(keys.channel("")))

    def note_kill(self):
        """Record which jobs run now: some of them have just lost their slot."""
        now = time.monotonic()
        for job_id in map(str, self.redis.zrange(keys.ACTIVE, 0, -1)):
            lost = int(self.redis.hget(keys.job(job_id), "lost") or 0)
            with self._lock:
                self._orphans.setdefault(job_id, (lost, now))

    def _look(self):
        while not self._stop.wait(0.05):
            with self._lock:
                orphans = dict(self._orphans)
            for job_id, (before, since) in orphans.items():
                state, lost = self.redis.hmget(keys.job(job_id), "state", "lost")
                lost_again = int(lost or 0) > before
                if lost_again:
                    self.recovered.append(time.monotonic() - since)
                if lost_again or state != "active":
                    with self._lock:
                        del self._orphans[job_id]


def rage(deployment: Deployment, watch: Watch, jobs: int, seconds: float, chance: random.Random) -> dict[str, int]:
    """Kill a slot or the whole worker every 1 to 2 s for some time; return the number of kills of each.

    It takes longer when no job has lost its slot by then, and ends when all jobs have.
    """
    done = {"slot -9": 0, "slot SIGTERM": 0, "worker -9": 0, "worker SIGTERM": 0}
    until = time.monotonic() + seconds

    def ended() -> bool:
        return len(set(watch.ended)) >= jobs

    while (time.monotonic() < until or not watch.recovered) and not ended():
        time.sleep(chance.uniform(1, 2))
        deployment.until(lambda: watch.redis.zcard(keys.ACTIVE) or ended(), bool, timeout=120)
        what = chance.choices(list(done), [6, 2, 1, 1])[0]
        number = signal.SIGKILL if what.endswith("-9") else signal.SIGTERM
        if what.startswith("worker"):
            watch.note_kill()
            deployment.kill_worker(number)
            deployment.start_worker()
        elif slots := deployment.slots():
            watch.note_kill()
            with suppress(psutil.NoSuchProcess):
                chance.choice(slots).send_signal(number)
        else:
            continue
        done[what] += 1
    return done
