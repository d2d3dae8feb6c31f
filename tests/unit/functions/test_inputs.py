"""Placing the files of a run: no link is followed, and what fails is retried or named."""

import asyncio

import pytest

from functions.worker.cli import inputs
from functions.worker.cli.inputs import Inputs, InputsError
from functions.worker.cli.plan import Content, InputsPlan
from shared.configuration.settings import WorkerSettings
from shared.store.files import files
from shared.store.files.files import StoredFile

ID = "019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1"
FILE = StoredFile(ID, "c", "ready", "n", "text/plain", 4, "0" * 64, "", "d/files/1", 1, 2)


def run_of(*placed, attachments=(), **settings):
    plan = InputsPlan(tuple(placed), tuple(attachments))
    return Inputs(plan, "c", None, WorkerSettings(**settings))  # type: ignore[arg-type]


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(inputs, "_PAUSE", 0.0)


@pytest.mark.usefixtures("patient")
async def test_no_link_is_followed(tmp_path, monkeypatch):
    """Catches a file that is written outside the working directory through a link in it."""
    monkeypatch.setattr(inputs, "_WAIT", 0.0)
    (tmp_path / "outside").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    (work / "link").symlink_to(tmp_path / "outside")
    (work / "file").symlink_to(tmp_path / "outside/target")
    with pytest.raises(InputsError):
        await run_of(("link/a", Content(data=b"x"))).place(work)
    await run_of(("file", Content(data=b"x"))).place(work)
    assert list((tmp_path / "outside").iterdir()) == []
    assert (work / "file").read_bytes() == b"x"


async def test_files_above_the_bound_of_the_workspace_are_not_placed(tmp_path):
    placed = [(f"f{number}", Content(data=b"x" * (1 << 19))) for number in range(3)]
    with pytest.raises(InputsError) as refused:
        await run_of(*placed, max_workspace_bytes=1 << 20).place(tmp_path)
    assert refused.value.code == "workspace_too_large"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("patient")
async def test_a_store_that_is_away_is_waited_for(tmp_path, monkeypatch):
    """Catches a job that fails because the object store or Redis is away for some seconds."""
    away = iter([OSError(), OSError()])

    async def found(*_):
        for error in away:
            raise error
        return [None]

    monkeypatch.setattr(files, "of_job", found)
    with pytest.raises(InputsError):
        await run_of(("a", Content(ID))).place(tmp_path)
    assert list(away) == []


async def test_bytes_that_are_not_those_of_the_record_fail_the_run(tmp_path, monkeypatch):
    """Catches bytes that somebody changed in the object store."""

    class Store:
        async def read(self, *_):
            async def pieces():
                yield b"evil"

            return pieces()

    async def found(*_):
        return [FILE]

    monkeypatch.setattr(files, "of_job", found)
    monkeypatch.setattr(inputs, "objects", lambda _: Store())
    with pytest.raises(InputsError):
        await asyncio.wait_for(run_of(("a", Content(ID))).place(tmp_path), 10)
    with pytest.raises(InputsError):
        await asyncio.wait_for(run_of(attachments=[Content(ID)]).blocks(), 10)
