"""Jobs that need a sandbox in a fleet of workers with and without one; the store is real, the workers are not."""

import pytest

from shared.store import keys
from shared.store.fleet import workers
from shared.store.jobs import claims
from shared.store.redis.client import async_client, sync_client
from tests.support.slot import pop

TOOLS = {"query": "with tools", "tools": ["Bash"]}


@pytest.fixture
async def client(connect, server):
    return await connect(server.url, CLAUDE_TOOLS="Bash", AUTH_ENABLED="false", METRICS_ENABLED="true")


@pytest.fixture
def say(server):
    """Let workers say that they are alive, each with the sandbox that it has."""

    def say(*kinds):
        for kind in kinds:
            workers.announce(sync_client(server.url), workers.Worker(f"worker-{kind}", None, "api_key", 1, kind))

    return say


def next_id(url, takes="all"):
    claim = pop(url, takes)
    assert claim is not None
    return claim.job_id


async def test_a_job_with_tools_is_refused_when_no_live_worker_has_a_sandbox(client, say, store):
    say("unavailable")
    answer = await client.post("/api/query", json=TOOLS)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "sandbox_unavailable")
    assert "tools" in problem["detail"]
    assert "RUN_SANDBOX" in problem["detail"]
    assert store.zcard(keys.WAITING) == 0
    assert (await client.post("/api/query", json={"query": "without"})).status_code == 202


@pytest.mark.parametrize("kinds", [["namespaces"], ["off"], ["unavailable", "namespaces"], []])
async def test_a_job_with_tools_is_taken_where_it_can_run(client, say, kinds):
    say(*kinds)
    assert (await client.post("/api/query", json=TOOLS)).status_code == 202


async def test_a_batch_is_refused_whole_for_one_query_with_tools(client, say, store):
    say("unavailable")
    answer = await client.post("/api/batches", json={"queries": [{"query": "without"}, TOOLS]})
    assert (answer.status_code, answer.json()["code"]) == (422, "sandbox_unavailable")
    assert store.zcard(keys.WAITING) == 0


async def test_a_worker_without_a_sandbox_takes_the_other_jobs_in_their_order(client, say, server, store):
    say("namespaces")
    ids = [
        (await client.post("/api/query", json=body)).json()["jobId"]
        for body in (TOOLS, {"query": "first"}, {"query": "high", "priority": "high"})
    ]
    assert [next_id(server.url, "plain") for _ in range(2)] == [ids[2], ids[1]]
    assert pop(server.url, "plain") is None
    assert (await client.get(f"/api/query/{ids[0]}")).json()["queuePosition"] == 0
    assert next_id(server.url) == ids[0]
    assert (store.zcard(keys.WAITING), store.zcard(keys.PLAIN)) == (0, 0)


async def test_a_worker_with_a_sandbox_takes_all_jobs_in_their_order(client, say, server, store):
    say("namespaces")
    bodies = ({"query": "first"}, TOOLS, {"query": "third"})
    ids = [(await client.post("/api/query", json=body)).json()["jobId"] for body in bodies]
    assert [next_id(server.url) for _ in ids] == ids
    assert store.zcard(keys.PLAIN) == 0


async def test_a_job_that_is_handed_back_waits_for_a_sandbox_again(client, say, server):
    say("namespaces")
    job_id = (await client.post("/api/query", json=TOOLS)).json()["jobId"]
    claim = pop(server.url)
    assert claim is not None
    assert await claims.take(async_client(server.url), claim, "slot") is not None
    await claims.settle(async_client(server.url), claims.hand_back(claim, ()))
    assert pop(server.url, "plain") is None
    assert next_id(server.url) == job_id


async def test_a_cancelled_job_is_in_no_list(client, say, store):
    say("namespaces")
    for body in (TOOLS, {"query": "without"}):
        job_id = (await client.post("/api/query", json=body)).json()["jobId"]
        assert (await client.delete(f"/api/query/{job_id}")).status_code == 200
    assert (store.zcard(keys.WAITING), store.zcard(keys.PLAIN)) == (0, 0)


async def test_jobs_that_waited_before_the_upgrade_are_taken(client, server, store):
    job_id = (await client.post("/api/query", json={"query": "old"})).json()["jobId"]
    store.delete(keys.PLAIN)
    assert next_id(server.url, "plain") == job_id
    assert store.zcard(keys.WAITING) == 0


@pytest.mark.parametrize(
    ("kinds", "best"),
    [([], "unavailable"), (["unavailable"], "unavailable"), (["unavailable", "off"], "off"),
     (["off", "namespaces"], "namespaces")],
)  # fmt: skip
async def test_health_and_metrics_say_which_sandbox_there_is(client, say, kinds, best):
    say(*kinds)
    assert (await client.get("/health")).json()["sandbox"] == best
    lines = (await client.get("/metrics")).text.splitlines()
    for kind in ("namespaces", "off", "unavailable"):
        assert f'claude_sandbox{{kind="{kind}"}} {float(kind in kinds)}' in lines


async def test_a_worker_of_an_earlier_version_counts_as_one_without(client, server, store):
    workers.announce(sync_client(server.url), workers.Worker("old", None, "api_key", 1))
    assert (await client.get("/health")).json()["sandbox"] == "unavailable"


async def test_the_status_names_a_sandbox_that_is_waited_for(client, say, store):
    say("namespaces")
    job_id = (await client.post("/api/query", json=TOOLS)).json()["jobId"]
    assert (await client.get(f"/api/query/{job_id}")).json()["waitingFor"] is None
    store.set(keys.SANDBOXED, int(store.get(keys.SANDBOXED)) - 20_000)
    waiting = (await client.get(f"/api/query/{job_id}")).json()["waitingFor"]
    assert (waiting["code"], waiting["retryAt"]) == ("sandbox_unavailable", None)
    assert waiting["since"]
    other = (await client.post("/api/query", json={"query": "without"})).json()["jobId"]
    assert (await client.get(f"/api/query/{other}")).json()["waitingFor"] is None
