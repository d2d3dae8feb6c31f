"""Workspaces of a query that are refused, each by name and before anything runs."""

import pytest

from shared.api.policies import Policy
from shared.store.callers import callers, credentials, policies
from shared.store.fleet import workers
from shared.store.jobs import records
from shared.store.redis.client import async_client, sync_client

URL = "https://git.example.com/a.git"


@pytest.fixture
async def client(connect, tmp_path):
    return await connect(FILES_URL=f"file:{tmp_path / 'files'}")


async def submit(client, workspace, **fields):
    return await client.post("/api/query", json={"query": "q", "workspace": workspace, **fields})


WRONG = [
    ({}, "/workspace/git"),
    ("x", "/workspace"),
    ([], "/workspace"),
    ({"git": None}, "/workspace/git"),
    ({"git": {}}, "/workspace/git/url"),
    ({"git": {"url": URL}, "svn": {}}, "/workspace/svn"),
    ({"git": {"url": "http://git.example.com/a"}}, "/workspace/git/url"),
    ({"git": {"url": "https://user:password@git.example.com/a"}}, "/workspace/git/url"),
    ({"git": {"url": 1}}, "/workspace/git/url"),
    ({"git": {"url": URL, "ref": "--upload-pack=id"}}, "/workspace/git/ref"),
    ({"git": {"url": URL, "depth": 0}}, "/workspace/git/depth"),
    ({"git": {"url": URL, "credential": "../x"}}, "/workspace/git/credential"),
    ({"git": {"url": URL, "credential": "missing"}}, "/workspace/git/credential"),
    ({"git": {"url": URL, "push": {}}}, "/workspace/git/push/branch"),
    ({"git": {"url": URL, "push": {"branch": "HEAD"}}}, "/workspace/git/push/branch"),
    ({"git": {"url": URL, "push": {"branch": "a", "force": True}}}, "/workspace/git/push/force"),
    ({"git": {"url": URL, "submodules": True}}, "/workspace/git/submodules"),
]


@pytest.mark.parametrize(("workspace", "pointer"), WRONG, ids=range(len(WRONG)))
async def test_a_wrong_workspace_is_refused(client, workspace, pointer):
    answer = await submit(client, workspace)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert "password@" not in answer.text


async def test_a_batch_names_the_query_with_a_wrong_credential(client):
    queries = [{"query": "q"}, {"query": "q", "workspace": {"git": {"url": URL, "credential": "missing"}}}]
    answer = await client.post("/api/batches", json={"queries": queries})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/queries/1/workspace/git/credential"


async def stored(server, caller, name, kind):
    await credentials.put(
        async_client(server.url), caller, name, kind=kind, hosts=(), key="k", sealed="s", most=9
    )  # fmt: skip


async def test_only_a_git_credential_of_the_caller_is_taken(connect, server, tmp_path):
    client = await connect(FILES_URL=f"file:{tmp_path}", AUTH_ENABLED="true")
    first, second = [await callers.create(async_client(server.url), name) for name in ("a", "b")]
    await stored(server, first.id, "mine", "git")
    await stored(server, first.id, "key", "anthropic_api_key")
    client.headers["X-API-Key"] = first.key
    assert (await submit(client, {"git": {"url": URL, "credential": "mine"}})).status_code == 202
    assert (await submit(client, {"git": {"url": URL, "credential": "key"}})).status_code == 422
    client.headers["X-API-Key"] = second.key
    assert (await submit(client, {"git": {"url": URL, "credential": "mine"}})).status_code == 422


async def test_a_policy_limits_the_host_of_a_repository(connect, server, tmp_path):
    client = await connect(FILES_URL=f"file:{tmp_path}", AUTH_ENABLED="true")
    caller = await callers.create(async_client(server.url), "a")
    client.headers["X-API-Key"] = caller.key
    policy = Policy.model_validate({"allowedHosts": ["*.example.org"]})
    assert await policies.put(async_client(server.url), caller.id, policy) == "done"
    policies._cache.clear()
    answer = await submit(client, {"git": {"url": URL}})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (403, "/workspace/git/url"), answer.text
    assert (await submit(client, {"git": {"url": "https://git.example.org/a"}})).status_code == 202


async def test_a_workspace_needs_a_sandbox(client, server):
    workers.announce(sync_client(server.url), workers.Worker("worker", None, "api_key", 1, "unavailable"))
    answer = await submit(client, {"git": {"url": URL}})
    assert (answer.status_code, answer.json()["code"]) == (422, "sandbox_unavailable")
    assert "workspace" in answer.json()["detail"]


async def test_a_job_with_a_workspace_shares_its_answer_with_no_other(connect, tmp_path):
    """Catches a cached answer about a branch that has moved."""
    client = await connect(FILES_URL=f"file:{tmp_path}", DEDUP_ENABLED="true")
    answers = [(await submit(client, {"git": {"url": URL}})).json() for _ in range(2)]
    assert [one["status"] for one in answers] == ["queued", "queued"]


async def test_a_submission_with_a_workspace_is_one_round_trip(client, server, round_trips):
    await stored(server, "anonymous", "mine", "git")
    workspace = {"git": {"url": URL, "credential": "mine", "push": {"branch": "b"}}}
    await submit(client, workspace)
    round_trips.clear()
    answer = await submit(client, workspace)
    assert answer.status_code == 202, answer.text
    assert len(round_trips) == 1
    job = await records.read(async_client(server.url), answer.json()["jobId"], None)
    assert job is not None
