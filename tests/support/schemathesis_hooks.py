"""What schemathesis has to know that an OpenAPI document cannot say."""

import re
from typing import Any
from uuid import uuid4

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Use no valid Idempotency-Key twice: with another body that is refused, as it should be, and tested elsewhere."""
    for name, value in (case.headers or {}).items():
        if name.lower() == "idempotency-key" and re.fullmatch("[!-~]{1,200}", str(value)):
            case.headers[name] = f"{value}-{uuid4()}"


@schemathesis.hook("before_call")
def send_webhooks_nowhere(context: Any, case: Any, kwargs: Any) -> None:
    """Put a good URL for any that has a good form: where a webhook may go is tested elsewhere."""
    url = case.body.get("webhookUrl") if isinstance(case.body, dict) else None
    if isinstance(url, str) and 0 < len(url) <= 2048:
        case.body["webhookUrl"] = "http://webhooks.invalid/"


@schemathesis.hook("before_call")
def name_no_server(context: Any, case: Any, kwargs: Any) -> None:
    """Leave out names that have a good form: which MCP servers there are is this deployment's, and tested elsewhere."""
    names = case.body.get("mcpServers") if isinstance(case.body, dict) else None
    if isinstance(names, list) and len(names) <= 50:
        case.body["mcpServers"] = [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(name))]


@schemathesis.hook("before_call")
def ask_for_any_object(context: Any, case: Any, kwargs: Any) -> None:
    """Put a JSON Schema for any object: what is one cannot be said in a schema that is checked so."""
    if isinstance(case.body, dict) and isinstance(case.body.get("outputSchema"), dict):
        case.body["outputSchema"] = {"type": "object"}


@schemathesis.hook("before_call")
def fork_something(context: Any, case: Any, kwargs: Any) -> None:
    """Fork nothing: that needs a conversation, which is tested elsewhere."""
    if isinstance(case.body, dict) and case.body.get("fork") is True:
        case.body["fork"] = False
