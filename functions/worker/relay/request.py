"""A run's request to Claude: what the relay reads of its body, which is parsed once."""

import json
from dataclasses import dataclass
from typing import Any

PATHS = frozenset({"/v1/messages", "/v1/messages/count_tokens"})
_QUERIES = frozenset({"", "beta=true"})
# The header that requests of subagents carry.
_AGENT = "x-claude-code-agent-id"
# Servers of Anthropic that a request makes act on the network for it.
_REMOTE = ("mcp_servers", "container")


class BadRequestError(ValueError):
    """A request that the relay does not pass on."""


@dataclass(frozen=True, slots=True)
class RelayRequest:
    """One request of a run to the Messages API."""

    target: str
    headers: dict[str, str]
    body: bytes
    fields: dict[str, Any]

    @property
    def model(self) -> str:
        """The model that is asked."""
        model: str = self.fields["model"]
        return model

    @property
    def is_counted(self) -> bool:
        """Whether it asks for an answer, and not for the number of tokens."""
        return not self.target.startswith("/v1/messages/count_tokens")

    @property
    def is_of_subagent(self) -> bool:
        """Whether a subagent asks."""
        return _AGENT in self.headers

    @property
    def has_tools(self) -> bool:
        """Whether the model is offered tools."""
        return bool(self.fields.get("tools"))

    @property
    def offered(self) -> set[str]:
        """The names of the tools that the model is offered."""
        tools = self.fields.get("tools")
        names = [tool.get("name") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
        return {name for name in names if isinstance(name, str)}

    @property
    def server_tools(self) -> list[str]:
        """The types of tools that Claude itself would run."""
        tools = self.fields.get("tools")
        kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
        return [str(kind) for kind in kinds if kind not in {None, "custom"}]

    @property
    def remote(self) -> list[str]:
        """Fields by which Claude would reach other servers."""
        return [name for name in _REMOTE if self.fields.get(name)]

    def body_for(self, model: str) -> bytes:
        """Return the body with another model in it."""
        if model == self.model:
            return self.body
        return json.dumps({**self.fields, "model": model}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def parse(method: str, target: str, headers: dict[str, str], body: bytes) -> RelayRequest:
    """Return a request if it is one of the Messages API; raise BadRequestError."""
    path, _, query = target.partition("?")
    if method != "POST" or path not in PATHS or query not in _QUERIES:
        raise BadRequestError("The relay serves POST /v1/messages and /v1/messages/count_tokens alone")
    try:
        fields = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise BadRequestError("The body is not a JSON object with unique names") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("model"), str):
        raise BadRequestError("The body names no model")
    return RelayRequest(target, headers, body, fields)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that comes twice: Claude may read the other one than the relay."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequestError("A name comes twice")
    return found
