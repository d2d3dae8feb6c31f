"""A failover under load, and hosts with wrong clocks."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import redis

from local.embedded_redis import find_server
from tests.support.deployment import Deployment
from tests.support.redis_server import RedisServer
from tests.support.switch import Switch

# Seconds between the end of the old primary and the change of the DNS name.
BETWEEN = 4.0
SKEWED = """
import os, time
skew, right, right_ns = float(os.environ["SKEW"]), time.time, time.time_ns
time.time = lambda: right() + skew
time.time_ns = lambda: right_ns() + int(skew * 1e9)
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("old", [pytest.param("replicates", marks=pytest.mark.slow), "is cut off"])
def test_a_failover_loses_no_job_and_needs_no_restart(tmp_path, model, full, row, old):
    most, refused, accepted = (400 if full else 36), [], []
    stop = threading.Event()
    (tmp_path / "second").mkdir()
    deployment = Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="2")

    def submit(number):
        job_id, titles = deployment.submit_in_an_outage(f"load {number}")
        refused.extend(titles)
        accepted.append(job_id)
        stop.wait(0.2)

    with RedisServer(find_server(), tmp_path / "second") as second, Switch(deployment.redis.port) as switch:
        deployment.environment["REDIS_URL"] = switch.url
        with deployment, redis.Redis(port=deployment.redis.port) as first, redis.Redis(port=second.port) as other:
            first.config_set("repl-diskless-sync-delay", 0)
            other.replicaof("127.0.0.1", str(deployment.redis.port))
            deployment.until(lambda: other.info("replication")["master_link_status"], lambda link: link == "up")
            deployment.start_worker()
            deployment.wait_for_slots(2)
            with ThreadPoolExecutor(4) as pool, ExitStack() as ending:
                # A failed assertion does not wait for all submissions.
                ending.callback(pool.shutdown, wait=False, cancel_futures=True)
                submitting = [pool.submit(submit, number) for number in range(most)]
                deployment.until(lambda: len(accepted), lambda count: count > most // 4)
                before = len(accepted)
                # FAILOVER pauses writes until the replica has all of them; then the two swap roles.
                first.execute_command("FAILOVER", "TO", "127.0.0.1", second.port, "TIMEOUT", 5000)
                deployment.until(lambda: first.info("replication")["master_failover_state"], "no-failover".__eq__)
                if old == "is cut off":
                    first.replicaof("127.0.0.1", "1")
                time.sleep(BETWEEN)
                deployment.until(lambda: _health(deployment), (503, "redis_read_only").__eq__)
                switch.lead_to(second.port)
                changed_at = time.monotonic()
                deployment.until(lambda: len(accepted), lambda count: count > before + 4)
                took = time.monotonic() - changed_at
                stop.set()
                for future in submitting:
                    future.result()
            jobs = [deployment.finished(job_id, timeout=120) for job_id in accepted]
            assert {job["state"] for job in jobs} == {"completed"}
            # Nothing is answered while FAILOVER pauses writes, which takes long on a busy machine.
            assert "The store takes no writes" in refused
            assert set(refused) <= {"The store takes no writes", "The store does not answer"}
            assert deployment.client.get("/health").json()["status"] == "ok"
            deployment.until(lambda: _clients_of(first), lambda clients: clients == [])
            calls = len(model.requests)
    row(
        f"failover under load, the old primary {old}",
        f"{len(accepted)} accepted ({len(refused)} times 503), all completed, {calls} model calls; "
        f"accepting {took:.1f} s after the name changed",
    )


def _health(deployment):
    answer = deployment.client.get("/health")
    return answer.status_code, answer.json()["reason"]


def _clients_of(server):
    """List what the clients of a server sent last, without its replication and this test."""
    clients = [*server.client_list(_type="normal"), *server.client_list(_type="pubsub")]
    return [one["cmd"] for one in clients if int(one["age"]) > 0 and not one["cmd"].startswith("client")]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("api", "worker"),
    [pytest.param(40, -40, marks=pytest.mark.slow), (-40, 40), pytest.param(86_400, -86_400, marks=pytest.mark.slow)],
)
def test_hosts_with_other_clocks_agree_on_who_is_alive(tmp_path, model, row, api, worker):
    (tmp_path / "skewed").mkdir()
    (tmp_path / "skewed" / "sitecustomize.py").write_text(SKEWED)
    deployment = Deployment(
        tmp_path, model.url, QUEUE_CONCURRENCY="1", PYTHONPATH=str(tmp_path / "skewed"), SKEW=str(api)
    )
    with deployment:
        deployment.environment["SKEW"] = str(worker)
        deployment.start_worker()
        deployment.wait_for_slots(1)
        deployment.until(lambda: deployment.client.get("/health").json()["status"], lambda status: status == "ok")
        job = deployment.ask("what time is it")
        assert job["state"] == "completed"
        # An id begins with the time of its host, so it proves that the clock is wrong.
        assert abs(int(job["jobId"].replace("-", "")[:12], 16) / 1000 - time.time() - api) < 30
        deployment.kill_all_of_the_worker()
        killed_at = time.monotonic()
        deployment.until(
            lambda: deployment.client.get("/health").json()["reason"], lambda reason: reason == "no_worker", timeout=30
        )
        took = time.monotonic() - killed_at
        assert took < 20
    row(
        f"clocks: API {api:+} s, worker {worker:+} s",
        f"ok while the worker lived, no_worker {took:.0f} s after its end",
    )
