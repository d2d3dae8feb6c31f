"""Choose the MCP servers of a query: those that the request names, or the router's choice."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.api.errors import FieldError, InvalidRequest, NotFound
from shared.api.requests import SubmitRequest
from shared.configuration.settings import SubmitSettings
from shared.mcp.config import digests
from shared.mcp.scores import Score
from shared.services import routing
from shared.store.callers import policies
from shared.store.redis.client import async_client


@dataclass(frozen=True, slots=True)
class Chosen:
    """The servers of a query, their scores and digests; `cacheable` is whether answers may be shared.

    `scores` has the chosen servers only, and is empty if the request names the servers.
    """

    servers: list[str] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    cacheable: bool = True
    # Names of the caller's credentials in their headers.
    credentials: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Write the choice for a job's record; an empty string if there are no servers."""
        return json.dumps({"servers": self.servers, "scores": as_wire(self.scores)}) if self.servers else ""


_NONE = Chosen()


async def choose(request: SubmitRequest, settings: SubmitSettings, allowed: Sequence[str] | None = None) -> Chosen:
    """Choose the servers for a request; raises InvalidRequest for an unknown name.

    Of the router's choice only those in `allowed` remain, if it is not None.
    """
    if request.mcp_servers is not None:
        names = sorted(set(request.mcp_servers))
        unknown = [name for name in names if name not in settings.servers]
        if unknown:
            known = ", ".join(settings.servers) or "none"
            raise InvalidRequest(
                f"mcpServers: unknown server: {', '.join(unknown)} (known: {known})",
                errors=(FieldError("/mcpServers", f"should be some of: {known}"),),
            )
        scores: list[Score] = []
    elif not settings.mcp_enabled:
        return _NONE
    else:
        names, scores = await _routed(request.query, settings, allowed)
        names, scores = sorted(names), [score for score in scores if score.server in names]
    cacheable = all(settings.servers[name].routing.cacheable for name in names)
    credentials = dict.fromkeys(one for name in names for one in settings.servers[name].credentials)
    return Chosen(names, scores, digests(settings.servers, names), cacheable, tuple(credentials))


async def route(query: str, *, caller: str, settings: SubmitSettings) -> dict[str, Any]:
    """Return the servers that a caller's query would get, and all scores; raises NotFound without MCP_ENABLED."""
    if not settings.mcp_enabled:
        raise NotFound("MCP_ENABLED is false")
    policy = await policies.of(async_client(settings.redis_address), caller)
    names, scores = await _routed(query, settings, policy.mcp_servers)
    return {"servers": names, "scores": as_wire(scores)}


async def _routed(query: str, settings: SubmitSettings, allowed: Sequence[str] | None) -> tuple[list[str], list[Score]]:
    """Return the router's choice within `allowed`, if that is not None, and the scores of all servers."""
    names, scores = await routing.choose(query, settings)
    return [name for name in names if allowed is None or name in allowed], scores


def as_wire(scores: list[Score]) -> list[dict[str, Any]]:
    """Write scores for clients."""
    return [{"server": score.server, "score": score.score, "reasons": list(score.reasons)} for score in scores]
