"""A dispatcher that kills itself with -9 at one point of its first attempt.

Usage: `python -m tests.support.dying_dispatcher POINT`. Everything else is the worker's own code; without a point it
runs until SIGTERM. Leases last three seconds.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from functions.worker.webhooks import dispatcher
from shared.configuration.settings import WorkerSettings, load
from shared.store.redis.client import async_client
from shared.store.webhooks import outbox

POINTS = ("between lease and read", "between read and post", "between post and record", "after the record")


def _die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _arrange(point: str) -> None:
    record = outbox.record
    match point:
        case "between lease and read":
            outbox.read = _die
        case "between read and post":
            vars(dispatcher)["post"] = _die
        case "between post and record":
            vars(dispatcher)["next_step"] = _die
        case "after the record":

            async def record_and_die(*args: Any, **options: Any) -> bool:
                await record(*args, **options)
                return bool(_die())

            outbox.record = record_and_die


async def _dispatch() -> None:
    settings = load(WorkerSettings)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write("can be stopped\n")
    sys.stdout.flush()
    await dispatcher.Dispatcher(async_client(settings.redis_address), settings, lease_for=3000).run(stop, 1)


if __name__ == "__main__":
    _arrange(sys.argv[1] if len(sys.argv) > 1 else "")
    asyncio.run(_dispatch())
