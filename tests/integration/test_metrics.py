"""Metrics: a scrape shows the events of all processes."""

import json
import os
import shutil
import subprocess

import pytest

from shared.store import keys
from shared.store.callers import callers
from shared.store.callers.spending import Spend
from shared.store.jobs import claims, operations
from shared.store.redis.client import async_client
from tests.support.scrape import parse, scrape
from tests.support.slot import ERROR, RESULT, rescue, run, take
from tests.support.waiting import until

ON = {"METRICS_ENABLED": "true"}


async def figures(client):
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return parse(answer.text)


async def test_without_metrics_enabled_there_are_none(connect):
    answer = await (await connect()).get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_metrics_can_be_put_behind_a_callers_key(connect, server):
    client = await connect(**ON, METRICS_AUTH="true")
    assert (await client.get("/metrics")).status_code == 401
    made = await callers.create(async_client(server.url), "prometheus")
    assert (await client.get("/metrics", headers={"X-API-Key": made.key})).status_code == 200


@pytest.mark.parametrize(("auth", "metrics_auth", "status"), [
    ("true", "", 401), ("true", "true", 401), ("true", "false", 200), ("false", "", 200), ("false", "true", 401),
])  # fmt: skip
async def test_metrics_need_a_key_where_every_route_does(connect, auth, metrics_auth, status):
    client = await connect(**ON, AUTH_ENABLED=auth, METRICS_AUTH=metrics_auth)
    assert (await client.get("/metrics")).status_code == status


async def test_job_events_are_counted_where_they_happen(connect, server, store):
    client = await connect(**ON, DEDUP_ENABLED="true")
    handle = async_client(server.url)
    spend = Spend("m", 0.25, 10, 5, 3, 2)

    async def submit(query, **fields):
        return (await client.post("/api/query", json={"query": query, **fields})).json()

    before = await figures(client)
    assert {name for name, value in before.items() if value} <= {'claude_queue_size{state="waiting"}'}
    # A success that another submission joins, and that is then cached.
    await submit("a")
    assert (await submit("a"))["status"] == "duplicate"
    claim = await take(server.url)
    await claims.settle(
        handle, claims.finish(claim, "completed", {"result": RESULT}, keep_for=60, spend=[spend], saves_usd=0.25)
    )
    assert (await submit("a"))["status"] == "cached"
    # An attempt that is retried, and whose retry fails.
    await submit("b")
    claim = await take(server.url)
    await claims.settle(handle, claims.retry(claim, 0, "overloaded", claims.Upstream(), [spend]))
    await run(server.url, ERROR)
    # One job cancelled while it waits, one handed back, one lost twice, one running and one waiting.
    await client.delete(f"/api/query/{(await submit('c'))['jobId']}")
    await submit("d")
    await claims.settle(handle, claims.hand_back(await take(server.url)))
    for _ in range(2):
        await take(server.url, "dead")
        rescue(server.url, "dead", json.dumps(ERROR["error"]))
    await submit("e")
    await take(server.url, "alive")
    await submit("f")
    for slot in ("alive", "idle"):
        store.zadd(keys.SLOTS, {slot: 4_000_000_000})
    seen = await figures(client)
    expected = {
        'claude_queue_size{state="waiting"}': 1, 'claude_queue_size{state="active"}': 1,
        'claude_queue_size{state="delayed"}': 0, 'claude_queue_size{state="completed"}': 1,
        'claude_queue_size{state="failed"}': 2, 'claude_queue_size{state="cancelled"}': 1,
        "claude_jobs_completed_total": 1, "claude_jobs_cancelled_total": 1, "claude_jobs_stalled_total": 2,
        "claude_jobs_deduplicated_total": 1, 'claude_jobs_failed_total{code="server_error"}': 1,
        'claude_jobs_failed_total{code="worker_lost"}': 1, 'claude_jobs_failed_total{code="timeout"}': 0,
        'claude_job_retries_total{code="overloaded"}': 1, 'claude_job_retries_total{code="worker_lost"}': 1,
        "claude_cache_hits_total": 1, "claude_cache_misses_total": 6, "claude_cache_saved_usd_total": 0.25,
        'claude_cost_usd_total{model="m"}': 0.5, 'claude_tokens_total{kind="input",model="m"}': 20,
        'claude_tokens_total{kind="cache_creation",model="m"}': 4, "claude_execution_duration_seconds_count": 3,
        'claude_execution_duration_seconds_bucket{le="+Inf"}': 3, "claude_queue_wait_seconds_count": 4,
        'claude_workers{state="busy"}': 1, 'claude_workers{state="idle"}': 1, "claude_webhook_pending": 0,
    }  # fmt: skip
    assert {name: seen[name] for name in expected} == expected
    assert 0 < seen["claude_queue_oldest_seconds"] < 60
    assert set(seen) >= set(before)


async def test_the_reasons_that_hold_the_queue_are_metrics(connect, store, server):
    client = await connect(**ON)
    await operations.pause(async_client(server.url), by="admin")
    store.set(keys.NOT_BEFORE, "rate_limited", px=60_000)
    store.hset(keys.UPSTREAM, mapping={"refused": 3, "code": "billing_error", "since": 1, "probe": 1})
    store.hset(keys.FILE_BYTES, mapping={"a": 5, "b": 7})
    store.zadd(keys.HELD, {"job": 1})
    seen = await figures(client)
    held = {name: value for name, value in seen.items() if name.startswith(("claude_queue_held", "claude_files"))}
    reasons = {"paused": 1, "rate_limited": 1, "authentication_failed": 0, "billing_error": 1}
    expected = {f'claude_queue_held{{reason="{reason}"}}': value for reason, value in reasons.items()}
    assert held == expected | {"claude_queue_held_jobs": 1, "claude_files_bytes": 12}


async def test_a_scrape_changes_nothing_and_is_one_round_trip(connect, store, round_trips):
    client = await connect(**ON)
    await client.post("/api/query", json={"query": "q"})
    await client.get("/metrics")
    before = {key: store.dump(key) for key in store.scan_iter() if key != keys.HTTP}
    round_trips.clear()
    await client.get("/metrics")
    assert len(round_trips) == 1
    assert {key: store.dump(key) for key in store.scan_iter() if key != keys.HTTP} == before


async def test_openmetrics_is_served_when_requested(connect):
    client = await connect(**ON)
    answer = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.fixture(scope="module")
def variables():
    return {"METRICS_ENABLED": "true", "WEB_CONCURRENCY": "2", "LOG_FORMAT": "json"}


@pytest.mark.slow
@pytest.mark.long
def test_http_is_counted_over_all_processes(gateway):
    for _ in range(5):
        gateway.client.get("/api/query/nothing")
        gateway.client.request("PROPFIND", "/no/such/path")

    def counted():
        return scrape(gateway.client)

    name = 'http_requests_total{method="GET",route="/api/query/{jobId}",status="404"}'
    seen = gateway.until(counted, lambda seen: seen.get(name) == 5)
    assert seen['http_request_duration_seconds_count{method="GET",route="/api/query/{jobId}"}'] == 5
    assert seen['http_requests_total{method="other",route="none",status="404"}'] == 5


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_promtool_accepts_the_metrics(gateway):
    gateway.ask("count me")
    promtool = shutil.which("promtool")
    if promtool is None:
        assert not os.environ.get("CI"), "promtool is not installed"
        pytest.skip("promtool is not installed")
    text = gateway.client.get("/metrics").text
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.long
@pytest.mark.emulated
def test_a_function_logs_emf_metrics_and_every_line_has_its_ids(gateway):
    gateway.client.get("/api/query/nothing")

    def logged(**fields):
        lines = [json.loads(line) for line in list(gateway.log) if line.startswith("{")]
        return [line for line in lines if line.items() >= fields.items()]

    metrics = until(lambda: [line for line in logged(route="GET /api/query/{jobId}") if "_aws" in line])
    [directive] = metrics[-1]["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ClaudeApiGateway"
    assert {one["Name"] for one in directive["Metrics"]} == {"Requests", "ServerErrors", "Latency"}
    assert metrics[-1]["Requests"] == [1.0]
    served = until(lambda: logged(event="request", route="/api/query/{jobId}"))
    assert served[-1]["correlation_id"]
    assert served[-1]["function_name"] == "StatusFunction"
    assert served[-1]["request_id"]
