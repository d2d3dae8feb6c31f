"""Workers are killed around due times: each due time makes one job, none is missed and none is doubled."""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import datetime

import pytest
import redis

from shared.store import keys
from tests.support.deployment import Deployment

SCHEDULE = {"name": "chaos", "overlap": "queue", "query": {"query": "again"}}


def create(deployment, count, cron):
    made = [deployment.client.post("/api/schedules", json={**SCHEDULE, "cron": cron}) for _ in range(count)]
    assert {one.status_code for one in made} == {201}
    return [one.json()["scheduleId"] for one in made]


def ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def check(deployment, schedules, expected):
    """Compare the runs and jobs of each schedule with its due times; return the greatest delay of a run in ms."""
    delays = []
    for schedule in schedules:
        runs = deployment.client.get(f"/api/schedules/{schedule}").json()["runs"]
        assert Counter(ms(run["dueAt"]) for run in runs) == Counter(expected[schedule]), (schedule, runs)
        assert {run["state"] for run in runs} <= {"waiting", "active", "completed"}, runs
        page = deployment.client.get(f"/api/query?schedule={schedule}&limit=100").json()["jobs"]
        assert sorted(job["jobId"] for job in page) == sorted(run["jobId"] for run in runs)
        delays += [ms(run["at"]) - ms(run["dueAt"]) for run in runs]
    return max(delays)


@pytest.mark.timeout(300)
def test_due_times_survive_the_death_of_schedulers(model, tmp_path, row):
    """Catches a due time that is lost with the scheduler that took it, or carried out by two."""
    count, seconds, stop, deaths = 150, 8, threading.Event(), []
    with Deployment(tmp_path, model.url) as deployment, redis.Redis(port=deployment.redis.port) as store:
        schedules = create(deployment, count, "@yearly")

        def keep_alive():
            while not stop.is_set():
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.support.dying_scheduler"], env=deployment.environment
                )
                while process.poll() is None and not stop.wait(0.02):
                    pass
                process.kill()
                process.wait()
                deaths.append(stop.is_set())

        threads = [threading.Thread(target=keep_alive) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            begin, chance = int(time.time() * 1000), random.Random(13)  # noqa: S311 -- no secret
            expected = {schedule: [begin + chance.randrange(seconds * 1000)] for schedule in schedules}
            for schedule, [due] in expected.items():
                store.hset(f"cg:schedule:{schedule}", "next", due)
                store.zadd("cg:schedules:due", {schedule: due})
            # No worker takes them off the queue.
            deployment.until(lambda: store.zcard(keys.WAITING), lambda made: made >= count, timeout=200)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        worst = check(deployment, schedules, expected)
        assert deaths.count(False) > 2
        row(
            f"schedulers died {deaths.count(False)} times at {count} due times",
            f"one job each, {worst} ms late at most",
        )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_hundred_schedules_a_minute_for_three_minutes(model, tmp_path, row):
    """Catches the same with whole workers, when all due times come at once each minute."""
    count, minutes, chance = 500, 3, random.Random(13)  # noqa: S311 -- no secret
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="1") as deployment:
        with redis.Redis(port=deployment.redis.port) as store:
            store.set(keys.PAUSED, 1)  # the jobs are counted, and do not run
        # All within one minute, so that they have the same due times.
        time.sleep((60 - time.time() % 60) % 60)
        schedules = create(deployment, count, "* * * * *")
        first = int(time.time() // 60 + 1) * 60
        for _ in range(2):
            deployment.start_worker()
        deployment.wait_for_slots(2)
        kills = 0
        for minute in range(minutes):
            due = first + 60 * minute
            time.sleep(max(0.0, due - 1 - time.time()))
            while time.time() < due + 6:
                time.sleep(chance.uniform(0.2, 2.0))
                deployment.worker = deployment._workers[-2]
                if deployment.worker.is_running():
                    deployment.kill_worker()
                    kills += 1
                deployment.start_worker()
                deployment.wait_for_slots(1)
        for schedule in schedules:
            deployment.client.post(f"/api/schedules/{schedule}/pause")
        due_times = [(first + 60 * minute) * 1000 for minute in range(minutes)]
        worst = check(deployment, schedules, dict.fromkeys(schedules, due_times))
        seen = f"{count * minutes} jobs, none missed, none doubled, {worst} ms late at most"
        row(f"{count} schedules a minute for {minutes} minutes, workers killed {kills} times", seen)
