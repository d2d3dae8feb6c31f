"""Append to the audit list."""

import logging

from redis.exceptions import RedisError

from shared.logs import event
from shared.store.callers import audit
from shared.store.redis.client import async_client

log = logging.getLogger("audit")


async def keep(source: audit.Source, act: audit.Act, *, redis_address: str, keep_for: int) -> None:
    """Append to the audit list. What was done stays done when a full store takes no entry: the log has it."""
    try:
        await audit.append(async_client(redis_address), source, act, keep_for=keep_for)
    except RedisError as error:
        event(log, "audit_not_stored", logging.ERROR, action=act.action, error=type(error).__name__)
