"""Which worker containers there are, and what each says of its CLI."""

import json
import time
from dataclasses import asdict, dataclass
from typing import cast

import redis

from shared.store import keys

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
    now = int(time.time() * 1000)
    client.hset(keys.WORKERS, worker.name, json.dumps({**asdict(worker), "at": now}))
    for name, text in cast("dict[bytes, bytes]", client.hgetall(keys.WORKERS)).items():
        if json.loads(text)["at"] < now - 4 * _ALIVE_FOR:
            client.hdel(keys.WORKERS, name.decode())


def leave(client: redis.Redis, name: str) -> None:
    """Say that a worker has ended."""
    client.hdel(keys.WORKERS, name)


def read(texts: list[str]) -> list[Worker]:
    """Return the workers that are alive, by name, of what is stored."""
    found = [json.loads(text) for text in texts]
    alive = [entry for entry in found if entry.pop("at") > time.time() * 1000 - _ALIVE_FOR]
    return sorted((Worker(**entry) for entry in alive), key=lambda worker: worker.name)
