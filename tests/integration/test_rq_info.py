"""`rq info`, run as an operator runs it, shows the queue and its jobs as they are."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local.messages_api import user_query
from shared.store.fleet import rq_view
from shared.store.jobs import claims
from shared.store.redis.client import async_client, sync_client
from tests.support.deployment import Deployment
from tests.support.scripted_replies import Hang, Text
from tests.support.slot import ERROR, run, take

RQ = str(Path(sys.executable).parent / "rq")


def rq_info(url: str, *options: str) -> str:
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    command = [RQ, "info", "--url", url, "--raw", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refresh(server, store) -> None:
    store.delete("cg:rqview", "cg:rqview:lists")
    with sync_client(server.url) as client:
        rq_view.refresh(client)


async def submit(client, query):
    return (await client.post("/api/query", json={"query": query})).json()["jobId"]


async def test_rq_info_counts_jobs_by_state(connect, server, store):
    client = await connect(CACHE_TTL="0")
    waiting = [await submit(client, f"q {number}") for number in range(6)]
    await run(server.url)
    await run(server.url)
    await run(server.url, ERROR)
    store.zadd("cg:slots", {"host-1-a-1": 4_000_000_000, "host-1-a-2": 4_000_000_000})
    await take(server.url, "host-1-a-1")
    refresh(server, store)
    assert "queue claude 2, 1 executing, 2 finished, 1 failed" in rq_info(server.url)
    assert store.lrange("rq:queue:claude", 0, -1) == waiting[4:]
    assert re.search(r"worker host-1-a-1 .* busy claude", rq_info(server.url))
    assert re.search(r"worker host-1-a-2 .* idle claude", rq_info(server.url))


async def test_rq_info_forgets_what_is_over(connect, server, store):
    client = await connect(CACHE_TTL="0")
    job = await submit(client, "runs")
    other = await submit(client, "cancelled")
    store.zadd("cg:slots", {"host-1-a-1": 4_000_000_000})
    claim = await take(server.url, "host-1-a-1")
    refresh(server, store)
    assert "queue claude 1, 1 executing" in rq_info(server.url)
    await claims.settle(async_client(server.url), claims.finish(claim, "failed", ERROR, keep_for=60))
    await client.delete(f"/api/query/{other}")
    store.zrem("cg:slots", "host-1-a-1")  # killed
    refresh(server, store)
    assert "queue claude 0, 0 executing, 0 finished, 1 failed" in rq_info(server.url)
    assert "worker " not in rq_info(server.url)
    assert store.exists(f"cg:job:{job}")


async def test_the_copies_for_rq_are_bounded(connect, server, store):
    await connect()
    store.zadd("cg:waiting", {f"job-{number:06}": number for number in range(100_500)})
    store.zadd("cg:all:completed", {f"old-{number:06}": number for number in range(10_500)})
    started = time.monotonic()
    refresh(server, store)
    assert time.monotonic() - started < 5
    assert "queue claude 100000, 0 executing, 10000 finished, 0 failed" in rq_info(server.url)
    assert store.zscore("rq:finished:claude", "old-010499") is not None
    # The long list is not copied again at once, and other keys are.
    assert store.pttl("cg:rqview:lists") > 10_000
    assert store.pttl("cg:rqview") < 2_000


async def test_a_second_worker_does_not_repeat_the_copy(connect, server, store):
    await connect()
    refresh(server, store)
    before = store.info("commandstats")["cmdstat_sadd"]["calls"]
    with sync_client(server.url) as client:
        rq_view.refresh(client)
    assert store.info("commandstats")["cmdstat_sadd"]["calls"] == before


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(120)
def test_rq_info_shows_a_running_gateway(tmp_path, model):
    go = threading.Event()

    model.reply = lambda body: Hang(until=go) if user_query(body).startswith("slow") else Text("ok")
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="1") as deployment:
        deployment.start_worker()
        deployment.wait_for_slots(1)
        deployment.ask("quick")
        for number in range(3):
            deployment.submit(f"slow {number}")
        model.wait_for_requests(2, timeout=30)
        deployment.until(
            lambda: rq_info(deployment.redis.url),
            lambda text: "queue claude 2, 1 executing, 1 finished, 0 failed" in text,
        )
        assert re.search(r"worker \S+ \(\S+ .*\) busy claude. jobs: 1 finished", rq_info(deployment.redis.url))
        go.set()
        deployment.until(lambda: rq_info(deployment.redis.url), lambda text: "queue claude 0, 0 executing" in text)
        deployment.kill_worker()  # with -9
        deployment.until(lambda: rq_info(deployment.redis.url), lambda text: "busy" not in text)
