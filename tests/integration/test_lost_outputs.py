"""Attempts that are lost while they store what their run has left: who ends the job, and what becomes of the files."""

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from functions.worker.cli import finished_folders
from functions.worker.cli.warm import WarmCli
from functions.worker.cli.workspace import WorkerFolder, Workspace
from functions.worker.jobs import finished, resuming
from functions.worker.jobs.context import Signals, SlotContext
from functions.worker.jobs.outcome import Outcome
from functions.worker.jobs.spool import Spool
from shared.configuration.settings import WorkerSettings
from shared.store import keys
from shared.store.files import files
from shared.store.jobs import claims, records
from shared.store.jobs.outputs import Outputs, StoredArtifact
from shared.store.redis.client import async_client
from tests.support.slot import RESULT, pop_one, rescue
from tests.support.waiting import until

LIMITS = files.FileLimits(max_file=100, max_bytes=100, ttl_ms=60_000)


@pytest.fixture
async def job(connect, server):
    """A claimed job, and a pending file of its run that fills half of the caller's quota."""
    client = await connect(server.url)
    await client.post("/api/query", json={"query": "x"})
    handle = async_client(server.url)
    job = await claims.take(handle, pop_one(server.url), "slot")
    assert job is not None
    file = files.NewFile("019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1", job.caller, "a", "", 50, "pending", job.claim.job_id)
    assert not isinstance(await files.begin(handle, file, LIMITS), str)
    return job


def held(store, job):
    """Bytes of the caller's quota, and whether a list of pending files is left."""
    return int(store.hget(keys.FILE_BYTES, job.caller) or 0), store.exists(f"cg:job:{job.claim.job_id}:pending")


@pytest.mark.parametrize("end", ["rescued", "handed back", "cancelled"])
async def test_the_files_of_a_lost_attempt_leave_the_quota_at_once(job, server, store, end):
    """Catches a quota that stays full for an hour, so that the next attempt cannot keep its files."""
    handle = async_client(server.url)
    assert held(store, job) == (50, 1)
    if end == "rescued":
        rescue(server.url, "slot")
    elif end == "handed back":
        await claims.settle(handle, claims.hand_back(job.claim))
    else:
        store.hset(keys.job(job.claim.job_id), mapping={"state": "cancelled", "n": job.claim.number + 1})
        await claims.settle(handle, claims.spent(job.claim, job.caller, ()))
    assert held(store, job) == (0, 0)
    [due] = await files.take_due(handle, 10)
    assert due.state == "deleted"
    await files.forget(handle, due.file_id)
    assert held(store, job) == (0, 0)


async def test_a_late_settlement_of_a_lost_slot_frees_no_file_of_the_next(job, server, store):
    """Catches a slot that lost its claim and takes away what the next attempt has stored."""
    store.hset(keys.job(job.claim.job_id), "n", job.claim.number + 1)
    await claims.settle(async_client(server.url), claims.spent(job.claim, job.caller, ()))
    await claims.settle(async_client(server.url), claims.hand_back(job.claim))
    assert held(store, job) == (50, 1)


async def test_files_that_are_kept_are_no_longer_pending(job, server, store):
    entry = StoredArtifact(path="a", file_id="019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1", size=40, sha256="s", media_type="t", kind="")  # fmt: skip  # noqa: E501
    settlement = claims.finish(
        job.claim, "completed", {"result": RESULT}, keep_for=60, outputs=Outputs(artifacts=[entry])
    )
    await claims.settle(async_client(server.url), settlement)
    assert held(store, job) == (40, 0)


@pytest.mark.parametrize(("dead", "taken"), [("slot", True), ("another", False), ("", False)])
async def test_only_the_claim_of_the_dead_slot_can_be_taken_over(job, server, store, dead, taken):
    """Catches a slot that takes the job of one that lives, and pending files that are kept twice."""
    again = await claims.take(async_client(server.url), job.claim, "new", instead_of=dead)
    assert (again is not None) == taken
    assert held(store, job) == ((0, 0) if taken else (50, 1))
    assert store.hget(keys.job(job.claim.job_id), "slot") == ("new" if taken else "slot")
    if taken:  # the reply may be lost, and the script sent again
        assert await claims.take(async_client(server.url), job.claim, "new", instead_of=dead) is not None
        assert store.hgetall(keys.RUNNING) == {"new": job.claim.job_id}


class Ended:
    """A run that has ended, as far as its note needs it."""

    def __init__(self, work):
        self.work, self.preparation = work, self
        self.began_with, self.patch_from = "", None


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", "")
    (tmp_path / "tmp").mkdir(mode=0o700)
    return tmp_path / "tmp"


def ended_run(job, slot="slot"):
    """Make the directory of a run that has left an artifact, with its note."""
    workspace = Workspace.create()
    (workspace.work / "outputs").mkdir()
    (workspace.work / "outputs" / "a").write_text("left")
    outcome = Outcome("completed", {"result": {**RESULT, "response": "lone \ud800 surrogate"}})
    ended: Any = Ended(workspace.work)
    finished.write(ended, job.claim, slot, outcome)
    return workspace.root


def kept():
    """Move the directory of the run to where slots find it."""
    handle = os.open(tempfile.gettempdir(), os.O_RDONLY)
    for path in Path(tempfile.gettempdir()).glob("claude-run-*"):
        assert finished_folders.keep(path.name, handle, handle)
    os.close(handle)


async def resumed(server, settings, spool):
    """Do what a new slot does; return how many directories it has found."""
    context = SlotContext(async_client(server.url), settings, WarmCli(settings), spool)
    count = 0
    while (found := resuming.find(settings)) is not None:
        count += 1
        await resuming.resume(*found, "new", context, Signals())
    return count


@pytest.fixture
def settings(server, tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_URL", server.url)
    return WorkerSettings(redis_url=server.url, files_url=f"file:{tmp_path / 'files'}")


async def state(server, job):
    found = await records.read(async_client(server.url), job.claim.job_id, None)
    assert found is not None
    return found.record["state"]


async def test_another_slot_ends_the_job_of_a_run_that_has_ended(job, server, settings, tmp_path, temporary):
    ended_run(job)
    kept()
    assert await resumed(server, settings, Spool(tmp_path / "spool")) == 1
    assert await state(server, job) == "completed"
    assert list(temporary.glob("claude-*")) == []


async def test_a_job_whose_settlement_is_on_disk_is_left_to_the_spool(job, server, settings, tmp_path, temporary):
    """Catches stored files that a second slot frees while a settlement names them."""
    spool = Spool(tmp_path / "spool")
    settlement = claims.finish(job.claim, "completed", {"result": RESULT}, keep_for=60)
    spool._keep(settlement, first=True)
    ended_run(job)
    kept()
    await resumed(server, settings, spool)
    assert await state(server, job) == "active"
    assert list(temporary.glob("claude-*")) == []


FORGED = {
    "of another key": lambda job: dataclasses.replace(job.claim, spool_key="guessed"),
    "without a key": lambda job: dataclasses.replace(job.claim, spool_key=""),
    "of another deployment": lambda job: dataclasses.replace(job.claim, deployment="other"),
    "of another claim": lambda job: dataclasses.replace(job.claim, number=job.claim.number + 1),
}


@pytest.mark.parametrize("how", FORGED)
async def test_a_forged_note_ends_no_job(job, server, settings, tmp_path, temporary, how):
    """Catches a run without a sandbox that writes the answer of another job."""
    ended_run(dataclasses.replace(job, claim=FORGED[how](job)))
    kept()
    assert await resumed(server, settings, Spool(tmp_path / "spool")) == 1
    assert await state(server, job) == "active"
    assert list(temporary.glob("claude-*")) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', "[" * 100_000, None])
async def test_a_broken_note_is_removed(job, server, settings, tmp_path, temporary, text):
    folder = ended_run(job)
    (folder / "finished.json").unlink()
    if text is None:
        (folder / "finished.json").symlink_to("/dev/zero")
    else:
        (folder / "finished.json").write_text(text)
    kept()
    await resumed(server, settings, Spool(tmp_path / "spool"))
    assert await state(server, job) == "active"
    assert list(temporary.glob("claude-*")) == []


async def test_a_worker_keeps_the_ended_runs_of_a_killed_one(job, temporary):
    """Catches a new worker on the machine that removes what a killed one has not stored yet."""
    killed = WorkerFolder()
    outside = tempfile.tempdir
    tempfile.tempdir = str(killed._path)
    ended_run(job)
    Workspace.create()  # of a run that has not ended
    tempfile.tempdir = outside
    os.close(killed._lock)
    os.close(killed._folder)
    new = WorkerFolder()
    until(lambda: not killed._path.exists())
    [run] = new._path.glob("claude-*")
    taken = finished_folders.take(new._path)
    assert taken is not None
    assert (taken / "work" / "outputs" / "a").read_text() == "left"
    assert run.name.startswith("claude-finished-")
    assert finished_folders.take(new._path) is None
    # A run whose second slot dies too is not kept: its files may be what ends the slots.
    assert not new.remove_runs_of(os.getpid(), keeps_finished=True)
    assert list(new._path.glob("claude-*")) == []
    new.remove()
