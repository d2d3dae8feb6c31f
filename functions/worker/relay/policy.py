"""The limits of one run at the relay. Those of the CLI do not bind its tools, which can reach the relay as well."""

from dataclasses import dataclass, field

from functions.worker.relay.client_tools import ClientTools
from functions.worker.relay.credential import Credential
from functions.worker.relay.egress import EgressPolicy
from functions.worker.relay.models import Allowed
from functions.worker.relay.request import RelayRequest
from shared.api.vocabulary import ErrorCode

# Tools that Claude runs itself, by the beginning of their type, and the CLI's tool that a job needs for them.
_SERVER_TOOLS = {"web_search_": "WebSearch", "web_fetch_": "WebFetch"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason of a refused request; `ends_run` says that the run can do nothing more."""

    code: ErrorCode
    message: str
    ends_run: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of a run; `deadline` is on the loop's clock, `fallbacks` are asked while the first is overloaded.

    `credential` is the caller's own; None for the deployment's.
    """

    allowed: Allowed
    deadline: float
    tools: frozenset[str] = frozenset()
    # Tools of CLAUDE_TOOLS that the job has not: the CLI may have started with them.
    withheld: frozenset[str] = frozenset()
    # The tool by which the model gives a structured answer; the CLI offers none for a schema that it cannot use.
    answers_by: str | None = None
    # The tools that the client runs itself; None for none.
    client_tools: ClientTools | None = None
    fallbacks: tuple[str, ...] = ()
    max_turns: int | None = None
    max_budget_usd: float | None = None
    credential: Credential | None = None
    # The CLI chooses the model. Its first request comes before any tool has run, and may ask it.
    has_default_model: bool = False
    # What the run's tools may reach; None for nothing.
    egress: EgressPolicy | None = None


@dataclass(slots=True)
class Limits:
    """A policy and what a run has used of it: `turns` are answers to its own requests, without its subagents."""

    policy: Policy
    turns: int = 0
    model: str = field(default="", init=False)

    def check(self, request: RelayRequest, cost: float) -> Refusal | None:
        """Return why a request may not be passed on; None when it may."""
        policy, counts = self.policy, self.counts(request)
        if policy.max_budget_usd is not None and cost >= policy.max_budget_usd:
            return Refusal("budget_exceeded", "The run has used its maxBudgetUsd", ends_run=True)
        if policy.max_turns is not None and self.turns >= policy.max_turns and counts:
            return Refusal("max_turns", "The run has used its maxTurns", ends_run=True)
        if policy.has_default_model and request.model == self.model:
            policy.allowed.add(request.model)
        small = not request.has_tools and policy.allowed.has_small(request.model)
        if not policy.allowed.has(request.model) and not small:
            return Refusal("model_not_found", f"The run may not ask the model {request.model[:200]!r}")
        if request.remote:
            return Refusal("invalid_request", f"The run may not send {request.remote[0]}")
        if request.is_fast:
            return Refusal("invalid_request", "The run may not choose a speed")
        for kind in request.server_tools:
            needed = next((tool for start, tool in _SERVER_TOOLS.items() if kind.startswith(start)), None)
            if needed not in policy.tools:
                return Refusal("invalid_request", f"The run may not use the tool type {kind[:100]!r}")
        return self._check_offered(request, counts=counts)

    def _check_offered(self, request: RelayRequest, *, counts: bool) -> Refusal | None:
        """Return why the tools that a request offers the model are not those of the job.

        The first request is the CLI's own, and ends a run that has not begun as it should. Later ones may be a tool's.
        """
        offered, is_first = request.offered, self.turns == 0
        if withheld := sorted(offered & self.policy.withheld):
            return Refusal("server_error", f"The run may not offer the tool {withheld[0]!r}", ends_run=is_first)
        needed = self.policy.answers_by
        if needed is not None and needed not in offered and is_first and counts:
            return Refusal("invalid_request", "The run's schema cannot be used", ends_run=True)
        return None

    def counts(self, request: RelayRequest) -> bool:
        """Return whether a request is a turn of the run: not of a subagent, and no small one of the CLI's own."""
        if not request.is_counted or request.is_of_subagent:
            return False
        if not self.model:
            self.model = request.model
        return request.has_tools or request.model == self.model
