"""The store against a model: whatever the order of operations, every accepted job ends once."""

import asyncio
from typing import Any, Literal

import pytest
import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from shared.api.ids import new_id
from shared.api.vocabulary import TERMINAL
from shared.store import keys
from shared.store.jobs import claims, records, submissions
from shared.store.redis import pipelining
from tests.support.slot import pop

CALLERS = ("ann", "bob")
RESULT = {"result": {"costUsd": 0.5}}
ERROR = {"error": {"code": "server_error"}}


class Store(RuleBasedStateMachine):
    """Submissions, slots and cancellations of two callers, on a real Redis that may be killed and restarted."""

    server: Any
    submitted = Bundle("submitted")
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.client = redis.asyncio.Redis(port=self.server.port, decode_responses=True)
        self.do(self.client.flushall())
        self.states: dict[str, tuple[str, str]] = {}  # job → caller, state
        self.keyed: dict[tuple[str, str], tuple[str, str, str]] = {}  # caller, key → body, request, job
        self.order: list[tuple[int, int, str]] = []  # waiting jobs: priority, arrival, job
        self.places: dict[str, tuple[int, int]] = {}
        self.delayed: set[str] = set()

    def do(self, work):
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.do(pipelining.close(self.client))
        self.do(self.client.aclose())
        self.loop.close()

    def ends(self, job_id: str, state: str) -> None:
        caller, before = self.states[job_id]
        assert before not in TERMINAL, "a state that is final has changed"
        self.states[job_id] = caller, state
        self.order = [entry for entry in self.order if entry[2] != job_id]
        self.delayed.discard(job_id)

    @rule(
        target=submitted,
        caller=st.sampled_from(CALLERS),
        query=st.sampled_from("abc"),
        priority=st.integers(0, 2),
        key=st.sampled_from(["", "k1", "k2"]),
        join=st.booleans(),
    )
    def submit(self, caller, query, priority, key, join):
        submission = submissions.Submission(
            job_id=new_id(), request_id=new_id(), caller=caller, priority=priority, timeout_ms=1000, request="{}",
            fingerprint=f"{caller}-{query}", join=join, joinable=True, body=query,
            idempotency=keys.idempotency(caller, key) if key else "",
        )  # fmt: skip
        answer = self.do(submissions.submit(self.client, submission))
        first = self.keyed.get((caller, key))
        if first and first[0] != query:
            assert answer.kind == "mismatch"
            return self.states and next(iter(self.states))
        if first:
            assert (answer.replayed, answer.request_id, answer.job_id) == (True, *first[1:])
            return answer.job_id
        if answer.kind == "duplicate":
            assert join
            owner, state = self.states[answer.job_id]
            assert owner == caller
            assert state not in TERMINAL
            self.raise_to(answer.job_id, priority)
        else:
            assert answer.kind == "queued"
            self.states[answer.job_id] = caller, "waiting"
            self.places[answer.job_id] = priority, len(self.states)
            self.order.append((priority, len(self.states), answer.job_id))
        if key:
            self.keyed[caller, key] = query, submission.request_id, answer.job_id
        return answer.job_id

    def raise_to(self, job_id, priority):
        before, arrival = self.places[job_id]
        if priority < before:
            self.places[job_id] = priority, arrival
            self.order = [(priority, arrival, job_id) if entry[2] == job_id else entry for entry in self.order]

    @rule(target=held)
    def a_slot_takes_the_next_job(self):
        for job_id in self.delayed:
            self.waits_again(job_id)
        self.delayed.clear()
        claim = pop(self.server.url)
        if claim is None:
            assert not self.order
            return None
        expected = min(self.order)
        assert claim.job_id == expected[2], "not the first of the highest priority"
        assert self.do(claims.take(self.client, claim, "slot")) is not None
        self.order.remove(expected)
        self.states[claim.job_id] = self.states[claim.job_id][0], "active"
        return claim

    @rule(claim=held, outcome=st.sampled_from([RESULT, ERROR]))
    def a_slot_ends_a_job(self, claim, outcome):
        if claim is None:
            return
        state: Literal["completed", "failed"] = "completed" if "result" in outcome else "failed"
        finish = claims.finish(claim, state, outcome, keep_for=1000)
        if self.do(claims.settle(self.client, finish)) == "settled":
            if self.states[claim.job_id][1] == state:
                return  # a repeated reply
            self.ends(claim.job_id, state)

    @rule(claim=held)
    def a_slot_hands_a_job_back(self, claim):
        if claim is not None and self.do(claims.settle(self.client, claims.hand_back(claim))) != "void":
            assert self.states[claim.job_id][1] == "active"
            self.waits_again(claim.job_id)

    @rule(claim=held)
    def a_slot_lets_a_job_run_again_at_once(self, claim):
        if claim is None:
            return
        retry = claims.retry(claim, 0, "server_error", claims.Upstream())
        if self.do(claims.settle(self.client, retry)) != "void":
            caller, state = self.states[claim.job_id]
            assert state in {"active", "delayed"}
            self.states[claim.job_id] = caller, "delayed"
            self.delayed.add(claim.job_id)

    def waits_again(self, job_id):
        self.states[job_id] = self.states[job_id][0], "waiting"
        self.order.append((*self.places[job_id], job_id))

    @rule(job_id=submitted, caller=st.sampled_from(CALLERS))
    def somebody_cancels_a_job(self, job_id, caller):
        if not job_id:
            return
        owner, state = self.states[job_id]
        answer = self.do(records.cancel(self.client, job_id, caller, keep_for=1000))
        if owner != caller:
            assert answer == "missing"
        elif state in TERMINAL:
            assert answer == "finished"
        else:
            assert answer == "cancelled"
            self.ends(job_id, "cancelled")

    @precondition(lambda self: len(self.states) > 3)
    @rule()
    def redis_is_killed_and_started_again(self):
        self.server.kill()
        self.server.start()

    @invariant()
    def everything_is_as_the_dictionary_says(self):
        waiting = [job_id for _, _, job_id in sorted(self.order)]
        assert self.do(self.client.zrange(keys.WAITING, 0, -1)) == waiting
        for job_id, (caller, state) in self.states.items():
            job = self.do(records.read(self.client, job_id, caller))
            assert job is not None
            assert job.record["state"] == state
            assert job.position == (waiting.index(job_id) if state == "waiting" else None)
            other = next(name for name in CALLERS if name != caller)
            assert self.do(records.read(self.client, job_id, other)) is None
        for caller in CALLERS:
            page, _ = self.do(records.page(self.client, caller, state=None, limit=100, before=None))
            mine = [job_id for job_id, (owner, _) in self.states.items() if owner == caller]
            assert [job.job_id for job in page] == mine[::-1]


@pytest.mark.slow
def test_every_accepted_job_ends_once_and_is_private_to_its_caller(server):
    machine = type("Machine", (Store,), {"server": server})
    few = settings(
        max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(machine, settings=few)
