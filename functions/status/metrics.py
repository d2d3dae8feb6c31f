"""The metrics of the whole deployment for Prometheus; imported at the first request for `/metrics`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from shared.api.vocabulary import ErrorCode
from shared.http import traffic
from shared.http.headers import wants_openmetrics
from shared.store import keys
from shared.store.fleet import workers
from shared.store.fleet.counters import Metrics

# Counters without labels: the metric, the field of the store, and the help text.
_PLAIN = (
    ("claude_jobs_completed", "completed", "Jobs that completed"),
    ("claude_jobs_cancelled", "cancelled", "Jobs that were cancelled"),
    ("claude_jobs_stalled", "stalled", "Jobs that were rescued after their slot was lost"),
    ("claude_jobs_deduplicated", "deduplicated", "Submissions that joined an identical job in flight"),
    ("claude_cache_hits", "cache_hits", "Submissions answered from the cache"),
    ("claude_cache_misses", "cache_misses", "Cacheable jobs that the cache could not answer"),
    ("claude_cache_saved_usd", "cache_saved_usd", "Cost that cached answers saved, USD"),
)
# Counters with one label: the metric, the field's prefix, the label, and the help text.
_LABELED = (
    ("claude_jobs_failed", "failed:", "code", "Jobs that failed"),
    ("claude_job_retries", "retries:", "code", "Failed attempts that another attempt followed"),
    ("claude_cost_usd", "cost:", "model", "Cost of all attempts, USD"),
    ("claude_decisions", "decisions:", "outcome", "Decisions on calls that paused jobs"),
    ("claude_webhook_deliveries", "webhooks:", "outcome", "Delivery attempts of webhooks"),
    ("claude_upstream_retries", "upstream:", "code", "Requests to Claude that the relay sends again"),
    ("claude_schedule_runs", "schedules:", "outcome", "Due times of schedules and runs by hand"),
)
_HISTOGRAMS = (
    ("claude_execution_duration_seconds", "execution", "From the first start of a job to its end, completed or failed"),
    ("claude_decision_seconds", "decision", "From the pause of a job to the decision that somebody made"),
    ("claude_queue_wait_seconds", "queue_wait", "From the submission of a job to its first start"),
)
_Bucket = tuple[str, float] | tuple[str, float, Exemplar]
# The reasons for which no job starts.
_HOLDS = ("paused", "rate_limited", "authentication_failed", "billing_error")
# Series that exist before their first event, because Prometheus cannot see an increase from no value to 1.
_ALWAYS = {
    "failed:": get_args(ErrorCode),
    "retries:": ("rate_limited", "overloaded", "server_error", "cli_crashed", "worker_lost"),
    "cost:": (),
    "decisions:": ("allow", "deny", "expired", "cancelled"),
    "webhooks:": ("delivered", "retried", "abandoned", "paused"),
    "upstream:": ("rate_limited", "overloaded", "server_error", "authentication_failed"),
    "schedules:": ("queued", "skipped", "missed", "refused"),
}  # fmt: skip


def exposition(figures: Metrics, accept: str) -> tuple[bytes, str]:
    """Write all metrics in the format of an Accept header; also return its content type."""
    registry = CollectorRegistry()
    registry.register(_Deployment(figures))
    # The library cannot parse every header that a client may send, so it gets a media type that it knows.
    encode, content_type = choose_encoder("application/openmetrics-text" if wants_openmetrics(accept) else "")
    return encode(registry), content_type


class _Deployment(Collector):
    def __init__(self, figures: Metrics) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        yield from self._gauges()
        counters = self._figures.counters
        for name, field, text in _PLAIN:
            yield CounterMetricFamily(name, text, value=float(counters.get(field, 0)))
        for name, prefix, label, text in _LABELED:
            family = CounterMetricFamily(name, text, labels=[label])
            found = dict.fromkeys(_ALWAYS[prefix], 0.0) | _with_prefix(counters, prefix)
            for value, count in found.items():
                family.add_metric([value], count)
            yield family
        tokens = CounterMetricFamily("claude_tokens", "Tokens of all attempts", labels=["model", "kind"])
        for field, count in _with_prefix(counters, "tokens:").items():
            kind, _, model = field.partition(":")
            tokens.add_metric([model, kind], count)
        yield tokens
        for name, prefix, text in _HISTOGRAMS:
            histogram = HistogramMetricFamily(name, text)
            found = _with_prefix(counters, f"{prefix}:")
            total = found.pop("sum", 0.0)
            exemplars = {name: text for name, text in self._figures.exemplars.items() if name.startswith(f"{prefix}:")}
            histogram.add_metric([], _cumulated(found, keys.BUCKETS, exemplars, f"{prefix}:"), total)
            yield histogram
        yield from self._http()

    def _gauges(self) -> Iterator[Metric]:
        sizes = GaugeMetricFamily("claude_queue_size", "Jobs by state", labels=["state"])
        for state, count in self._figures.jobs.items():
            sizes.add_metric([state], count)
        yield sizes
        busy = sum(1 for job in self._figures.slots.values() if job)
        live = GaugeMetricFamily("claude_workers", "Live slots", labels=["state"])
        live.add_metric(["busy"], busy)
        live.add_metric(["idle"], len(self._figures.slots) - busy)
        yield live
        sandbox = GaugeMetricFamily("claude_sandbox", "Live workers, by the sandbox of their runs", labels=["kind"])
        for kind in workers.SANDBOXES:
            sandbox.add_metric([kind], sum(1 for one in self._figures.workers if one.sandbox == kind))
        yield sandbox
        holds = GaugeMetricFamily("claude_queue_held", "1 while no job starts, by the reason", labels=["reason"])
        for reason in dict.fromkeys((*_HOLDS, *self._figures.holds)):
            holds.add_metric([reason], float(reason in self._figures.holds))
        yield holds
        text = "Jobs that wait for a running job of their caller"
        yield GaugeMetricFamily("claude_queue_held_jobs", text, value=self._figures.held)
        yield GaugeMetricFamily("claude_files_bytes", "Size of all files", value=self._figures.file_bytes)
        oldest = (self._figures.oldest or 0) / 1000
        yield GaugeMetricFamily("claude_queue_oldest_seconds", "Age of the oldest waiting job", value=oldest)
        pending = float(self._figures.counters.get("webhooks_pending", 0))
        yield GaugeMetricFamily("claude_webhook_pending", "Deliveries that are still to be sent", value=pending)

    def _http(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("http_requests", "HTTP requests", labels=["method", "route", "status"])
        buckets: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        seconds: dict[tuple[str, str], float] = {}
        for field, value in self._figures.http.items():
            kind, method, route, *rest = field.split("|")
            if kind == "n":
                requests.add_metric([method, route, rest[0]], float(value))
            elif kind == "b":
                buckets[method, route][rest[0]] = float(value)
            else:
                seconds[method, route] = float(value)
        yield requests
        durations = HistogramMetricFamily(
            "http_request_duration_seconds", "From a request to the end of its response", labels=["method", "route"]
        )
        for labels, found in buckets.items():
            prefix = f"b|{'|'.join(labels)}|"
            found_buckets = _cumulated(found, traffic.BUCKETS, self._figures.exemplars, prefix)
            durations.add_metric(labels, found_buckets, seconds.get(labels, 0.0))
        yield durations


def _with_prefix(counters: Mapping[str, str], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): float(value) for name, value in counters.items() if name.startswith(prefix)}


def _cumulated(
    found: Mapping[str, float], bounds: Iterable[float], exemplars: Mapping[str, str], prefix: str
) -> list[_Bucket]:
    """Turn the counts of single buckets into the cumulative counts of Prometheus, with the exemplar of each bucket."""
    names = [*(f"{bound:g}" for bound in bounds), "+Inf"]
    total, cumulated = 0.0, list[_Bucket]()
    for name in names:
        total += found.get(name, 0.0)
        bound = name if name == "+Inf" else str(float(name))
        exemplar = exemplars.get(prefix + name)
        cumulated.append((bound, total) if exemplar is None else (bound, total, _exemplar(exemplar)))
    return cumulated


def _exemplar(text: str) -> Exemplar:
    trace_id, value, at = text.split(" ")
    return Exemplar({"trace_id": trace_id}, float(value), int(at) / 1000)
