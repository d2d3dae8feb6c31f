"""A slot whose maintenance by RQ is always due: `python -m tests.support.hasty_slot NAME`.

As after 30 s by itself. Everything else is the worker's own code.
"""

import sys
from ctypes import c_bool

from functions.worker.cli.environment import scrub
from functions.worker.pool import slot
from shared.configuration.settings import WorkerSettings, load

if __name__ == "__main__":
    slot.Slot.should_run_maintenance_tasks = property(lambda self: True)  # type: ignore[assignment]
    settings = load(WorkerSettings)
    scrub()
    slot.run_slot(sys.argv[1], settings, c_bool(False))
