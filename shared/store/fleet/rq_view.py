"""The view for `rq info`: RQ's own keys, written from the gateway's once a second by one worker of the fleet.

The gateway reads none of them. Workers write them, since the API's store user has no rights to them.
"""

from datetime import UTC, datetime

import redis

from shared.store.redis import scripts

QUEUE = "claude"
# Seconds after which the record of a slot expires that is not refreshed.
TTL = 60
_EVERY = 1.0


def refresh(client: redis.Redis) -> None:
    """Write the queue, its jobs and the live slots where `rq info` reads them; does nothing if another worker just did.

    The lists are copies for people: up to 100,000 waiting jobs and the latest 10,000 of each end.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    # A little less than the interval between two calls of one worker.
    scripts.run_sync(client, "rq_view", queue=QUEUE, every=int(_EVERY * 900), ttl=TTL, written_at=now)
