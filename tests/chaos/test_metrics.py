"""After a shortened hour of everything, every metric is what the script has counted, whatever was killed."""

import threading
from collections import Counter

from local.messages_api import user_query
from tests.support.deployment import Deployment
from tests.support.receiver import Receiver
from tests.support.scrape import scrape
from tests.support.scripted_replies import Error, Hang, Text

VARIABLES = {
    "METRICS_ENABLED": "true", "DEDUP_ENABLED": "true", "WEB_CONCURRENCY": "2", "QUEUE_CONCURRENCY": "2",
    "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "WEBHOOK_RETRY_SCHEDULE": "1",
}  # fmt: skip


def test_every_metric_equals_the_count_of_the_script(model, tmp_path, row):
    go, busy = threading.Event(), set()

    def reply(body):
        query = user_query(body)
        if query.startswith("overloaded") and query not in busy:
            busy.add(query)
            return Error(529, "overloaded_error", after_chunks=3)
        if query.startswith("unknown"):
            return Error(404, "not_found_error")
        return Hang(go) if query.startswith("held") else Text(query)

    model.reply = reply
    with Deployment(tmp_path, model.url, **VARIABLES) as gateway, Receiver() as receiver:
        receiver.reply = lambda hook: (410 if hook.path == "/gone" else 204, {})
        gateway.start_worker()
        first = gateway.worker
        gateway.start_worker()
        gateway.wait_for_slots(4)
        jobs = [gateway.submit(f"well {number}", webhookUrl=f"{receiver.url}/well") for number in range(8)]
        jobs += [gateway.submit(f"unknown {number}") for number in range(3)]
        jobs += [gateway.submit(f"overloaded {number}", webhookUrl=f"{receiver.url}/gone") for number in range(2)]
        for job in jobs:
            gateway.finished(job)
        cached = [gateway.client.post("/api/query", json={"query": f"well {number}"}) for number in range(5)]
        assert {answer.json()["status"] for answer in cached} == {"cached"}
        # Four jobs that run, two that join them, two that wait and are cancelled; then a worker vanishes.
        held = [gateway.submit(f"held {number}") for number in range(4)]
        # Claimed, not only popped: a job that no slot has claimed has lost no worker.
        gateway.until(lambda: {gateway.job(job)["state"] for job in held}, {"active"}.__eq__)
        joined = [gateway.client.post("/api/query", json={"query": f"held {number}"}).json() for number in range(2)]
        assert {answer["status"] for answer in joined} == {"duplicate"}
        cancelled = [gateway.submit(f"waits {number}") for number in range(2)]
        for job in cancelled:
            assert gateway.client.delete(f"/api/query/{job}").status_code == 200
        for slot in gateway.slots():
            slot.kill()  # so that no slot hands its job back: the whole host is gone
        gateway.kill_worker()
        gateway.worker = first
        api = [process for process in gateway.api.children() if "spawn_main" in " ".join(process.cmdline())]
        api[0].kill()
        api[0].wait(10)  # its connections are closed by then, so that no request is sent on one of them
        gateway.until(lambda: scrape(gateway.client)["claude_jobs_stalled_total"], bool, timeout=60)
        go.set()
        jobs += held + cancelled
        ended = [gateway.finished(job, timeout=90) for job in jobs]
        states = Counter(job["state"] for job in ended)
        codes = Counter(job["error"]["code"] for job in ended if job["error"])
        costs = sum(job["result"]["costUsd"] for job in ended if job["result"])
        saved = sum(answer.json()["result"]["costUsd"] for answer in cached)
        gateway.until(lambda: scrape(gateway.client)["claude_webhook_pending"], lambda pending: pending == 0)
        seen = scrape(gateway.client)
        lost = int(seen["claude_jobs_stalled_total"])
        assert 1 <= lost <= 2  # as many as that worker had
        expected = {
            "claude_jobs_completed_total": states["completed"], "claude_jobs_cancelled_total": states["cancelled"],
            'claude_queue_size{state="completed"}': states["completed"],
            'claude_queue_size{state="failed"}': states["failed"], 'claude_queue_size{state="active"}': 0,
            'claude_queue_size{state="waiting"}': 0, 'claude_jobs_failed_total{code="model_not_found"}': 3,
            'claude_job_retries_total{code="overloaded"}': 2, 'claude_job_retries_total{code="worker_lost"}': lost,
            "claude_jobs_deduplicated_total": 2, "claude_cache_hits_total": 5,
            "claude_cache_misses_total": len(jobs), "claude_execution_duration_seconds_count": len(jobs) - 2,
            "claude_queue_wait_seconds_count": len(jobs) - 2, 'claude_webhook_deliveries_total{outcome="delivered"}': 8,
            'claude_webhook_deliveries_total{outcome="abandoned"}': 2, 'claude_workers{state="idle"}': 2,
        }  # fmt: skip
        assert {name: seen[name] for name in expected} == expected
        assert (codes, states["cancelled"]) == ({"model_not_found": 3}, 2)
        # A result has the cost of its own attempt, 10 tokens of input and 5 of output. The two attempts that were cut
        # have cost 10 of input and the 1 of output that a stream starts with. Output costs five times as much.
        costs += 2 * ended[0]["result"]["costUsd"] * (10 + 5 * 1) / (10 + 5 * 5)
        assert abs(sum(value for name, value in seen.items() if name.startswith("claude_cost_usd")) - costs) < 1e-9
        assert abs(seen["claude_cache_saved_usd_total"] - saved) < 1e-9
        row("every figure, after -9 of an API process and of a worker", f"{len(expected) + 2} equal the script's count")
