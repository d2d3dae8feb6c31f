"""Counts which of its MCP servers a completed job has used, for the router. Only with MCP_LEARN."""

import logging
from collections.abc import Set

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.cli.plan import RunPlan
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.mcp.learned import pairs_of
from shared.store.fleet import learned

log = logging.getLogger("worker.learning")


async def learn(
    client: redis.asyncio.Redis,
    settings: WorkerSettings,
    caller: str,
    plan: RunPlan,
    *,
    called: Set[str],
    absent: Set[str],
) -> None:
    """Count the servers that a run was offered; `called` are those that it used, and `absent` those that it lacked."""
    digests = settings.server_digests
    servers = {digests[name]: name in called for name in plan.mcp.servers if name in digests and name not in absent}
    # Of a job that was paused, only the last run is known.
    if not servers or plan.resumption is not None:
        return
    try:
        await learned.count(client, caller, servers, pairs_of(plan.prompt.query))
    except RedisError as error:
        # The job has ended; one count less changes nothing.
        event(log, "mcp_use_not_counted", logging.WARNING, error=type(error).__name__)
