"""The template's variables agree with the settings, and its roles, rules and users are as narrow as documented."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from local.lambda_emulator.app import TEMPLATE
from local.lambda_emulator.routes import _Loader, read_routes
from shared.configuration.files_address import AWS_VARIABLES
from shared.configuration.settings import (
    AdminSettings,
    CommonSettings,
    CredentialsSettings,
    DecisionSettings,
    FilesSettings,
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
    "BatchesFunction": SubmitSettings, "OpenaiFunction": SubmitSettings, "AnthropicFunction": SubmitSettings,
    "AdminFunction": AdminSettings, "CredentialsFunction": CredentialsSettings,
    "FilesFunction": FilesSettings, "SchedulesFunction": SubmitSettings,
}  # fmt: skip
TOOLS = {"POWERTOOLS_SERVICE_NAME"}


def known(settings: type[CommonSettings]) -> set[str]:
    return {name.upper() for name in settings.model_fields} | TOOLS


@pytest.mark.parametrize(("function", "settings"), FUNCTIONS.items())
def test_a_function_gets_variables_it_reads(function, settings):
    shared = DOCUMENT["Globals"]["Function"]["Environment"]["Variables"]
    own = RESOURCES[function]["Properties"].get("Environment", {}).get("Variables", {})
    assert set(shared) <= known(CommonSettings) | known(ProxySettings)
    more = known(DecisionSettings) if function == "SubmitFunction" else set()
    assert set(own) <= known(settings) | more


def test_the_worker_gets_variables_it_reads():
    [container] = RESOURCES["WorkerTask"]["Properties"]["ContainerDefinitions"]
    names = {one["Name"] for one in [*container["Environment"], *container["Secrets"]] if isinstance(one, dict)}
    assert names <= known(WorkerSettings) | known(SubmitSettings)
    assert {one["Name"] for one in container["Secrets"] if isinstance(one, dict)} == {"REDIS_PASSWORD"}


STARTS = RESOURCES["Instance"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]


def test_a_worker_on_ec2_gets_the_variables_of_one_on_fargate():
    [container] = RESOURCES["WorkerTask"]["Properties"]["ContainerDefinitions"]
    there = {one["Name"] for one in [*container["Environment"], *container["Secrets"]] if isinstance(one, dict)}
    here = set(re.findall(r"--env ([A-Z_]+)", STARTS))
    # On Fargate the agent sets the region.
    assert here == there | {"RUN_SANDBOX", "CREDENTIALS_PRIVATE_KEY", "AWS_REGION"}
    assert here <= known(WorkerSettings) | known(SubmitSettings) | set(AWS_VARIABLES)


def test_a_worker_on_ec2_is_confined_as_in_compose():
    worker = yaml.safe_load((TEMPLATE.parent / "local/compose.yaml").read_text(encoding="utf-8"))["services"]["worker"]
    options = {option.partition("=")[2].rpartition("/")[2] or option for option in worker["security_opt"]}
    given = re.findall(r'--security-opt "?([^\s"]+)', STARTS)
    assert {option.partition("=")[2].rpartition("/")[2] or f"{option}:true" for option in given} == options
    assert "--read-only --cap-drop ALL" in STARTS
    assert f"--tmpfs {worker['tmpfs'][0]}" in STARTS
    assert "privileged" not in STARTS


def test_the_script_of_an_instance_is_one_that_bash_reads(tmp_path):
    """Catches a quote or a `<<'END'` that a change of the template breaks: the instance would start no worker."""
    script = re.sub(r"\$\{[A-Za-z:.]+\}", "value", STARTS)
    inner = script.split("<<'END'\n")[1].split("\nEND\n")[0]
    for text in (script, inner):
        assert text.startswith("#!/bin/bash\n")
        assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False).stderr == ""


@pytest.mark.parametrize("function", [name for name, settings in FUNCTIONS.items() if settings is SubmitSettings])
def test_functions_and_worker_agree_on_shared_variables(function):
    """Catches a limit of submissions that does not hold for the runs of schedules, which the worker submits."""
    submit = RESOURCES[function]["Properties"]["Environment"]["Variables"]
    [container] = RESOURCES["WorkerTask"]["Properties"]["ContainerDefinitions"]
    worker = {one["Name"]: one["Value"] for one in container["Environment"] if isinstance(one, dict)}
    read = {name.upper() for name in SubmitSettings.model_fields} & set(submit)
    assert read >= {"CLAUDE_TIMEOUT", "CLAUDE_MODELS", "CLAUDE_TOOLS", "DAILY_BUDGET_USD", "RATE_LIMIT"}
    assert {name: submit[name] for name in read} == {name: worker.get(name) for name in read}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_its_own_role_and_log_and_no_other_permission(function):
    name = function.removesuffix("Function")
    properties = RESOURCES[function]["Properties"]
    assert properties["Role"] == f"{name}Role.Arn"
    assert properties["LoggingConfig"]["LogGroup"] == f"{name}Logs"
    [policy] = RESOURCES[f"{name}Role"]["Properties"]["Policies"]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == f"{name}Logs.Arn"


def test_each_route_has_a_recorded_event_and_nothing_else_has():
    events = {path.stem for path in (Path(__file__).parents[1] / "events").glob("*.json")}
    named = {name for function in FUNCTIONS for name in RESOURCES[function]["Properties"]["Events"]}
    assert events == named
    assert len(read_routes(TEMPLATE)) == len(events) - 1  # the schedule has no route


def test_the_store_evicts_nothing_and_is_no_cluster():
    store = RESOURCES["Store"]["Properties"]
    assert RESOURCES["StoreParameters"]["Properties"]["Properties"]["maxmemory-policy"] == "noeviction"
    assert "NumNodeGroups" not in store
    assert store["TransitEncryptionEnabled"] is True


def egress(group):
    rules = RESOURCES[group]["Properties"]["SecurityGroupEgress"]
    others = [one["Properties"] for one in RESOURCES.values() if one["Type"] == "AWS::EC2::SecurityGroupEgress"]
    rules = [*rules, *(rule for rule in others if rule["GroupId"] == group)]
    return {
        (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule.get("CidrIp") or rule["DestinationSecurityGroupId"])
        for rule in rules
    }


def test_the_worker_reaches_https_and_the_store_and_nothing_else():
    """Catches a rule by which a tool of a run reaches other ports."""
    store = ("tcp", 6379, 6379, "StoreSecurityGroup")
    collector = ("tcp", 4318, 4318, "TracesNetwork")  # with TracesEndpoint alone
    assert egress("WorkerSecurityGroup") == {("tcp", 443, 443, "0.0.0.0/0"), store, collector}
    assert egress("FunctionSecurityGroup") == {store, collector}
    assert not [group for group in RESOURCES.values() if "SecurityGroupIngress" in group.get("Properties", {})]


def statements(role):
    for policy in RESOURCES[role]["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def test_tasks_pull_the_image_of_one_repository():
    """Catches a permission to pull every image of the account."""
    pulls = [one for one in statements("ExecutionRole") if "ecr:BatchGetImage" in one["Action"]]
    assert [one["Resource"].split(":")[-1] for one in pulls] == ["repository/${WorkerRepository}"]
    everywhere = {action for one in statements("ExecutionRole") if one["Resource"] == "*" for action in one["Action"]}
    assert everywhere == {"ecr:GetAuthorizationToken"}  # which AWS cannot restrict to a resource


STORE_USERS = {"api": "ApiStoreUser", "worker": "WorkerStoreUser", "default": "DefaultStoreUser"}


def test_the_users_of_the_store_are_the_documented_ones():
    """Catches a functions' user with the worker's permissions, and a default user that can log in."""
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^user (api|worker) on >\w+ resetkeys (.*)$", text, re.MULTILINE))
    strings = {name: RESOURCES[user]["Properties"]["AccessString"] for name, user in STORE_USERS.items()}
    assert strings.pop("default") == "off -@all"
    assert {name: set(rules.split()) for name, rules in strings.items()} == {
        name: {"on", *rules.split()} for name, rules in documented.items()
    }
    assert {user: RESOURCES[user]["Properties"]["UserName"] for user in STORE_USERS.values()} == {
        user: name for name, user in STORE_USERS.items()
    }
    assert set(RESOURCES["StoreUsers"]["Properties"]["UserIds"]) == set(STORE_USERS.values())
    assert RESOURCES["Store"]["Properties"]["UserGroupIds"] == ["StoreUsers"]
    assert "AuthToken" not in RESOURCES["Store"]["Properties"]


def test_functions_and_keys_are_the_api_user_and_the_worker_its_own():
    """Catches the worker's password in a function."""
    functions = DOCUMENT["Globals"]["Function"]["Environment"]["Variables"]
    assert functions["REDIS_URL"].startswith("rediss://api@")
    assert functions["REDIS_PASSWORD"] == "{{resolve:secretsmanager:${ApiStoreSecret}:SecretString}}"
    assert [name for name in FUNCTIONS if "WorkerStoreSecret" in str(RESOURCES[name])] == []
    for task, user, secret in (("WorkerTask", "worker", "WorkerStoreSecret"), ("KeysTask", "api", "ApiStoreSecret")):
        [container] = RESOURCES[task]["Properties"]["ContainerDefinitions"]
        variables = {one["Name"]: one["Value"] for one in container["Environment"] if isinstance(one, dict)}
        secrets = {one["Name"]: one["ValueFrom"] for one in container["Secrets"] if isinstance(one, dict)}
        assert variables["REDIS_URL"].startswith(f"rediss://{user}@")
        assert secrets["REDIS_PASSWORD"] == secret


def test_only_files_and_the_worker_reach_the_bucket():
    """Catches a right of another function, a public bucket, and one that takes requests without TLS."""
    policy = RESOURCES["FilesPolicy"]["Properties"]
    assert policy["Roles"] == ["FilesRole", ["IsOnEc2", "InstanceRole", "WorkerRole"]]
    rights = {one["Resource"]: one["Action"] for one in policy["PolicyDocument"]["Statement"]}
    assert rights == {
        "${FilesBucket.Arn}/*": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
        "FilesBucket.Arn": ["s3:ListBucket"],
    }
    others = [name for name in FUNCTIONS if "Files" in str(RESOURCES[name]) and name != "FilesFunction"]
    assert others == []
    bucket = RESOURCES["FilesBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    [denied] = RESOURCES["FilesBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert egress("FilesSecurityGroup") == {("tcp", 443, 443, "0.0.0.0/0")}


def test_the_container_on_an_instance_can_have_the_instances_credentials():
    """Catches a hop limit by which Docker's bridge hides the metadata service: no file could be read."""
    options = RESOURCES["Instance"]["Properties"]["LaunchTemplateData"]["MetadataOptions"]
    assert options == {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}


def test_files_and_worker_use_the_same_bucket():
    function = RESOURCES["FilesFunction"]["Properties"]
    [container] = RESOURCES["WorkerTask"]["Properties"]["ContainerDefinitions"]
    worker = {one["Name"]: one["Value"] for one in container["Environment"] if isinstance(one, dict)}
    assert function["Environment"]["Variables"]["FILES_URL"] == worker["FILES_URL"] == "s3://${FilesBucket}"
    assert "--env FILES_URL=s3://${FilesBucket} " in STARTS
    # A restored snapshot has no credentials in its environment.
    assert function["SnapStart"] == {"ApplyOn": "None"}
