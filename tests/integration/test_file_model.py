"""The records of files against a model: quotas, lists, and which bytes may go, in any order of events."""

import asyncio
from typing import Any

import pytest
import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared.api.ids import new_id
from shared.store import keys
from shared.store.files import files
from shared.store.jobs import records, submissions
from shared.store.redis import pipelining

CALLERS = ("ann", "bob")
LIMITS = files.FileLimits(max_file=50, max_bytes=100, ttl_ms=3_600_000, max_files=6)
SHA = "0" * 64


class Files(RuleBasedStateMachine):
    """Callers upload, delete and use files; the reaper removes bytes."""

    server: Any
    known = Bundle("known")
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.client = redis.asyncio.Redis(port=self.server.port, decode_responses=True)
        self.do(self.client.flushall())
        self.states: dict[str, tuple[str, str]] = {}  # file → caller, state
        self.held: dict[str, int] = {}
        self.read: set[str] = set()  # files whose hash is known
        self.users: dict[str, set[str]] = {}  # file → jobs that have not ended
        self.owners: dict[str, str] = {}  # job → caller

    def do(self, work):
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.do(pipelining.close(self.client))
        self.do(self.client.aclose())
        self.loop.close()

    def of(self, caller, *states):
        return [one for one, (owner, state) in self.states.items() if owner == caller and state in states]

    def room(self, caller):
        return LIMITS.max_bytes - sum(self.held[one] for one in self.held if self.states[one][0] == caller)

    def forget(self, file):
        del self.held[file]
        self.states[file] = self.states[file][0], "gone"

    @rule(target=known, caller=st.sampled_from(CALLERS), size=st.integers(-1, 60), awaited=st.booleans())
    def somebody_begins_an_upload(self, caller, size, awaited):
        file = files.NewFile(new_id(), caller, "n", "t/t", size, "awaited" if awaited and size >= 0 else "pending")
        listed = self.of(caller, "pending", "awaited", "ready")
        begun = self.do(files.begin(self.client, file, LIMITS))
        room = self.room(caller)
        if len(listed) >= LIMITS.max_files:
            assert begun == "many"
        elif size > room or (size < 0 and room == 0):
            assert begun == "full"
        else:
            assert isinstance(begun, files.Begun)
            assert begun.held == (size if size >= 0 else min(LIMITS.max_file, room))
            assert self.do(files.begin(self.client, file, LIMITS)) == begun, "sent twice"
            self.states[file.id] = caller, file.state
            self.held[file.id] = begun.held
            self.users[file.id] = set()
        return file.id

    @rule(file=known, part=st.floats(0, 1))
    def the_bytes_are_there(self, file, part):
        caller, state = self.states.get(file, ("", "unknown"))
        size = self.held.get(file, 0) if state != "pending" else int(self.held[file] * part)
        for _ in range(2):
            outcome = self.do(
                files.finish(self.client, file, size=size, sha256=SHA, media_type="t/t", kind="image/png")
            )
            used = state == "deleted" and bool(self.users[file])
            assert outcome == ("ready" if state in {"pending", "awaited", "ready"} or used else "gone")
        if state in {"pending", "awaited"}:
            self.states[file] = caller, "ready"
        if outcome == "ready" and state != "ready" and file not in self.read:
            self.held[file] = size
            self.read.add(file)

    @rule(file=known, caller=st.sampled_from(CALLERS))
    def somebody_deletes(self, file, caller):
        owner, state = self.states.get(file, ("", "unknown"))
        deleted, path = self.do(files.delete(self.client, caller, file))
        assert deleted == (owner == caller and state in {"ready", "awaited", "deleted", "gone"})
        assert bool(path) == (deleted and state != "gone" and not self.users[file])
        if deleted and state != "gone":
            self.states[file] = owner, "deleted"

    @rule(file=known)
    def the_bytes_are_removed(self, file):
        _, state = self.states.get(file, ("", "unknown"))
        if state == "deleted" and not self.users[file]:
            for _ in range(2):
                self.do(files.forget(self.client, file))
            self.forget(file)

    @rule(file=known)
    def an_upload_fails(self, file):
        _, state = self.states.get(file, ("", "unknown"))
        if state == "pending":
            self.do(files.forget(self.client, file))
            del self.held[file], self.states[file]

    @rule(file=known)
    def a_lease_ends(self, file):
        caller, state = self.states.get(file, ("", "unknown"))
        if state in {"unknown", "gone"}:
            return
        self.do(self.client.zadd(keys.FILES_DUE, {file: 1}))
        due = {one.file_id: one for one in self.do(files.take_due(self.client, 100))}
        was_checked = self.do(self.client.hget(keys.file(file), "checked"))
        if state == "awaited" and file in due and due[file].state == "awaited":
            assert was_checked
            return
        assert (file in due) == (not self.users[file])
        self.states[file] = caller, "deleted"

    @rule(target=jobs, file=known, caller=st.sampled_from(CALLERS))
    def somebody_submits(self, file, caller):
        named = submissions.NamedFile(id=file, attached=False)
        job = submissions.Submission(new_id(), new_id(), caller, 1, 1000, "{}", files=(named,), max_attached=100)
        answer = self.do(submissions.submit(self.client, job))
        owner, state = self.states.get(file, ("", "unknown"))
        assert answer.kind == ("queued" if owner == caller and state in {"ready", "awaited"} else "no_file")
        if answer.kind == "queued":
            self.users[file].add(job.job_id)
            self.owners[job.job_id] = caller
        return job.job_id

    @rule(job=jobs)
    def a_job_ends(self, job):
        if job in self.owners:
            self.do(records.cancel(self.client, job, self.owners[job], keep_for=60))
            for users in self.users.values():
                users.discard(job)

    @invariant()
    def quotas_and_lists_are_those_of_the_files(self):
        for caller in CALLERS:
            counted = int(self.do(self.client.hget(keys.FILE_BYTES, caller)) or 0)
            assert counted == sum(self.held[one] for one in self.held if self.states[one][0] == caller)
            listed, _ = self.do(files.page(self.client, caller, 100, None))
            assert {one.file_id for one in listed} == set(self.of(caller, "ready", "awaited"))
        due = set(self.do(self.client.zrange(keys.FILES_DUE, 0, -1)))
        assert due == set(self.held), "the reaper does not find a file"


@pytest.mark.slow
@pytest.mark.long
def test_files_follow_the_model(server):
    """Catches a quota that drifts, a file that stays listed or hidden, and bytes that a job loses."""
    machine = type("Machine", (Files,), {"server": server})
    few = settings(
        max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(machine, settings=few)
