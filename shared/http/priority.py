"""The header `X-Priority` of the synchronous APIs, whose bodies have no field for it."""

from fastapi import Request

from shared.api.errors import FieldError, InvalidRequest
from shared.api.vocabulary import PRIORITIES, Priority
from shared.http.describe import header

PRIORITY = header(
    "X-Priority",
    "The priority of the job; high by default if the client waits for the answer.",
    {"type": "string", "enum": list(PRIORITIES)},
)


def priority_in(request: Request) -> Priority | None:
    """Return the priority that a request names, if any; raises InvalidRequest for an unknown one."""
    given = request.headers.get("x-priority")
    if given is None:
        return None
    for priority in PRIORITIES:
        if given.strip().lower() == priority:
            return priority
    message = f"should be {', '.join(PRIORITIES[:-1])} or {PRIORITIES[-1]}"
    raise InvalidRequest(f"X-Priority: {message}", errors=(FieldError("/X-Priority", message),))
