"""What the template promises beside its routes, and what its variables and ours have to do with each other."""

from pathlib import Path

import pytest
import yaml

from local.lambda_emulator.app import TEMPLATE
from local.lambda_emulator.routes import _Loader, read_routes
from shared.settings import (
    AdminSettings,
    CommonSettings,
    ProxySettings,
    StatusSettings,
    SubmitSettings,
    WebhookSettings,
    WorkerSettings,
)

DOCUMENT = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Loader)  # noqa: S506 -- a SafeLoader
RESOURCES = DOCUMENT["Resources"]
FUNCTIONS = {
    "SubmitFunction": SubmitSettings, "StatusFunction": StatusSettings, "WebhookFunction": WebhookSettings,
    "ResponsesFunction": SubmitSettings, "BatchesFunction": SubmitSettings, "AdminFunction": AdminSettings,
}  # fmt: skip
TOOLS = {"POWERTOOLS_SERVICE_NAME"}


def known(settings: type[CommonSettings]) -> set[str]:
    return {name.upper() for name in settings.model_fields} | TOOLS


@pytest.mark.parametrize(("function", "settings"), FUNCTIONS.items())
def test_a_function_is_given_variables_that_it_reads(function, settings):
    shared = DOCUMENT["Globals"]["Function"]["Environment"]["Variables"]
    own = RESOURCES[function]["Properties"].get("Environment", {}).get("Variables", {})
    assert set(shared) <= known(CommonSettings) | known(ProxySettings)
    assert set(own) <= known(settings)


def test_the_worker_is_given_variables_that_it_reads():
    [container] = RESOURCES["WorkerTask"]["Properties"]["ContainerDefinitions"]
    names = {one["Name"] for one in [*container["Environment"], *container["Secrets"]] if isinstance(one, dict)}
    assert names <= known(WorkerSettings)
    assert {one["Name"] for one in container["Secrets"] if isinstance(one, dict)} == {"REDIS_PASSWORD"}


@pytest.mark.parametrize("function", ["SubmitFunction", "ResponsesFunction", "BatchesFunction"])
def test_who_accepts_and_who_works_agree_on_what_both_read(function):
    submit = RESOURCES[function]["Properties"]["Environment"]["Variables"]
    [container] = RESOURCES["WorkerTask"]["Properties"]["ContainerDefinitions"]
    worker = {one["Name"]: one["Value"] for one in container["Environment"] if isinstance(one, dict)}
    both = {name.upper() for name in SubmitSettings.model_fields} & {
        name.upper() for name in WorkerSettings.model_fields
    }
    both &= set(submit) | set(worker)
    both -= set(DOCUMENT["Globals"]["Function"]["Environment"]["Variables"])
    assert both == {
        "CLAUDE_TIMEOUT", "CLAUDE_MODEL", "MAX_BUDGET_USD", "DAILY_BUDGET_USD", "RESULT_TTL", "MCP_ENABLED",
    }  # fmt: skip
    assert {name: submit[name] for name in both} == {name: worker[name] for name in both}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_a_role_and_a_log_of_its_own_and_calls_no_other_service(function):
    name = function.removesuffix("Function")
    properties = RESOURCES[function]["Properties"]
    assert properties["Role"] == f"{name}Role.Arn"
    assert properties["LoggingConfig"]["LogGroup"] == f"{name}Logs"
    [policy] = RESOURCES[f"{name}Role"]["Properties"]["Policies"]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == f"{name}Logs.Arn"


def test_there_is_a_recorded_event_for_each_route_and_for_nothing_else():
    events = {path.stem for path in (Path(__file__).parents[1] / "events").glob("*.json")}
    named = {name for function in FUNCTIONS for name in RESOURCES[function]["Properties"]["Events"]}
    assert events == named
    assert len(read_routes(TEMPLATE)) == len(events) - 1  # the schedule has no route


def test_the_store_forgets_nothing_and_is_no_cluster():
    store = RESOURCES["Store"]["Properties"]
    assert RESOURCES["StoreParameters"]["Properties"]["Properties"]["maxmemory-policy"] == "noeviction"
    assert "NumNodeGroups" not in store
    assert store["TransitEncryptionEnabled"] is True
