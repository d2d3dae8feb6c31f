"""Whether this worker has a live slot, for a container's health check: `python -m functions.worker.health`."""

import socket
import sys

from shared.host.environment import hide


def main() -> int:
    """Return 0 when a slot of this host has said lately that it is alive."""
    # The check is started beside the tools of runs, with the container's variables, such as the store's password. They
    # are blanked before the large imports.
    hide()
    from shared.configuration.settings import CommonSettings, SettingsError, load  # noqa: PLC0415 -- as above
    from shared.store.fleet import slots  # noqa: PLC0415
    from shared.store.redis.client import sync_client  # noqa: PLC0415

    try:
        address = load(CommonSettings).redis_address
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- a container's health check shows it
        return 1
    alive = slots.count_live(sync_client(address), socket.gethostname())
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
