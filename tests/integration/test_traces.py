"""Traces: one tree from a client's `traceparent` to its webhook, of every way to run a job, with nothing secret."""

import json
import threading
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest

from tests.support.collector import Collector, tree
from tests.support.gateway import ROOT
from tests.support.parameters import first_of, long
from tests.support.receiver import Receiver
from tests.support.scripted_model import Disconnect, Error, Text, ToolUse
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow]

CLIENT = "00f067aa0ba902b7"
CHAT = "chat claude-opus-5-5"
RUN = ("invoke_agent", [CHAT])
TOOL_RUN = ("invoke_agent", [CHAT, "execute_tool Bash", CHAT])
WHOLE: list[Any] = [("POST /api/query", [("job", ["wait", TOOL_RUN]), "webhook query.completed"])]
# What no span may hold, anywhere in its name or attributes.
SECRET = "the-query-nobody-sees"


@pytest.fixture(scope="module")
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def variables(collector):
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret-of-the-collector",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "CLAUDE_TOOLS": "Bash,Agent",
        "CLAUDE_MAX_RETRIES": "2",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.1",
        "WEBHOOK_RETRY_SCHEDULE": "1",
        "LOG_FORMAT": "json",
        "METRICS_ENABLED": "true",
        "DEDUP_ENABLED": "true",
    }


def begin(state=None, flags="01"):
    """Return a new trace id, and the headers of a client whose span is in it."""
    trace = token_hex(16)
    return trace, {"traceparent": f"00-{trace}-{CLIENT}-{flags}", **({"tracestate": state} if state else {})}


def submit(gateway, headers, path="/api/query", **body):
    answer = gateway.client.post(path, json=body, headers=headers)
    assert answer.status_code < 300, answer.text
    return answer


def attributes(span):
    """Return a span's attributes without those that differ from run to run."""
    return {
        name: value
        for name, value in span.attributes.items()
        if not name.endswith((".id", "server.port")) and not name.startswith("gen_ai.usage")
    }


def test_a_job_with_a_tool_and_a_webhook_is_one_tree(gateway, model, collector, receiver):
    model.script([ToolUse("Bash", {"command": f"echo {SECRET}"})], Text(SECRET))
    trace, headers = begin("vendor=1")
    url = f"{receiver.url}/hook?token={SECRET}"
    body = {"query": SECRET, "tools": ["Bash"], "webhookUrl": url, "systemPrompt": SECRET, "metadata": {"a": SECRET}}
    submitted = submit(gateway, headers, **body).json()
    spans = collector.trace(trace, 8)
    assert tree(spans, CLIENT) == WHOLE
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-opus-5-5",
        "gen_ai.response.model": "claude-opus-5-5",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
    }
    assert {(span.name, span.kind): attributes(span) for span in spans} == {
        ("POST /api/query", "server"): {
            "http.request.method": "POST",
            "http.route": "/api/query",
            "http.response.status_code": 202,
            "url.scheme": "http",
        },
        ("job", "internal"): {"claude_gateway.job.state": "completed"},
        ("wait", "internal"): {},
        ("invoke_agent", "internal"): {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.response.model": "claude-opus-5-5",
            "claude_gateway.attempt": 1,
        },
        (CHAT, "client"): chat | {"gen_ai.response.finish_reasons": ["end_turn"]},
        ("execute_tool Bash", "internal"): {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "Bash",
            "gen_ai.tool.type": "function",
        },
        ("webhook query.completed", "client"): {
            "http.request.method": "POST",
            "http.response.status_code": 204,
            "server.address": "127.0.0.1",
            "claude_gateway.webhook.event": "query.completed",
        },
    }
    assert {span.attributes.get("claude_gateway.job.id", submitted["jobId"]) for span in spans} == {submitted["jobId"]}
    by_name = {span.name: span for span in spans}
    usage = {name: value for name, value in by_name["invoke_agent"].attributes.items() if "usage" in name}
    assert usage == {
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
    }
    assert all(span.ended >= span.started and not span.is_error and span.state == "vendor=1" for span in spans)
    hook = next(hook for hook in receiver.hooks if hook.event["data"]["jobId"] == submitted["jobId"])
    assert hook.headers["traceparent"] == f"00-{trace}-{by_name['webhook query.completed'].span_id}-01"
    assert hook.headers["tracestate"] == "vendor=1"


@pytest.mark.long
def test_a_pause_for_a_decision_is_a_span_of_the_job(gateway, model, collector):
    """Catches a job whose hours of waiting for a person look like a wait for a slot, or like nothing."""
    model.script([ToolUse("Bash", {"command": f"echo {SECRET}"})], Text(SECRET))
    trace, headers = begin()
    submitted = submit(gateway, headers, query="paused", tools=["Bash"], approval={"tools": ["Bash"]}).json()["jobId"]
    pending = until(lambda: gateway.job(submitted)["pending"])
    place = f"/api/query/{submitted}/decisions/{pending['id']}"
    gateway.client.post(place, json={"decision": "deny", "message": SECRET}).raise_for_status()
    spans = collector.trace(trace, 9)
    again = ("invoke_agent", ["execute_tool Bash", CHAT])
    assert tree(spans, CLIENT) == [("POST /api/query", [("job", ["wait", RUN, ("pause", ["wait"]), again])])]
    by_name = {span.name: span for span in spans}
    pause, wait = by_name["pause"], by_name["wait"]
    assert attributes(pause) == {"gen_ai.tool.name": "Bash", "claude_gateway.decision": "deny"}
    assert pause.started <= wait.started <= wait.ended == pause.ended
    assert SECRET not in str(spans)


def drawn(below, indent=""):
    """Draw a tree as docs/traces.md does."""
    lines = []
    for place, node in enumerate(below, 1):
        name, inner = (node, []) if isinstance(node, str) else node
        is_last = place == len(below)
        lines += [indent + ("└─ " if is_last else "├─ ") + name, *drawn(inner, indent + ("   " if is_last else "│  "))]
    return lines


def test_the_document_shows_the_tree():
    """Catches a span that is renamed, or moved, and not in docs/traces.md."""
    [(request, below)] = WHOLE
    assert "\n".join([request, *drawn(below)]) in (ROOT / "docs/traces.md").read_text(encoding="utf-8")


def test_no_span_holds_a_text_a_secret_or_a_path(gateway, collector):
    """Catches an attribute of a query, an answer, a tool's input, a URL's query, a header or a directory."""
    assert len(collector.spans) >= 8
    held = json.dumps([[span.name, span.attributes, span.resource] for span in collector.spans])
    for word in (SECRET, "secret-of-the-collector", str(gateway.runs), str(gateway.data), "echo"):
        assert word not in held
    assert not [line for line in gateway.log if "secret-of-the-collector" in line]
    resource = collector.spans[0].resource
    assert resource["service.name"] == "claude-api-gateway"
    assert resource["deployment.environment.name"] == "test"
    assert collector.requests[0]["path"] == "/v1/traces"
    assert collector.requests[0]["authorization"] == "Bearer secret-of-the-collector"


def test_log_lines_have_the_trace(gateway, collector):
    trace, headers = begin()
    job = submit(gateway, headers, query="logged").json()["jobId"]
    collector.trace(trace, 5)
    lines = [json.loads(line) for line in gateway.log if f'"trace_id":"{trace}"' in line]
    assert {"request", "job_started", "job_ended"} <= {line["event"] for line in lines}
    assert {line["job_id"] for line in lines} == {job}


@pytest.mark.slow
def test_a_second_attempt_is_a_second_run_of_the_job(gateway, model, collector):
    model.script(Disconnect(2), Text("done"))
    trace, headers = begin()
    submit(gateway, headers, query="twice")
    spans = collector.trace(trace, 8)
    assert tree(spans, CLIENT) == [("POST /api/query", [("job", ["wait", RUN, "wait", RUN])])]
    runs = [span for span in spans if span.name == "invoke_agent"]
    assert [(run.is_error, run.attributes["claude_gateway.attempt"]) for run in runs] == [(True, 1), (False, 2)]
    assert runs[0].attributes["error.type"] == "server_error"
    waits = [span for span in spans if span.name == "wait"]
    assert waits[1].started >= runs[0].started  # since the end of the first run, not since the submission


@pytest.mark.slow
@pytest.mark.long
def test_a_request_that_the_relay_repeats_is_a_span_of_its_own(gateway, model, collector):
    model.script(Error(529, "overloaded_error"), Text("done"))
    trace, headers = begin()
    submit(gateway, headers, query="repeated")
    spans = collector.trace(trace, 6)
    assert tree(spans, CLIENT) == [("POST /api/query", [("job", ["wait", ("invoke_agent", [CHAT, CHAT])])])]
    first, second = (span for span in spans if span.name == CHAT)
    assert (first.attributes["error.type"], first.attributes["http.response.status_code"]) == ("overloaded", 529)
    assert "error.type" not in second.attributes


@pytest.mark.slow
@pytest.mark.long
def test_the_metrics_have_exemplars(gateway, collector):
    """Catches an exemplar of a trace that nobody recorded, and one in the format that has none."""
    trace, headers = begin()
    gateway.finished(submit(gateway, headers, query="measured").json()["jobId"])

    def exemplars():
        text = gateway.client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}).text
        lines = [line for line in text.splitlines() if f'# {{trace_id="{trace}"}}' in line]
        return {line.split("{")[0] for line in lines}

    families = ("claude_queue_wait_seconds", "claude_execution_duration_seconds", "http_request_duration_seconds")
    until(lambda: exemplars() == {f"{name}_bucket" for name in families})
    assert "trace_id" not in gateway.client.get("/metrics").text
    retried = 'claude_upstream_retries_total{code="overloaded"} 1.0'
    assert retried in gateway.client.get("/metrics").text  # of the request that the relay has repeated


@pytest.mark.slow
@pytest.mark.long
def test_a_failed_job_has_its_code(gateway, model, collector):
    model.reply, before = (lambda body: Error(400, "invalid_request_error", SECRET)), model.reply
    trace, headers = begin()
    job = submit(gateway, headers, query="fails").json()["jobId"]
    gateway.finished(job)
    model.reply = before
    spans = until(lambda: "job" in (found := {span.name: span for span in collector.trace(trace, 5)}) and found)
    assert {spans[name].attributes["error.type"] for name in ("job", "invoke_agent")} == {"invalid_request"}
    assert spans[CHAT].attributes["error.type"] == "400"
    assert spans["job"].attributes["claude_gateway.job.state"] == "failed"


def test_the_jobs_of_a_batch_are_below_its_request(gateway, collector, receiver):
    trace, headers = begin()
    queries = [{"query": "one of two"}, {"query": "two of two"}]
    submit(gateway, headers, "/api/batches", queries=queries, webhookUrl=f"{receiver.url}/batch")
    spans = collector.trace(trace, 10)
    job = ("job", ["wait", RUN])
    assert tree(spans, CLIENT) == [("POST /api/batches", [job, job, "webhook batch.ended"])]


LIVE: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "chat"}]},
    "/v1/responses": {"model": "claude-opus-5-5", "input": "respond"},
    "/v1/messages": {
        "model": "claude-opus-5-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "message"}],
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("stream", [long(False), True])
@pytest.mark.parametrize("path", first_of(LIVE))
def test_a_compat_api_has_the_same_tree(gateway, collector, path, stream):
    trace, headers = begin()
    submit(gateway, headers, path, **LIVE[path], stream=stream)
    spans = collector.trace(trace, 5)
    assert tree(spans, CLIENT) == [(f"POST {path}", [("job", ["wait", RUN])])]
    [request] = [span for span in spans if span.kind == "server"]
    run = next(span for span in spans if span.name == "invoke_agent")
    assert request.ended >= run.started  # the client waits for the answer


@pytest.mark.slow
def test_a_joined_and_a_cached_submission_have_their_own_webhook_trace(gateway, model, collector, receiver):
    """Catches a webhook that carries on the trace of another client's submission."""
    going = threading.Event()
    model.reply, before = (lambda body: Text("same") if going.wait(20) else Text("late")), model.reply
    body: dict[str, Any] = {"query": "shared by three", "webhookUrl": f"{receiver.url}/three"}
    (first, one), (joined, two), (cached, three) = begin(), begin(), begin()
    job = submit(gateway, one, **body).json()["jobId"]
    assert submit(gateway, two, **body).json()["status"] == "duplicate"
    going.set()
    gateway.finished(job)
    model.reply = before
    assert submit(gateway, three, **body).json()["status"] == "cached"
    alone = [("POST /api/query", ["webhook query.completed"])]
    assert tree(collector.trace(joined, 2), CLIENT) == alone
    assert tree(collector.trace(cached, 2), CLIENT) == alone
    assert len(collector.trace(first, 6)) == 6
    sent = {hook.headers["traceparent"].split("-")[1] for hook in receiver.hooks if hook.path == "/three"}
    assert sent == {first, joined, cached}


@pytest.mark.slow
@pytest.mark.long
def test_a_delivery_that_is_repeated_is_two_spans(gateway, collector, receiver):
    answers: Iterator[tuple[int, dict[str, str]]] = iter([(500, {}), (204, {})])
    receiver.reply, before = (lambda hook: next(answers)), receiver.reply
    trace, headers = begin()
    submit(gateway, headers, query="delivered twice", webhookUrl=f"{receiver.url}/twice")
    spans = [span for span in collector.trace(trace, 7) if span.name.startswith("webhook")]
    receiver.reply = before
    assert [span.attributes["http.response.status_code"] for span in spans] == [500, 204]
    assert spans[0].attributes["error.type"] == "500"
    assert spans[1].attributes["http.request.resend_count"] == 1


@pytest.mark.slow
@pytest.mark.long
def test_a_cancelled_job_ends_its_trace(gateway, model, collector):
    model.script([ToolUse("Bash", {"command": "sleep 60"})])
    trace, headers = begin()
    job = submit(gateway, headers, query="stop", tools=["Bash"]).json()["jobId"]
    until(lambda: gateway.job(job)["steps"] == 1)
    gateway.client.delete(f"/api/query/{job}").raise_for_status()
    spans = collector.trace(trace, 6)
    run = ("invoke_agent", [CHAT, "execute_tool Bash"])
    assert tree(spans, CLIENT) == [("POST /api/query", [("job", ["wait", run])])]
    by_name = {span.name: span for span in spans}
    assert by_name["job"].attributes["claude_gateway.job.state"] == "cancelled"
    assert by_name["invoke_agent"].attributes["error.type"] == "cancelled"
    assert by_name["execute_tool Bash"].attributes["error.type"] == "failed"


@pytest.mark.slow
@pytest.mark.long
def test_headers_that_are_wrong_begin_a_trace_without_them(gateway, collector):
    """Catches a 500, and a client's text that is kept in Redis whatever its size; the unit tests have more of these."""
    raw = [(b"traceparent", b"00-" + b"a" * 9000), (b"tracestate", b"a=" + b"b" * 9000)]
    raw.append((b"baggage", b"k=" + b"v" * 5000))
    answer = gateway.client.post("/api/query", json={"query": "wrong"}, headers=raw)
    assert answer.status_code == 202
    own = {"claude_gateway.job.id": answer.json()["jobId"]}.items()
    found = until(lambda: [one for one in collector.spans if one.name == "job" and own <= one.attributes.items()])
    spans = collector.trace(found[0].trace_id, 5)
    assert tree(spans, "") == [("POST /api/query", [("job", ["wait", RUN])])]
    assert {span.state for span in spans} == {""}
    assert "vvvv" not in str(spans)


def test_a_client_can_leave_its_trace_unrecorded(gateway, collector, receiver):
    trace, headers = begin(flags="00")
    job = submit(gateway, headers, query="unsampled", webhookUrl=f"{receiver.url}/unsampled").json()["jobId"]
    gateway.finished(job)
    hook = until(lambda: next((one for one in receiver.hooks if one.path == "/unsampled"), None))
    assert hook.headers["traceparent"].startswith(f"00-{trace}-")
    assert hook.headers["traceparent"].endswith("-00")
    recorded, headers = begin()
    submit(gateway, headers, query="after it")
    collector.trace(recorded, 5)
    assert trace not in {span.trace_id for span in collector.spans}


def test_a_read_is_a_span_only_in_a_clients_trace(gateway, collector):
    """Catches a trace for each poll, and one for each probe."""
    job = gateway.ask("polled")["jobId"]
    trace, headers = begin()
    for path in ("/health", "/health/live", "/metrics", f"/api/query/{job}"):
        gateway.client.get(path, headers=headers).raise_for_status()
    [span] = collector.trace(trace, 1)
    assert (span.name, span.parent) == ("GET /api/query/{jobId}", CLIENT)
    assert {one.name for one in collector.spans if one.name.startswith("GET")} == {"GET /api/query/{jobId}"}


def test_a_method_and_a_path_of_a_client_are_in_no_span(gateway, collector):
    trace, headers = begin()
    gateway.client.request("PROPFIND", f"/{SECRET}", headers=headers)
    [span] = collector.trace(trace, 1)
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert SECRET not in str(span)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [long("500"), "silence"])
def test_nothing_waits_for_a_collector_that_fails(gateway, collector, fault):
    """Catches a submission, a run or an end that waits for its spans."""
    answered = threading.Event()
    collector.reply, before = (lambda: 500 if fault == "500" else 200 * answered.wait(60)), collector.reply
    job = gateway.ask(f"while the collector has {fault}")
    assert job["state"] == "completed"
    collector.reply = before
    answered.set()
    trace, headers = begin()
    submit(gateway, headers, query=f"after {fault}")
    assert len(collector.trace(trace, 5)) == 5
