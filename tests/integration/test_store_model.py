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
JOB = 1 << 20
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
        self.order: list[tuple[int, int, str]] = []  # waiting jobs: priority, tag, job
        self.places: dict[str, tuple[int, int]] = {}
        self.delayed: set[str] = set()
        self.virtual = [0, 0, 0]
        self.finish = [dict.fromkeys(CALLERS, 0) for _ in range(3)]
        self.due: dict[str, tuple[float, str]] = {}

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
        self.leave(job_id)
        self.delayed.discard(job_id)

    def join_queue(self, job_id: str, priority: int) -> None:
        """Give a job its place by start-time fair queueing."""
        caller = self.states[job_id][0]
        tag = max(self.virtual[priority], self.finish[priority][caller])
        self.finish[priority][caller] = tag + JOB
        self.places[job_id] = priority, tag
        self.order.append((priority, tag, job_id))

    def leave(self, job_id: str) -> None:
        """Take a job off the queue; its caller's finish tag is that of its last job that waits."""
        if not any(entry[2] == job_id for entry in self.order):
            return
        caller, priority = self.states[job_id][0], self.places[job_id][0]
        self.order = [entry for entry in self.order if entry[2] != job_id]
        tags = [tag for its, tag, job in self.order if its == priority and self.states[job][0] == caller]
        needed = max([self.virtual[priority], *tags]) + JOB
        self.finish[priority][caller] = min(self.finish[priority][caller], needed)

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
            self.join_queue(answer.job_id, priority)
        if key:
            self.keyed[caller, key] = query, submission.request_id, answer.job_id
        return answer.job_id

    def raise_to(self, job_id, priority):
        if priority >= self.places[job_id][0]:
            return
        waits = any(entry[2] == job_id for entry in self.order)
        self.leave(job_id)
        self.places[job_id] = priority, -1
        if waits:
            self.join_queue(job_id, priority)

    @rule(target=held)
    def a_slot_takes_the_next_job(self):
        for job_id in sorted(self.delayed, key=lambda job_id: self.due[job_id]):
            self.waits_again(job_id)
        self.delayed.clear()
        claim = pop(self.server.url)
        if claim is None:
            assert not self.order
            if not any(state == "active" for _, state in self.states.values()):
                self.virtual = [0, 0, 0]
                self.finish = [dict.fromkeys(CALLERS, 0) for _ in range(3)]
            return None
        expected = min(self.order)
        assert claim.job_id == expected[2], "not the first of the highest priority"
        assert self.do(claims.take(self.client, claim, "slot")) is not None
        self.order.remove(expected)
        priority, tag, _ = expected
        self.virtual[priority] = max(self.virtual[priority], tag)
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
            self.due[claim.job_id] = self.do(self.client.zscore(keys.DELAYED, claim.job_id)), claim.job_id

    def waits_again(self, job_id):
        self.states[job_id] = self.states[job_id][0], "waiting"
        priority, tag = self.places[job_id]
        if tag < 0:  # its priority was raised while it did not wait
            self.join_queue(job_id, priority)
        else:
            self.order.append((priority, tag, job_id))

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
