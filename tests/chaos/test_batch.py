"""A batch whose worker is killed: counted right at every look, told of once, and nothing run twice that had ended."""

import json
import time
from collections import Counter

import pytest

from tests.support.deployment import Deployment
from tests.support.receiver import Receiver


@pytest.mark.timeout(1800)
def test_a_batch_outlives_its_worker(model, tmp_path, full, row):
    total = 1000 if full else 60
    queries = [f"number {number}" for number in range(total)]
    with (
        Receiver() as receiver,
        Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="4", WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8") as gateway,
    ):
        gateway.start_worker()
        body = {"queries": [{"query": query} for query in queries], "webhookUrl": receiver.url}
        place = gateway.client.post("/api/batches", json=body).headers["location"]
        ended, killed, looks, deadline = 0, False, 0, time.monotonic() + total * 2
        while True:
            counts = gateway.client.get(place).json()["counts"]
            looks += 1
            assert sum(counts.values()) == 2 * counts["total"] == 2 * total
            assert counts["completed"] >= ended, counts
            ended = counts["completed"]
            if not killed and ended >= total // 3:
                gateway.kill_worker()
                gateway.start_worker()
                killed = True
            if counts["waiting"] + counts["active"] + counts["delayed"] == 0:
                break
            assert time.monotonic() < deadline, counts
            time.sleep(0.05)
        lines = [json.loads(line) for line in gateway.client.get(f"{place}/results").text.splitlines()]
        assert [line["result"]["response"] for line in lines] == queries
        asked = Counter(model.queries())
        assert all(asked[query] == 1 for query, line in zip(queries, lines, strict=True) if line["attempts"] == 1)
        gateway.until(lambda: len(receiver.hooks), bool)
        assert [hook.event["type"] for hook in receiver.hooks] == ["batch.ended"]
        again = sum(line["attempts"] > 1 for line in lines)
        row("a batch, its worker killed with -9", f"{total} in order, {again} run again, {looks} looks all right")
