"""Submit once, run once: cache, single-flight, idempotency, priorities, cancelling, waiting, lists."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from local.messages_api import user_query
from shared.api.models import JobPage, Status
from tests.support.gateway import Gateway
from tests.support.parameters import first_of
from tests.support.scripted_model import Error, Hang, ScriptedModel, Text


@pytest.fixture(scope="module")
def variables():
    return {
        "DEDUP_ENABLED": "true",
        "WEB_CONCURRENCY": "2",
        "CLAUDE_TOOLS": "Read",
        "CLAUDE_MODELS": "claude-opus-5-5,claude-sonnet-5-5",
        "MAX_BUDGET_USD": "2",
        "MAX_QUEUE_DEPTH": "30",
        "CLAUDE_WARM": "false",
    }


@pytest.fixture
def hold(gateway, script):
    """Hold the model's answers to queries that begin with `hold` until the test releases them or ends."""
    go = threading.Event()
    script(lambda body: Hang(until=go) if user_query(body).startswith("hold") else Text(user_query(body)))
    yield go
    go.set()
    # A CLI that has not sent its request yet would be held by the next test.
    gateway.until(lambda: gateway.client.get("/health").json(), lambda seen: seen["waiting"] + seen["active"] == 0)


def post(gateway, body, **headers):
    return gateway.client.post("/api/query", json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def occupy(gateway):
    """Fill both slots with held queries."""
    jobs = [gateway.submit(f"hold {time.monotonic_ns()}") for _ in range(2)]
    for job in jobs:
        gateway.until(lambda job=job: gateway.job(job)["state"], lambda state: state == "active")
    return jobs


def test_an_identical_query_is_cached_with_its_own_request_id(gateway, model):
    first = gateway.ask("cached once")
    before = len(model.requests)
    answer = post(gateway, {"query": "cached once"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["jobId"]) == ("cached", first["jobId"])
    assert body["result"] == first["result"]
    assert body["requestId"] != first["requestId"]
    assert len(model.requests) == before


@pytest.mark.once
@pytest.mark.parametrize(
    "other",
    first_of(
        [
            {"query": "Sensitive"},
            {"query": "sensitive "},
            {"query": "sensitive", "context": {}},
            {"query": "sensitive", "maxTurns": 2},
            {"query": "sensitive", "model": "claude-sonnet-5-5"},
            {"query": "sensitive", "timeoutMs": 60_000},
            {"query": "sensitive", "systemPrompt": "x"},
        ]
    ),
    ids=["case", "space", "context", "turns", "model", "timeout", "system"],
)
def test_a_query_that_differs_in_any_field_is_not_cached(gateway, other):
    gateway.ask("sensitive", cache={"mode": "refresh"})
    assert post(gateway, other).json()["status"] == "queued"


@pytest.mark.once
def test_fields_that_do_not_change_the_answer_do_not_change_the_cache(gateway):
    first = gateway.ask("same", priority="low", metadata={"a": "1"})
    answer = post(gateway, {"metadata": {"b": "2"}, "priority": "high", "query": "same"})
    assert answer.json()["jobId"] == first["jobId"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_bypass_neither_reads_nor_writes_and_refresh_overwrites(gateway):
    first = gateway.ask("modes", cache={"mode": "bypass"})
    second = gateway.ask("modes")
    assert second["jobId"] != first["jobId"]
    third = gateway.ask("modes", cache={"mode": "refresh"})
    assert third["jobId"] != second["jobId"]
    assert post(gateway, {"query": "modes"}).json()["jobId"] == third["jobId"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_a_cached_answer_ends_with_its_ttl(gateway):
    first = gateway.ask("short lived", cache={"ttl": 1})
    gateway.until(lambda: post(gateway, {"query": "short lived"}), lambda answer: answer.status_code == 202, timeout=10)
    assert gateway.job(first["jobId"])["state"] == "completed"


@pytest.mark.once
def test_a_failure_is_never_cached(gateway, model, script):
    script(lambda body: Error(400, "invalid_request_error", "no"))
    assert gateway.ask("fails at first")["state"] == "failed"
    script(lambda body: Text("better"))
    assert gateway.ask("fails at first")["result"]["response"] == "better"


def test_a_query_with_a_tool_is_neither_cached_nor_joined(gateway):
    first = gateway.ask("with a tool", tools=["Read"])
    assert first["state"] == "completed"
    assert gateway.ask("with a tool", tools=["Read"])["jobId"] != first["jobId"]


def test_a_tool_that_is_not_allowed_is_forbidden(gateway):
    answer = post(gateway, {"query": "x", "tools": ["Read", "Bash"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("model", "claude-haiku-4-5", "CLAUDE_MODELS"),
        ("maxBudgetUsd", 2.01, "MAX_BUDGET_USD"),
        ("timeoutMs", 120_001, "CLAUDE_TIMEOUT"),
    ],
)
def test_each_limit_is_named_in_its_error(gateway, field, value, limit):
    answer = post(gateway, {"query": "x", field: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert limit in answer.json()["errors"][0]["message"]


@pytest.mark.once
@pytest.mark.parametrize("end", first_of(["completed", "failed", "cancelled"]))
def test_many_identical_concurrent_queries_share_one_run(gateway, model, script, end):
    go, before = threading.Event(), len(model.requests)
    script(lambda body: Hang(until=go))
    with ThreadPoolExecutor(16) as pool:
        body = {"query": f"together {end} {gateway.url}"} | ({"timeoutMs": 8000} if end == "failed" else {})
        answers = list(pool.map(lambda _: post(gateway, body).json(), range(200)))
    assert sorted({answer["status"] for answer in answers}) == ["duplicate", "queued"]
    assert len({answer["jobId"] for answer in answers}) == 1
    assert len({answer["requestId"] for answer in answers}) == 200
    job_id = answers[0]["jobId"]
    model.wait_for_requests(before + 1)
    if end == "cancelled":
        gateway.client.delete(f"/api/query/{job_id}")
    if end != "failed":  # its timeout is over
        go.set()
    job = gateway.finished(job_id)
    assert job["state"] == end
    assert (job["error"] or {"code": None})["code"] == ("timeout" if end == "failed" else None)
    go.set()
    # Jobs of the tests before may still ask.
    assert model.queries().count(str(body["query"])) == 1


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("how", first_of(["failed", "cancelled"]))
def test_a_failed_leader_does_not_block_the_next(gateway, script, how):
    go = threading.Event()
    script(lambda body: Hang(until=go) if how == "cancelled" else Error(400, "invalid_request_error", "no"))
    leader = gateway.submit(f"leader {how}")
    if how == "cancelled":
        gateway.client.delete(f"/api/query/{leader}")
    assert gateway.finished(leader)["state"] == how
    go.set()
    script(lambda body: Text("fine"))
    answer = post(gateway, {"query": f"leader {how}"}).json()
    assert answer["status"] == "queued"
    assert gateway.finished(answer["jobId"])["result"]["response"] == "fine"


@pytest.mark.slow
@pytest.mark.once
def test_a_joiner_of_higher_priority_raises_a_waiting_job(gateway, hold):
    occupy(gateway)
    ahead = gateway.submit("ahead")
    low = gateway.submit("raise me", priority="low")
    assert gateway.job(low)["queuePosition"] == 1
    assert post(gateway, {"query": "raise me", "priority": "high"}).json()["status"] == "duplicate"
    raised = gateway.job(low)
    assert (raised["queuePosition"], raised["priority"]) == (0, "high")
    assert gateway.job(ahead)["queuePosition"] == 1


def test_the_same_key_and_body_return_the_first_answer(gateway):
    first = post(gateway, {"query": "keyed"}, Idempotency_Key="k1")
    again = post(gateway, {"query": "keyed", "priority": "normal"}, Idempotency_Key="k1")
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    gateway.finished(first.json()["jobId"])
    assert post(gateway, {"query": "keyed"}, Idempotency_Key="k1").json() == first.json()


def test_the_same_key_with_another_body_is_refused(gateway):
    post(gateway, {"query": "one body"}, Idempotency_Key="k2")
    answer = post(gateway, {"query": "another body"}, Idempotency_Key="k2")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")


@pytest.mark.once
def test_concurrent_requests_with_the_same_key_make_one_job(gateway):
    with ThreadPoolExecutor(16) as pool:
        body = {"query": "at once", "cache": {"mode": "bypass"}}
        answers = list(pool.map(lambda _: post(gateway, body, Idempotency_Key="k3"), range(16)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1


def test_a_refused_request_does_not_use_its_key(gateway):
    assert post(gateway, {"query": ""}, Idempotency_Key="k4").status_code == 422
    assert post(gateway, {"query": "now right"}, Idempotency_Key="k4").status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "with space"])
def test_an_invalid_key_is_refused(gateway, key):
    assert post(gateway, {"query": "x"}, Idempotency_Key=key).status_code == 422


@pytest.mark.slow
@pytest.mark.once
def test_priorities_are_strict_and_first_in_first_out_within_one(gateway, hold):
    leaving, _ = occupy(gateway)
    order = ["low", "normal", "high", "low", "normal", "high"]
    jobs = {f"{priority} {number}": gateway.submit(f"{priority} {number}", priority=priority)
            for number, priority in enumerate(order)}  # fmt: skip
    expected = ["high 2", "high 5", "normal 1", "normal 4", "low 0", "low 3"]
    positions = {gateway.job(jobs[name])["queuePosition"]: name for name in jobs}
    assert [positions[place] for place in range(6)] == expected
    # One slot takes them all: two slots could report their jobs in either order.
    assert gateway.client.delete(f"/api/query/{leaving}").status_code == 200
    for job_id in jobs.values():
        gateway.finished(job_id)
    started = sorted(jobs, key=lambda name: gateway.job(jobs[name])["startedAt"])
    assert started == expected


@pytest.mark.once
def test_a_waiting_job_that_is_cancelled_never_runs(gateway, model, hold):
    occupy(gateway)
    job_id = gateway.submit("never run")
    answer = gateway.client.delete(f"/api/query/{job_id}")
    assert answer.status_code == 200
    job = answer.json()
    Status.model_validate(job)
    assert (job["state"], job["progress"], job["queuePosition"], job["attempts"]) == ("cancelled", 100, None, 0)
    hold.set()
    gateway.ask("after it")
    assert "never run" not in model.queries()
    again = gateway.client.delete(f"/api/query/{job_id}")
    assert (again.status_code, again.json()["code"]) == (409, "already_finished")


def test_a_cancelled_running_job_ends_soon(gateway, hold):
    job_id = gateway.submit("hold to cancel")
    clis = gateway.until(gateway.running, bool)
    assert gateway.client.delete(f"/api/query/{job_id}").json()["state"] == "cancelled"
    # Two seconds on an idle machine; a run that is not ended would hang forever.
    _, alive = psutil.wait_procs(clis, timeout=10)
    assert not alive
    assert gateway.job(job_id)["state"] == "cancelled"


@pytest.mark.slow
@pytest.mark.once
def test_cancelling_and_completing_have_one_winner(gateway):
    # Each of these is a race of its own: the reported state must be the final one.
    for number in range(6):
        job_id = gateway.submit(f"race {number}", cache={"mode": "bypass"})
        least = 10 + number % 2
        gateway.until(lambda job_id=job_id: gateway.job(job_id)["progress"], lambda seen, least=least: seen > least)
        answer = gateway.client.delete(f"/api/query/{job_id}")
        job = gateway.finished(job_id)
        assert (answer.status_code, job["state"]) in {(200, "cancelled"), (409, "completed")}
        assert gateway.job(job_id) == job


def test_a_wait_returns_at_the_end_of_the_job_and_not_before(gateway, hold):
    job_id = gateway.submit("hold the line")
    assert gateway.client.get(f"/api/query/{job_id}?wait=0.2").json()["state"] in {"waiting", "active"}
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(gateway.client.get, f"/api/query/{job_id}?wait=20") for _ in range(8)]
        gateway.until(gateway.running, bool)
        hold.set()
        answers = [future.result().json() for future in waiting]
    assert {answer["state"] for answer in answers} == {"completed"}


@pytest.mark.slow
@pytest.mark.long
def test_prefer_wait_answers_with_the_finished_job_or_the_usual_202(gateway, hold):
    done = post(gateway, {"query": "soon"}, Prefer="wait=20")
    assert (done.status_code, done.json()["state"]) == (200, "completed")
    late = post(gateway, {"query": "hold long"}, Prefer="respond-async, wait=1")
    assert (late.status_code, late.json()["status"]) == (202, "queued")
    assert post(gateway, {"query": "nonsense"}, Prefer="wait=soon").status_code == 202


@pytest.mark.parametrize("seconds", first_of(["1e-270", "0", "0.000001", "0.05"]))
def test_a_tiny_wait_is_answered_at_once(gateway, hold, seconds):
    job_id = gateway.submit(f"hold {seconds}")
    for _ in range(20):
        assert gateway.client.get(f"/api/query/{job_id}?wait={seconds}", timeout=5).status_code == 200


@pytest.mark.parametrize("query", ["wait=26", "wait=-1", "wait=x", "wait=nan"])
def test_a_wait_out_of_bounds_is_refused(gateway, query):
    answer = gateway.client.get(f"/api/query/019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/wait"


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.long
def test_lists_are_newest_first_filtered_and_paged_without_gaps(gateway):
    made = [gateway.ask(f"listed {number}", metadata={"n": str(number)})["jobId"] for number in range(5)]
    first = gateway.client.get("/api/query?limit=2").json()
    JobPage.model_validate(first)
    assert [job["jobId"] for job in first["jobs"]] == made[:-3:-1]
    assert "result" not in first["jobs"][0]
    # A new job between two pages moves neither.
    gateway.ask("in between")
    seen, cursor = [], first["nextCursor"]
    while cursor:
        page = gateway.client.get(f"/api/query?limit=2&cursor={cursor}").json()
        seen += [job["jobId"] for job in page["jobs"]]
        cursor = page["nextCursor"]
    assert seen[:3] == made[2::-1]
    assert len(seen) == len(set(seen))
    gateway.client.delete(f"/api/query/{gateway.submit('cancelled at once')}").raise_for_status()
    cancelled = gateway.client.get("/api/query?state=cancelled&limit=100").json()["jobs"]
    assert {job["state"] for job in cancelled} == {"cancelled"}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "state=done", "cursor=x", "cursor=-1"])
def test_a_wrong_list_parameter_is_named(gateway, query):
    answer = gateway.client.get(f"/api/query?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/" + query.partition("=")[0]


@pytest.mark.slow
@pytest.mark.once
def test_a_full_queue_refuses_jobs_until_it_has_room(gateway, hold):
    occupy(gateway)
    jobs: list[str] = []
    while (answer := post(gateway, {"query": f"filler {len(jobs)}"})).status_code == 202:
        jobs.append(answer.json()["jobId"])
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
    assert answer.headers["retry-after"]
    assert len(jobs) == 30
    for job_id in jobs:
        assert gateway.client.delete(f"/api/query/{job_id}").status_code == 200
    assert post(gateway, {"query": "room again"}).status_code == 202


@pytest.mark.slow
async def test_five_hundred_waiting_requests_do_not_block_others(tmp_path):
    go = threading.Event()
    hanging = ScriptedModel(lambda body: Hang(until=go))
    variables = {"ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1"}
    with hanging as model, Gateway(tmp_path, **variables, ANTHROPIC_BASE_URL=model.url) as gateway:
        job_id = gateway.submit("x")
        api = next(process for process in gateway.processes() if "api" in process.cmdline())
        threads = api.num_threads()
        url = httpx.URL(gateway.url)
        waiting = [await asyncio.open_connection(url.host, url.port) for _ in range(500)]
        for _, writer in waiting:
            writer.write(f"GET /api/query/{job_id}?wait=25 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            await writer.drain()
        # One process serves requests in order: when it answers this one, it has accepted all the others.
        assert gateway.client.get("/health").status_code == 200
        assert api.num_threads() <= threads + 2
        assert gateway.client.delete(f"/api/query/{job_id}").status_code == 200
        for reader, writer in waiting:
            answer = await asyncio.wait_for(reader.readuntil(b'"state":"cancelled"'), 30)
            assert answer.startswith(b"HTTP/1.1 200")
            writer.close()
        go.set()
