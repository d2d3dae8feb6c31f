"""Callers and their keys: what belongs to one does not exist for another."""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.once
COMMAND = str(Path(sys.executable).parent / "claude-gateway")


@pytest.fixture(scope="module")
def variables():
    return {"AUTH_ENABLED": "true", "DEDUP_ENABLED": "true", "RATE_LIMIT": "40/hour"}


def keys(gateway, *arguments):
    done = subprocess.run(
        [COMMAND, "keys", *arguments, "--data", str(gateway.data)],
        cwd=gateway.data.parent, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def caller(gateway):
    """Make a caller, and give a client that calls with its key."""
    clients = []

    def caller(name, header="Authorization"):
        made = json.loads(keys(gateway, "create", name, "--json").stdout)
        value = f"Bearer {made['key']}" if header == "Authorization" else made["key"]
        client = httpx.Client(base_url=gateway.url, headers={header: value}, trust_env=False, timeout=30)
        clients.append(client)
        return client, made

    yield caller
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/query"), ("GET", "/api/query"), ("GET", "/api/query/x"), ("DELETE", "/api/query/x")],
)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer cgk_wrong"}, {"X-API-Key": "x"}, {"Authorization": "Basic eA=="}]
)
def test_without_a_key_that_is_one_everything_is_unauthorized(gateway, method, path, headers):
    answer = gateway.client.request(method, path, headers=headers, json={"query": "x"} if method == "POST" else None)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_conversation_of_another_caller_does_not_exist(gateway, caller):
    (mine, _), (theirs, _) = caller("Ada"), caller("Bob")
    kept = mine.post("/api/query", json={"query": "remember", "session": True}).json()["jobId"]
    session = mine.get(f"/api/query/{kept}", params={"wait": 20}).json()["result"]["sessionId"]
    for fields in ({"sessionId": session}, {"sessionId": session, "fork": True}):
        job = theirs.post("/api/query", json={"query": "what was it?", **fields}).json()["jobId"]
        ended = theirs.get(f"/api/query/{job}", params={"wait": 20}).json()
        assert (ended["state"], ended["error"]["code"]) == ("failed", "session_not_found")


def test_with_no_key_made_yet_it_says_how_to_make_one(gateway):
    assert any("no_caller_has_a_key" in line and "keys create" in line for line in gateway.log)


def test_health_and_documents_need_no_key(gateway):
    for path in ("/health", "/health/live", "/docs", "/openapi.json"):
        assert gateway.client.get(path).status_code == 200


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_opens_by_either_header(caller, header):
    client, made = caller("one", header)
    assert set(made) == {"id", "name", "key", "webhookSecret"}
    assert made["key"].startswith("cgk_")
    assert made["webhookSecret"].startswith("whsec_")
    assert client.post("/api/query", json={"query": "x"}).status_code == 202


def test_another_callers_things_do_not_exist(caller):
    (mine, _), (theirs, _) = caller("mine"), caller("theirs")
    unknown = theirs.get("/api/query/019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22").json()
    body, header = {"query": "between us"}, {"Idempotency-Key": "shared", "Prefer": "wait=25"}
    job = mine.post("/api/query", json=body, headers=header).json()
    assert job["state"] == "completed"

    for method in ("GET", "DELETE"):
        answer = theirs.request(method, f"/api/query/{job['jobId']}")
        assert answer.status_code == 404
        assert {**answer.json(), "instance": ""} == {**unknown, "instance": ""}
    assert theirs.get("/api/query").json() == {"jobs": [], "nextCursor": None}
    # Neither the cache nor the key of one answers the other.
    answer = theirs.post("/api/query", json=body, headers={"Idempotency-Key": "shared"})
    assert answer.json()["status"] == "queued"
    assert "idempotent-replayed" not in answer.headers
    assert mine.post("/api/query", json=body).json()["status"] == "cached"


def test_a_key_is_listed_without_its_secrets_and_is_worthless_once_revoked(gateway, caller):
    client, made = caller("to be revoked")
    assert client.get("/api/query").status_code == 200
    listed = keys(gateway, "list", "--json").stdout
    assert {"id": made["id"], "name": "to be revoked"}.items() <= next(
        key for key in json.loads(listed) if key["id"] == made["id"]
    ).items()
    assert made["key"] not in listed
    assert made["webhookSecret"] not in listed

    assert keys(gateway, "revoke", made["id"]).returncode == 0
    revoked = time.monotonic()
    gateway.until(lambda: client.get("/api/query").status_code, lambda status: status == 401, timeout=12)
    assert time.monotonic() - revoked < 9
    assert keys(gateway, "revoke", made["id"]).returncode == 1


def test_a_caller_has_a_rate_of_its_own_and_is_told_of_it(caller):
    (busy, _), (quiet, _) = caller("busy"), caller("quiet")
    answers = [busy.post("/api/query", json={"query": "x"}) for _ in range(41)]
    assert {answer.status_code for answer in answers[:40]} <= {200, 202}
    assert answers[0].headers["ratelimit-policy"] == '"caller";q=40;w=3600'
    assert answers[0].headers["ratelimit"].startswith('"caller";r=39;t=')
    refused = answers[40]
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 90
    assert quiet.post("/api/query", json={"query": "x"}).status_code == 202
