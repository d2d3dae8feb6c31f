"""Count the tokens of a request, as the relay of a worker finds out from Claude."""

import json
from typing import Any

from pydantic import ConfigDict

from functions.anthropic.parameters import UNSUPPORTED, refused
from shared.api.errors import AnswerFailed, Forbidden, QueueFull
from shared.api.models import Wire
from shared.api.policies import Policy
from shared.configuration.settings import SubmitSettings
from shared.store.callers import policies
from shared.store.fleet import counting
from shared.store.redis.client import async_client

_WITHIN = 10.0
_PASSED = {"messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
# What Claude would fetch, or read from the deployment's own account.
_REMOTE = {"url", "file"}


class CountRequest(Wire):
    """A body of Anthropic's API; Claude checks the content."""

    model_config = ConfigDict(extra="allow", alias_generator=None)

    model: Any = None
    messages: Any = None


async def policy_of(caller: str, settings: SubmitSettings) -> Policy:
    """Return the policy of a caller, which may limit the models."""
    return await policies.of(async_client(settings.redis_address), caller)


def checked(body: CountRequest, settings: SubmitSettings, policy: Policy) -> dict[str, Any]:
    """Return what is passed on of a body; raises InvalidRequest, which names the parameter."""
    given = {name: value for name, value in body.model_dump().items() if value is not None}
    model = given.pop("model", None)
    if not isinstance(model, str) or not 1 <= len(model) <= 200:
        raise refused("model", "should be the name of a model")
    if settings.claude_models and model not in settings.claude_models:
        raise refused("model", f"should be one of CLAUDE_MODELS: {', '.join(settings.claude_models)}")
    if policy.models is not None and model not in policy.models:
        raise Forbidden("model: not among models of the caller's policy")
    for name in given:
        if name not in _PASSED:
            raise refused(name[:60], UNSUPPORTED)
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages:
        raise refused("messages", "should be a list of at least one message")
    for number, message in enumerate(messages):
        if _has_remote(message):
            raise refused(f"messages.{number}", "a source that is a URL or a file is not supported; use base64")
    return {"model": model, **given}


def _has_remote(value: Any) -> bool:
    remaining = [value]
    while remaining:
        one = remaining.pop()
        if isinstance(one, dict):
            source = one.get("source")
            if isinstance(source, dict) and source.get("type") in _REMOTE:
                return True
            remaining += one.values()
        elif isinstance(one, list):
            remaining += one
    return False


async def count(body: dict[str, Any], request_id: str, settings: SubmitSettings) -> int:
    """Return the number of input tokens; raises AnswerFailed, or QueueFull."""
    client = async_client(settings.redis_address)
    try:
        reply = await counting.ask(client, request_id, json.dumps(body, ensure_ascii=False), _WITHIN)
    except counting.CountsFullError:
        detail = f"{counting.MOST_WAITING} requests to count tokens are waiting. Try again later"
        raise QueueFull(detail, headers={"Retry-After": "5"}) from None
    if reply is None:
        raise AnswerFailed(f"No worker counted the tokens within {_WITHIN:.0f} s", "timeout", retryable=True)
    if "error" in reply:
        error = reply["error"]
        raise AnswerFailed(error["message"], error["code"], retryable=error["retryable"])
    return int(reply["inputTokens"])
