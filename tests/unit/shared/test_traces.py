"""Trace contexts: what is taken from a client, the ids of a job's span, and the settings."""

import pytest

from functions.worker.jobs.attempt_trace import word
from shared.configuration.settings import CommonSettings, SettingsError, load
from shared.tracing import context, spans
from shared.tracing.context import TraceContext, of_job, parse
from shared.tracing.exporting import Exporting
from shared.tracing.incoming import client_context, new_context
from tests.support.collector import Collector

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
JOB = "01a21b11-c5d3-7d98-aeb2-4dc709020b89"


def taken(*headers):
    return client_context([(name.encode(), value.encode("latin-1")) for name, value in headers])


def test_a_clients_context_is_carried_on_as_it_came():
    found = taken(("traceparent", PARENT), ("tracestate", "a=1,b=2"))
    assert found == TraceContext(TRACE, SPAN, is_sampled=True, state="a=1,b=2")
    assert found.text == f"{PARENT} a=1,b=2"
    assert parse(found.text) == found
    assert found.headers == {"traceparent": PARENT, "tracestate": "a=1,b=2"}
    assert not taken(("traceparent", f"00-{TRACE}-{SPAN}-00")).is_sampled


@pytest.mark.parametrize(
    "value",
    [
        "", "garbage", "00", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01", f"{PARENT}-more", f"{PARENT}\u00e9", f"00-{'a' * 9000}", f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1", f"{PARENT}\n{PARENT}", f"00_{TRACE}_{SPAN}_01", "\x00" * 55, f"{PARENT}, {PARENT}",
    ],
)  # fmt: skip
def test_a_wrong_traceparent_is_none(value):
    """Catches an error, and an id in a form that no other program reads."""
    assert taken(("traceparent", value)) is None


def test_two_traceparents_are_none():
    """Catches a proxy's header that a client overrides, or the other way round."""
    assert taken(("traceparent", PARENT), ("traceparent", f"00-{'c' * 32}-{SPAN}-01")) is None


@pytest.mark.parametrize(
    "state", ["", "no pair", "\u00e4=b", "a=" + "b" * 511, "a=b," * 200, "a=\x7f", "a=b\nc=d", "A=b", "=", ","]
)
def test_a_wrong_tracestate_is_dropped(state):
    """Catches a text of any size that travels with each job and each webhook."""
    assert taken(("traceparent", PARENT), ("tracestate", state)) == TraceContext(TRACE, SPAN)


def test_parts_of_a_tracestate_are_joined_and_bounded_together():
    parts = [("tracestate", f"k{number}=" + "v" * 100) for number in range(5)]
    assert taken(("traceparent", PARENT), *parts[:4]).state.count("=") == 4
    assert taken(("traceparent", PARENT), *parts).state == ""


def test_a_context_in_redis_has_a_bounded_size():
    longest = taken(("traceparent", PARENT), ("tracestate", "a=" + "b" * 254 + ",c=" + "d" * 250))
    assert len(longest.text) <= 55 + 1 + 512


def test_a_job_without_a_trace_begins_one_with_its_own_id():
    own = of_job(JOB, None, 0, 1)
    assert (own.trace_id, own.span_id) == (JOB.replace("-", ""), "aeb24dc709020b89")
    below = of_job(JOB, TraceContext(TRACE, SPAN, is_sampled=False, state="a=b"), 0, 1)
    assert below == TraceContext(TRACE, own.span_id, is_sampled=False, state="a=b")


def test_a_job_that_runs_again_has_another_span():
    assert len({of_job(JOB, None, number, 1).span_id for number in range(100)}) == 100


@pytest.mark.parametrize(("ratio", "least", "most"), [(0, 0, 0), (0.1, 60, 140), (1, 1000, 1000)])
def test_a_part_of_the_traces_that_begin_here_is_recorded(ratio, least, most):
    assert least <= sum(new_context(ratio).is_sampled for _ in range(1000)) <= most


@pytest.fixture
def setting(monkeypatch):
    def read(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load.__wrapped__(CommonSettings)

    return read


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://collector:4318", "http://collector:4318"),
        ("http://collector:4318/", "http://collector:4318"),
        ("https://otlp.example.com/tenant/", "https://otlp.example.com/tenant"),
        ("http://[::1]:4318/v1/traces", "http://[::1]:4318"),
    ],
)
def test_an_endpoint_is_the_url_before_v1_traces(setting, given, used):
    assert setting(OTEL_EXPORTER_OTLP_ENDPOINT=given).otel_exporter_otlp_endpoint == used


@pytest.mark.parametrize(
    "url",
    [
        "collector:4318",
        "grpc://collector",
        "http://",
        "http://a:0",
        "http://a:99999",
        "http://a b",
        "http://a/?k=v",
        "file:///x",
    ],
)
def test_a_wrong_endpoint_is_named(setting, url):
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT: should be"):
        setting(OTEL_EXPORTER_OTLP_ENDPOINT=url)


def test_a_password_in_an_endpoint_is_refused_and_not_shown(setting):
    with pytest.raises(SettingsError) as caught:
        setting(OTEL_EXPORTER_OTLP_ENDPOINT="http://user:hunter2@collector:4318")
    assert "OTEL_EXPORTER_OTLP_HEADERS" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_headers_are_percent_decoded_and_never_shown(setting):
    found = setting(OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20t0p, x-tenant = a%2Cb")
    assert found.otlp_headers == {"authorization": "Bearer t0p", "x-tenant": "a,b"}
    assert "t0p" not in repr(found)


@pytest.mark.parametrize("text", ["t0p-secret", "a b=t0p", "a=t0p%0d%0ab: c", "=t0p", "a=t0p\u00e9"])
def test_wrong_headers_are_refused_and_not_shown(setting, text):
    with pytest.raises(SettingsError) as caught:
        setting(OTEL_EXPORTER_OTLP_HEADERS=text)
    assert str(caught.value).startswith("OTEL_EXPORTER_OTLP_HEADERS: should be")
    assert "t0p" not in str(caught.value)


def test_a_span_that_cannot_be_encoded_loses_no_other():
    """Catches a text or a number of a hostile run that blinds the traces of all jobs."""
    own = TraceContext(TRACE, SPAN)
    attributes: dict[str, spans.Value | None] = {
        "text": "\ud800 x", "long": "y" * 100_000, "number": 1 << 90, "list": ["\udfff"], "none": None, "flag": True,
    }  # fmt: skip
    with Collector() as collector:
        exporting = Exporting(CommonSettings(otel_exporter_otlp_endpoint=collector.url))
        exporting.add(spans.Span("hostile \ud800", own, None, 2, 1, attributes=attributes))
        exporting.add(spans.Span("other", own, None, 1, 2))
        exporting.flush(20)
        exporting._processor.shutdown()
    hostile, other = collector.spans
    assert (hostile.name, other.name) == ("hostile ?", "other")
    assert hostile.ended == hostile.started
    cut = {"text": "? x", "long": "y" * 16_384, "number": (1 << 63) - 1, "list": ["?"], "flag": True}
    assert hostile.attributes == cut


@pytest.mark.parametrize("name", ["claude-opus-5-5", "us.anthropic.claude-x-v1:0", "claude[1m]", "models/x@20260101"])
def test_a_name_of_a_model_is_kept(name):
    assert word(name) == name


@pytest.mark.parametrize("name", ["", "a text of a tool", "\u00e9", "\ud800", "x" * 101, "a\n"])
def test_a_text_is_no_name_of_a_model(name):
    """Catches a query that a tool puts into a span by asking the relay for a model of that name."""
    assert word(name) == "unknown"


def test_without_a_collector_nothing_is_recorded():
    assert not spans.is_on()
    spans.record(spans.Span("job", of_job(JOB, None, 0, 1), None, 0, 1))
    spans.flush(0)
    assert context.current_text() == ""
