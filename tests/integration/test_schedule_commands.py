"""`claude-gateway schedules` against a running gateway, whose worker makes the jobs of due times."""

import json
import os
import time
from datetime import UTC, datetime

import pytest
import redis
import yaml

from tests.support.commands import run_command
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]
FILE = {
    "schedules": [
        {"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "query": {"query": "report"}},
        {"name": "weekly", "cron": "@weekly", "query": {"query": "tidy", "priority": "low"}, "catchUp": "last"},
    ]
}


@pytest.fixture(scope="module")
def variables(server):
    return {"REDIS_URL": server.url}


@pytest.fixture
def command(gateway, tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLAUDE_GATEWAY_URL": gateway.url}

    def run(*arguments):
        done = run_command("schedules", *arguments, folder=tmp_path, environment=environment)
        return done.returncode, done.stdout, done.stderr

    yield run
    for one in gateway.client.get("/api/schedules?limit=100").json()["schedules"]:
        gateway.client.delete(f"/api/schedules/{one['scheduleId']}")


def names(gateway):
    return sorted(one["name"] for one in gateway.client.get("/api/schedules").json()["schedules"])


def test_a_file_is_applied_after_its_plan_and_once(command, gateway, tmp_path):
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(FILE))
    status, plan, problem = command("apply", "all.yaml")
    assert (status, plan) == (1, "+ create nightly\n+ create weekly\n")
    assert "nothing is changed" in problem
    assert names(gateway) == []
    assert command("apply", "all.yaml", "--yes")[:2] == (0, f"{plan}2 made\n")
    assert names(gateway) == ["nightly", "weekly"]
    assert command("apply", "all.yaml")[:2] == (0, "nothing to change\n")
    exported = command("export")[1]
    (tmp_path / "exported.yaml").write_text(exported)
    assert command("apply", "exported.yaml")[:2] == (0, "nothing to change\n")
    less = {"schedules": [{**FILE["schedules"][0], "cron": "0 3 * * *"}]}
    (tmp_path / "less.yaml").write_text(yaml.safe_dump(less))
    assert command("apply", "less.yaml", "--yes")[1] == "~ change nightly: cron\n1 made\n"
    assert command("apply", "less.yaml", "--yes", "--prune")[1] == "- delete weekly\n1 made\n"
    assert names(gateway) == ["nightly"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"schedules": [{**FILE["schedules"][0], "cron": "x"}]}, "schedules.0.cron"),
        ({"schedules": [FILE["schedules"][0]] * 2}, "nightly"),
        ({"schedule": []}, "schedule"),
        (None, "file"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(command, gateway, tmp_path, content, problem):
    (tmp_path / "all.yaml").write_text(json.dumps(content))
    status, printed, message = command("apply", "all.yaml", "--yes")
    assert (status, printed) == (2, "")
    assert problem in message
    assert "Traceback" not in message
    assert names(gateway) == []


def test_a_schedule_is_created_paused_resumed_run_and_deleted(command, gateway):
    status, made, _ = command("create", "mine", "Say hello", "--cron", "@yearly")
    assert status == 0
    schedule = made.split()[0]
    assert "paused (requested)" in command("pause", schedule)[1]
    assert "next run: 2" in command("resume", schedule)[1]
    assert command("run", schedule)[1].startswith("job ")
    until(lambda: "completed" in command("get", schedule)[1])
    assert "mine" in command("list")[1]
    assert command("delete", schedule)[0] == 0
    assert command("get", schedule)[0] == 2
    assert command("create", "mine", "x", "--cron", "* *")[0] == 2


def test_the_worker_makes_the_job_of_a_due_time_within_two_seconds(gateway, server):
    """Catches a scheduler that does not look, or looks too seldom."""
    body = {"name": "each minute", "cron": "* * * * *", "query": {"query": "now"}}
    schedule = gateway.client.post("/api/schedules", json=body).json()["scheduleId"]
    # Due at once, as if it had waited for this moment.
    with redis.Redis(port=server.port) as store:
        due = int(time.time() * 1000)
        store.hset(f"cg:schedule:{schedule}", "next", due)
        store.zadd("cg:schedules:due", {schedule: due})
    run = until(lambda: gateway.client.get(f"/api/schedules/{schedule}").json()["runs"])[0]
    late = datetime.fromisoformat(run["at"]) - datetime.fromtimestamp(due / 1000, UTC)
    assert late.total_seconds() < 10
    until(lambda: gateway.client.get(f"/api/schedules/{schedule}").json()["runs"][0]["state"] == "completed")
    gateway.client.delete(f"/api/schedules/{schedule}")
