"""A misbehaving stand-in for the CLI: the job fails with the right code, and nothing is left behind."""

import asyncio
import os
import time

import pytest

from functions.worker.cli.plan import plan_for
from functions.worker.cli.process import GRACE
from functions.worker.cli.run import Run
from functions.worker.cli.warm import WarmCli
from functions.worker.jobs.outcome import judge
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from tests.support.fake_cli import fake_cli


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The parent directory of the runs' directories."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "runs"))
    (tmp_path / "runs").mkdir()
    processes.adopt_orphans()
    return tmp_path / "runs"


async def run(settings):
    run = Run(settings, WarmCli(settings))
    try:
        return judge(
            await run.answer(plan_for({"query": "hello"}, settings)),
            max_output_bytes=settings.max_output_bytes,
        )
    finally:
        await run.end()


async def outcome(tmp_path, behaviour, **limits):
    return await run(WorkerSettings(claude_command=str(fake_cli(tmp_path, behaviour)), **limits))


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("error_envelope", "server_error"),
        ("garbage", "cli_crashed"),
        ("nothing", "cli_crashed"),
        ("flood", "output_too_large"),
        ("flood_lines", "cli_crashed"),
        ("dies_halfway", "cli_crashed"),
        ("dies_at_start", "cli_crashed"),
        ("refuses_the_schema", "invalid_request"),
    ],
)
async def test_a_cli_that_misbehaves_is_a_failure_with_its_code(tmp_path, runs, behaviour, code):
    found = await outcome(tmp_path, behaviour)
    assert (found.state, found.code) == ("failed", code)
    assert not processes.descendants(os.getpid())
    assert not list(runs.iterdir())


async def test_a_cli_that_behaves_is_a_success(tmp_path, runs):
    # Shows that the stand-in works, so that the other tests fail for their own reason.
    assert (await outcome(tmp_path, "success")).state == "completed"


async def test_a_missing_cli_is_a_failure(runs):
    assert (await run(WorkerSettings(claude_command="/nowhere/claude"))).code == "cli_crashed"
    assert not list(runs.iterdir())


async def test_a_cli_that_hangs_and_ignores_sigterm_is_killed_with_its_run(tmp_path, runs):
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await outcome(tmp_path, "hang")
    assert time.monotonic() - started < 1 + GRACE + 8  # a hang takes a minute
    assert not processes.descendants(os.getpid())
    assert not list(runs.iterdir())


@pytest.mark.parametrize(
    ("behaviour", "limits"),
    [("forks", {"max_run_processes": 50}), ("allocates", {"max_run_memory": 200 << 20})],
    ids=["forks", "allocates"],
)
async def test_a_cli_above_its_limits_is_ended_with_the_reason(tmp_path, runs, behaviour, limits):
    found = await outcome(tmp_path, behaviour, **limits)
    assert (found.code, found.body["error"]["retryable"]) == ("resource_exceeded", False)
    assert not processes.descendants(os.getpid())


async def test_children_in_their_own_sessions_end_with_the_run(tmp_path, runs):
    assert (await outcome(tmp_path, "leaves_children")).state == "completed"
    assert not processes.descendants(os.getpid())
    assert not list(runs.iterdir())
