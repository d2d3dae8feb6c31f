"""Which MCP servers a query goes to: those that its request names, or the router's choice."""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.api.errors import FieldError, InvalidRequest, NotFound
from shared.api.requests import SubmitRequest
from shared.configuration.settings import SubmitSettings
from shared.mcp.config import digests

if TYPE_CHECKING:
    from shared.mcp.router import Router, Score


@dataclass(frozen=True, slots=True)
class Chosen:
    """The servers of a query, why, and what their configuration is; `cacheable` says whether answers may be shared.

    `scores` has those of the chosen servers only, and none when the request named them.
    """

    servers: list[str] = field(default_factory=list)
    scores: "list[Score]" = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    cacheable: bool = True

    def to_json(self) -> str:
        """Write it as a job's record keeps it: an empty text for nothing."""
        return json.dumps({"servers": self.servers, "scores": as_wire(self.scores)}) if self.servers else ""


def choose(request: SubmitRequest, settings: SubmitSettings) -> Chosen:
    """Choose the servers for a request; raise InvalidRequest when it names one that is not there."""
    if request.mcp_servers is not None:
        names = sorted(set(request.mcp_servers))
        unknown = [name for name in names if name not in settings.servers]
        if unknown:
            known = ", ".join(settings.servers) or "there are none"
            raise InvalidRequest(
                f"mcpServers: not known: {', '.join(unknown)} ({known})",
                errors=(FieldError("/mcpServers", f"should be among: {known}"),),
            )
        scores: list[Score] = []
    elif not settings.mcp_enabled:
        return Chosen()
    else:
        names, scores = router(settings).choose(request.query)
        names, scores = sorted(names), [score for score in scores if score.server in names]
    cacheable = all(settings.servers[name].routing.cacheable for name in names)
    return Chosen(names, scores, digests(settings.servers, names), cacheable)


def route(query: str, settings: SubmitSettings) -> dict[str, Any]:
    """Return where a query would go, and why; raise NotFound where there are no servers to go to."""
    if not settings.mcp_enabled:
        raise NotFound("There is nothing here while MCP_ENABLED is false")
    names, scores = router(settings).choose(query)
    return {"servers": names, "scores": as_wire(scores)}


@lru_cache(1)
def router(settings: SubmitSettings) -> "Router":
    """Return the router of these settings, made once."""
    from shared.mcp.router import Router  # noqa: PLC0415 -- of no use without MCP_ENABLED

    return Router(settings.servers)


def as_wire(scores: "list[Score]") -> list[dict[str, Any]]:
    """Write scores as clients are told of them."""
    return [{"server": score.server, "score": score.score, "reasons": list(score.reasons)} for score in scores]
