"""Health check of the worker container: `python -m functions.worker.health` succeeds while a slot is live."""

import socket
import sys

from shared.host.environment import hide


def main() -> int:
    """Return 0 when a slot of this host has sent a recent heartbeat, else 1."""
    # The check runs beside the tools of runs and has the container's variables, such as the Redis password. They are
    # blanked before the slow imports.
    hide()
    from shared.configuration.settings import CommonSettings, SettingsError, load  # noqa: PLC0415 -- as above
    from shared.store.fleet import slots  # noqa: PLC0415
    from shared.store.redis.client import sync_client  # noqa: PLC0415

    try:
        address = load(CommonSettings).redis_address
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- the health check's log shows it
        return 1
    alive = slots.count_live(sync_client(address), socket.gethostname())
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
