"""The policy of a run, from its plan and the worker's settings."""

from collections.abc import Mapping

from functions.worker.cli.plan import RunPlan
from functions.worker.relay.credential import Credential
from functions.worker.relay.models import Allowed
from functions.worker.relay.policy import Policy
from shared.configuration.settings import WorkerSettings


def policy_for(
    plan: RunPlan, settings: WorkerSettings, environ: Mapping[str, str], deadline: float, deployment: Credential
) -> Policy:
    """Return what a run may ask of Claude until its deadline, on the loop's clock; `deployment` is its credential."""
    options = plan.options
    models = None
    if settings.claude_models:
        models = [*settings.claude_models, *plan.fallback_models, *([options.model] if options.model else [])]
    return Policy(
        allowed=Allowed(models, environ),
        deadline=deadline,
        tools=frozenset(options.tools),
        fallbacks=plan.fallback_models,
        max_turns=options.max_turns,
        # Answers of the demo model cost nothing.
        max_budget_usd=None if settings.demo_model else options.max_budget_usd,
        credential=None if plan.api_key is None else deployment.with_key(plan.api_key),
        has_default_model=options.model is None,
    )
