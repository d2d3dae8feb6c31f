"""The callers' credentials in the headers of MCP servers: opened here for one run, and given to its broker alone."""

import logging
from dataclasses import replace
from urllib.parse import urlsplit

import redis.asyncio

from functions.worker.cli.plan import McpPlan
from functions.worker.jobs.credentials import opened
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.mcp import references
from shared.mcp.config import Server
from shared.sealing import NotOpenedError
from shared.store.callers import credentials
from shared.store.jobs.claims import ClaimedJob

log = logging.getLogger("worker.credentials")


async def with_credentials(
    plan: McpPlan, job: ClaimedJob, client: redis.asyncio.Redis, settings: WorkerSettings
) -> McpPlan:
    """Return the plan with the headers filled, without the servers whose credentials the caller does not have.

    One round trip for a job with such servers, none for any other.
    """
    names = sorted({name for server in plan.servers.values() for name in server.credentials})
    if not names:
        return plan
    found = await credentials.use(client, job.caller, names)
    servers = {}
    for name, server in plan.servers.items():
        try:
            servers[name] = _filled(server, found, settings)
        except NotOpenedError as error:
            ids = {"job_id": job.claim.job_id, "request_id": job.request_id}
            event(log, "credential_unavailable", logging.WARNING, **ids, server=name, reason=str(error))
    return replace(plan, servers=servers)


def _filled(server: Server, found: dict[str, credentials.UsableCredential], settings: WorkerSettings) -> Server:
    if not server.credentials:
        return server
    host = urlsplit(server.url or "").hostname or ""

    def value_of(name: str) -> str:
        if name not in found:
            raise NotOpenedError(f"the caller has no credential {name}")
        credential = opened(found[name], "header", settings)
        if not credential.may_go_to(host):
            raise NotOpenedError(f"the hosts of {name} do not include the host of the server")
        return credential.value

    return server.model_copy(update={"headers": references.filled(server.headers, value_of)})
