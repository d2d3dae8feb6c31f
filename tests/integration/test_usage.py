"""Usage by caller, key, model, day and tag; its export; and the warning of a budget that is nearly spent."""

import asyncio
import base64
import csv
import io
import json
from contextlib import asynccontextmanager
from decimal import Decimal
from types import SimpleNamespace

import pytest
from standardwebhooks import Webhook

from functions.worker.webhooks.dispatcher import Dispatcher
from shared.api.policies import Policy
from shared.configuration.settings import SettingsError, WorkerSettings, load
from shared.services import usage as usage_service
from shared.store import keys
from shared.store.callers import api_keys, callers, usage
from shared.store.callers.spending import Spend
from shared.store.jobs import claims
from shared.store.redis.client import async_client
from shared.store.webhooks import outbox
from tests.support.receiver import Receiver
from tests.support.slot import RESULT, take
from tests.support.waiting import until_async

PASSWORD = "a password for tests"
VARIABLES = {
    "AUTH_ENABLED": "true", "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": PASSWORD, "USAGE_TAG": "team",
    "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
}  # fmt: skip
HOOK = "http://127.0.0.1:9/hook"


@pytest.fixture
async def client(connect):
    client = await connect(**VARIABLES)
    client.auth = ("admin", PASSWORD)
    return client


@pytest.fixture
async def ann(client, server):
    return await callers.create(async_client(server.url), "ann")


@pytest.fixture
def spend(client, server):
    """Return a function that submits a job with a key and ends it with a cost."""

    async def spend(key, cost=0.25, model="m", *, budget=0.0, path="/api/query", state="completed", **body):
        body = body or {"query": "q"}
        answer = await client.post(path, json=body, headers={"X-API-Key": key}, auth=None)
        assert answer.status_code == 202, answer.text
        claim = await take(server.url, budget=budget)
        outcome = {"result": RESULT} if state == "completed" else {"error": {"code": "server_error"}}
        spent = [Spend(model, cost, input=100, output=10)]
        end = claims.finish(claim, state, outcome, keep_for=60, spend=spent, saves_usd=cost)
        await claims.settle(async_client(server.url), end)
        return claim.job_id

    return spend


@pytest.fixture
def rows(client):
    async def rows(*by, **parameters):
        answer = await client.get("/admin/api/usage", params=[*(("by", one) for one in by), *parameters.items()])
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"]

    return rows


async def test_usage_adds_up_by_each_field(client, server, ann, spend, rows):
    """Catches a job that is counted twice, or under another caller, key, model or tag."""
    bob = await callers.create(async_client(server.url), "bob")
    await spend(ann.key, 0.25, "opus", query="1", metadata={"team": "red", "other": "x"})
    await spend(ann.key, 0.5, "sonnet", query="2", metadata={"team": "blue"})
    await spend(bob.key, 1.0, "opus", query="3", state="failed")
    second = await api_keys.rotate(async_client(server.url), ann.id, overlap=60)
    await spend(second, 2.0, "opus", query="4", metadata={"team": "red"})

    async def costs(*by):
        return {tuple(row[one] for one in by): row["costUsd"] for row in await rows(*by) if row["costUsd"]}

    assert await costs("caller") == {(ann.id,): 2.75, (bob.id,): 1.0}
    assert await costs("model") == {("opus",): 3.25, ("sonnet",): 0.5}
    assert await costs("tag") == {("red",): 2.25, ("blue",): 0.5, ("",): 1.0}
    assert len(await costs("key")) == 3
    assert await costs("caller", "tag", "model") == {
        (ann.id, "red", "opus"): 2.25, (ann.id, "blue", "sonnet"): 0.5, (bob.id, "", "opus"): 1.0,
    }  # fmt: skip
    [row] = await rows("date")
    assert (row["jobs"], row["inputTokens"], row["outputTokens"], row["costUsd"]) == (4, 400, 40, 3.75)
    listed = (await client.get("/admin/api/callers")).json()["callers"]
    present = next(one["keyId"] for one in listed if one["id"] == ann.id)
    assert (await costs("key"))[(present,)] == 2.0
    named = {row["caller"]: row["callerName"] for row in await rows()}
    assert named == {ann.id: "ann", bob.id: "bob"}


async def test_usage_is_of_the_days_of_redis(client, ann, spend, rows, monkeypatch):
    """Catches a day that is chosen by the clock of a host whose clock is wrong."""
    await spend(ann.key)
    monkeypatch.setattr(usage, "time", SimpleNamespace(time=lambda: 0.0))
    [row] = await rows("date")
    assert row["costUsd"] == 0.25


async def test_cancelled_jobs_and_cached_answers_are_counted(client, ann, spend, rows):
    await spend(ann.key, query="same", metadata={"team": "red"})
    headers = {"X-API-Key": ann.key}
    body = {"query": "same", "metadata": {"team": "blue"}}
    assert (await client.post("/api/query", json=body, headers=headers, auth=None)).json()["status"] == "cached"
    job = (await client.post("/api/query", json={"query": "other"}, headers=headers, auth=None)).json()["jobId"]
    await client.delete(f"/api/query/{job}", headers=headers, auth=None)
    counted = {row["tag"]: (row["jobs"], row["savedUsd"]) for row in await rows("tag")}
    assert counted == {"red": (1, 0), "blue": (0, 0.25), "": (1, 0)}


async def test_the_jobs_of_a_batch_are_counted_by_their_own_tags(client, server, ann, rows):
    queries = [{"query": str(team), "metadata": {"team": team}} for team in ("red", "blue")]
    await client.post("/api/batches", json={"queries": queries}, headers={"X-API-Key": ann.key}, auth=None)
    for _ in queries:
        claim = await take(server.url)
        end = claims.finish(claim, "completed", {"result": RESULT}, keep_for=60, spend=[Spend("m", 0.5, input=1)])
        await claims.settle(async_client(server.url), end)
    assert {row["tag"]: row["costUsd"] for row in await rows("tag")} == {"red": 0.5, "blue": 0.5}


async def test_a_caller_with_many_tags_uses_bounded_memory(client, server, ann, spend, rows, store, monkeypatch):
    """Catches a caller that fills the store with tags."""
    hostile = ["x" * 512, "a\nb\nc", "\x00", "é" * 512, "=HYPERLINK(1)", "\u202e"]
    for number, tag in enumerate(hostile):
        await spend(ann.key, 0.1, query=str(number), metadata={"team": tag})
    found = {row["tag"] for row in await rows("tag")}
    assert all(len(tag) <= usage.LONGEST_TAG and tag.isprintable() for tag in found)
    assert len(found) == 5  # two of them have no printable character
    today = (await api_time(store)) // 86_400_000
    store.hset(usage.hash_of(ann.id, today), mapping={f"k\nt{number}": 0 for number in range(2000)})
    for number in range(3):
        await spend(ann.key, 0.1, query=f"more {number}", metadata={"team": f"new {number}"})
    others = {row["tag"]: row["costUsd"] for row in await rows("tag")}
    assert others["(other)"] == pytest.approx(0.3)
    assert not any(tag.startswith("new") for tag in others)


async def api_time(store):
    seconds, _ = store.time()
    return seconds * 1000


async def test_usage_is_exported_as_csv(client, ann, spend):
    """Catches a tag that a spreadsheet runs as a formula."""
    await spend(ann.key, 0.25, query="1", metadata={"team": '=cmd|"/c calc",1'})
    for path, auth, headers in (
        ("/admin/api/usage?format=csv&by=caller&by=tag", ("admin", PASSWORD), {}),
        ("/api/usage?format=csv", None, {"X-API-Key": ann.key}),
    ):
        answer = await client.get(path, auth=auth, headers=headers)
        assert answer.headers["content-type"].startswith("text/csv")
        found = list(csv.DictReader(io.StringIO(answer.text)))
        assert sum(float(row["costUsd"]) for row in found) == 0.25
        assert {row["tag"] for row in found} == {'\'=cmd|"/c calc",1'}
    empty = await client.get("/admin/api/usage?format=csv&by=tag&days=1", auth=("admin", PASSWORD))
    assert empty.status_code == 200


@pytest.mark.parametrize(
    "tag",
    [
        "=1+1",
        " =1+1",
        "\n=1+1",
        "\t@SUM(1)",
        "-2+3",
        "+1",
        "@a",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20a",
        "\u3000=1",
    ],
)
def test_no_cell_is_a_formula(tag):
    """Catches a formula behind spaces, or in full width, which some spreadsheets take as well."""
    [row] = csv.DictReader(io.StringIO(usage_service.to_csv([{"tag": tag, "jobs": 1}], ["tag"])))
    assert row == {"tag": f"'{tag}", "jobs": "1"}


async def test_a_caller_exports_its_own_usage_alone(client, server, ann, spend):
    bob = await callers.create(async_client(server.url), "bob")
    await spend(bob.key, 1.0, query="of bob", metadata={"team": "secret team"})
    answer = await client.get("/api/usage?format=csv", auth=None, headers={"X-API-Key": ann.key})
    assert answer.text.splitlines()[1:] == []
    assert answer.text.startswith("date,key,model,tag,jobs,costUsd,savedUsd,inputTokens")


@pytest.mark.parametrize("query", ["by=price", "by=", "days=0", "days=401", "format=xml", "more=1", "by=day"])
async def test_a_wrong_report_is_refused(client, query):
    assert (await client.get(f"/admin/api/usage?{query}")).status_code == 422


async def test_a_report_of_too_many_rows_names_the_remedy(client, ann, spend, monkeypatch):
    monkeypatch.setattr(usage_service, "MOST_ROWS", 0)
    await spend(ann.key)
    answer = await client.get("/admin/api/usage")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/days")
    assert "fewer days" in answer.json()["detail"]


async def test_without_keys_usage_is_that_of_everybody(connect, server):
    client = await connect(**{**VARIABLES, "AUTH_ENABLED": "false"})
    await client.post("/api/query", json={"query": "q", "metadata": {"team": "red"}})
    claim = await take(server.url)
    end = claims.finish(claim, "completed", {"result": RESULT}, keep_for=60, spend=[Spend("m", 0.5, input=1)])
    await claims.settle(async_client(server.url), end)
    found = (await client.get("/api/usage?format=csv")).text
    assert ",red," in found
    shown = (await client.get("/admin/api/usage", params={"by": "caller"}, auth=("admin", PASSWORD))).json()["rows"]
    assert [row["caller"] for row in shown] == ["anonymous"]


async def test_the_budget_of_a_policy_is_shown(client, server):
    made = await callers.create(async_client(server.url), "n", policy=Policy.model_validate({"dailyBudgetUsd": 3}))
    answer = await client.get("/api/usage", headers={"X-API-Key": made.key}, auth=None)
    assert answer.json()["budget"]["dailyUsd"] == 3


def warnings(store):
    return sorted(name.partition("cg:hook:")[2] for name in store.scan_iter("cg:hook:budget.*"))


async def test_a_budget_warns_once_when_it_is_nearly_spent(client, server, ann, spend, store):
    """Catches a warning for each job, and one that comes before 80 %."""
    await spend(ann.key, 0.75, budget=1, query="1", webhookUrl=HOOK)
    assert warnings(store) == []
    for number in (2, 3):
        await spend(ann.key, 0.05, budget=1, query=str(number), webhookUrl=HOOK)
    [name] = warnings(store)
    hook = store.hgetall(keys.hook(name))
    assert (hook["event"], hook["url"], hook["caller"]) == ("budget.warning", HOOK, ann.id)
    data = json.loads(hook["meta"])
    assert (data["caller"], data["spent"], data["budget"]) == (ann.id, pytest.approx(0.8), 1)


@pytest.mark.parametrize("budget", [1, 3, 0.3, 7.7, 0.000003, 1_000_000])
async def test_a_budget_warns_at_exactly_80_percent(ann, spend, store, budget):
    """Catches a comparison of binary fractions: 0.8 * 3 is more than 2.4."""
    await spend(ann.key, float(Decimal(str(budget)) * Decimal("0.79")), budget=budget, query="1", webhookUrl=HOOK)
    assert warnings(store) == []
    await spend(ann.key, float(Decimal(str(budget)) * Decimal("0.01")), budget=budget, query="2", webhookUrl=HOOK)
    assert len(warnings(store)) == 1


async def test_the_first_job_with_a_webhook_carries_the_warning(ann, spend, store):
    await spend(ann.key, 0.9, budget=1, query="1")
    assert warnings(store) == []
    await spend(ann.key, 0.01, budget=1, query="2", webhookUrl=HOOK)
    assert len(warnings(store)) == 1


async def test_a_batch_carries_the_warning(client, ann, server, store):
    body = {"queries": [{"query": "1"}], "webhookUrl": HOOK}
    await client.post("/api/batches", json=body, headers={"X-API-Key": ann.key}, auth=None)
    claim = await take(server.url, budget=1)
    end = claims.finish(claim, "completed", {"result": RESULT}, keep_for=60, spend=[Spend("m", 0.9, input=1)])
    await claims.settle(async_client(server.url), end)
    assert len(warnings(store)) == 1


async def test_a_policys_budget_warns(client, server, spend, store):
    made = await callers.create(async_client(server.url), "n", policy=Policy.model_validate({"dailyBudgetUsd": 1}))
    await spend(made.key, 0.85, budget=100, webhookUrl=HOOK, query="1")
    assert len(warnings(store)) == 1


async def test_without_a_budget_nothing_warns(ann, spend, store):
    await spend(ann.key, 100, webhookUrl=HOOK, query="1")
    assert warnings(store) == []


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def deliver(client, server):
    """Run the dispatcher in this process within the block."""

    @asynccontextmanager
    async def deliver(**variables):
        stop = asyncio.Event()
        settings = WorkerSettings(webhook_allowed_networks="127.0.0.0/8", webhook_retry_schedule="1", **variables)
        running = asyncio.create_task(Dispatcher(async_client(server.url), settings).run(stop, 1))
        yield
        stop.set()
        await running

    return deliver


async def test_a_warning_reaches_the_caller_and_the_operator(ann, spend, store, deliver, receiver):
    """Catches a warning without a valid signature, and one that stays in the store after its delivery."""
    secret = "whsec_" + base64.b64encode(b"x" * 32).decode()
    operator = f"{receiver.url}/operator"
    async with deliver(budget_webhook_url=operator, webhook_secret=secret):
        await until_async(lambda: store.exists("cg:budget:webhook"))
        job = await spend(ann.key, 0.9, budget=1, webhookUrl=f"{receiver.url}/caller", query="1")
        await until_async(lambda: len(receiver.hooks) == 3)
        await until_async(lambda: not warnings(store))
    found = {hook.path: hook for hook in receiver.hooks if hook.event["type"] == "budget.warning"}
    assert set(found) == {"/operator", "/caller"}
    for path, signed_by in (("/operator", secret), ("/caller", ann.webhook_secret)):
        Webhook(signed_by).verify(found[path].body, found[path].headers)
        data = found[path].event["data"]
        assert (data["caller"], data["spentUsd"], data["dailyUsd"]) == (ann.id, 0.9, 1)
        assert data["resetsAt"][:10] > data["date"]
    assert store.hget("cg:counters", "webhooks_pending") == "0"
    assert [hook.event["data"]["jobId"] for hook in receiver.hooks if hook.event["type"] != "budget.warning"] == [job]


async def test_a_warning_that_is_refused_is_given_up_and_deleted(ann, spend, store, deliver):
    with Receiver(lambda _: (410, {})) as gone:
        async with deliver():
            await spend(ann.key, 0.9, budget=1, webhookUrl=gone.url, query="1")
            await until_async(lambda: len(gone.hooks) == 2)
            await until_async(lambda: not warnings(store))
    assert store.hget("cg:counters", "webhooks_pending") == "0"


async def test_a_warning_for_a_paused_host_is_deleted(ann, spend, store, server):
    """Catches a warning that stays in the store for good, because it belongs to no job."""
    store.hset("cg:host:127.0.0.1:9", mapping={"failing": 1, "paused": 1})
    job = await spend(ann.key, 0.9, budget=1, webhookUrl=HOOK, query="1")
    leased, _ = await outbox.lease(async_client(server.url), 8, {}, per_host=8)
    assert (leased, warnings(store)) == ([], [])
    assert store.hget("cg:counters", "webhooks_pending") == "0"
    [own] = store.smembers(f"cg:job:{job}:hooks")
    assert store.hget(keys.hook(own), "state") == "paused"


async def test_a_warning_is_no_delivery_of_the_job(client, ann, spend, store):
    """Catches an operator's URL in the list of a caller's deliveries, and a warning that is redelivered."""
    store.set("cg:budget:webhook", "operator.example:443 https://operator.example/private")
    job = await spend(ann.key, 0.9, budget=1, webhookUrl=HOOK, query="1")
    assert len(warnings(store)) == 2
    headers = {"X-API-Key": ann.key}
    answer = await client.post(f"/api/query/{job}/redeliver", headers=headers, auth=None)
    assert len(answer.json()["requestIds"]) == 1
    listed = await client.get(f"/api/query/{job}/deliveries", headers=headers, auth=None)
    assert "operator" not in listed.text


async def test_a_worker_without_a_url_for_warnings_warns_no_operator(ann, spend, store, deliver):
    store.set("cg:budget:webhook", "operator.example:443 https://operator.example/private")
    async with deliver():
        await until_async(lambda: not store.exists("cg:budget:webhook"))
    await spend(ann.key, 0.9, budget=1, query="1")
    assert warnings(store) == []


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "https://", "https://user:secret@a.example/", "a.example", "https://a b"]
)
def test_a_wrong_url_for_warnings_is_named_at_the_start(url, monkeypatch):
    monkeypatch.setenv("BUDGET_WEBHOOK_URL", url)
    with pytest.raises(SettingsError) as caught:
        load.__wrapped__(WorkerSettings)
    assert "BUDGET_WEBHOOK_URL" in str(caught.value)
    assert "secret" not in str(caught.value)
