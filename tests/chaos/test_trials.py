"""One fault at a time, at the worst moment."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import redis

from local.messages_api import user_query
from shared.store import keys
from tests.chaos.dying_slot import POINTS
from tests.support.deployment import Deployment
from tests.support.fake_cli import fake_cli
from tests.support.gateway import ROOT
from tests.support.redis_states import in_state
from tests.support.scripted_model import Hang, Text, ToolUse


@pytest.mark.timeout(300)
def test_a_slot_killed_between_two_steps_repeats_only_the_run(tmp_path, model, row):
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="1") as deployment:
        ids = {}
        for number, point in enumerate(POINTS):
            ids[point] = deployment.submit(f"job {point}")
            command = [sys.executable, "-m", "tests.chaos.dying_slot", point, f"slot-{number}"]
            environment = {**deployment.environment, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(command, env=environment, cwd=tmp_path, timeout=60, check=False, capture_output=True)
            assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        deployment.start_worker()
        seen = {}
        for point, job_id in ids.items():
            job = deployment.finished(job_id, timeout=60)
            assert job["state"] == "completed", job
            seen[point] = job["attempts"], model.queries().count(f"job {point}")
        assert seen == dict(zip(POINTS, [(1, 1), (2, 1), (2, 2), (1, 1)], strict=True))
    for point, (attempts, calls) in seen.items():
        row(f"-9 {point}", f"completed, attempts {attempts}, model calls {calls}")


@pytest.mark.timeout(300)
def test_redis_killed_under_load_keeps_every_accepted_job(tmp_path, model, full, row):
    most = 400 if full else 24
    accepted: list[str] = []

    def submit(number):
        accepted.append(deployment.submit_in_an_outage(f"load {number}")[0])

    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="2") as deployment:
        deployment.start_worker()
        deployment.wait_for_slots(2)
        with ThreadPoolExecutor(8) as pool:
            submitting = [pool.submit(submit, number) for number in range(most)]
            deployment.until(lambda: len(accepted), lambda count: count > most // 4)
            deployment.redis.kill()
            time.sleep(2)
            deployment.redis.start()
            for future in submitting:
                future.result()
        states = [deployment.finished(job_id, timeout=250)["state"] for job_id in accepted]
        assert set(states) == {"completed"}
        row("Redis killed with -9 under load", f"{len(accepted)} accepted, all known, all completed")


@pytest.mark.timeout(300)
def test_redis_down_at_the_end_of_a_job_causes_no_second_run(tmp_path, model, full, row):
    away, go = 60 if full else 10, threading.Event()
    model.reply = lambda body: Hang(until=go)
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="1") as deployment:
        deployment.start_worker()
        job_id = deployment.submit("slow", timeoutMs=110_000)
        model.wait_for_requests(1, timeout=30)
        deployment.redis.kill()
        go.set()
        sent_at = time.monotonic()
        assert deployment.client.get(f"/api/query/{job_id}").status_code == 503
        refused_in = time.monotonic() - sent_at
        time.sleep(away)
        deployment.redis.start()
        job = deployment.finished(job_id, timeout=60)
        assert (job["state"], job["attempts"]) == ("completed", 1)
        assert len(model.requests) == 1
        row(
            f"Redis away {away} s across the end of a job",
            f"completed, 1 model call; API's 503 after {refused_in:.1f} s",
        )


@pytest.mark.timeout(300)
def test_two_gateways_sharing_a_spool_get_their_own_results(tmp_path, model, row):
    go = threading.Event()
    model.reply = lambda body: Hang(until=go)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    gateways = [Deployment(tmp_path / name, model.url, QUEUE_CONCURRENCY="1") for name in ("one", "two")]
    gateways[1].environment["TMPDIR"] = gateways[0].environment["TMPDIR"]
    with gateways[0], gateways[1]:
        ids = []
        for gateway in gateways:
            gateway.start_worker()
            ids.append(gateway.submit("slow", timeoutMs=110_000))
        model.wait_for_requests(2, timeout=60)
        for gateway in gateways:
            gateway.redis.kill()
        go.set()
        spool = tmp_path / "one/tmp" / f"claude-gateway-spool-{os.getuid()}"
        kept = gateways[0].until(lambda: sorted(spool.glob("*.json")), lambda files: len(files) == 2, timeout=30)
        for gateway in gateways:
            gateway.kill_all_of_the_worker()
        for path in (*kept, spool / "0.json"):
            os.mkfifo(path.with_name(f"{path.stem}0.json"))
        left: list[int] = []
        for gateway, job_id in zip(gateways, ids, strict=True):
            gateway.redis.start()
            gateway.start_worker()
            job = gateway.finished(job_id, timeout=60)
            assert (job["state"], job["attempts"]) == ("completed", 1)
            gateway.until(lambda: [path for path in kept if path.exists()], lambda files: len(files) < 2 - len(left))
            left.append(sum(path.exists() for path in kept))
        assert left == [1, 0]
        gateways[0].until(lambda: [path.name for path in spool.iterdir()], lambda names: names == ["refused"])
        assert len(model.requests) == 2
        for gateway in gateways:
            gateway.wait_for_slots(1)
            assert gateway.ask("alive")["state"] == "completed"
        log = "".join((gateway.folder / "log").read_text() for gateway in gateways)
        assert "claim_void" not in log
        assert "job_rescued" not in log
        assert log.count("spooled_result_written") == 2
        assert log.count("spooled_result_refused") == 3
        row(
            "Redis of two gateways with one spool away, all killed with -9",
            "each result to its own, 2 model calls; 3 FIFOs set aside",
        )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", ["timeout", "cancel", "kill"])
def test_a_tools_child_in_its_own_session_ends_with_the_run(tmp_path, model, row, end):
    number = f"36{os.getpid()}{len(end)}"
    command = f"setsid sleep {number} >/dev/null 2>&1 & disown; sleep {number}"
    model.reply = lambda body: ToolUse("Bash", {"command": command}) if len(model.requests) < 2 else Text("done")
    options = {"QUEUE_CONCURRENCY": "1", "CLAUDE_TOOLS": "Bash"}

    def sleepers():
        return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", number]]

    with Deployment(tmp_path, model.url, **options) as deployment:
        deployment.start_worker()
        deployment.wait_for_slots(1)
        job_id = deployment.submit("leave something", tools=["Bash"], timeoutMs=8000 if end == "timeout" else 60_000)
        left = deployment.until(sleepers, lambda found: len(found) == 2)
        ended_at = time.monotonic()
        if end == "cancel":
            assert deployment.client.delete(f"/api/query/{job_id}").status_code == 200
        elif end == "kill":
            deployment.slots()[0].kill()
        else:
            assert deployment.finished(job_id)["error"]["code"] == "timeout"
            ended_at = time.monotonic()
        gone, alive = psutil.wait_procs(left, timeout=10)
        assert not alive
        took = time.monotonic() - ended_at
        row(f"children of a tool in sessions of their own, at {end}", f"{len(gone)} gone after {took:.1f} s")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_runaway_cli_fails_only_its_own_job(tmp_path, model, row):
    wild = {
        "hang": "timeout",
        "flood": "output_too_large",
        "forks": "resource_exceeded",
        "allocates": "resource_exceeded",
    }
    cli = str(fake_cli(tmp_path, "by_query"))
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="4", CLAUDE_COMMAND=cli) as deployment:
        deployment.start_worker()
        deployment.wait_for_slots(4)
        bad = {query: deployment.submit(query, timeoutMs=20_000) for query in wild}
        good = [deployment.submit(f"good {number}") for number in range(40)]
        ends = {query: deployment.finished(job_id, timeout=120) for query, job_id in bad.items()}
        assert {query: job["error"]["code"] for query, job in ends.items()} == wild
        assert {deployment.finished(job_id)["state"] for job_id in good} == {"completed"}
        deployment.wait_for_slots(4)
        row("a CLI that hangs, floods, forks, takes 4 GB", f"{wild}; 40 others completed")


@pytest.mark.timeout(300)
def test_a_crafted_job_hash_runs_nothing(tmp_path, model, row):
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="1") as deployment:
        job_id = deployment.submit("crafted")
        data = json.dumps(["os.system", None, [f"touch {tmp_path}/owned"], {}])
        callbacks = {f"{when}_callback_name": "os.system" for when in ("success", "failure", "stopped")}
        with redis.Redis(port=deployment.redis.port) as store:
            store.hset(f"rq:job:{job_id}-1", mapping={"data": data, **callbacks})
            store.hset("rq:job:crafted", mapping={"data": data, "origin": "claude", "created_at": "x", **callbacks})
            store.zadd(keys.WAITING, {"no-job": -1})
            store.lpush("rq:queue:claude", "crafted")
        deployment.start_worker()
        assert deployment.finished(job_id)["state"] == "completed"
        assert deployment.ask("alive")["state"] == "completed"
        assert not (tmp_path / "owned").exists()
        row("crafted job hashes naming os.system", "nothing of them run, worker alive")


@pytest.mark.timeout(300)
def test_a_deploy_repeats_nothing_and_loses_nothing(tmp_path, model, row):
    go = threading.Event()
    model.reply = lambda body: Hang(until=go) if user_query(body).startswith("slow") else Text("fine")
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="2") as deployment:
        deployment.start_worker()
        deployment.wait_for_slots(2)
        slow = [deployment.submit(f"slow {number}", timeoutMs=110_000) for number in range(2)]
        rest = [deployment.submit(f"quick {number}") for number in range(10)]
        model.wait_for_requests(2, timeout=30)
        deployment.kill_worker(signal.SIGTERM)
        states = [deployment.job(job_id) for job_id in slow]
        assert [(job["state"], job["attempts"]) for job in states] == [("waiting", 0)] * 2
        go.set()
        deployment.start_worker()
        jobs = [deployment.finished(job_id) for job_id in slow + rest]
        assert {(job["state"], job["attempts"]) for job in jobs} == {("completed", 1)}
        row("SIGTERM to a worker with jobs that outlast its grace", "handed back, 12 completed with 1 attempt each")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("state", ["refusing", "hanging"])
def test_a_worker_without_redis_for_long_exits(tmp_path, model, full, row, state):
    # Longer than the 30 s after which RQ's maintenance is due in each slot.
    away, go = 60 if full else 35, threading.Event()
    model.reply = lambda body: Hang(until=go)
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="2") as deployment:
        deployment.start_worker()
        deployment.wait_for_slots(2)
        job_id = deployment.submit("slow", timeoutMs=110_000)
        model.wait_for_requests(1, timeout=30)
        with in_state(deployment.redis, state):
            time.sleep(away)
            stopped_at = time.monotonic()
            deployment.kill_worker(signal.SIGTERM)
            took = time.monotonic() - stopped_at
            assert took < int(deployment.environment["SHUTDOWN_GRACE"]) + 10
        go.set()
        deployment.start_worker()
        job = deployment.finished(job_id, timeout=60)
        assert (job["state"], job["attempts"]) == ("completed", 1)
        row(f"SIGTERM to a worker, Redis {state} for {away} s", f"ended after {took:.1f} s, job completed, 1 attempt")
