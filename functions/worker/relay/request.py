"""A run's request to Claude: what the relay reads of its body, which is parsed once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from functions.worker.json_values import has_more_values

PATHS = frozenset({"/v1/messages", "/v1/messages/count_tokens"})
_QUERIES = frozenset({"", "beta=true"})
# The header that requests of subagents carry.
_AGENT = "x-claude-code-agent-id"
# Servers of Anthropic that a request makes act on the network for it.
_REMOTE = ("mcp_servers", "container")
# Strings, commas and opening brackets of a body: parsed, so many values take up to 250 MB.
MOST_VALUES = 1_000_000
_LONGEST_MODEL = 256
# Sources of content that a request carries itself. Claude would fetch others: a URL, or a file of the account.
_OWN_SOURCES = frozenset({"base64", "text", "content"})


class BadRequestError(ValueError):
    """A request that the relay does not pass on."""


@dataclass(frozen=True, slots=True)
class RelayRequest:
    """One request of a run to the Messages API. Only the bytes of its body are kept: parsed, it is many times larger.

    `offered` are the names of the tools that the model is offered, `server_tools` the types of those that Claude
    itself would run, `remote` is what makes Claude reach other servers or files of the account, and `is_fast` an answer
    at several times the price that the relay counts.
    """

    target: str
    headers: dict[str, str]
    body: bytes
    model: str
    has_tools: bool
    offered: frozenset[str]
    server_tools: tuple[str, ...]
    remote: tuple[str, ...]
    is_fast: bool

    @property
    def is_counted(self) -> bool:
        """Whether it asks for an answer, and not for the number of tokens."""
        return not self.target.startswith("/v1/messages/count_tokens")

    @property
    def is_of_subagent(self) -> bool:
        """Whether a subagent asks."""
        return _AGENT in self.headers

    def body_for(self, model: str) -> bytes:
        """Return the body with another model in it."""
        if model == self.model:
            return self.body
        fields = {**json.loads(self.body), "model": model}
        return json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


def parse(method: str, target: str, headers: dict[str, str], body: bytes) -> RelayRequest:
    """Return a request if it is one of the Messages API; raise BadRequestError."""
    path, _, query = target.partition("?")
    if method != "POST" or path not in PATHS or query not in _QUERIES:
        raise BadRequestError("The relay serves POST /v1/messages and /v1/messages/count_tokens alone")
    if has_more_values(body, MOST_VALUES):
        raise BadRequestError(f"The body has more than {MOST_VALUES:,} values")
    try:
        fields = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise BadRequestError("The body is not a JSON object with unique names") from None
    model = fields.get("model") if isinstance(fields, dict) else None
    if not isinstance(model, str) or not model.isprintable() or not 1 <= len(model) <= _LONGEST_MODEL:
        raise BadRequestError("The body names no model")
    given = fields.get("tools")
    tools = [tool for tool in given if isinstance(tool, dict)] if isinstance(given, list) else []
    kinds = [tool.get("type") for tool in tools]
    return RelayRequest(
        target,
        headers,
        body,
        model,
        has_tools=bool(given),
        offered=frozenset(tool["name"] for tool in tools if isinstance(tool.get("name"), str)),
        server_tools=tuple(_kind(kind) for kind in kinds if kind is not None and kind != "custom"),
        remote=(*(name for name in _REMOTE if fields.get(name)), *dict.fromkeys(_fetched(fields))),
        is_fast=fields.get("speed") not in (None, "standard"),
    )


def _kind(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__


def _fetched(fields: dict[str, Any]) -> Iterator[str]:
    """Yield what Claude would fetch: sources of blocks, and files, in tool results and documents too."""
    pending: list[Any] = [fields.get("system"), fields.get("messages")]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending.extend(one)
        elif isinstance(one, dict):
            source = one.get("source")
            if isinstance(source, dict):
                if source.get("type") not in _OWN_SOURCES:
                    yield "a source that Claude would fetch"
                pending.append(source.get("content"))
            if "file_id" in one:
                yield "a file_id"
            pending.append(one.get("content"))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that comes twice: Claude may read the other one than the relay."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequestError("A name comes twice")
    return found
