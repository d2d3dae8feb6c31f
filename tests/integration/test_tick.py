"""The metrics of scaling and alarms, with and without workers."""

import time

import pytest

from functions.status.tick import tick
from shared.store import keys


@pytest.fixture
async def gateway_app(connect):
    return await connect(AUTH_ENABLED="false")


async def test_demand_is_the_jobs_for_each_slot(gateway_app, store):
    assert (await tick())["OldestSeconds"] == 0
    for number in range(6):
        answer = await gateway_app.post("/api/query", json={"query": f"job {number}"})
        assert answer.status_code == 202
        # The first job is the oldest: as if it had waited for a minute.
        if number == 0:
            store.hincrby(keys.job(answer.json()["jobId"]), "created", -60_000)
    without_slots = await tick()
    assert (without_slots["Waiting"], without_slots["Slots"], without_slots["Demand"]) == (6, 0, 6)
    assert 60 <= without_slots["OldestSeconds"] < 120
    store.zadd(keys.SLOTS, {f"host-{number}-1": time.time() + 10 for number in range(4)})
    assert (await tick())["Demand"] == 1.5


async def test_no_slot_is_demanded_while_no_job_could_start(gateway_app, store):
    for number in range(6):
        await gateway_app.post("/api/query", json={"query": f"job {number}"})
    store.zadd(keys.SLOTS, {"host-1-1": time.time() + 10})
    store.set(keys.PAUSED, "1")
    assert (await tick())["Demand"] == 1
