"""`claude-gateway audit`: the audit list, and what the other commands add to it."""

import json
import logging
import os
from pathlib import Path
from typing import Annotated, Any

import redis.asyncio
import typer
from pydantic import Field
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from local.output import visible, write
from local.store_client import Data, with_store
from shared.api.times import rfc3339
from shared.configuration.settings import CommonSettings, load
from shared.logs import configure, event
from shared.store.callers import audit

log = logging.getLogger("keys.audit")
app = typer.Typer(name="audit", add_completion=False)


class _AuditSettings(CommonSettings):
    audit_ttl: int = Field(31_536_000, ge=1)


async def record(client: redis.asyncio.Redis, action: str, *, quiet: bool = False, **details: Any) -> None:
    """Record an action of the user of the operating system in the audit list and, unless `quiet`, in the log."""
    settings, user = load(_AuditSettings), os.environ.get("USER") or str(os.getuid())
    configure(settings)
    if not quiet:
        event(log, action, by=user, **details)
    act = audit.Act(action, user, "command_line", details)
    try:
        await audit.append(client, "operators", act, keep_for=settings.audit_ttl)
    except RedisError as error:  # what was done stays done when a full store takes no entry
        event(log, "audit_not_stored", logging.ERROR, action=action, error=type(error).__name__)


@app.command()
def show(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Entries to list.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: Data = Path(".data"),
) -> None:
    """List what operators and callers did, and logins, the latest first."""
    keep_for = load(_AuditSettings).audit_ttl
    found, _ = with_store(data, lambda client: audit.page(client, limit=limit, before=None, keep_for=keep_for))
    if as_json:
        shown = [
            {
                "id": str(one.number), "at": rfc3339(one.at), "action": one.act.action, "actor": one.act.actor,
                "via": one.act.via, "details": one.act.details, "requestId": one.act.request_id,
                "address": one.act.address,
            }
            for one in found
        ]  # fmt: skip
        write(json.dumps(shown))
        return
    table = Table("at", "actor", "action", "details", box=None)
    for one in found:
        details = json.dumps(one.act.details)
        table.add_row(*(visible(text) for text in (rfc3339(one.at), one.act.actor, one.act.action, details)))
    Console(width=180, markup=False, emoji=False, highlight=False).print(table)
