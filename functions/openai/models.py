"""The models that a client may name, in the form of OpenAI's or Anthropic's API."""

from typing import Any

from shared.api.errors import NotFound
from shared.api.vocabulary import CLI_DEFAULT_MODEL
from shared.configuration.settings import SubmitSettings

# The gateway does not know when a model was released; both APIs allow the epoch.
_UNKNOWN, _UNKNOWN_TIME = 0, "1970-01-01T00:00:00Z"


def names(settings: SubmitSettings) -> list[str]:
    """Return the models: CLAUDE_MODELS, else CLAUDE_MODEL, else the CLI's default."""
    return list(settings.claude_models) or [settings.claude_model or CLI_DEFAULT_MODEL]


def listed(settings: SubmitSettings, *, anthropic: bool) -> dict[str, Any]:
    """Write the list of models."""
    found = names(settings)
    data = [_write(name, anthropic=anthropic) for name in found]
    if anthropic:
        return {"data": data, "has_more": False, "first_id": found[0], "last_id": found[-1]}
    return {"object": "list", "data": data}


def found(name: str, settings: SubmitSettings, *, anthropic: bool) -> dict[str, Any]:
    """Write one model of the list; raises NotFound for any other."""
    if name not in names(settings):
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
