"""A batch whose worker is killed: its counts always add up, one webhook is sent, and no finished job runs twice."""

import json
import threading
import time
from collections import Counter

import pytest

from local.messages_api import user_query
from tests.support.deployment import Deployment
from tests.support.receiver import Receiver
from tests.support.scripted_model import Hang, Text

SLOTS = 4


@pytest.mark.timeout(1800)
def test_a_batch_survives_its_worker(model, tmp_path, full, row):
    total = 1000 if full else 24
    queries = [f"number {number}" for number in range(total)]
    third, killed = total // 3, threading.Event()

    def reply(body):
        """Hang every request once a third has ended, so that the kill hits busy slots."""
        query = user_query(body)
        held = int(query.split()[1]) >= third and not killed.is_set()
        return Hang(until=killed) if held else Text(query)

    model.reply = reply
    with (
        Receiver() as receiver,
        Deployment(
            tmp_path, model.url, QUEUE_CONCURRENCY=str(SLOTS), WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8"
        ) as gateway,
    ):
        gateway.start_worker()
        body = {"queries": [{"query": query} for query in queries], "webhookUrl": receiver.url}
        place = gateway.client.post("/api/batches", json=body).headers["location"]
        ended, looks, deadline = 0, 0, time.monotonic() + 200 + total * 2
        while True:
            counts = gateway.client.get(place).json()["counts"]
            looks += 1
            assert sum(counts.values()) == 2 * counts["total"] == 2 * total
            assert counts["completed"] >= ended, counts
            ended = counts["completed"]
            if not killed.is_set() and len(model.requests) == third + SLOTS:
                gateway.kill_all_of_the_worker()
                killed.set()
                gateway.start_worker()
            if counts["waiting"] + counts["active"] + counts["delayed"] == 0:
                break
            assert time.monotonic() < deadline, counts
            time.sleep(0.05)
        lines = [json.loads(line) for line in gateway.client.get(f"{place}/results").text.splitlines()]
        assert [line["result"]["response"] for line in lines] == queries
        again = [query for query, line in zip(queries, lines, strict=True) if line["attempts"] > 1]
        # Only the jobs that ran during the kill run again.
        assert Counter(model.queries()) == Counter([*queries, *again])
        assert len(again) == SLOTS
        gateway.until(lambda: len(receiver.hooks), bool)
        assert [hook.event["type"] for hook in receiver.hooks] == ["batch.ended"]
        row("a batch, its worker killed with -9", f"{total} in order, {len(again)} run again, {looks} looks all right")
