"""The cost of jobs: the same in every API, and counted once however a run ends."""

from typing import Any

import pytest

from local.messages_api import Usage
from shared.store.callers.spending import Spend, read_days, to_json
from shared.store.jobs import claims, operations
from shared.store.jobs.steps import Entry
from shared.store.redis.client import async_client, close_clients
from tests.support.scrape import scrape
from tests.support.scripted_replies import Error, Text, ToolUse
from tests.support.slot import rescue

MODEL = "claude-opus-5-5"


@pytest.fixture(scope="module")
def variables():
    password = "only-for-this-test"
    return {
        "METRICS_ENABLED": "true", "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": password, "CLAUDE_MAX_RETRIES": "2",
        "CLAUDE_MODEL": MODEL, "CLAUDE_TOOLS": "Read",
    }  # fmt: skip


def seen(gateway):
    """Return cost and tokens from /api/usage, the dashboard and the metrics."""
    usage = gateway.client.get("/api/usage").json()
    stats = gateway.client.get("/admin/api/stats", auth=("admin", "only-for-this-test")).json()
    metrics = scrape(gateway.client)
    tokens = {"input": 0, "output": 0}
    for day in usage["days"]:
        for model in day["models"]:
            tokens["input"] += model["inputTokens"]
            tokens["output"] += model["outputTokens"]
    counted = {kind: metrics.get(f'claude_tokens_total{{kind="{kind}",model="{MODEL}"}}', 0) for kind in tokens}
    costs = (
        usage["totalUsd"],
        sum(stats["costUsd"].values()),
        sum(stats["costTodayUsd"].values()),
        metrics.get(f'claude_cost_usd_total{{model="{MODEL}"}}', 0),
    )
    return costs, tokens, counted, usage


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_usage_dashboard_metrics_and_upstream_agree(gateway, script, model):
    sent = {"input": 0, "output": 0}

    def reply(body):
        query = str(body["messages"][-1])
        used = Usage(input_tokens=100, output_tokens=20)
        if "cancelled" in query:
            sent["input"] += 100
            return Text(["a "] * 2000, delay_between=0.05, usage=Usage(input_tokens=100, output_tokens=0))
        sent["input"] += 100
        sent["output"] += 20
        return Text("well", usage=used)

    script(reply)
    costs = [gateway.ask(f"completed {number}")["result"]["costUsd"] for number in range(3)]
    cached = gateway.client.post("/api/query", json={"query": "completed 0"}).json()
    job = gateway.submit("cancelled")
    gateway.until(lambda: gateway.job(job)["progress"], lambda progress: progress > 10)
    gateway.client.delete(f"/api/query/{job}")
    gateway.until(lambda: seen(gateway)[1], lambda tokens: tokens["input"] == sent["input"])
    by, tokens, counted, usage = seen(gateway)
    assert max(by) - min(by) < 1e-9
    assert by[0] > sum(costs)  # the cancelled one too
    assert counted == tokens
    assert tokens["input"] == sent["input"]
    assert abs(usage["savedUsd"] - cached["result"]["costUsd"]) < 1e-9
    assert usage["days"][0]["jobs"] == 4
    assert usage["budget"] is None


async def count(server, caller):
    _, [day] = await read_days(async_client(server.url), caller, 1)
    return day


@pytest.fixture
async def claimed(connect, store, server):
    client = await connect(AUTH_ENABLED="false", CACHE_TTL="0")
    handle = async_client(server.url)

    async def claimed(query="a"):
        job = (await client.post("/api/query", json={"query": query})).json()["jobId"]
        store.zrem("cg:waiting", job)
        claim = claims.Claim(job, int(store.hget(f"cg:job:{job}", "n")))
        taken = await claims.take(handle, claim, "slot")
        assert taken is not None
        return claim, handle, client

    yield claimed
    await close_clients()


def spent(cost: Any, tokens_in: int, tokens_out: int) -> Spend:
    near: Any = pytest.approx(cost)  # a float in Redis
    return Spend(MODEL, near, tokens_in, tokens_out)


SO_FAR = Spend(MODEL, None, input=100, output=10)


async def test_a_cancelled_run_adds_its_cost_once(claimed, server, store):
    claim, handle, client = await claimed()
    store.hset("cg:prices", MODEL, 4e-6)
    assert await claims.renew(handle, claim, 20, 1, [Entry("delta", "", "text")], to_json([SO_FAR]))
    assert (await client.delete(f"/api/query/{claim.job_id}")).status_code == 200
    assert (await count(server, "anonymous")).models == [spent(150 * 4e-6, 100, 10)]
    # The cost of the run at its end; sent twice, as after a lost reply.
    total = Spend(MODEL, None, input=100, output=30)
    for _ in range(2):
        await claims.settle(handle, claims.spent(claim, "anonymous", [total]))
    assert (await count(server, "anonymous")).models == [spent(250 * 4e-6, 100, 30)]


async def test_a_run_of_a_lost_slot_adds_its_last_reported_cost(claimed, server, store):
    claim, handle, _ = await claimed()
    assert await claims.renew(handle, claim, 20, 1, [Entry("delta", "", "text")], to_json([SO_FAR]))
    rescue(server.url, "slot")
    day = await count(server, "anonymous")
    assert [(one.input, one.output) for one in day.models] == [(100, 10)]
    # A slot given up as dead resumes and settles: nothing counts twice, and its own sum counts.
    await claims.settle(handle, claims.spent(claim, "anonymous", [Spend(MODEL, 0.5, input=100, output=40)]))
    assert (await count(server, "anonymous")).models == [spent(0.5, 100, 40)]


async def test_an_exhausted_budget_refuses_and_delays_jobs_until_tomorrow(connect, claimed, store, server):
    claim, handle, _ = await claimed()
    client = await connect(AUTH_ENABLED="false", DAILY_BUDGET_USD="0.4", CACHE_TTL="3600")
    waiting = (await client.post("/api/query", json={"query": "in time"})).json()["jobId"]
    outcome = {"result": {"costUsd": 0.5}}
    spend = [Spend(MODEL, 0.5, 10, 5)]
    await claims.settle(handle, claims.finish(claim, "completed", outcome, keep_for=60, spend=spend))
    refused = await client.post("/api/query", json={"query": "too late"})
    assert (refused.status_code, refused.json()["code"]) == (429, "budget_exhausted")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    budget = (await client.get("/api/usage")).json()["budget"]
    assert (budget["dailyUsd"], budget["spentUsd"]) == (0.4, 0.5)
    # A job that was accepted before is not started, and not lost.
    assert await claims.take(handle, claims.Claim(waiting, 1), "slot", 0.4) is None
    assert (await client.get(f"/api/query/{waiting}")).json()["state"] == "delayed"
    assert store.zscore("cg:delayed", waiting) % 86_400_000 == 0


async def test_the_cost_of_a_claim_counts_once_however_it_ended(claimed, server, store):
    cost, spent_so_far = 0.0, [Spend(MODEL, 0.5, 100, 10)]
    for query, settlement in {
        "back": lambda claim: claims.hand_back(claim, spent_so_far),
        "again": lambda claim: claims.retry(claim, 0, "overloaded", claims.Upstream(), spent_so_far),
    }.items():
        claim, handle, _ = await claimed(query)
        # As after a lost reply, also when the job has been handed out again meanwhile.
        await claims.settle(handle, settlement(claim))
        store.hset(f"cg:job:{claim.job_id}", "state", "waiting")
        await claims.settle(handle, settlement(claim))
        await claims.settle(handle, claims.spent(claim, "anonymous", spent_so_far))
        cost += 0.5
        assert (await count(server, "anonymous")).cost == pytest.approx(cost)


async def test_a_late_result_still_adds_its_cost(claimed, server):
    claim, handle, client = await claimed()
    assert (await client.delete(f"/api/query/{claim.job_id}")).status_code == 200
    late = claims.finish(claim, "completed", {"result": {}}, keep_for=60, spend=[Spend(MODEL, 0.5, 10)])
    assert [await claims.settle(handle, late) for _ in range(2)] == ["void", "void"]
    assert (await count(server, "anonymous")).cost == pytest.approx(0.5)


async def test_a_run_refused_in_a_later_turn_pays_for_earlier_turns(claimed, server, store):
    claim, handle, _ = await claimed()
    store.hset("cg:upstream", mapping={"refused": 5, "code": "billing_error", "probe": 0})
    upstream = claims.Upstream("refused", "billing_error")
    error = {"error": {"code": "billing_error"}}
    spend = [Spend(MODEL, 0.5, 10)]
    held = claims.finish(claim, "failed", error, keep_for=60, upstream=upstream, spend=spend)
    assert await claims.settle(handle, held) == "held"
    assert (await count(server, "anonymous")).cost == pytest.approx(0.5)


async def test_a_price_known_later_does_not_lower_the_cost(claimed, server, store):
    claim, handle, _ = await claimed()
    assert await claims.renew(handle, claim, 20, 1, [Entry("delta", "", "text")], to_json([SO_FAR]))
    rescue(server.url, "slot")
    store.hset("cg:prices", MODEL, 1.0)
    await claims.settle(handle, claims.spent(claim, "anonymous", [Spend(MODEL, 0.5, input=100, output=10)]))
    assert (await count(server, "anonymous")).cost == pytest.approx(0.5)


async def test_a_running_job_continues_after_the_budget_is_exhausted(claimed, store):
    claim, handle, client = await claimed()
    spend = [Spend(MODEL, 0.5, 10)]
    await claims.settle(handle, claims.retry(claim, 0, "overloaded", claims.Upstream(), spend))
    store.zrem("cg:delayed", claim.job_id)
    store.hset(f"cg:job:{claim.job_id}", "state", "waiting")
    again = claims.Claim(claim.job_id, claim.number + 1)
    job = await claims.take(handle, again, "slot", 0.4)
    assert job is not None
    assert job.cost == pytest.approx(0.5)
    # A retry by an operator gives the job its whole budget again.
    await client.delete(f"/api/query/{claim.job_id}")
    assert await operations.retry(handle, claim.job_id) == "waiting"
    number = int(store.hget(f"cg:job:{claim.job_id}", "n"))
    retried = await claims.take(handle, claims.Claim(claim.job_id, number), "slot")
    assert retried is not None
    assert retried.cost == pytest.approx(0)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_the_attempts_of_a_job_share_its_budget(gateway, script, model):
    def reply(body):
        # A turn that costs, and then failures only: the remaining budget is not enough for another run.
        if any(message["role"] == "assistant" for message in body["messages"]):
            return Error(529, "overloaded_error", after_chunks=1)
        dear = Usage(input_tokens=100_000, output_tokens=0)
        return [Text("well", usage=dear), ToolUse("Read", {"file_path": "/nowhere"})]

    script(reply)
    before = len(model.requests)
    job = gateway.ask("dear", maxBudgetUsd=0.41, tools=["Read"])
    assert job["error"]["code"] == "budget_exceeded"
    assert len(model.requests) - before < 5


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_an_interrupted_run_is_priced_by_the_clis_model_name(gateway, script):
    script(lambda _: Text("well", model=f"{MODEL}-20260101"))
    gateway.ask("whole")
    script(lambda _: Text(["a "] * 2000, delay_between=0.05, model=f"{MODEL}-20260101"))
    job = gateway.submit("cut off")
    gateway.until(lambda: gateway.job(job)["progress"], lambda progress: progress > 10)
    gateway.client.delete(f"/api/query/{job}")
    [day] = gateway.client.get("/api/usage").json()["days"]
    assert [model["model"] for model in day["models"]] == [MODEL]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_spending_can_be_read_for_as_long_as_it_is_kept(gateway):
    assert gateway.client.get("/api/usage?days=400").status_code == 200
    assert gateway.client.get("/api/usage?days=401").status_code == 422
