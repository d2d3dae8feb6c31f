"""The audit list of the dashboard: each action is stored, and is a line of the log."""

import logging
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from shared.configuration.settings import AdminSettings, load
from shared.http.forwarded import client_address
from shared.logs import event
from shared.services import auditing
from shared.store.callers.audit import Act, Source

log = logging.getLogger("admin.audit")


async def audited(request: Request, action: str, answer: dict[str, Any], **fields: Any) -> JSONResponse:
    """Record an action of the admin, and return the response."""
    await record(request, action, **fields)
    return JSONResponse(answer)


async def record(request: Request, action: str, source: Source = "operators", **fields: Any) -> None:
    """Store an entry of the audit list, and write it to the log."""
    settings, role, request_id = load(AdminSettings), request.state.role, request.state.request_id
    # With a key the actor is its caller, who has the viewer's role.
    actor = getattr(request.state, "caller", None) or role or ""
    event(log, "admin_action", action=action, role=role, actor=actor, request_id=request_id, **fields)
    act = Act(action, actor, "admin_api", fields, request_id, client_address(request))
    await auditing.keep(source, act, redis_address=settings.redis_address, keep_for=settings.audit_ttl)
