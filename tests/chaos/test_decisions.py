"""Jobs that pause for decisions while slots and workers are killed: each call is made as decided, at most once."""

import collections
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.chaos.between import CLAIMED, QUEUED, Killer, outcomes
from tests.chaos.storm import Watch
from tests.support.deployment import Deployment
from tests.support.scripted_model import Text, ToolUse

CALLS = 2
UNKNOWN = "may or may not have taken effect"


def results(body):
    """Return what the tool has answered so far, in order."""
    blocks = [one for message in body["messages"] if isinstance(message["content"], list) for one in message["content"]]
    return [str(one["content"]) for one in blocks if one["type"] == "tool_result"]


def answers(job):
    """Return the results that a job's answer reports, in order."""
    return [one.strip() for one in job["result"]["response"].split(" | ")]


def reply_for(effects):
    """Return a model that makes two calls in each job, and then reports their results."""

    def reply(body):
        number, done = re.findall(r"job (\d+)", str(body["messages"]))[0], results(body)
        if len(done) == CALLS:
            return Text(" | ".join(done))
        return ToolUse("Bash", {"command": f"echo {number}.{len(done)} >> {effects}; echo made"})

    return reply


class Deciders:
    """Two people who decide whatever waits, at the same time and not alike."""

    def __init__(self, deployment):
        self.made: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
        self.faults: list[str] = []
        self._client = deployment.client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        with ThreadPoolExecutor(8) as pool:
            while not self._stop.wait(0.05):
                listed = self._client.get("/api/query", params={"state": "paused", "limit": 50}).json()["jobs"]
                waiting = [job for job in listed if (job["jobId"], job["pending"]["id"]) not in self.made]
                tries = [(job, choice) for job in waiting for choice in ("allow", "deny")]
                random.shuffle(tries)
                list(pool.map(lambda one: self._decide(*one), tries))

    def _decide(self, job, choice):
        place = f"/api/query/{job['jobId']}/decisions/{job['pending']['id']}"
        status = self._client.post(place, json={"decision": choice, "message": "denied"}).status_code
        name = (job["jobId"], job["pending"]["id"])
        if status == 200 and name in self.made:
            self.faults.append(f"{name} was decided twice")
        elif status == 200:
            self.made[name] = (choice, job["pending"]["input"])
        elif status != 409:
            self.faults.append(f"{name}: {status}")


@pytest.mark.timeout(1800)
def test_a_decided_call_is_made_as_decided_and_at_most_once(tmp_path, model, full, row):
    """Catches a call that two runs make, one that was denied and is made, and a job that is paused for ever."""
    jobs, slots = (200, 6) if full else (10, 4)
    kills = {CLAIMED: 25, QUEUED: 5} if full else {CLAIMED: 2, QUEUED: 1}
    effects = tmp_path / "effects"
    effects.touch()
    model.reply = reply_for(effects)
    variables = {"CLAUDE_TOOLS": "Bash", "RUN_SANDBOX": "off", "QUEUE_CONCURRENCY": str(slots)}
    with Deployment(tmp_path, model.url, **variables) as deployment, Watch(deployment.redis.port) as watch:
        deployment.start_worker()
        deployment.wait_for_slots(slots)
        with Deciders(deployment) as deciders, closing(Killer(deployment, random.Random(1))) as killer:  # noqa: S311
            fields = {"tools": ["Bash"], "approval": {"tools": ["Bash"]}}
            ids = [deployment.submit(f"job {n}.", **fields) for n in range(jobs)]
            killer.rage(kills, 900 if full else 90, lambda: len(set(watch.ended)) >= jobs)
            deployment.until(lambda: len(set(watch.ended)), lambda count: count >= jobs, timeout=1200 if full else 120)
        found = [deployment.job(job_id) for job_id in ids]
        assert list(watch.redis.scan_iter("cg:turn:*-paused*", count=10_000)) == [], "transcripts of pauses are left"
    assert deciders.faults == []
    assert all(killer.kills[kind] >= count for kind, count in kills.items()), f"the moments were missed: {killer.kills}"
    made = collections.Counter(effects.read_text().split())
    assert set(made.values()) <= {1}, f"made more than once: {made.most_common(3)}"
    calls = [(choice, re.findall(r"echo (\d+\.\d+) ", call["command"])[0]) for choice, call in deciders.made.values()]
    allowed = {name for choice, name in calls if choice == "allow"}
    assert set(made) <= allowed, "a call was made that nobody allowed"
    shown = [one for one in enumerate(found) if one[1]["state"] == "completed"]
    results_of = {f"{n}.{place}": text for n, job in shown for place, text in enumerate(answers(job))}
    for name, text in results_of.items():
        assert (text == "made") <= (name in made), f"{name} was reported, and not made"
        assert text == "made" or ("denied" in text and name not in made) or UNKNOWN in text, (name, text)
    unknown = sum(UNKNOWN in text for text in results_of.values())
    assert set(outcomes(found)) <= {"completed", "worker_lost"}, outcomes(found)
    row("calls that wait for decisions, whatever is killed", f"{jobs} jobs, {outcomes(found)}, killed {killer.kills}")
    row("  calls made, and of unknown outcome", f"{len(made)} of {len(allowed)} allowed, {unknown} unknown")


@pytest.mark.timeout(300)
def test_a_call_whose_worker_is_lost_is_not_made_again(tmp_path, model, row):
    """Catches a call that is repeated, or whose outcome the model has to guess."""
    effects = tmp_path / "effects"
    call = ToolUse("Bash", {"command": f"echo begun >> {effects}; sleep 60"})
    model.reply = lambda body: Text(" | ".join(results(body))) if results(body) else call
    variables = {"CLAUDE_TOOLS": "Bash", "RUN_SANDBOX": "off", "QUEUE_CONCURRENCY": "1"}
    with Deployment(tmp_path, model.url, **variables) as deployment:
        deployment.start_worker()
        job_id = deployment.submit("go", tools=["Bash"], approval={"tools": ["Bash"]})
        job = deployment.until(lambda: deployment.job(job_id), lambda job: job["state"] == "paused")
        deployment.kill_worker()  # between the pause and the decision
        place = f"/api/query/{job_id}/decisions/{job['pending']['id']}"
        assert deployment.client.post(place, json={"decision": "allow"}).status_code == 200
        deployment.start_worker()
        deployment.until(effects.exists, bool, timeout=60)
        deployment.kill_all_of_the_worker()
        deployment.start_worker()
        ended = deployment.finished(job_id, timeout=90)
    assert ended["state"] == "completed", ended
    assert UNKNOWN in ended["result"]["response"]
    assert effects.read_text().split() == ["begun"]
    row("worker -9 while an allowed call is made", f"completed, attempts {ended['attempts']}, call made once")
