"""What operators see of callers: their credentials, their usage, and the audit list."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from shared.api.credentials import Kind
from shared.api.errors import FieldError, InvalidRequest, NotFound
from shared.api.ids import CREDENTIAL_NAME
from shared.api.times import rfc3339, when
from shared.configuration.settings import AdminSettings
from shared.services.usage import By, to_csv, usage_rows
from shared.store import keys
from shared.store.callers import audit, callers, credentials
from shared.store.redis.client import async_client


async def audit_page(limit: int, cursor: str | None, settings: AdminSettings) -> dict[str, Any]:
    """List what was done, the latest first."""
    before = None if cursor is None else int(cursor)
    client = async_client(settings.redis_address)
    found, end = await audit.page(client, limit=limit, before=before, keep_for=settings.audit_ttl)
    return {"entries": [audit_entry(one) for one in found], "nextCursor": None if end is None else str(end)}


def audit_entry(one: audit.Entry) -> dict[str, Any]:
    """Return an entry in the form of the API."""
    act = one.act
    return {
        "id": str(one.number),
        "at": rfc3339(one.at),
        "action": act.action,
        "actor": act.actor,
        "via": act.via,
        "details": act.details,
        "requestId": act.request_id,
        "address": act.address,
    }


async def usage(days: int, by: Sequence[By], settings: AdminSettings) -> dict[str, Any]:
    """Return the usage of all callers; raises InvalidRequest for too many rows."""
    return {"by": list(by), "rows": await _rows(days, by, settings)}


async def usage_csv(days: int, by: Sequence[By], settings: AdminSettings) -> str:
    """Return the usage of all callers as CSV; raises InvalidRequest for too many rows."""
    columns: list[Any] = [*by, *(["callerName"] if "caller" in by else [])]
    return to_csv(await _rows(days, by, settings), columns)


async def _rows(days: int, by: Sequence[By], settings: AdminSettings) -> list[dict[str, Any]]:
    client = async_client(settings.redis_address)
    if "caller" not in by:
        return await usage_rows(client, days, by)
    rows, names = await asyncio.gather(usage_rows(client, days, by), callers.names(client))
    return [{**row, "callerName": names.get(row["caller"])} for row in rows]


async def credential_list(settings: AdminSettings) -> dict[str, Any]:
    """List the credentials of all callers without their values, and who may use them."""
    client = async_client(settings.redis_address)
    names = {keys.ANONYMOUS: keys.ANONYMOUS, **await callers.names(client)}
    found = await credentials.of_callers(client, list(names))
    return {"credentials": [_credential(one, names[one.owner]) for one in found]}


def _credential(one: credentials.Granted, name: str) -> dict[str, Any]:
    kind: Kind = one.stored.kind  # type: ignore[assignment]
    return {
        "caller": one.owner,
        "callerName": name,
        "name": one.stored.name,
        "kind": kind,
        "hosts": list(one.stored.hosts),
        "createdAt": rfc3339(one.stored.created),
        "updatedAt": rfc3339(one.stored.updated),
        "lastUsedAt": when(one.stored.used),
        "users": one.users,
    }


async def grant(owner: str, name: str, users: Sequence[str], settings: AdminSettings) -> dict[str, Any]:
    """Set which other callers may use a credential; raises NotFound, or InvalidRequest for a caller."""
    outcome, user = "missing", ""
    if re.fullmatch(CREDENTIAL_NAME, name):
        outcome, user = await credentials.grant(async_client(settings.redis_address), owner, name, users)
    if outcome == "missing":
        raise NotFound("Credential not found")
    if outcome != "done":
        message = {
            "unknown": f"{user} is the id of no other caller with a key",
            "taken": f"{user} may already use another caller's credential of this name",
        }[outcome]
        raise InvalidRequest(f"users: {message}", errors=(FieldError("/users", message),))
    return {"caller": owner, "name": name, "users": list(users)}
