"""The models that a client may name, in the form of OpenAI's or Anthropic's API."""

from typing import Any

from shared.api.errors import NotFound
from shared.api.vocabulary import CLI_DEFAULT_MODEL
from shared.configuration.settings import SubmitSettings
from shared.store.callers import policies
from shared.store.redis.client import async_client

# The gateway does not know when a model was released; both APIs allow the epoch.
_UNKNOWN, _UNKNOWN_TIME = 0, "1970-01-01T00:00:00Z"


async def names(caller: str, settings: SubmitSettings) -> list[str]:
    """Return the models that a caller may name: CLAUDE_MODELS, else CLAUDE_MODEL, else the CLI's default.

    A caller with models in its policy may name those, within CLAUDE_MODELS.
    """
    policy = await policies.of(async_client(settings.redis_address), caller)
    if policy.models is not None:
        return [name for name in policy.models if not settings.claude_models or name in settings.claude_models]
    return list(settings.claude_models) or [settings.claude_model or CLI_DEFAULT_MODEL]


def listed(names: list[str], *, anthropic: bool) -> dict[str, Any]:
    """Write the list of models."""
    data = [_write(name, anthropic=anthropic) for name in names]
    if anthropic:
        first, last = (names[0], names[-1]) if names else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}
    return {"object": "list", "data": data}


def found(name: str, names: list[str], *, anthropic: bool) -> dict[str, Any]:
    """Write one model of the list; raises NotFound for any other."""
    if name not in names:
        raise NotFound(f"Model {name[:60]!r} not found; GET /v1/models lists the models")
    return _write(name, anthropic=anthropic)


def _write(name: str, *, anthropic: bool) -> dict[str, Any]:
    if anthropic:
        return {
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": _UNKNOWN_TIME,
            "lifecycle": "active",
        }
    return {"id": name, "object": "model", "created": _UNKNOWN, "owned_by": "anthropic"}
