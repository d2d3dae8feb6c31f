"""The parts of a slot that its attempts share."""

import asyncio
from dataclasses import dataclass, field

import redis.asyncio

from functions.worker.cli.warm import WarmCli
from functions.worker.jobs.spool import Spool
from shared.configuration.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Signals:
    """Signals to a slot that runs a job: `stop` hands the job back, `cancel` abandons it, `steer` fetches a message."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    steer: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class SlotContext:
    """The parts of a slot that its attempts share."""

    client: redis.asyncio.Redis
    settings: WorkerSettings
    warm: WarmCli
    spool: Spool
