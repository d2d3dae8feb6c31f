"""Warm CLIs: the real CLI, with a scripted model."""

import asyncio
import errno
import os
import signal
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import pytest

from functions.worker.cli import held, version
from functions.worker.cli.plan import plan_for
from functions.worker.cli.run import Run
from functions.worker.cli.warm import WarmCli
from functions.worker.cli.workspace import Workspace
from functions.worker.jobs.outcome import judge
from functions.worker.relay import rehearsal
from functions.worker.relay.credential import Credential
from functions.worker.relay.relay import Relay
from functions.worker.sandbox.confine import Sandbox
from functions.worker.sandbox.probe import probe
from shared.configuration.settings import WorkerSettings
from shared.host import cores, processes
from tests.support.parameters import first_of, long
from tests.support.real_cli import isolated_environment
from tests.support.scripted_model import Text, ToolUse
from tests.support.waiting import until_async


@pytest.fixture
def slot(tmp_path, monkeypatch, model):
    """Act as the process of a slot: adopt orphans, and know the model's address."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, value in isolated_environment(tmp_path, model.url).items():
        monkeypatch.setenv(name, value)
    processes.adopt_orphans()


@asynccontextmanager
async def kept_warm(settings=None, relay=None, sandbox=None):
    cli = WarmCli(settings or WorkerSettings(), relay, sandbox)
    keeping = asyncio.create_task(cli.run())
    try:
        yield cli
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
        # Those of a sandbox are adopted when it ends; the end of a slot's next run collects them.
        await until_async(lambda: not processes.collect(processes.descendants(os.getpid())), within=30)


@asynccontextmanager
async def closing(relay):
    try:
        yield
    finally:
        await relay.close()


async def ready(cli, *, but=None):
    """Wait until a CLI other than `but` waits, and return its pid."""
    await until_async(lambda: cli.any_job.cli and cli.any_job.cli.pid not in {None, but}, within=30)
    return cli.any_job.cli.pid


async def answer(cli, settings=None, **request):
    """Run a request; return its answer and the pid of its CLI."""
    settings = settings or WorkerSettings()
    run = Run(settings, cli)
    try:
        outcome = judge(
            await run.answer(plan_for({"query": "hello", **request}, settings)),
            max_output_bytes=10_000,
        )
        assert run._cli is not None
        return outcome.body["result"]["response"], run._cli.pid
    finally:
        await run.end()


async def test_each_job_with_default_options_gets_its_own_warm_cli(slot):
    async with kept_warm() as cli:
        first = await ready(cli)
        assert await answer(cli) == ("hello", first)
        second = await ready(cli, but=first)
        assert await answer(cli, context={"a": 1}) == ("hello", second)


@pytest.mark.slow
@pytest.mark.long
async def test_a_job_gets_a_cli_that_has_just_started(slot):
    async with kept_warm() as cli:
        async with asyncio.timeout(30):
            while not (cli.any_job.cli and cli.any_job.cli.pid):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        starting = cli.any_job.cli.pid
        assert await answer(cli) == ("hello", starting)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("has_cores", "wanted"), first_of([(2.0, True), (1.9, False)]))
async def test_jobs_that_follow_each_other_get_a_second_waiting_cli(slot, monkeypatch, has_cores, wanted):
    """Catches jobs in direct succession that each wait for a start while a core is free; or a start without one."""
    monkeypatch.setattr(cores, "available", lambda: has_cores)
    monkeypatch.setattr(held, "_START_DELAY_WITHOUT_RELAY", 60.0)  # the next one starts when a run has ended
    async with kept_warm(WorkerSettings(queue_concurrency=1)) as cli:
        await until_async(lambda: cli.any_job.is_ready, within=30)
        run = Run(WorkerSettings(), cli)
        await run.answer(plan_for({"query": "hello"}, WorkerSettings()))
        assert not cli.second._wanted.is_set()  # one was ready
        await answer(cli)  # none is ready now
        await run.end()
        assert cli.second._wanted.is_set() == wanted
        if wanted:
            await until_async(lambda: all(one.is_ready for one in (cli.any_job, cli.second)), within=30)
            both = {one.cli.pid for one in (cli.any_job, cli.second) if one.cli}
            run = Run(WorkerSettings(), cli)
            await run.answer(plan_for({"query": "hello"}, WorkerSettings()))
            assert {run._cli and run._cli.pid, (await answer(cli))[1]} == both
            await run.end()


async def test_a_waiting_cli_rehearses_without_claude(slot, model):
    """Catches a rehearsal that reaches Claude, costs something, or shows in the job's request or its result."""
    before = len(model.requests)
    relay = Relay(Credential.of(os.environ), dict(os.environ), 60)
    async with closing(relay), kept_warm(relay=relay) as cli:
        await ready(cli)
        waiting = cli.any_job.cli
        assert waiting is not None
        await waiting.begin()
        assert len(model.requests) == before
        run = Run(WorkerSettings(), cli)
        report = await run.answer(plan_for({"query": "hello"}, WorkerSettings()))
        await run.end()
    [request] = model.requests[before:]
    assert request.body["messages"][0]["content"] == [{"type": "text", "text": "hello"}]
    assert report.envelope is not None
    assert report.envelope.num_turns == 1
    assert set(report.envelope.model_usage or {}) == {request.body["model"]}


@pytest.mark.slow
@pytest.mark.long
async def test_a_cli_that_a_job_waits_for_does_not_rehearse(slot, model, monkeypatch):
    """Catches a busy slot whose jobs wait for rehearsals."""
    rehearsals: list[object] = []
    monkeypatch.setattr(rehearsal, "answer", rehearsals.append)
    relay = Relay(Credential.of(os.environ), dict(os.environ), 60)
    async with closing(relay), kept_warm(relay=relay) as cli:
        async with asyncio.timeout(30):
            while not (cli.any_job.cli and cli.any_job.cli.pid):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert (await answer(cli))[0] == "hello"
    assert not rehearsals


async def test_a_job_whose_waiting_cli_dies_starts_another(slot, caplog):
    """Catches a job that fails, or waits, when its waiting CLI ends before it has the prompt."""
    async with kept_warm() as cli:
        waiting = await ready(cli)
        run = Run(WorkerSettings(), cli)
        answering = asyncio.create_task(run.answer(plan_for({"query": "hello"}, WorkerSettings())))
        await asyncio.sleep(0)
        assert cli.any_job.cli is None
        os.kill(waiting, 9)
        assert judge(await answering, max_output_bytes=10_000).body["result"]["response"] == "hello"
        assert run._cli is not None
        assert run._cli.pid != waiting
        await run.end()
    assert "late_initialization_failed" in [record.message for record in caplog.records]


@pytest.mark.slow
async def test_a_run_that_ends_before_its_options_are_taken_starts_nothing(slot, model, caplog):
    """Catches a cancelled job that starts another CLI, and asks Claude, when its waiting one is ended."""
    async with kept_warm() as cli:
        waiting, before = await ready(cli), len(model.requests)
        os.kill(waiting, signal.SIGSTOP)
        run = Run(WorkerSettings(), cli)
        answering = asyncio.create_task(run.answer(plan_for({"query": "hello"}, WorkerSettings())))
        await until_async(lambda: run._cli is not None, within=30)
        answering.cancel()
        await asyncio.wait({answering})
        await run.end()
        assert waiting not in processes.descendants(os.getpid())
    assert len(model.requests) == before
    assert "late_initialization_failed" not in [record.message for record in caplog.records]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("alone", first_of([0.01, 60.0]))
async def test_the_next_cli_starts_after_the_job_or_its_start_up(slot, monkeypatch, alone):
    monkeypatch.setattr(held, "_START_DELAY_WITHOUT_RELAY", alone)
    async with kept_warm() as cli:
        first = await ready(cli)
        run = Run(WorkerSettings(), cli)
        await run.answer(plan_for({"query": "hello"}, WorkerSettings()))
        if alone > 1:
            assert cli.any_job.cli is None
        else:
            assert await ready(cli, but=first)
        await run.end()
        assert await ready(cli, but=first)


@pytest.mark.parametrize(
    "request_",
    [
        {"systemPrompt": "x", "model": "claude-sonnet-4-5", "effort": "low"},
        long({"maxOutputTokens": 5000}),
        long({"tools": ["Read"]}),
        pytest.param({"tools": ["Bash", "Read"]}, marks=pytest.mark.slow),
        {"session": True, "conversation": {"id": "4f0d0f26-1f4f-4c1c-9a53-3d3d9b1d9b6c", "from": None}},
    ],
)
async def test_a_job_with_its_own_options_gets_the_waiting_cli(slot, request_):
    settings = WorkerSettings(claude_tools=("Bash", "Read", "WebFetch"))
    async with kept_warm(settings) as cli:
        waiting = await ready(cli)
        assert await answer(cli, settings, **request_) == ("hello", waiting)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"maxTurns": 2}, marks=pytest.mark.slow),
        {"tools": ["Bash"]},
        long({"tools": ["Task"]}),
        long({"tools": ["Edit"]}),
    ],
)
async def test_a_job_that_needs_other_flags_starts_its_own_cli(slot, request_):
    """Catches a job that is given a process which limits, describes or offers its tools in another way."""
    settings = WorkerSettings(claude_tools=("Bash", "Read", "Grep", "Task"))
    async with kept_warm(settings) as cli:
        waiting = await ready(cli)
        text, pid = await answer(cli, settings, **request_)
        assert text == "hello"
        assert pid != waiting
        assert await ready(cli) == waiting


@pytest.mark.parametrize(("tools", "works"), first_of([(("Read",), False), (("Bash",), True), ((), False)]))
async def test_a_waiting_cli_runs_only_the_tools_of_its_job(slot, model, tools, works):
    """Catches a model that reaches a tool of the process which its job has not, and one that is denied its own."""
    settings = WorkerSettings(claude_tools=("Bash", "Read"))
    async with kept_warm(settings) as cli:
        waiting = await ready(cli)
        model.script(ToolUse("Bash", {"command": "echo 4$((1 + 1))"}), Text("done"))
        assert await answer(cli, settings, tools=list(tools)) == ("done", waiting)
    [result] = [block for block in model.requests[-1].body["messages"][-1]["content"] if block["type"] == "tool_result"]
    assert ("42" in str(result["content"])) == works
    assert result.get("is_error", False) != works


@pytest.mark.slow
@pytest.mark.long
async def test_an_unknown_cli_gets_jobs_with_default_options_alone(slot, monkeypatch):
    """Catches options that are sent to a CLI which may ignore them, and limits that nobody keeps."""
    monkeypatch.setattr(version, "of_cli", lambda _: None)
    async with kept_warm() as cli:
        waiting = await ready(cli)
        for request in ({"systemPrompt": "x"}, {"maxTurns": 3}, {"effort": "low"}):
            text, pid = await answer(cli, **request)
            assert text == "hello"
            assert pid != waiting
        assert await answer(cli) == ("hello", waiting)


class Kept:
    """The store of a session in memory, as a run uses it."""

    is_full = False

    def __init__(self):
        self.lines: dict[str, list[dict[str, str]]] = {}

    async def transcript(self, session_id):
        return list(self.lines.get(session_id, ())) or None

    async def subpaths(self, _):
        return []

    async def append(self, key, entries):
        kept = self.lines.setdefault(key["session_id"], [])
        known = {line.get("uuid") for line in kept} - {None}
        kept += [line for line in entries if line.get("uuid") not in known]

    async def load(self, key):
        return await self.transcript(key["session_id"])

    async def list_subkeys(self, _):
        return []


async def turn(cli, store, query, session, resumes=None, but=None):
    """Run a turn of a session with a waiting CLI."""
    settings = WorkerSettings()
    keeper = cli.any_job if resumes is None else cli.continued
    await until_async(lambda: keeper.cli and keeper.cli.pid not in {None, but}, within=30)
    waiting = keeper.cli.pid
    run = Run(settings, cli)
    plan = plan_for({"query": query, "conversation": {"id": session, "from": resumes}}, settings)
    report = await run.answer(plan, None, store)
    assert judge(report, max_output_bytes=10_000).state == "completed"
    assert run._cli is not None
    assert run._cli.pid == waiting
    await run.end()
    return waiting


async def test_a_session_continues_with_the_second_waiting_cli(slot, model):
    """Catches a turn that is lost, repeated or kept under another id, and a slot that never keeps a second CLI."""
    store, session, fork = Kept(), str(uuid4()), str(uuid4())
    async with kept_warm() as cli:
        assert cli.continued.cli is None
        await turn(cli, store, "one", session)
        second = await turn(cli, store, "two", session, session)
        third = await turn(cli, store, "three", session, session, but=second)
        assert model.texts() == ["one", "one", "two", "two", "three"]
        before = list(store.lines[session])
        aside = await turn(cli, store, "aside", fork, session, but=third)
        assert store.lines[session] == before
        await turn(cli, store, "further", fork, fork, but=aside)
        assert model.texts() == ["one", "one", "two", "two", "three", "three", "aside", "aside", "further"]
    assert set(store.lines) == {session, fork}
    for session_id, lines in store.lines.items():
        assert {line["sessionId"] for line in lines if "sessionId" in line} == {session_id}


@pytest.mark.parametrize("tools", [pytest.param((), marks=pytest.mark.slow), ("Bash", "Read")])
async def test_options_and_sessions_come_late_in_a_sandbox(slot, model, tools):
    """Catches a transcript, or an option, that is placed where a sandboxed CLI does not find it."""
    found = probe(version.program(WorkerSettings()))
    if found.kind != "namespaces":
        pytest.skip(found.reason)
    sandbox = Sandbox("namespaces", found.bwrap, version.program(WorkerSettings()))
    environ = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k"}
    relay = Relay(Credential.of(environ), environ, 60)
    store, session = Kept(), str(uuid4())
    async with closing(relay), kept_warm(WorkerSettings(claude_tools=tools), relay, sandbox) as cli:
        first = await turn(cli, store, "one", session)
        await turn(cli, store, "two", session, session)
        assert model.texts() == ["one", "one", "two"]
        settings = WorkerSettings(claude_tools=tools)
        waiting = await ready(cli, but=first)
        request = {"systemPrompt": "Be short.", "model": "claude-sonnet-4-5", "tools": list(tools[:1])}
        assert await answer(cli, settings, **request) == ("hello", waiting)
        body = model.requests[-1].body
        assert (body["model"], body["system"][-1]["text"]) == ("claude-sonnet-4-5", "Be short.")
        assert [tool["name"] for tool in body.get("tools", ())] == list(tools[:1])


@pytest.mark.slow
@pytest.mark.long
async def test_a_session_cli_without_a_job_is_not_replaced(slot, monkeypatch):
    """Catches a slot that keeps a second CLI for ever after one session."""
    async with kept_warm() as cli:
        await turn(cli, Kept(), "one", str(uuid4()))
        await until_async(lambda: cli.continued.cli and cli.continued.cli.pid, within=30)
        monkeypatch.setattr(held, "_MAX_AGE", 0.1)
        cli.continued.cli.kill_cli()
        await until_async(lambda: cli.continued.cli is None and not cli.continued._wanted.is_set(), within=30)


@pytest.mark.slow
async def test_a_dead_cli_is_replaced_and_given_to_no_job(slot):
    async with kept_warm() as cli:
        dead = await ready(cli)
        os.kill(dead, 9)
        # Dead, but not reaped yet.
        with suppress(ChildProcessError):  # unless asyncio has
            os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
        text, pid = await answer(cli)
        assert text == "hello"
        assert pid != dead
        assert await ready(cli, but=dead)


@pytest.mark.slow
@pytest.mark.long
async def test_an_old_cli_is_replaced(slot, monkeypatch):
    monkeypatch.setattr(held, "_MAX_AGE", 0.2)
    async with kept_warm() as cli:
        old = await ready(cli)
        await ready(cli, but=old)
        assert old not in processes.descendants(os.getpid())


async def test_a_failing_start_is_retried_with_growing_pauses(slot, monkeypatch):
    pauses = []
    sleep = asyncio.sleep

    async def note(seconds):
        pauses.append(seconds)
        await sleep(min(seconds, 0.01))

    monkeypatch.setattr("functions.worker.cli.held.asyncio.sleep", note)
    cli = WarmCli(WorkerSettings(claude_command="/nowhere/claude"))
    keeping = asyncio.create_task(cli.run())
    while len(pauses) < 5:
        await sleep(0.01)
    keeping.cancel()
    await asyncio.wait({keeping})
    assert pauses[:5] == [0.0, 0.5, 1.0, 2.0, 4.0]


async def test_switched_off_no_cli_waits(slot):
    async with kept_warm(WorkerSettings(claude_warm=False)) as cli:
        assert await cli.excluded() == set()
        text, _ = await answer(cli)
        assert text == "hello"
        assert not processes.descendants(os.getpid())


async def test_a_cli_whose_start_failed_is_given_to_no_job(slot):
    cli = WarmCli(WorkerSettings(claude_command="/nowhere/claude"))
    failed = cli._held()
    await asyncio.wait({failed.begin()})
    cli.any_job._cli = failed
    assert cli.take(plan_for({}, WorkerSettings())) is not failed
    await failed.kill()


@pytest.mark.slow
@pytest.mark.long
async def test_a_full_disk_is_logged_and_retried(slot, monkeypatch, caplog):
    made: list[None] = []
    create = Workspace.create

    def full_at_first():
        made.append(None)
        if len(made) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return create()

    monkeypatch.setattr(Workspace, "create", full_at_first)
    async with kept_warm() as cli:
        assert await ready(cli)
    assert [record.fields for record in caplog.records if record.message == "warm_cli_failed"] == [{"error": "OSError"}]
