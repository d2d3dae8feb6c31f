"""A slot that kills itself with -9 at one point of its first job: `python -m tests.chaos.dying_slot POINT NAME`.

Everything but that point is the worker's own code.
"""

import os
import signal
import sys
from ctypes import c_bool
from typing import Any

from functions.worker.cli import run
from functions.worker.cli.environment import scrub, take_credential
from functions.worker.jobs import spool
from functions.worker.pool import slot
from shared.configuration.settings import WorkerSettings, load
from shared.store.jobs import claims

POINTS = ("between pop and claim", "between claim and run", "between run and result", "between result and end")


def _die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _arrange(point: str) -> None:
    match point:
        case "between pop and claim":
            claims.take = _die
        case "between claim and run":
            run.Run.answer = _die  # type: ignore[method-assign]
        case "between run and result":
            spool.Spool.settle = _die  # type: ignore[method-assign]
        case "between result and end":
            run.Run.end = _die  # type: ignore[method-assign]


if __name__ == "__main__":
    settings = load(WorkerSettings)
    scrub()
    _arrange(sys.argv[1])
    slot.run_slot(sys.argv[2], settings, c_bool(False), take_credential())
