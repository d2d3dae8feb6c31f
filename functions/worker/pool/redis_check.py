"""Checks Redis's durability settings when a worker starts, and warns of unsafe ones."""

import logging

import redis

from shared.logs import event

log = logging.getLogger("worker.durability")


def warn(connection: redis.Redis) -> None:
    """Warn if Redis may lose accepted jobs; say nothing if it does not report its settings."""
    try:
        memory = connection.info("memory")
        persistence = connection.info("persistence")
    except redis.RedisError:
        return
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        event(
            log, "redis_may_evict", logging.WARNING, maxmemory_policy=policy,
            advice="set maxmemory-policy to noeviction: an evicted job is lost without an error",
        )  # fmt: skip
    if not persistence.get("aof_enabled", 1):
        event(
            log, "redis_not_durable", logging.WARNING, appendonly="no",
            advice="set appendonly to yes: writes after the last snapshot are lost when Redis ends",
        )  # fmt: skip
