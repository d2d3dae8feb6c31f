"""The audit log of the dashboard."""

import logging
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from shared.logs import event

log = logging.getLogger("admin.audit")


def audited(request: Request, action: str, answer: dict[str, Any], **fields: Any) -> JSONResponse:
    """Write a line to the audit log and return the response."""
    role, request_id = request.state.role, request.state.request_id
    event(log, "admin_action", action=action, role=role, request_id=request_id, **fields)
    return JSONResponse(answer)
