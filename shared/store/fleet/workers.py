"""Which worker containers there are, and what each says of its CLI."""

import json
from dataclasses import asdict, dataclass

import redis

from shared.store import keys
from shared.store.redis import scripts

# A worker says so every third of this; ms.
_ALIVE_FOR = 15_000
SAY_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker container; `credentials` is the kind that its CLI has, `cli` its version."""

    name: str
    cli: str | None
    credentials: str
    slots: int


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
    return sorted((Worker(**entry) for entry in alive), key=lambda worker: worker.name)
