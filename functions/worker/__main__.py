"""The worker container's process: `python -m functions.worker`."""

import logging
import sys

from functions.worker.environment import scrub
from functions.worker.hiding import hide
from functions.worker.pool import run_pool
from shared import logs
from shared.settings import SettingsError, WorkerSettings, load


def main() -> int:
    """Run slots until told to stop; exit status 2 when a setting cannot be used."""
    try:
        settings = load(WorkerSettings)
        scrub()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- before there is a log
        return 2
    logs.configure(settings)
    hide()
    try:
        run_pool(settings)
    except SettingsError as error:
        logging.getLogger("worker").critical("setting_unusable", extra={"fields": {"problem": str(error)}})
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
