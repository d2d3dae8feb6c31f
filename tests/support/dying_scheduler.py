"""A worker's scheduler alone, which is killed by itself before or after some of the runs that it writes."""

import asyncio
import os
import random
import signal
import threading

from functions.worker.jobs.scheduler import look_until
from shared.configuration.settings import SubmitSettings, load
from shared.store.schedules import schedules as store

_CHANCE = random.SystemRandom()
_carry_out = store.carry_out


def _die_sometimes() -> None:
    if _CHANCE.random() < 0.02:
        os.kill(os.getpid(), signal.SIGKILL)


async def _carry_out_or_die(*arguments):
    _die_sometimes()
    answer = await _carry_out(*arguments)
    _die_sometimes()
    return answer


store.carry_out = _carry_out_or_die
asyncio.run(look_until(threading.Event(), load(SubmitSettings)))
