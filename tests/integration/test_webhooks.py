"""Webhooks as a caller receives them, signed with the caller's secret, through the whole gateway."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.commands import run_command
from tests.support.receiver import Receiver
from tests.support.scripted_replies import Hang

pytestmark = pytest.mark.once
COMMAND = str(Path(sys.executable).parent / "claude-gateway")


@pytest.fixture(scope="module")
def variables():
    return {"AUTH_ENABLED": "true", "DEDUP_ENABLED": "true", "WEBHOOK_RETRY_SCHEDULE": "1 1 1", "CLAUDE_WARM": "false"}


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as receiver:
        yield receiver


def command(gateway, *arguments):
    data = [] if arguments[1] in {"list", "redeliver"} and arguments[0] == "webhooks" else ["--data", str(gateway.data)]
    return run_command(*arguments, *data, folder=gateway.data.parent, environment={"PATH": "/usr/bin:/bin"})


@contextmanager
def caller(gateway, name):
    """Create a caller, and return a client with its key."""
    made = json.loads(command(gateway, "keys", "create", name, "--json").stdout)
    headers = {"Authorization": f"Bearer {made['key']}"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client, made


@pytest.fixture(scope="module")
def one(gateway):
    """A client of one caller, and the key and secret of the caller."""
    with caller(gateway, "one") as one:
        yield one


def received(gateway, receiver, job_id, count=1):
    def hooks():
        return [hook for hook in receiver.hooks if hook.event["data"]["jobId"] == job_id]

    return gateway.until(hooks, lambda found: len(found) >= count)


def deliveries(gateway, client, job_id, count):
    def look():
        return client.get(f"/api/query/{job_id}/deliveries").json()["deliveries"]

    return gateway.until(look, lambda found: len(found) >= count)


def test_a_delivery_is_signed_with_the_secret_of_its_caller(gateway, receiver, one):
    client, made = one
    with caller(gateway, "two") as (other, others):
        body = {"query": "tell me", "webhookUrl": f"{receiver.url}/hook", "metadata": {"a": "b"}}
        job = client.post("/api/query", json=body).json()
        [hook] = received(gateway, receiver, job["jobId"])
        event = Webhook(made["webhookSecret"]).verify(hook.body, hook.headers)
        assert event["type"] == "query.completed"
        assert event["data"] == client.get(f"/api/query/{job['jobId']}").json()
        with pytest.raises(WebhookVerificationError):
            Webhook(others["webhookSecret"]).verify(hook.body, hook.headers)
        [delivery] = deliveries(gateway, client, job["jobId"], 1)
        assert delivery | {"durationMs": 0, "at": ""} == {
            "id": hook.id, "requestId": job["requestId"], "event": "query.completed", "url": body["webhookUrl"],
            "attempt": 1, "statusCode": 204, "error": None, "durationMs": 0, "at": "", "nextAttemptAt": None,
        }  # fmt: skip
        for answer in (
            other.get(f"/api/query/{job['jobId']}/deliveries"),
            other.post(f"/api/query/{job['jobId']}/redeliver"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert client.post(f"/api/query/{job['jobId']}/redeliver").status_code == 202
        assert received(gateway, receiver, job["jobId"], 2)[1].id == hook.id


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1/", "http://a:b@127.0.0.1/", "http://127.0.0.1\n.example/", "http://10.0.0.1/",
     "http://169.254.169.254/latest/meta-data", "http://2852039166/", "http://[::ffff:10.0.0.1]/", "x"],
)  # fmt: skip
def test_a_private_url_is_refused_and_makes_no_job(gateway, one, url):
    answer = one[0].post("/api/query", json={"query": "to the inside", "webhookUrl": url})
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_url_refused")
    assert answer.json()["errors"][0]["pointer"] == "/webhookUrl"
    assert "jobId" not in answer.json()


def test_a_host_that_does_not_resolve_yet_is_accepted(gateway, one):
    client, _ = one
    answer = client.post("/api/query", json={"query": "q", "webhookUrl": "http://not-yet.invalid/"})
    assert answer.status_code == 202
    first = deliveries(gateway, client, answer.json()["jobId"], 1)[0]
    assert (first["statusCode"], first["error"]) == (None, "its name does not resolve")
    assert client.get(f"/api/query/{answer.json()['jobId']}").json()["state"] == "completed"


@pytest.mark.slow
@pytest.mark.long
def test_both_secrets_of_a_rotation_sign(gateway, receiver):
    with caller(gateway, "rotates") as (client, made):
        new = command(gateway, "webhooks", "rotate", made["id"]).stdout.strip()
        body = {"query": "rotated", "webhookUrl": receiver.url}
        [hook] = received(gateway, receiver, client.post("/api/query", json=body).json()["jobId"])
        for secret in (new, made["webhookSecret"]):
            Webhook(secret).verify(hook.body, hook.headers)
    assert command(gateway, "webhooks", "rotate", "nobody").returncode == 1


def test_webhooks_are_delivered_after_the_key_is_revoked(gateway, receiver, script):
    revoked = threading.Event()
    script(lambda body: Hang(revoked))
    with caller(gateway, "leaves") as (client, made):
        job = client.post("/api/query", json={"query": "promised", "webhookUrl": receiver.url}).json()["jobId"]
        assert command(gateway, "keys", "revoke", made["id"]).returncode == 0
        revoked.set()
        [hook] = received(gateway, receiver, job)
        Webhook(made["webhookSecret"]).verify(hook.body, hook.headers)


def test_the_command_line_lists_and_redelivers(gateway, receiver):
    with caller(gateway, "types") as (client, made):
        job = client.post("/api/query", json={"query": "typed", "webhookUrl": receiver.url}).json()["jobId"]
        received(gateway, receiver, job)
        deliveries(gateway, client, job, 1)
        options = ["--url", gateway.url, "--api-key", made["key"]]
        again = command(gateway, "webhooks", "redeliver", job, *options)
        assert (again.returncode, "Redelivered: 1" in again.stdout) == (0, True)
        received(gateway, receiver, job, 2)
        deliveries(gateway, client, job, 2)
        listed = command(gateway, "webhooks", "list", job, *options)
        assert listed.stdout.count(" 204 ") == 2
        shown = json.loads(command(gateway, "webhooks", "list", job, "--json", *options).stdout)
        assert [one["attempt"] for one in shown["deliveries"]] == [1, 2]
        missing = command(gateway, "webhooks", "list", "nothing", *options)
        assert (missing.returncode, "Job not found" in missing.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.long
def test_listen_receives_verifies_and_prints(gateway):
    with caller(gateway, "listens") as (client, made):
        receiver = subprocess.Popen(
            [COMMAND, "webhooks", "listen", "--secret", made["webhookSecret"]],
            cwd=gateway.data.parent, env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            assert receiver.stdout is not None
            url = receiver.stdout.readline().split()[1]
            forged = httpx.post(url, json={"type": "query.completed"}, headers={"webhook-id": "msg_forged"})
            assert forged.status_code == 401
            job = client.post("/api/query", json={"query": "listened", "webhookUrl": f"{url}/mine"}).json()
            printed = ""
            while "finishedAt" not in printed:
                printed += receiver.stdout.readline()
            assert "NOT VERIFIED msg_forged" in printed
            assert f"\nverified msg_{job['requestId']} /mine" in printed
        finally:
            receiver.terminate()
            receiver.communicate(timeout=10)


def test_no_secret_and_no_query_is_in_the_log(gateway):
    log = "".join(gateway.log)
    assert "delivery_attempted" in log
    assert "whsec_" not in log
    assert "tell me" not in log
