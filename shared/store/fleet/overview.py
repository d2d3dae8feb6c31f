"""What waits and why, who runs what, and what was spent today: the overview of the dashboard beside the counters."""

import json
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from shared.store.fleet.slots import ALIVE_FOR
from shared.store.fleet.workers import ALIVE_FOR as WORKER_ALIVE_FOR
from shared.store.redis import scripts

# Callers, spenders and hosts that are listed, of each.
MOST = 20


@dataclass(frozen=True, slots=True)
class CallerQueue:
    """The jobs of one caller that wait and that run."""

    caller: str
    name: str
    waiting: int
    active: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What holds the queue; `since` and `until` in ms where they are known, `by` an operator."""

    reason: str
    since: int | None = None
    until: int | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class SlotState:
    """A slot, live or lately lost; `seen` is ms since its last heartbeat, `elapsed` ms since its run began.

    `waits_for` is why its job waits for Claude, if it does, on the deployment's credential unless `own_credential`.
    """

    slot: str
    seen: int
    memory: int
    job_id: str | None = None
    caller: str | None = None
    elapsed: int | None = None
    waits_for: str | None = None
    waits_since: int | None = None
    own_credential: bool = False

    @property
    def is_live(self) -> bool:
        """Whether the slot counts as alive."""
        return self.seen < ALIVE_FOR * 1000


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker, live or lately lost; `seen` is ms since its last announcement."""

    name: str
    seen: int

    @property
    def is_live(self) -> bool:
        """Whether the worker counts as alive."""
        return self.seen < WORKER_ALIVE_FOR


@dataclass(frozen=True, slots=True)
class Spender:
    """A caller's cost of today and its daily budget in USD; None for any sum."""

    caller: str
    name: str
    cost: float
    budget: float | None


@dataclass(frozen=True, slots=True)
class Host:
    """A failing webhook host; times in ms."""

    host: str
    failing: int
    failures: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of the deployment at one moment, `now` in ms.

    `refused` is the store's error for a write, None when it accepts writes. `refusals` counts how often Claude refused
    the deployment's credentials in a row, with the code `refusal`. `exhausted` lists callers that have spent their
    budgets, `failing` counts all failing hosts.
    """

    now: int
    refused: str | None
    waiting: tuple[int, int, int]
    callers: list[CallerQueue]
    hold: Hold | None
    refusals: int
    refusal: str | None
    slots: list[SlotState]
    workers: list[WorkerState]
    spent: float
    spenders: list[Spender]
    exhausted: list[Spender]
    hosts: list[Host]
    failing: int


async def read(client: redis.asyncio.Redis, budget: float | None) -> Overview:
    """Read the state in one round trip; `budget` is what a caller may spend a day, None for any sum."""
    found = json.loads(await scripts.run(client, "overview", most=MOST, budget=budget or 0))
    now = int(found["now"])
    # An empty list of a script is an empty object.
    return Overview(
        now=now,
        refused=found["refused"] or None,
        waiting=tuple(found["priorities"]),
        callers=[CallerQueue(one["caller"], _name(one), one["waiting"], one["active"]) for one in found["callers"]],
        hold=_hold(found, now),
        refusals=int(found["refusals"] or 0),
        refusal=found["refusal"] or None,
        slots=sorted((_slot(one, now) for one in found["slots"]), key=lambda one: one.slot),
        workers=sorted((_worker(text, now) for text in found["workers"]), key=lambda one: one.name),
        spent=found["spent"],
        spenders=[_spender(one) for one in found["spenders"]],
        exhausted=[_spender(one) for one in found["exhausted"]],
        hosts=[Host(one["host"], one["failing"], one["failures"], bool(one["paused"])) for one in found["hosts"]],
        failing=found["failing"],
    )


def _name(one: dict[str, Any]) -> str:
    """Return the name of a caller, or its id when it has no key."""
    if not one["entry"]:
        return str(one["caller"])
    return str(json.loads(json.loads(one["entry"])["caller"])["name"])


def _spender(one: dict[str, Any]) -> Spender:
    return Spender(one["caller"], _name(one), one["cost"], one["budget"] or None)


def _hold(found: dict[str, Any], now: int) -> Hold | None:
    """Return what holds the queue; of several reasons the one that an operator must end first."""
    if found["paused"]:
        paused = json.loads(found["paused"])
        # An earlier version stored 1.
        return Hold("paused", paused["since"], by=paused["by"]) if isinstance(paused, dict) else Hold("paused")
    if found["refused_since"]:
        return Hold(found["refusal"], int(found["refused_since"]))
    if found["limited"]:
        _, _, since = found["limited"].partition(" ")
        return Hold("rate_limited", int(since) if since else None, until=now + max(found["limited_ms"], 0))
    return None


def _slot(one: dict[str, Any], now: int) -> SlotState:
    seen = max(0, round(now - one["dead"] * 1000 + ALIVE_FOR * 1000))
    memory = int(one["memory"] or 0)
    if not one["job"]:
        return SlotState(one["slot"], seen, memory)
    waiting = json.loads(one["waiting"]) if one["waiting"] else {}
    return SlotState(
        slot=one["slot"],
        seen=seen,
        memory=memory,
        job_id=one["job"],
        caller=one["caller"],
        elapsed=max(0, now - int(one["begun"])) if one["begun"] else None,
        waits_for=waiting.get("code"),
        waits_since=waiting.get("since"),
        own_credential=bool(one["credential"]),
    )


def _worker(text: str, now: int) -> WorkerState:
    entry = json.loads(text)
    return WorkerState(entry["name"], max(0, now - int(entry["at"])))
