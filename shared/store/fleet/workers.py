"""Which worker containers there are, and what each says of its CLI."""

import json
from dataclasses import asdict, dataclass, fields

import redis

from shared.store import keys
from shared.store.redis import scripts

# A worker says so every third of this; ms.
_ALIVE_FOR = 15_000
SAY_EVERY = 5.0
# What a worker may have, the best first.
SANDBOXES = ("namespaces", "off", "unavailable")


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker container; `credentials` is the kind that its CLI has, `cli` its version.

    `sandbox` is `namespaces` where its runs have one, `off` where they run without, and `unavailable` where runs with
    tools are not taken.
    """

    name: str
    cli: str | None
    credentials: str
    slots: int
    sandbox: str = "unavailable"


def sandbox_of(known: list[Worker]) -> str:
    """Return what a job with tools can expect of the live workers: the best that one of them has."""
    kinds = {worker.sandbox for worker in known}
    return next((kind for kind in SANDBOXES if kind in kinds), "unavailable")


def say(client: redis.Redis, worker: Worker) -> None:
    """Say that a worker is alive, and forget those that have not for long; from a thread that blocks."""
    scripts.run_sync(client, "announce_worker", worker.name, json.dumps(asdict(worker)), 4 * _ALIVE_FOR)


def leave(client: redis.Redis, name: str) -> None:
    """Say that a worker has ended."""
    client.hdel(keys.WORKERS, name)


def read(texts: list[str], now: int) -> list[Worker]:
    """Return the workers that are alive, by name, of what is stored; `now` in ms by Redis's clock."""
    found = [json.loads(text) for text in texts]
    alive = [entry for entry in found if entry.pop("at") > now - _ALIVE_FOR]
    # A worker of a later version may say more than this one knows of.
    known = {field.name for field in fields(Worker)}
    said = ({name: value for name, value in entry.items() if name in known} for entry in alive)
    return sorted((Worker(**entry) for entry in said), key=lambda worker: worker.name)
