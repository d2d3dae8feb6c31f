"""What Redis promises about what it was told: looked at when a worker starts, and complained about."""

import logging

import redis

from shared.logs import event

log = logging.getLogger("worker.durability")


def warn(connection: redis.Redis) -> None:
    """Warn of a Redis that may forget accepted jobs; one that does not say is not warned of."""
    try:
        memory = connection.info("memory")
        persistence = connection.info("persistence")
    except redis.RedisError:
        return
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        event(
            log, "redis_may_evict", logging.WARNING, maxmemory_policy=policy,
            advice="set maxmemory-policy to noeviction: an evicted job vanishes silently",
        )  # fmt: skip
    if not persistence.get("aof_enabled", 1):
        event(
            log, "redis_not_durable", logging.WARNING, appendonly="no",
            advice="set appendonly to yes: what came after the last snapshot is lost with Redis",
        )  # fmt: skip
