"""The policy of a run, from the request that was stored and the worker's settings."""

from collections.abc import Mapping
from typing import Any

from functions.worker.relay.models import Allowed
from functions.worker.relay.policy import Policy
from shared.configuration.settings import WorkerSettings


def policy_for(
    request: dict[str, Any], settings: WorkerSettings, environ: Mapping[str, str], deadline: float
) -> Policy:
    """Return what a run may ask of Claude until its deadline, on the loop's clock."""
    own = request.get("model") or settings.claude_model
    fallbacks = tuple(request.get("fallbackModels", ()))
    models = None
    if settings.claude_models:
        models = [*settings.claude_models, *fallbacks, *([own] if own else [])]
    budgets = [limit for limit in (request.get("maxBudgetUsd"), settings.max_budget_usd) if limit is not None]
    return Policy(
        allowed=Allowed(models, environ),
        deadline=deadline,
        tools=frozenset(request.get("tools", ())),
        fallbacks=fallbacks,
        max_turns=request.get("maxTurns"),
        # What the demo model answers costs nothing.
        max_budget_usd=None if settings.demo_model else min(budgets, default=None),
        has_default_model=own is None,
    )
