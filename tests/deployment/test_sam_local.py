"""`sam local` as a developer uses it: each recorded event, and the whole API with a worker."""

import json
import re
import signal
import subprocess
import time

import httpx
import pytest

from local.lambda_emulator.app import TEMPLATE
from local.lambda_emulator.routes import read_routes
from tests.support.client import GatewayClient
from tests.support.docker import Container, docker
from tests.support.ports import free_port
from tests.support.sam import EVENTS, LOCAL, SAM, environment, event, run_sam
from tests.support.scripted_model import ScriptedModel

FUNCTIONS = {route.key: route.function for route in read_routes(TEMPLATE)}
# Responses without the job of the events.
MISSING = {
    "CancelJob", "SendMessage", "ReadJob", "FollowJob", "ListSteps", "AnyJobSteps", "AnyJobText",
    "ListDeliveries", "Redeliver", "AnyJob", "DeleteJob", "RetryJob",
    "CancelAnyJob", "ChangePriority", "RedeliverAny", "RevokeCaller", "ResumeHost", "RouteQuery", "Everything",
    "RotateKey", "TryRoute", "ForgetLearned", "ReadPolicy", "PutPolicy", "GrantCredential",
    "ReadResponse", "CancelResponse", "ReadBatch", "ReadBatchResults", "CancelBatch", "ReadMessageBatch",
    "ReadMessageResults", "CancelMessageBatch", "PutCredential", "ReadCredential", "DeleteCredential",
    "ReadModel", "ReadSchedule", "ChangeSchedule", "DeleteSchedule", "PauseSchedule", "ResumeSchedule", "RunSchedule",
    "AnySchedule", "PauseAnySchedule", "ResumeAnySchedule", "DeleteAnySchedule",
    "ReadFile", "ReadFileContent", "DeleteFile",
    "ListArtifacts", "ReadArtifact", "ReadPatch", "ReadDownload", "MakeDownload",
    "Decide", "DecideAny", "ShowDecision", "DecideByUrl",
}  # fmt: skip
ACCEPTED = {"SubmitQuery", "SubmitBatch"}
REFUSED = {"DeleteMessageBatch", "DeleteResponse", "CreateMessage", "CountTokens", "CreateChatCompletion"}


@pytest.fixture(scope="module")
def variables(server, checkout):
    """The project's file of variables, for the Redis of this test."""
    path = checkout / "local/sam-variables.json"
    given = json.loads(path.read_text(encoding="utf-8"))
    given["Parameters"]["REDIS_URL"] = f"redis://host.docker.internal:{server.port}/0"
    path.write_text(json.dumps(given), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "status"), [("SubmitQuery", 202), ("ListJobs", 200), ("ListDeliveries", 404), ("Stats", 200)]
)
def test_each_function_is_invoked_with_a_recorded_event(build, variables, checkout, name, status):
    function = FUNCTIONS[event(name)["routeKey"]]
    # SAM builds its own image on top of the given one when it is missing or of another version.
    options = (*LOCAL, "--force-image-build") if name == "SubmitQuery" else LOCAL
    done = run_sam("local", "invoke", function, "-e", str(EVENTS / f"{name}.json"), *options, cwd=checkout)
    answer = next(line for line in reversed(done.stdout.splitlines()) if line.startswith('{"statusCode"'))
    assert json.loads(answer)["statusCode"] == status


def test_every_recorded_event_is_answered(build, variables, checkout, tmp_path):
    names = sorted(path.stem for path in EVENTS.glob("*.json") if path.stem != "Tick")
    assert {event(name)["routeKey"] for name in names} == set(FUNCTIONS)
    with Sam("start-lambda", checkout, tmp_path / "log") as lambdas:

        def invoke(name):
            path = f"/2015-03-31/functions/{FUNCTIONS[event(name)['routeKey']]}/invocations"
            answer = lambdas.client.post(path, json=event(name))
            assert answer.content, f"{name}: {answer.status_code}"
            return answer.json()["statusCode"]

        statuses = {name: invoke(name) for name in names}
    special = {
        "UploadFile": 201,
        "CreateSchedule": 201,
        **dict.fromkeys(MISSING, 404),
        **dict.fromkeys(ACCEPTED, 202),
        **dict.fromkeys(REFUSED, 400),
    }
    assert statuses == {name: special.get(name, 200) for name in names}


def test_a_job_runs_through_sam_local_and_a_worker_container(build, variables, server, image, checkout, tmp_path):
    places = ("--read-only", "--tmpfs", "/work:uid=10001,mode=700,exec", "--tmpfs", "/spool:uid=10001,mode=700")
    with ScriptedModel(echo=True) as model, Sam("start-api", checkout, tmp_path / "log") as gateway:
        worker = Container(
            image, "worker", options=(*places, "--cap-drop", "ALL"),
            REDIS_URL=server.url, ANTHROPIC_BASE_URL=model.url, ANTHROPIC_API_KEY="k", QUEUE_CONCURRENCY="1",
        )  # fmt: skip
        with worker:
            job = gateway.submit("What is 6 * 8?")
            answer = gateway.client.get(f"/api/query/{job}", params={"wait": 20}).json()
            assert answer["state"] == "completed", answer
            assert answer["result"]["response"] == "What is 6 * 8?"
            again = gateway.client.post("/api/query", json={"query": "What is 6 * 8?"})
            assert (again.status_code, again.json()["status"]) == (200, "cached")
            assert gateway.client.get("/health").json()["slots"] == 1


class Sam(GatewayClient):
    """`sam local start-api` or `start-lambda`; runs within a `with` block."""

    def __init__(self, command, checkout, log):
        port = free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=40)
        self.path, self.log, self.checkout = log, [], checkout
        self.command = [str(SAM), "local", command, "--port", str(port), "--warm-containers", "EAGER", *LOCAL]

    def __enter__(self):
        self.output = self.path.open("w", encoding="utf-8")
        # Tests in the background ignore SIGINT, and their children would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            self.command, cwd=self.checkout, env=environment(), stdout=self.output, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + 90
        while not self.answers():
            assert self.process.poll() is None, self.path.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, self.path.read_text(encoding="utf-8")
            time.sleep(0.2)
        return self

    def answers(self):
        try:
            return self.client.get("/").status_code > 0
        except httpx.TransportError:
            return False

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)  # as Ctrl-C, which makes it remove its containers
        self.process.wait(60)
        self.output.close()
        self.client.close()
        # It forgets some containers that it started concurrently.
        started = re.findall(r"^SAM_CONTAINER_ID: (\w+)", self.path.read_text(encoding="utf-8"), re.MULTILINE)
        docker("rm", "--force", "--volumes", *started)
