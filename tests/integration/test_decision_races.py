"""What comes at the same moment as a decision: another decision, the end of its time, a cancellation."""

import asyncio
import json
import random
from typing import Literal

import pytest
import redis

from shared.api.ids import new_id
from shared.store import keys
from shared.store.jobs import claims, decisions, maintenance, pauses, records, submissions
from shared.store.redis.client import async_client, close_clients
from tests.support import slot

ALLOW, DENY, LATE = {"decision": "allow"}, {"decision": "deny"}, {"decision": "deny", "message": "late"}


@pytest.fixture(autouse=True)
async def _closed():
    yield
    await close_clients()


async def paused(server, late: Literal["deny", "fail"] = "deny", *, ask="ask", **fields):
    """Return the id of a job that waits for a decision."""
    client = async_client(server.url)
    submission = submissions.Submission(new_id(), new_id(), keys.ANONYMOUS, 1, 60_000, "{}", **fields)
    await submissions.submit(client, submission)
    claim = slot.pop(server.url)
    assert claim is not None
    job = await claims.take(client, claim, "slot")
    assert job is not None
    question = pauses.Question(ask, "tool", "Bash", {}, 60_000, late)
    pause = pauses.pause(job.claim, question, session_id="s", resume={}, keep_for=60)
    assert await claims.settle(client, pause) == "settled"
    return claim.job_id


@pytest.mark.parametrize("late", ["deny", "fail"])
async def test_one_of_decisions_and_the_end_of_the_time_wins(server, store, late):
    """Catches a job that goes on twice, or one that fails and goes on."""
    winners = set()
    for number in range(40):
        job_id = await paused(server, late)
        with redis.Redis(port=server.port) as client:
            # Its time ends about when the decisions come: after 0 to 127 ms, on a machine that may be busy.
            over = int(client.time()[0]) * 1000 + client.time()[1] // 1000 + random.randrange(1 << number % 8)  # noqa: S311 -- no secret
            client.hset(f"cg:job:{job_id}", "until", over)
            client.zadd(keys.AWAITING, {job_id: over})

            def expire(client=client):
                for _ in range(20):
                    maintenance.expire_decisions(client, denial=json.dumps(LATE), error="{}", keep_for=60)
                return "expired"

            allowed, denied, _ = await asyncio.gather(
                decisions.decide(async_client(server.url), job_id, "ask", ALLOW, caller=None),
                decisions.decide(async_client(server.url), job_id, "ask", DENY, caller=None),
                asyncio.to_thread(expire),
            )
            while store.zscore(keys.AWAITING, job_id) is not None:
                expire()
        record = store.hgetall(f"cg:job:{job_id}")
        assert [allowed, denied].count("decided") <= 1
        made = ALLOW if allowed == "decided" else DENY if denied == "decided" else LATE
        if made == LATE and late == "fail":
            assert (record["state"], store.zscore(keys.WAITING, job_id)) == ("failed", None)
        else:
            assert (record["state"], json.loads(record["decision"])) == ("waiting", made)
            assert store.zscore(keys.WAITING, job_id) is not None
        winners.add(str(made))
        store.flushall()
    assert len(winners) > 1, "the race was none"


async def test_one_of_a_decision_and_a_cancellation_wins(server, store):
    """Catches a cancelled job whose call is made, and a decision that nobody gets."""
    for number in range(40):
        job_id = await paused(server)
        client = async_client(server.url)
        first = records.cancel(client, job_id, keys.ANONYMOUS, keep_for=60)
        second = decisions.decide(client, job_id, "ask", ALLOW, caller=None)
        outcomes = [await first, await second] if number % 2 else [await second, await first]
        record = store.hgetall(f"cg:job:{job_id}")
        # A job that was decided first waits for its slot, and can be cancelled like any other.
        assert "cancelled" in outcomes
        assert record["state"] == "cancelled"
        assert outcomes.count("decided") == (0 if number % 2 else 1)
        assert store.zscore(keys.WAITING, job_id) is None
        assert store.zscore(keys.AWAITING, job_id) is None
        assert "decision" not in record
