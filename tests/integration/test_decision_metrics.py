"""Decisions are counted where they are made: by outcome, with the time until somebody decided."""

import json

import pytest

from shared.store import keys
from shared.store.jobs import decisions, maintenance, records
from shared.store.redis.client import async_client, sync_client
from tests.integration.test_decision_races import paused
from tests.support.scrape import parse

EMPTY = 'claude_queue_size{state="paused"}'
OUTCOMES = ("allow", "deny", "expired", "cancelled")


async def scraped(client):
    return parse((await client.get("/metrics")).text)


def counts(found):
    return {name: found[f'claude_decisions_total{{outcome="{name}"}}'] for name in OUTCOMES}


def expire(server, store, job_id):
    store.zadd(keys.AWAITING, {job_id: 1})
    with sync_client(server.url) as client:
        maintenance.expire_decisions(client, denial=json.dumps({"decision": "deny"}), error="{}", keep_for=60)


@pytest.mark.parametrize("late", ["deny", "fail"])
async def test_each_end_of_a_pause_is_counted_once(connect, server, store, late):
    """Catches a decision that is counted by no outcome or by two, and a paused job that no metric shows."""
    client, handle = await connect(METRICS_ENABLED="true"), async_client(server.url)
    before = await scraped(client)
    assert counts(before) == dict.fromkeys(OUTCOMES, 0)
    for number, choice in enumerate(("allow", "deny", "allow", "deny")):
        job_id = await paused(server, late)
        assert (await scraped(client))[EMPTY] == 1
        if number == 0:
            store.hincrby(f"cg:job:{job_id}", "stopped", -90_000)
        if number < 2:
            assert await decisions.decide(handle, job_id, "ask", {"decision": choice}, caller=None) == "decided"
            assert await decisions.decide(handle, job_id, "ask", {"decision": choice}, caller=None) == "over"
        elif number == 2:
            expire(server, store, job_id)
        await records.cancel(handle, job_id, keys.ANONYMOUS, keep_for=60)
    found = await scraped(client)
    assert counts(found) == dict.fromkeys(OUTCOMES, 1)
    assert found[EMPTY] == 0
    # Time is over where nobody decided: only the two decisions have a duration.
    assert found["claude_decision_seconds_count"] == 2
    assert found['claude_decision_seconds_bucket{le="60.0"}'] == 1
    assert 90 <= found["claude_decision_seconds_sum"] < 120
