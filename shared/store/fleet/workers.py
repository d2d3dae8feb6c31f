"""The live workers, and the CLI that each of them has."""

import json
from dataclasses import asdict, dataclass, fields

import redis

from shared.store import keys
from shared.store.redis import scripts

# Seconds between two announcements of a worker, and ms after which a worker without one counts as dead.
ANNOUNCE_EVERY, ALIVE_FOR = 2.0, 15_000
# The kinds of sandbox that a worker may have, the best first.
SANDBOXES = ("namespaces", "off", "unavailable")


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker; `cli` is the version of its CLI, `credentials` their kind.

    `sandbox` is `namespaces` when each run has one, `off` when runs have none, and `unavailable` when the worker takes
    no job with tools.
    """

    name: str
    cli: str | None
    credentials: str
    slots: int
    sandbox: str = "unavailable"

    @property
    def has_relay(self) -> bool:
        """Whether its runs reach Claude through a relay; for a cloud provider the CLI signs the requests."""
        return self.credentials not in {"bedrock", "vertex", "foundry"}


def best_sandbox(live: list[Worker]) -> str:
    """Return what a job with tools gets from the live workers: the best that one of them has."""
    kinds = {worker.sandbox for worker in live}
    return next((kind for kind in SANDBOXES if kind in kinds), "unavailable")


def announce(client: redis.Redis, worker: Worker) -> None:
    """Record that a worker is alive and what it runs, and remove those that died long ago."""
    entry = json.dumps(asdict(worker))
    scripts.run_sync(client, "announce_worker", worker=worker.name, entry=entry, forget_ms=4 * ALIVE_FOR)


def leave(client: redis.Redis, name: str) -> None:
    """Remove a worker that ends."""
    client.hdel(keys.WORKERS, name)


def read(texts: list[str], now: int) -> list[Worker]:
    """Parse stored announcements; return the live workers, by name. `now` is in ms by Redis's clock."""
    found = [json.loads(text) for text in texts]
    alive = [entry for entry in found if entry.pop("at") > now - ALIVE_FOR]
    # A worker of a later version may announce fields that this version does not have.
    names = {field.name for field in fields(Worker)}
    known = ({name: value for name, value in entry.items() if name in names} for entry in alive)
    return sorted((Worker(**entry) for entry in known), key=lambda worker: worker.name)
