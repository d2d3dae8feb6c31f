"""The policy of a run, from its plan and the worker's settings."""

from collections.abc import Mapping

from functions.worker.cli.plan import RunPlan
from functions.worker.cli.structured_input import TOOL as STRUCTURED_OUTPUT
from functions.worker.relay.credential import Credential
from functions.worker.relay.egress import EgressPolicy
from functions.worker.relay.models import Allowed
from functions.worker.relay.policy import Policy
from shared.configuration.settings import WorkerSettings


def policy_for(
    plan: RunPlan, settings: WorkerSettings, environ: Mapping[str, str], deadline: float, deployment: Credential
) -> Policy:
    """Return what a run may ask of Claude until its deadline, on the loop's clock; `deployment` is its credential."""
    options = plan.options
    models = _models(plan, settings)
    if models is not None:
        models += [*plan.fallback_models, *([options.model] if options.model else [])]
    withheld = set(settings.claude_tools) - set(plan.offered)
    return Policy(
        allowed=Allowed(models, environ),
        deadline=deadline,
        tools=frozenset(plan.offered),
        # The CLI offers the tool Task by another name.
        withheld=frozenset(withheld | ({"Agent"} if "Task" in withheld and "Agent" not in options.tools else set())),
        answers_by=None if options.output_schema is None else STRUCTURED_OUTPUT,
        client_tools=plan.client_tools,
        fallbacks=plan.fallback_models,
        max_turns=options.max_turns,
        # Answers of the demo model cost nothing.
        max_budget_usd=None if settings.demo_model else options.max_budget_usd,
        credential=None if plan.api_key is None else deployment.with_key(plan.api_key),
        has_default_model=options.model is None,
        egress=_egress(plan, settings),
    )


def _models(plan: RunPlan, settings: WorkerSettings) -> list[str] | None:
    """Return the models of the caller's policy within those of this worker; None for every model."""
    if plan.models is None:
        return list(settings.claude_models) or None
    return [model for model in plan.models if not settings.claude_models or model in settings.claude_models]


def _egress(plan: RunPlan, settings: WorkerSettings) -> EgressPolicy | None:
    """Return what the tools of a run may reach: without tools nothing."""
    git = plan.git.access() if plan.git is not None and plan.options.tools else None
    if not plan.allowed_hosts and git is None:
        return None
    return EgressPolicy(plan.allowed_hosts, settings.run_allowed_networks, settings.max_run_network_bytes, git)
