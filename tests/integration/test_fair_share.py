"""Fair share on a real Redis: callers share the slots, whatever the order and the number of their submissions."""

import asyncio
import json
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared.api.ids import new_id
from shared.api.policies import Policy
from shared.store import keys
from shared.store.callers import callers, policies
from shared.store.jobs import claims, operations, queue, records, submissions
from shared.store.redis import pipelining
from shared.store.redis.client import async_client, close_clients, sync_client
from tests.support.slot import ERROR, pop, pop_one, rescue, take

JOB = 1 << 20
WEIGHTS = {"ann": 1, "bob": 3, "eve": 0.5, "joe": 1}


@pytest.fixture
async def client(server, store):
    yield async_client(server.url)
    await close_clients()


async def submit(client, caller, count=1, priority=1, **fields):
    """Submit jobs of a caller; return their ids."""
    made = [submissions.Submission(new_id(), new_id(), caller, priority, 60_000, "{}", **fields) for _ in range(count)]
    for one in made:
        assert (await submissions.submit(client, one)).kind == "queued"
    return [one.job_id for one in made]


def served(url, count, takes="all"):
    """Take jobs off the queue; return their ids."""
    with sync_client(url) as client:
        return [claim.job_id for _ in range(count) if (claim := queue.pop(client, takes=takes))]


def give_weights(store, weights):
    store.hset(keys.POLICIES, mapping={caller: json.dumps({"weight": weight}) for caller, weight in weights.items()})


async def test_a_backlog_does_not_delay_the_first_job_of_another(client, server):
    await submit(client, "a", 50)
    served(server.url, 7)
    [first] = await submit(client, "b")
    assert (await read(client, "b", first)).position == 0
    assert served(server.url, 1) == [first]


async def test_two_backlogs_take_turns(client, server):
    of_a, of_b = await submit(client, "a", 20), await submit(client, "b", 5)
    assert sorted(served(server.url, 10)) == sorted(of_a[:5] + of_b)


async def test_jobs_of_one_caller_stay_in_their_order(client, server):
    jobs = await submit(client, "a", 30)
    assert served(server.url, 30) == jobs


async def test_first_jobs_of_many_callers_start_as_they_arrived(client, server):
    jobs = [(await submit(client, f"caller {number:02}"))[0] for number in range(99, 0, -1)]
    assert served(server.url, 99) == jobs


async def test_ten_callers_share_by_weight(client, server, store):
    weights = {f"c{number}": 1 + number % 4 for number in range(10)}
    give_weights(store, weights)
    owner = {job: caller for caller in weights for job in await submit(client, caller, 250)}
    counts = Counter(owner[job] for job in served(server.url, 1000))
    for caller, weight in weights.items():
        assert counts[caller] == pytest.approx(1000 * weight / sum(weights.values()), rel=0.05)


async def test_each_priority_is_shared_by_itself(client, server):
    low = await submit(client, "a", 3, priority=2)
    high = await submit(client, "a", 3, priority=0)
    [other] = await submit(client, "b", priority=2)
    assert served(server.url, 5) == [*high, low[0], other]


async def test_a_batch_counts_as_its_jobs(client, server, connect):
    api = await connect()
    answer = await api.post("/api/batches", json={"queries": [{"query": f"q {number}"} for number in range(40)]})
    assert answer.status_code == 202
    served(server.url, 3)
    [other] = await submit(client, "b")
    assert served(server.url, 1) == [other]


async def read(client, caller, job):
    found = await records.read(client, job, caller)
    assert found is not None
    return found


async def give_back(client, server, claim, how):
    if how == "hand back":
        await claims.settle(client, claims.hand_back(claim))
    elif how == "retry":
        await claims.settle(client, claims.retry(claim, 0, "server_error", claims.Upstream()))
    else:
        rescue(server.url, "slot")


@pytest.mark.parametrize("how", ["hand back", "retry", "rescue"])
async def test_a_job_that_comes_back_keeps_its_place(client, server, how):
    jobs = await submit(client, "a", 3)
    claim = await take(server.url)
    await submit(client, "b", 3)
    await give_back(client, server, claim, how)
    assert pop_one(server.url).job_id == jobs[0]


async def test_cancelled_jobs_do_not_count_against_their_caller(client, server):
    """Catches finish tags that stay after a cancellation: the next job would wait for the whole backlog of another."""
    for job in await submit(client, "a", 40):
        await records.cancel(client, job, "a", keep_for=60)
    await submit(client, "b", 40)
    [next_one] = await submit(client, "a")
    assert next_one in served(server.url, 3)


async def test_cancelling_the_last_jobs_gives_their_time_back(client, server):
    jobs = await submit(client, "a", 60)
    for job in reversed(jobs[30:]):
        await records.cancel(client, job, "a", keep_for=60)
    [next_one] = await submit(client, "a")
    assert next_one == served(server.url, 31)[-1]
    assert int((await read(client, "a", next_one)).record["tag"]) == 30 * JOB


async def test_cancelling_does_not_win_a_larger_share(client, server):
    """Catches a tag that is set back below jobs that still wait: the caller would be served twice in each round."""
    of_b = set(await submit(client, "b", 60))
    first = await submit(client, "a", 40)
    others = await submit(client, "a", 25, priority=2)
    for job in (*first[:3], *others):
        await records.cancel(client, job, "a", keep_for=60)
    await submit(client, "a", 40)
    assert len(of_b & set(served(server.url, 60))) >= 29


async def test_failed_jobs_that_are_retried_do_not_pass_others(client, server):
    jobs = await submit(client, "a", 10)
    for _ in jobs:
        claim = await take(server.url)
        await claims.settle(client, claims.finish(claim, "failed", ERROR, keep_for=60))
    await submit(client, "a", 3)
    assert await operations.retry_failed(client) == 10
    [first] = await submit(client, "b")
    assert first in served(server.url, 2)


async def test_a_new_priority_is_a_new_place(client, server):
    of_a = await submit(client, "a", 3, priority=0)
    [job, same] = await submit(client, "b", 2, priority=2)
    await operations.reprioritize(client, same, 2)
    await operations.reprioritize(client, job, 0)
    assert served(server.url, 5) == [of_a[0], job, *of_a[1:], same]


async def test_jobs_that_need_a_sandbox_have_a_place_among_all(client, server):
    [tools] = await submit(client, "a", sandbox=True)
    plain = await submit(client, "a", 2)
    [other] = await submit(client, "b")
    assert [(await read(client, "a", job)).position for job in (tools, *plain)] == [0, 2, 3]
    assert served(server.url, 2, "plain") == [other, plain[0]]
    assert served(server.url, 2) == [tools, plain[1]]


async def test_tags_are_forgotten_when_nothing_waits_or_runs(client, server, store):
    for caller in ("a", "b"):
        await submit(client, caller, 3)
    claim = await take(server.url)
    served(server.url, 5)
    assert pop(server.url) is None
    assert store.exists(keys.VIRTUAL, "cg:finish:1") == 2
    store.delete(keys.ACTIVE)
    assert pop(server.url) is None
    assert store.exists(keys.VIRTUAL, "cg:finish:1") == 0
    assert claim.job_id


async def test_jobs_from_before_fair_share_start_in_their_order(client, server, store):
    """Catches an upgrade that starves what waited; its score is the order of arrival."""
    old = await submit(client, "a", 20)
    store.delete(keys.VIRTUAL, "cg:finish:1")
    for number, job in enumerate(old):
        store.hdel(keys.job(job), "tag")
        store.zadd(keys.WAITING, {job: (1 << 50) + 1000 + number})
        store.zadd(keys.PLAIN, {job: (1 << 50) + 1000 + number})
    new = await submit(client, "b", 2)
    assert served(server.url, 22) == [new[0], *old, new[1]]


async def test_cancelled_held_jobs_do_not_count_against_their_caller(client, server):
    """Catches the tags of held jobs that stay: the next job would wait for the whole backlog of another."""
    jobs = await submit(client, "a", 40)
    await take(server.url)
    with sync_client(server.url) as slot:
        assert queue.pop(slot, caller_max_active=1) is None
    for job in jobs[1:]:
        await records.cancel(client, job, "a", keep_for=60)
    await submit(client, "b", 40)
    [next_one] = await submit(client, "a")
    assert next_one in served(server.url, 4)


@pytest.fixture
async def ann(client):
    return (await callers.create(client, "ann")).id


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (0.1, 3), (100, 0.5), (1, None), (7, 3)])
async def test_a_new_weight_holds_for_jobs_that_wait(client, server, ann, before, after):
    """Catches a weight that is changed, and has no effect before a backlog of thousands is done."""
    await policies.put(client, ann, Policy.model_validate({"weight": before}))
    mine, others = await submit(client, ann, 130), await submit(client, "other", 130)
    served(server.url, 9)
    await policies.put(client, ann, Policy.model_validate({"weight": after}))
    weight = after or 1
    taken = served(server.url, 60)
    assert len(set(taken) & set(mine)) == pytest.approx(60 * weight / (1 + weight), abs=2)
    rest = served(server.url, 200)
    of_mine = [job for job in (*taken, *rest) if job in set(mine)]
    assert of_mine == sorted(of_mine), "jobs of one caller changed places"
    assert {*mine, *others} >= {*taken, *rest}


async def test_a_new_weight_keeps_what_a_cancellation_gives_back(client, server, ann):
    """Catches a finish tag that rounding has moved away from the last job: its time would not be given back."""
    await policies.put(client, ann, Policy.model_validate({"weight": 7}))
    jobs = await submit(client, ann, 60)
    await policies.put(client, ann, Policy.model_validate({"weight": 3}))
    for job in reversed(jobs[30:]):
        await records.cancel(client, job, ann, keep_for=60)
    [next_one] = await submit(client, ann)
    assert int((await read(client, ann, next_one)).record["tag"]) == pytest.approx(10 * JOB, abs=60)


async def test_a_new_weight_moves_every_kind_of_waiting_job(client, server, ann, store):
    held_ones = await submit(client, ann, 3)
    [running] = [pop_one(server.url)]
    assert await claims.take(client, running, "slot") is not None
    with sync_client(server.url) as slot:
        assert queue.pop(slot, caller_max_active=1) is None
    high = await submit(client, ann, 2, priority=0)
    [tools] = await submit(client, ann, sandbox=True)
    await policies.put(client, ann, Policy.model_validate({"weight": 0.5}))
    jobs = [*held_ones[1:], *high, tools]
    places = {job: int(store.zscore(keys.HELD, job) or store.zscore(keys.WAITING, job)) for job in jobs}
    tags = [places[job] % (1 << 50) // JOB for job in jobs]
    assert tags == [2, 4, 0, 2, 6]
    assert store.zscore("cg:held:" + ann, held_ones[1]) == places[held_ones[1]]
    assert store.zscore(keys.PLAIN, high[1]) == places[high[1]]
    assert store.zscore(keys.PLAIN, tools) is None
    assert all(int(store.hget(keys.job(job), "tag")) == place % (1 << 50) for job, place in places.items())


class Fairness(RuleBasedStateMachine):
    """Callers of several weights submit and cancel while slots take jobs: no job is overtaken without bound."""

    server: Any
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.client = redis.asyncio.Redis(port=self.server.port, decode_responses=True)
        self.do(self.client.flushall())
        for caller, weight in WEIGHTS.items():
            self.do(self.client.hset(keys.POLICIES, caller, json.dumps({"weight": weight})))
        self.waiting: dict[str, tuple[str, int, int]] = {}  # job → caller, priority, place in the order of arrival
        self.allowed: dict[str, dict[str, Fraction]] = {}  # job → caller → jobs that may still be taken before it
        self.arrivals = 0

    def do(self, work):
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.do(pipelining.close(self.client))
        self.do(self.client.aclose())
        self.loop.close()

    @rule(target=jobs, caller=st.sampled_from(sorted(WEIGHTS)), priority=st.integers(0, 2), count=st.integers(1, 8))
    def somebody_submits(self, caller, priority, count):
        first = not any(entry[:2] == (caller, priority) for entry in self.waiting.values())
        known = self.do(self.client.zscore(f"cg:finish:{priority}", caller))
        made = self.do(submit(self.client, caller, count, priority=priority))
        virtual = int(self.do(self.client.hget(keys.VIRTUAL, priority)) or 0)
        for job in made:
            self.arrivals += 1
            tag = int(self.do(self.client.hget(keys.job(job), "tag")))
            self.waiting[job] = caller, priority, self.arrivals
            self.allowed[job] = {
                other: Fraction(tag - virtual, JOB) * Fraction(weight) + 2 for other, weight in WEIGHTS.items()
            }
        if first and known is None:
            self.allowed[made[0]] = dict.fromkeys(WEIGHTS, Fraction(1))
        return made[-1]

    @rule(job=jobs)
    def somebody_cancels(self, job):
        if job in self.waiting:
            self.do(records.cancel(self.client, job, self.waiting[job][0], keep_for=60))
            del self.waiting[job]

    @rule(count=st.integers(1, 5))
    def slots_take_jobs(self, count):
        for job in served(self.server.url, count):
            caller, priority, arrival = self.waiting.pop(job)
            for other, (owner, its_priority, its_arrival) in self.waiting.items():
                assert priority <= its_priority, "a job of a lower priority started first"
                if priority == its_priority and owner == caller:
                    assert arrival < its_arrival, "two jobs of one caller changed places"
                elif priority == its_priority:
                    self.allowed[other][caller] -= 1
                    assert self.allowed[other][caller] >= 0, "a job was overtaken too often"

    @invariant()
    def what_waits_is_in_the_queue(self):
        assert set(self.do(self.client.zrange(keys.WAITING, 0, -1))) == set(self.waiting)


@pytest.mark.slow
@pytest.mark.long
def test_no_caller_can_starve_another(server):
    machine = type("Machine", (Fairness,), {"server": server})
    few = settings(
        max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(machine, settings=few)
