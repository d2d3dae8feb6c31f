"""Entry point of the worker container: `python -m functions.worker`."""

import logging
import os
import signal
import sys
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _end(_number: int, _frame: FrameType | None) -> None:
    """Exit at once: no child exists until the pool has installed its own handlers."""
    # Not an exception: Python prints and ignores one that is raised in a callback of the import system.
    os._exit(0)


def main() -> int:
    """Run slots until a stop is requested. Return the exit status: 2 when a setting is invalid."""
    # Before the imports, which take a second: the kernel drops signals to a container's first process that have no
    # handler. The parent process may have blocked them until now.
    for number in STOP_SIGNALS:
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    from functions.worker.cli.environment import check_credential, scrub  # noqa: PLC0415
    from functions.worker.cli.version import check_command  # noqa: PLC0415
    from functions.worker.pool.pool import run_pool  # noqa: PLC0415
    from shared import logs  # noqa: PLC0415
    from shared.configuration.settings import SettingsError, SubmitSettings, WorkerSettings, load, load_all  # noqa: PLC0415
    from shared.host.environment import hide  # noqa: PLC0415

    try:
        load_all(WorkerSettings, SubmitSettings)
        settings = load(WorkerSettings)
        check_command(settings)
        scrub()
        check_credential(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- logging is not configured yet
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
