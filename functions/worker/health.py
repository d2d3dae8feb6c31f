"""Whether this worker has a live slot, for a container's health check: `python -m functions.worker.health`."""

import socket
import sys

from shared.settings import CommonSettings, SettingsError, load
from shared.store import slots
from shared.store.client import sync_client


def main() -> int:
    """Return 0 when a slot of this host has said lately that it is alive."""
    try:
        address = load(CommonSettings).redis_address
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- a container's health check shows it
        return 1
    alive = slots.alive_of(sync_client(address), socket.gethostname())
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
