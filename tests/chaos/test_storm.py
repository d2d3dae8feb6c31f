"""Jobs of all priorities while their slots and workers are killed: each ends once."""

import collections
import random
import statistics

import pytest

from local.messages_api import user_query
from shared.api.vocabulary import PRIORITIES
from tests.chaos.storm import Watch, rage
from tests.support.deployment import Deployment
from tests.support.scripted_model import Text


@pytest.mark.timeout(2400)
def test_each_accepted_job_ends_once_whatever_is_killed(tmp_path, model, full, row):
    jobs, seconds = (2000, 90.0) if full else (60, 10.0)
    # Slots that are killed have a job.
    model.reply = lambda body: Text(user_query(body), delay_before=0.2)
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="4") as deployment, Watch(deployment.redis.port) as watch:
        deployment.start_worker()
        deployment.wait_for_slots(4)
        ids = [deployment.submit(f"job {n}", priority=PRIORITIES[n % 3]) for n in range(jobs)]
        killed = rage(deployment, watch, jobs, seconds, random.Random(1))  # noqa: S311 -- the same storm each time
        deployment.until(lambda: len(set(watch.ended)), lambda count: count >= jobs, timeout=2000 if full else 150)
        states: collections.Counter[str] = collections.Counter()
        for number, job_id in enumerate(ids):
            job = deployment.job(job_id)
            states[job["state"] if job["error"] is None else job["error"]["code"]] += 1
            if job["state"] == "completed":
                assert job["result"]["response"] == f"job {number}"
        assert set(states) <= {"completed", "worker_lost"}, states
        assert sorted(watch.ended) == sorted(ids), "a job ended twice, or one that was never accepted"
        health = deployment.client.get("/health").json()
        assert (health["waiting"], health["active"], health["delayed"]) == (0, 0, 0)
    times = sorted(watch.recovered)
    assert times, "nothing was lost: the storm was none"
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    row("whatever is killed", f"{jobs} jobs, {dict(states)}, killed {sum(killed.values())}: {killed}")
    row("  until a job that lost its slot may start again", f"p50 {statistics.median(times):.1f} s, p99 {p99:.1f} s")
