"""What schemathesis has to know that an OpenAPI document cannot say."""

import re
from typing import Any
from uuid import uuid4

import schemathesis

# What each event of a job's stream has.
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"enum": ["state", "delta", "reset", "done"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["id", "event", "data"],
}


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Put the schema of one event, which schemathesis expects where OpenAPI 3.1 describes the whole stream."""
    events = raw_schema["paths"]["/api/query/{jobId}/events"]["get"]["responses"]["200"]["content"]
    events["text/event-stream"]["schema"] = _EVENT


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Use no valid Idempotency-Key twice: with another body that is refused, as it should be, and tested elsewhere."""
    for name, value in (case.headers or {}).items():
        if name.lower() == "idempotency-key" and re.fullmatch("[!-~]{1,200}", str(value)):
            case.headers[name] = f"{value}-{uuid4()}"


def bodies(case: Any) -> list[dict[str, Any]]:
    """Return the body, and those of the queries of a batch."""
    if not isinstance(case.body, dict):
        return []
    queries = case.body.get("queries")
    return [case.body, *(one for one in (queries if isinstance(queries, list) else []) if isinstance(one, dict))]


@schemathesis.hook("before_call")
def send_webhooks_nowhere(context: Any, case: Any, kwargs: Any) -> None:
    """Put a good URL for any that has a good form: where a webhook may go is tested elsewhere."""
    for body in bodies(case):
        url = body.get("webhookUrl")
        if isinstance(url, str) and 0 < len(url) <= 2048:
            body["webhookUrl"] = "http://webhooks.invalid/"


@schemathesis.hook("before_call")
def name_no_server(context: Any, case: Any, kwargs: Any) -> None:
    """Leave out names that have a good form: which MCP servers there are is this deployment's, and tested elsewhere."""
    for body in bodies(case):
        names = body.get("mcpServers")
        if isinstance(names, list) and len(names) <= 50:
            body["mcpServers"] = [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(name))]


@schemathesis.hook("before_call")
def ask_for_any_object(context: Any, case: Any, kwargs: Any) -> None:
    """Put a JSON Schema for any object: what is one cannot be said in a schema that is checked so."""
    for body in bodies(case):
        if isinstance(body.get("outputSchema"), dict):
            body["outputSchema"] = {"type": "object"}


@schemathesis.hook("before_call")
def fork_something(context: Any, case: Any, kwargs: Any) -> None:
    """Fork nothing: that needs a conversation, which is tested elsewhere."""
    for body in bodies(case):
        if body.get("fork") is True:
            body["fork"] = False
