"""The record of each attempt of a job: codes for its caller, and Claude's responses for operators."""

import json

import pytest

from tests.support.scripted_model import Error, Text
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]
ADMIN = ("admin", "a long password")


@pytest.fixture(scope="module")
def variables():
    return {"ADMIN_ENABLED": "true", "ADMIN_PASSWORD": ADMIN[1], "LOG_FORMAT": "json", "CLAUDE_MAX_RETRIES": "2"}


def test_the_status_lists_each_attempt_with_its_code_and_model(gateway, model):
    model.script(Error(529, "overloaded_error", "very busy with secret things", after_chunks=1), Text("4"))
    job = gateway.ask("two attempts")
    first, second = job["attemptsDetail"]
    assert first["code"] == "overloaded"
    assert (second["code"], second["model"]) == (None, job["result"]["model"])
    assert job["createdAt"] <= first["startedAt"] <= first["endedAt"] <= second["startedAt"] <= second["endedAt"]
    [listed] = [one for one in gateway.client.get("/api/query").json()["jobs"] if one["jobId"] == job["jobId"]]
    assert listed["attemptsDetail"] == job["attemptsDetail"]


def test_operators_see_the_answers_of_claude_and_the_log_does_not(gateway, script):
    script(lambda _: Error(400, "invalid_request_error", "a very particular reason", {"request-id": "req_7"}))
    job = gateway.ask("one refusal")
    assert job["error"]["code"] == "invalid_request"
    assert "particular" not in json.dumps(job)
    [attempt] = gateway.client.get(f"/admin/api/jobs/{job['jobId']}", auth=ADMIN).json()["attempts"]
    # After some kinds of 400 the CLI asks once more.
    request = attempt["requests"][0]
    assert (request["status"], request["type"], request["requestId"]) == (400, "invalid_request_error", "req_7")
    assert "a very particular reason" in request["message"]
    lines = until(lambda: [one for one in list(gateway.log) if "claude_request_failed" in one and job["jobId"] in one])
    assert json.loads(lines[-1])["status"] == 400
    assert "particular" not in "".join(gateway.log)


def test_a_retry_by_an_operator_clears_earlier_attempts(gateway, script):
    script(lambda _: Error(400, "invalid_request_error"))
    job = gateway.ask("run again")
    script(lambda _: Text("done"))
    gateway.client.post(f"/admin/api/jobs/{job['jobId']}/retry", auth=ADMIN)
    again = gateway.until(lambda: gateway.job(job["jobId"]), lambda seen: seen["state"] == "completed")
    assert [one["code"] for one in again["attemptsDetail"]] == [None]


def test_a_detailed_status_of_a_job_never_run_has_no_attempts(gateway):
    gateway.client.post("/admin/api/queue/pause", auth=ADMIN)
    job = gateway.submit("never run")
    assert gateway.job(job)["attemptsDetail"] == []
    assert gateway.client.get(f"/admin/api/jobs/{job}", auth=ADMIN).json()["attempts"] == []
    gateway.client.delete(f"/api/query/{job}")
    gateway.client.post("/admin/api/queue/resume", auth=ADMIN)
