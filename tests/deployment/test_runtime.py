"""The artifacts in Lambda's runtime, with a clean Python 3.13: every function serves each of its routes."""

import base64
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from local.lambda_emulator.app import TEMPLATE
from local.lambda_emulator.routes import read_handlers
from tests.support.docker import LAMBDA_IMAGE, Container, docker
from tests.support.gateway import ROOT
from tests.support.runtime_api import RuntimeApi
from tests.support.sam import event

VARIABLES = json.loads((ROOT / "local/sam-variables.json").read_text(encoding="utf-8"))["Parameters"]

# The expected response to each event of the template while one job waits, in this order.
ANSWERS = {
    "SubmitFunction": {
        "SubmitQuery": 202, "RouteQuery": 404, "SendMessage": 409, "Decide": 404, "ShowDecision": 404,
        "DecideByUrl": 404,
    },
    "StatusFunction": {
        "ListJobs": 200, "ReadJob": 200, "FollowJob": 200, "ListSteps": 200, "Health": 200, "Live": 200, "Metrics": 200,
        "Docs": 200, "OpenApi": 200, "ReadUsage": 200, "StartPage": 200, "StartFile": 200, "Everything": 404,
    },
    # The synchronous routes refuse their events: streaming, and an unknown parameter.
    "OpenaiFunction": {
        "CreateResponse": 200, "ReadResponse": 404, "CancelResponse": 404, "DeleteResponse": 400,
        "CreateChatCompletion": 400, "ListModels": 200, "ReadModel": 404,
    },
    "BatchesFunction": {
        "SubmitBatch": 202, "ListBatches": 200, "ReadBatch": 404, "ReadBatchResults": 404, "CancelBatch": 404,
    },
    "SchedulesFunction": {
        "CreateSchedule": 201, "ListSchedules": 200, "ReadSchedule": 404, "ChangeSchedule": 404, "DeleteSchedule": 404,
        "PauseSchedule": 404, "ResumeSchedule": 404, "RunSchedule": 404,
    },
    "AnthropicFunction": {
        "SubmitMessageBatch": 200, "ListMessageBatches": 200, "ReadMessageBatch": 404, "ReadMessageResults": 404,
        "CancelMessageBatch": 404, "DeleteMessageBatch": 400, "CreateMessage": 400, "CountTokens": 400,
    },
    "CredentialsFunction": {
        "ListCredentials": 200, "PutCredential": 404, "ReadCredential": 404, "DeleteCredential": 404,
    },
    # The files are in a directory of the container: there is no bucket here.
    "FilesFunction": {
        "ListFiles": 200, "UploadFile": 201, "ReadFile": 404, "ReadFileContent": 404, "DeleteFile": 404,
        "ListArtifacts": 409, "ReadArtifact": 409, "ReadPatch": 409,
        "ReadDownload": 404,
    },
    "WebhookFunction": {"ListDeliveries": 200, "Redeliver": 409},
    "AdminFunction": {
        "Dashboard": 200, "DashboardStatic": 200, "DashboardSession": 200, "Login": 200, "Logout": 200, "Stats": 200,
        "Overview": 200, "RecoverWebhooks": 200, "McpServers": 200, "TryRoute": 404, "ForgetLearned": 404,
        "EffectiveSettings": 200,
        "AllBatches": 200, "AllSessions": 200,
        "AllJobs": 200, "AnyJob": 200, "AnyJobSteps": 200, "ChangePriority": 200, "RetryJob": 409, "DeleteJob": 409,
        "RedeliverAny": 200, "MakeDownload": 404, "AnyJobText": 200, "ChangeJobs": 200, "DecideAny": 404,
        "CancelAnyJob": 200, "RetryFailed": 200, "PurgeFinished": 200, "PauseQueue": 200, "ResumeQueue": 200,
        "ClearCache": 200, "Callers": 200, "RevokeCaller": 404,
        "CreateCaller": 200, "RotateKey": 404, "ReadPolicy": 404, "PutPolicy": 404, "ResumeHost": 404,
        "GrantCredential": 404, "AllCredentials": 200, "AllSchedules": 200, "AnySchedule": 404,
        "PauseAnySchedule": 404, "ResumeAnySchedule": 404, "DeleteAnySchedule": 404, "AllUsage": 200, "AuditList": 200,
    },
}  # fmt: skip


@dataclass
class Running:
    """A function in its container."""

    api: RuntimeApi
    container: Container

    def answer(self, name, job):
        answer = self.api.invoke(event(name, job))
        body = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"]
        return answer["statusCode"], body


@pytest.fixture(scope="module")
def start(build, server):
    """Start functions in Lambda's image, with the artifacts as their code."""
    with contextlib.ExitStack() as stack:

        def start(function, **variables):
            api = stack.enter_context(RuntimeApi())
            container = Container(
                LAMBDA_IMAGE,
                options=(
                    *("--entrypoint", "/var/runtime/bootstrap", "--read-only", "--tmpfs", "/tmp"),
                    *("--volume", f"{build / function}:/var/task:ro"),
                ),
                AWS_LAMBDA_RUNTIME_API=api.address,
                AWS_LAMBDA_FUNCTION_NAME=function,
                AWS_LAMBDA_FUNCTION_VERSION="1",
                AWS_LAMBDA_FUNCTION_MEMORY_SIZE="512",
                AWS_LAMBDA_LOG_FORMAT="JSON",
                AWS_REGION="eu-west-1",
                LAMBDA_TASK_ROOT="/var/task",
                _HANDLER=read_handlers(TEMPLATE)[function],
                POWERTOOLS_SERVICE_NAME="gateway",
                **{**VARIABLES, "REDIS_URL": server.url, **variables},
            )
            return Running(api, stack.enter_context(container))

        yield start


@pytest.fixture(scope="module")
def functions(start):
    """All of them, started side by side."""
    return {function: start(function) for function in ANSWERS}


@pytest.fixture(scope="module")
def job(functions):
    """A job that waits."""
    status, body = functions["SubmitFunction"].answer("SubmitQuery", "")
    assert status == 202
    return json.loads(body)["jobId"]


@pytest.mark.parametrize("function", ANSWERS)
def test_a_function_answers_every_one_of_its_routes(functions, job, function):
    answers = {name: functions[function].answer(name, job) for name in ANSWERS[function]}
    assert {name: status for name, (status, _) in answers.items()} == ANSWERS[function], answers
    lines = [json.loads(line) for line in functions[function].container.log().splitlines() if '"request"' in line]
    assert lines
    assert {line["xray_trace_id"] for line in lines} == {"1-6921c1f0-0123456789abcdef01234567"}


def test_a_job_is_cancelled_by_the_submit_function(functions):
    _, body = functions["SubmitFunction"].answer("SubmitQuery", "")
    assert functions["SubmitFunction"].answer("CancelJob", json.loads(body)["jobId"])[0] == 200


def test_every_route_of_the_template_has_an_answer_here():
    handled = {name for names in ANSWERS.values() for name in names} | {"CancelJob", "Tick"}
    assert {path.stem for path in Path(ROOT / "tests/events").glob("*.json")} == handled


def test_the_schedule_publishes_the_scaling_metric(functions, job):
    published = functions["StatusFunction"].api.invoke(event("Tick"))
    assert set(published) == {"Waiting", "Active", "Delayed", "Slots", "OldestSeconds", "Demand"}
    lines = [json.loads(line) for line in functions["StatusFunction"].container.log().splitlines() if '"_aws"' in line]
    [metrics] = [line for line in lines if "Demand" in line]
    assert metrics["service"] == "gateway"
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]


def test_the_first_invocation_after_a_frozen_start_reconnects(start, server):
    with redis.Redis(port=server.port, decode_responses=True) as client:
        function = start("StatusFunction", AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
        assert function.api.snapshot.wait(60)
        assert function.api.failure is None
        before = connections(client)
        docker("pause", function.container.id)
        docker("unpause", function.container.id)
        function.api.restore()
        assert function.answer("Health", "")[0] == 200
        # The snapshot has no connection: the first are opened now, a shared one and one of the pool.
        assert before < connections(client) <= before + 2


def test_an_invocation_after_the_store_closed_the_connection_succeeds(start, server):
    with redis.Redis(port=server.port, decode_responses=True) as client:
        function = start("StatusFunction")
        assert function.answer("Health", "")[0] == 200
        docker("pause", function.container.id)
        client.client_kill_filter(_type="normal", skipme=True)
        docker("unpause", function.container.id)
        status, body = function.answer("Health", "")
        assert (status, json.loads(body)["redis"]) == (200, "ok")


def connections(client):
    return client.info("stats")["total_connections_received"]
