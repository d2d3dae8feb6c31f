"""Policies and keys of callers: what they refuse, how they change, and how a key is replaced."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from functions.worker.cli.plan import plan_for
from functions.worker.relay.credential import Credential
from functions.worker.relay.plan import policy_for
from local import policy_file
from shared.api.ids import new_id
from shared.api.policies import Policy
from shared.configuration.settings import WorkerSettings
from shared.http import callers as http_callers
from shared.store import keys
from shared.store.callers import api_keys, callers, policies
from shared.store.callers.spending import Spend
from shared.store.jobs import claims, submissions
from shared.store.redis.client import async_client
from tests.support.commands import run_command
from tests.support.slot import RESULT, pop, run, take
from tests.support.waiting import until_async

PASSWORD = "a password for tests"
ADMIN = {"ADMIN_ENABLED": "true", "ADMIN_PASSWORD": PASSWORD}
HOSTS = "api.example.com,*.tools.example"
LIMITS = {"AUTH_ENABLED": "true", "CLAUDE_TOOLS": "Read,Grep", "RUN_ALLOWED_HOSTS": HOSTS, "CACHE_TTL": "0", **ADMIN}


@pytest.fixture
async def caller(connect, server):
    """Return a function that sends requests as a caller of a policy."""
    client = await connect(**LIMITS)

    async def caller(name="limited", **policy):
        new = await callers.create(async_client(server.url), name, policy=Policy.model_validate(policy))

        async def post(path: str = "/api/query", **body: Any) -> Any:
            return await client.post(path, json={"query": "x", **body}, headers={"X-API-Key": new.key})

        return post

    return caller


@pytest.fixture
async def made(admin, server):
    return await callers.create(async_client(server.url), "made")


@pytest.fixture
async def admin(connect, server):
    client = await connect(**LIMITS)
    client.auth = ("admin", PASSWORD)
    return client


@pytest.mark.parametrize(
    ("policy", "body", "pointer", "limit"),
    [
        ({"models": ["sonnet"]}, {"model": "opus"}, "/model", "models"),
        ({"models": ["sonnet"]}, {"fallbackModels": ["sonnet", "opus"]}, "/fallbackModels/1", "models"),
        ({"tools": ["Read"]}, {"tools": ["Read", "Grep"]}, "/tools", "tools"),
        ({"tools": []}, {"tools": ["Read"]}, "/tools", "tools"),
        ({"agents": ["writer"]}, {"agents": ["reviewer"]}, "/agents", "agents"),
        ({"skills": ["drawing"]}, {"skills": ["reviewing"]}, "/skills", "skills"),
        ({"mcpServers": ["time"]}, {"mcpServers": ["tickets"]}, "/mcpServers", "mcpServers"),
        (
            {"allowedHosts": ["a.tools.example"]},
            {"network": {"allowedHosts": ["a.tools.example", "b.tools.example"]}},
            "/network/allowedHosts/1",
            "allowedHosts",
        ),
        (
            {"allowedHosts": []},
            {"network": {"allowedHosts": ["api.example.com"]}},
            "/network/allowedHosts/0",
            "allowedHosts",
        ),
        (
            {"allowedHosts": ["a.tools.example"]},
            {"network": {"allowedHosts": ["*.tools.example"]}},
            "/network/allowedHosts/0",
            "allowedHosts",
        ),
        ({"maxPriority": "low"}, {"priority": "normal"}, "/priority", "maxPriority = low"),
        ({"maxBudgetUsd": 0.5}, {"maxBudgetUsd": 0.6}, "/maxBudgetUsd", "maxBudgetUsd = 0.5"),
    ],
)
async def test_a_policy_refuses_by_name(caller, policy, body, pointer, limit):
    post = await caller(**policy)
    answer = await post(**body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (403, "forbidden")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert limit in problem["detail"]
    in_batch = (await post("/api/batches", queries=[{"query": "y"}, {"query": "y", **body}])).json()
    assert in_batch["code"] in {"forbidden", "invalid_request"}


@pytest.mark.parametrize(
    ("policy", "code", "limit"),
    [
        ({"rateLimit": "1/hour"}, "rate_limited", "rateLimit of the caller's policy"),
        ({"maxWaiting": 1}, "caller_queue_full", "maxWaiting of the caller's policy = 1"),
        ({"maxBytes": 30}, "caller_storage_full", "maxBytes of the caller's policy = 30"),
    ],
)
async def test_a_policy_limits_how_much(caller, policy, code, limit):
    post = await caller(**policy)
    assert (await post()).status_code == 202
    answer = await post()
    assert (answer.status_code, answer.json()["code"]) == (429, code)
    assert limit in answer.json()["detail"]


async def test_the_daily_budget_of_a_policy_holds_at_submit_and_claim(caller, server):
    post = await caller(dailyBudgetUsd=0.2)
    for _ in range(2):
        assert (await post()).status_code == 202

    claim = await take(server.url)
    spend = [Spend("m", 0.25, input=1)]
    finish = claims.finish(claim, "completed", {"result": RESULT}, keep_for=60, spend=spend)
    await claims.settle(async_client(server.url), finish)
    answer = await post()
    assert answer.json()["code"] == "budget_exhausted"
    assert "dailyBudgetUsd of the caller's policy = 0.2" in answer.json()["detail"]
    with pytest.raises(AssertionError):
        await run(server.url)


async def test_a_raised_budget_lets_delayed_jobs_run(admin, server, store):
    """Catches jobs that stay delayed until the next day, although an operator has raised the budget."""
    made = await callers.create(async_client(server.url), "n", policy=Policy.model_validate({"dailyBudgetUsd": 0.2}))
    headers, path = {"X-API-Key": made.key}, f"/admin/api/callers/{made.id}/policy"
    for number in range(2):
        await admin.post("/api/query", json={"query": f"{number}"}, headers=headers, auth=None)
    first = await take(server.url)
    finish = claims.finish(first, "completed", {"result": RESULT}, keep_for=60, spend=[Spend("m", 0.25, input=1)])
    await claims.settle(async_client(server.url), finish)
    with pytest.raises(AssertionError):
        await take(server.url)
    assert pop(server.url) is None
    await admin.put(path, json={"dailyBudgetUsd": 0.22})
    with pytest.raises(AssertionError):
        await take(server.url)
    assert pop(server.url) is None
    await admin.put(path, json={"dailyBudgetUsd": 1, "weight": 2})
    assert await run(server.url)


@pytest.mark.parametrize("rate", ["999999999/second", "1000001/second", "999999999/day"])
async def test_a_rate_above_what_the_clock_divides_refuses_nothing(caller, rate):
    post = await caller(rateLimit=rate)
    assert [(await post()).status_code for _ in range(3)] == [202] * 3


async def test_a_new_rate_is_not_bound_by_the_window_of_the_earlier(admin, server):
    """Catches a caller that waits for a day after its limit of one a day was raised."""
    made = await callers.create(async_client(server.url), "n", policy=Policy.model_validate({"rateLimit": "1/day"}))

    async def status():
        return (
            await admin.post("/api/query", json={"query": "x"}, headers={"X-API-Key": made.key}, auth=None)
        ).status_code

    assert [await status(), await status()] == [202, 429]
    await admin.put(f"/admin/api/callers/{made.id}/policy", json={"rateLimit": "2000/minute"})

    async def accepted():
        return await status() == 202

    await until_async(accepted)


async def test_a_step_between_two_submissions_is_not_rounded(connect, server, store):
    """Catches 3,000 a second that would be any number, and 1,500 that would be 1,000."""
    client = async_client(server.url)
    job = submissions.Submission(new_id(), new_id(), "c", 1, 1000, "{}")
    await submissions.submit(client, job, submissions.UNLIMITED._replace(rate=7, window_ms=3_600_000))
    assert float(store.get("cg:rate:c")) % 1 == pytest.approx(0.7143, abs=0.001)


async def test_an_accepted_job_keeps_what_it_was_accepted_with(admin, server):
    """Holds what the documentation says of a policy that changes while jobs wait."""
    made = await callers.create(async_client(server.url), "n")
    body = {"query": "x", "tools": ["Read"], "model": "opus"}
    await admin.post("/api/query", json=body, headers={"X-API-Key": made.key}, auth=None)
    await admin.put(f"/admin/api/callers/{made.id}/policy", json={"tools": [], "models": ["sonnet"]})
    claim = pop(server.url)
    assert claim is not None
    job = await claims.take(async_client(server.url), claim, "slot")
    assert job is not None
    assert (job.request["tools"], job.request["model"]) == (["Read"], "opus")


async def test_a_policy_completes_what_a_request_leaves_out(caller, store):
    post = await caller(models=["sonnet", "opus"], maxPriority="low", maxBudgetUsd=0.5)
    job = (await post()).json()["jobId"]
    request = json.loads(store.get(keys.job_input(job)))
    assert (request["model"], request["maxBudgetUsd"]) == ("sonnet", 0.5)
    assert store.hget(keys.job(job), "prio") == "2"


async def test_a_policy_holds_for_calls_whose_client_waits(connect, server, store):
    """Catches a call of an official package that is refused for the priority which the gateway gave it."""
    client = await connect(**LIMITS, CLAUDE_MODELS="sonnet,haiku")
    policy = Policy.model_validate({"maxPriority": "low", "models": ["haiku", "opus"]})
    client.headers["X-API-Key"] = (await callers.create(async_client(server.url), "n", policy=policy)).key
    listed = await client.get("/v1/models")
    assert [model["id"] for model in listed.json()["data"]] == ["haiku"]
    assert (await client.get("/v1/models/sonnet")).status_code == 404
    body: dict[str, Any] = {"model": "haiku", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}
    call = asyncio.create_task(client.post("/v1/messages", json=body))
    await until_async(lambda: store.zcard(keys.WAITING))
    [job_id] = store.zrange(keys.WAITING, 0, -1)
    assert store.hget(keys.job(job_id), "prio") == "2"
    call.cancel()
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        refused = await client.post(path, json={**body, "model": "sonnet"})
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error"), path
    urgent = await client.post("/v1/messages", json=body, headers={"X-Priority": "high"})
    assert "maxPriority = low" in urgent.json()["error"]["message"]


async def test_the_default_model_is_one_that_the_deployment_allows(connect, server, store):
    """Catches a request without a model that is refused for the model that its policy gave it."""
    client = await connect(**LIMITS, CLAUDE_MODELS="sonnet,haiku")
    new = await callers.create(
        async_client(server.url), "n", policy=Policy.model_validate({"models": ["opus", "haiku"]})
    )
    answer = await client.post("/api/query", json={"query": "x"}, headers={"X-API-Key": new.key})
    assert answer.status_code == 202, answer.text
    assert json.loads(store.get(keys.job_input(answer.json()["jobId"])))["model"] == "haiku"


@pytest.mark.parametrize(
    ("of_policy", "of_run"),
    [
        (["*.example.com"], ["api.example.com"]),
        (["A.Tools.Example", "evil.example"], ["a.tools.example"]),
        (["*.tools.example", "api.example.com"], ["*.tools.example", "api.example.com"]),
        (["evil.example"], []),
        ([], []),
    ],
)
async def test_runs_reach_the_hosts_that_policy_and_deployment_share(caller, store, of_policy, of_run):
    """Catches a policy that a request evades by leaving `network` out, and one that widens the deployment's hosts."""
    post = await caller(allowedHosts=of_policy)
    job = (await post(tools=["Read"])).json()["jobId"]
    assert json.loads(store.get(keys.job_input(job)))["network"] == {"allowedHosts": of_run}


async def test_a_policy_does_not_allow_hosts_that_the_deployment_refuses(caller):
    post = await caller(allowedHosts=["evil.example"])
    problem = (await post(network={"allowedHosts": ["evil.example"]})).json()
    assert problem["code"] == "forbidden"
    assert "RUN_ALLOWED_HOSTS" in problem["detail"]


async def test_without_hosts_in_the_policy_the_request_is_unchanged(caller, store):
    post = await caller(maxPriority="low")
    job = (await post(tools=["Read"])).json()["jobId"]
    assert "network" not in json.loads(store.get(keys.job_input(job)))


@pytest.mark.parametrize("host", ["https://a.example", "127.0.0.1", "a.example:443", "*", "", "a b"])
async def test_a_policy_with_a_host_that_is_no_name_is_422(admin, made, host):
    answer = await admin.put(f"/admin/api/callers/{made.id}/policy", json={"allowedHosts": [host]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/allowedHosts/0")


async def test_the_models_of_a_policy_limit_the_run(caller, store):
    """Catches a subagent that uses a model outside the caller's policy."""
    post = await caller(models=["sonnet"])
    job = (await post(tools=["Read"])).json()["jobId"]
    plan = plan_for(json.loads(store.get(keys.job_input(job))), WorkerSettings())
    policy = policy_for(plan, WorkerSettings(), {}, 0.0, Credential.of({}))
    assert policy.allowed.has("claude-sonnet-5-5")
    assert not policy.allowed.has("claude-opus-5-5")


async def test_a_key_repeats_its_answer_after_a_policy_change(connect, server):
    client = await connect(**LIMITS)
    new = await callers.create(async_client(server.url), "n")
    headers = {"X-API-Key": new.key, "Idempotency-Key": "k"}
    first = await client.post("/api/query", json={"query": "x"}, headers=headers)
    await policies.put(
        async_client(server.url), new.id, Policy.model_validate({"maxPriority": "low", "maxBudgetUsd": 1})
    )
    again = await client.post("/api/query", json={"query": "x"}, headers=headers)
    assert (again.status_code, again.json()["jobId"]) == (202, first.json()["jobId"])


async def test_a_policy_after_its_end_refuses_the_key(caller):
    post = await caller(expiresAt="2020-01-01T00:00:00Z")
    assert (await post()).status_code == 401


async def test_a_policy_is_read_with_the_key(caller, round_trips):
    post = await caller(weight=2)
    await post()
    http_callers._cache.clear()
    policies._cache.clear()
    round_trips.clear()
    await post()
    assert len(round_trips) == 2
    await post()
    assert len(round_trips) == 3


async def test_an_admin_sets_and_reads_a_policy(admin, made, caplog):
    caplog.set_level(logging.INFO, "admin.audit")
    wanted = {"maxWaiting": 1, "weight": 2.5, "expiresAt": "2030-01-01T00:00:00Z"}
    put = await admin.put(f"/admin/api/callers/{made.id}/policy", json=wanted)
    assert (put.status_code, put.json()) == (200, wanted)
    assert (await admin.get(f"/admin/api/callers/{made.id}/policy")).json() == wanted
    [listed] = (await admin.get("/admin/api/callers")).json()["callers"]
    assert listed["policy"] == wanted
    [line] = [record for record in caplog.records if getattr(record, "fields", {}).get("action") == "put_policy"]
    assert (line.fields["caller"], line.fields["policy"], line.fields["role"]) == (made.id, wanted, "admin")
    assert (await admin.put(f"/admin/api/callers/{made.id}/policy", json={})).json() == {}


@pytest.mark.parametrize(
    "policy",
    [
        {"unknown": 1}, {"weight": 0}, {"weight": 0.05}, {"weight": 101}, {"weight": True}, {"weight": "2"},
        {"maxWaiting": 0}, {"maxWaiting": 1.5}, {"rateLimit": "60"}, {"rateLimit": "0/minute"}, {"models": []},
        {"maxPriority": "urgent"}, {"expiresAt": "tomorrow"}, {"expiresAt": "2030-01-01T00:00:00"},
        {"dailyBudgetUsd": -1}, {"tools": "Read"}, {"maxBytes": 10**20}, [], "x", {"dailyBudgetUsd": "5"},
        {"maxBudgetUsd": True}, {"expiresAt": 1893456000}, {"expiresAt": "1893456000"},
        {"expiresAt": "9999-12-31T23:59:59-23:59"},
    ],
)  # fmt: skip
async def test_a_wrong_policy_is_refused(admin, made, policy):
    answer = await admin.put(f"/admin/api/callers/{made.id}/policy", json=policy)
    assert answer.status_code == 422


async def test_the_end_of_a_policy_is_shown_in_utc(admin, made):
    answer = await admin.put(f"/admin/api/callers/{made.id}/policy", json={"expiresAt": "2030-01-01T01:00:00+01:00"})
    assert answer.json() == {"expiresAt": "2030-01-01T00:00:00Z"}


async def test_the_policy_of_an_unknown_caller_is_not_found(admin):
    for path in ("policy", "rotate"):
        assert (await admin.request("PUT" if path == "policy" else "POST", f"/admin/api/callers/x/{path}", json={})
                ).status_code == 404  # fmt: skip
    assert (await admin.get("/admin/api/callers/x/policy")).status_code == 404


async def test_a_key_is_created_and_replaced_by_an_admin(admin, store):
    made = (await admin.post("/admin/api/callers", json={"name": "new", "policy": {"weight": 2}})).json()
    assert set(made) == {"id", "name", "key", "webhookSecret"}
    again = await admin.post("/admin/api/callers", json={"name": "new"})
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (422, "/name")

    async def status(key):
        return (await admin.get("/api/query", headers={"X-API-Key": key}, auth=None)).status_code

    path = f"/admin/api/callers/{made['id']}/rotate"
    second = (await admin.post(path, json={"overlapSeconds": 60})).json()["key"]
    assert [await status(key) for key in (made["key"], second)] == [200, 200]
    third = (await admin.post(path, json={"overlapSeconds": 0})).json()["key"]
    http_callers._cache.clear()
    assert [await status(key) for key in (made["key"], second, third)] == [401, 401, 200]
    await admin.delete(f"/admin/api/callers/{made['id']}")
    http_callers._cache.clear()
    assert await status(third) == 401
    assert not list(store.scan_iter("cg:key:*"))
    assert not store.exists(keys.POLICIES)


async def test_a_revocation_ends_both_keys_of_a_caller(admin, server, store):
    client = async_client(server.url)
    made = await callers.create(client, "rotated")
    assert await api_keys.rotate(client, made.id, overlap=600)
    assert len(list(store.scan_iter("cg:key:*"))) == 2
    await callers.revoke(client, made.id, keep_for=60)
    assert list(store.scan_iter("cg:key:*")) == []


async def test_the_last_use_of_a_key_is_listed(admin, server):
    made = await callers.create(async_client(server.url), "used")
    [listed] = (await admin.get("/admin/api/callers")).json()["callers"]
    assert listed["lastUsedAt"] is None
    await admin.get("/api/query", headers={"X-API-Key": made.key}, auth=None)
    [listed] = (await admin.get("/admin/api/callers")).json()["callers"]
    assert listed["lastUsedAt"].endswith(":00.000Z")


@pytest.mark.parametrize("scopes", [[], ["submit", "all"], ["Read"], "read", [None], ["read"] * 5, None])
async def test_wrong_scopes_are_refused(admin, scopes):
    """Catches an empty list that gives the default scopes: more than was asked for."""
    answer = await admin.post("/admin/api/callers", json={"name": "new", "scopes": scopes})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("submit", "POST", "/api/query", 202), ("submit", "GET", "/api/query", 403),
        ("read", "POST", "/api/query", 403), ("read", "GET", "/api/query", 200),
        ("read", "DELETE", "/api/query/x", 403), ("read", "GET", "/v1/messages/batches", 200),
        ("read", "GET", "/admin/api/stats", 401), ("admin-read", "GET", "/admin/api/stats", 200),
        ("admin-read", "POST", "/admin/api/queue/pause", 403), ("admin-read", "GET", "/api/query", 403),
    ],
)  # fmt: skip
async def test_a_key_does_what_its_scopes_say(admin, server, scope, method, path, status):
    made = await callers.create(async_client(server.url), "scoped", scopes=[scope])
    body = {"query": "x"} if method == "POST" else None
    answer = await admin.request(method, path, json=body, headers={"X-API-Key": made.key}, auth=None)
    assert answer.status_code == status


async def test_a_field_of_a_later_version_is_ignored(admin, made, store):
    store.hset(keys.POLICIES, made.id, '{"weight": 3, "ofALaterVersion": {"a": 1}}')
    assert (await admin.get(f"/admin/api/callers/{made.id}/policy")).json() == {"weight": 3}
    answer = await admin.post("/api/query", json={"query": "x"}, headers={"X-API-Key": made.key}, auth=None)
    assert answer.status_code == 202


async def test_a_rotated_key_keeps_its_scopes(admin, server):
    client = async_client(server.url)
    made = await callers.create(client, "scoped", scopes=["read"])
    key = await api_keys.rotate(client, made.id, overlap=1)
    assert key
    found = await api_keys.find(client, key)
    assert found
    assert found.scopes == ("read",)


def command(server, *arguments):
    environment = {"PATH": "/usr/bin:/bin", "REDIS_URL": server.url, "USER": "ann"}
    return run_command("keys", *arguments, folder=Path.cwd(), environment=environment)


def test_the_command_line_manages_policies_and_keys(server, store, tmp_path):
    (tmp_path / "policy.yaml").write_text("# of the reports\nmaxWaiting: 5\ntools: [Read]\n")
    (tmp_path / "policy.json").write_text('{"weight": 3}')
    (tmp_path / "wrong.yaml").write_text("maxWaitings: 5\n")
    made = json.loads(command(server, "create", "n", "--json", "--policy", str(tmp_path / "policy.yaml")).stdout)
    assert json.loads(command(server, "policy", made["id"]).stdout) == {"maxWaiting": 5, "tools": ["Read"]}
    changed = command(server, "policy", made["id"], "--set", str(tmp_path / "policy.json"))
    line = json.loads(changed.stderr)
    assert (line["event"], line["by"], line["policy"]) == ("policy_changed", "ann", {"weight": 3})
    refused = command(server, "policy", made["id"], "--set", str(tmp_path / "wrong.yaml"))
    assert refused.returncode == 2
    assert "maxWaitings" in refused.stderr
    rotated = command(server, "rotate", made["id"], "--overlap", "0").stdout.strip()
    assert rotated.startswith("cgk_")
    [listed] = json.loads(command(server, "list", "--json").stdout)
    assert (listed["policy"], listed["scopes"]) == ({"weight": 3}, ["submit", "read", "decide"])
    assert command(server, "policy", "x").returncode == 1


@pytest.mark.parametrize(
    "text",
    ["- a", "a: &x 1\nb: *x", "weight: 1\nweight: 2", "weight: [", "\x00", "[" * 3000,
     "x" * (2 << 20), "1: 2", "!!python/object:x {}"]
)  # fmt: skip
def test_a_file_that_is_no_policy_is_refused_in_a_sentence(tmp_path, text):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(policy_file.PolicyRefused, match=r"p\.yaml"):
        policy_file.read(tmp_path / "p.yaml")
