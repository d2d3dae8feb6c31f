"""`ask` and `jobs` against a running gateway, on a terminal and without one."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

import httpx
import pytest

from tests.support.commands import run_command
from tests.support.parameters import LONG, first_of, long
from tests.support.processes import running
from tests.support.scripted_replies import Error, Hang
from tests.support.terminal import COMMAND, Terminal, environment

pytestmark = pytest.mark.once
ADMIN = ("admin", "correct-horse-battery")
MISSING = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"


@pytest.fixture(scope="module")
def variables():
    # How a CLI starts is nothing to a command, and CLIs that wait cost two seconds of CPU.
    return {
        "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": ADMIN[1], "DEDUP_ENABLED": "true", "CLAUDE_MAX_RETRIES": "1",
        "CLAUDE_WARM": "false",
    }  # fmt: skip


@pytest.fixture
def command(gateway, tmp_path):
    def command(*arguments, variables=None):
        return run_command(*arguments, folder=tmp_path, environment=environment(gateway.url, **variables or {}))

    return command


@pytest.fixture
def terminal(gateway, tmp_path):
    """Start commands on terminals of their own."""
    started = []

    def terminal(*arguments, **variables):
        started.append(Terminal(tmp_path, gateway.url, *arguments, **variables))
        return started[-1]

    yield terminal
    for one in started:
        one.__exit__(None, None, None)


@pytest.fixture
def hang(script):
    """Hang the model until the event is set."""
    go = threading.Event()
    script(lambda _: Hang(go))
    yield go
    go.set()


@pytest.fixture
def paused(gateway):
    assert gateway.client.post("/admin/api/queue/pause", auth=ADMIN).status_code == 200
    yield
    gateway.client.post("/admin/api/queue/resume", auth=ADMIN)


def job_in(text):
    found = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", text)
    assert found, text
    return found[0]


def test_a_pipe_gets_the_answer_and_standard_error_nothing(command):
    done = command("ask", "to a pipe")
    assert (done.returncode, done.stdout, done.stderr) == (0, "to a pipe\n", "")


def started(gateway, folder, *arguments, **options):
    """Run a command in a process of its own."""
    return subprocess.run(
        [COMMAND, *arguments], cwd=folder, env=environment(gateway.url), capture_output=True, text=True, timeout=60,
        check=False, **options,
    )  # fmt: skip


def test_standard_input_of_a_pipe_is_appended_to_the_query(gateway, tmp_path, model):
    done = started(gateway, tmp_path, "ask", "Explain:", input="line\n")
    assert done.stdout == "Explain:\n\nline\n"
    assert model.queries()[-1] == "Explain:\n\nline\n"


@pytest.mark.slow
@pytest.mark.long
def test_standard_input_that_stays_open_does_not_block_the_query(gateway, tmp_path):
    reading, writing = os.pipe()
    try:
        done = started(gateway, tmp_path, "ask", "nobody writes", stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stdout) == (0, "nobody writes\n")
    assert "no data on standard input" in done.stderr


def test_json_has_one_shape_whether_the_answer_is_new_or_cached(command, gateway):
    new, cached = (json.loads(command("ask", "in one shape", "--json").stdout) for _ in range(2))
    assert set(new) == set(cached)
    assert new == gateway.job(new["jobId"])
    assert cached["requestId"] != new["requestId"]
    assert cached | {"requestId": new["requestId"]} == new


def test_json_of_a_failed_job_is_its_status_and_prints_the_error_once(command, script, gateway):
    script(lambda _: Error(400, "invalid_request_error", "no"))
    done = command("ask", "fail", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    body = json.loads(done.stdout)
    assert body == gateway.job(body["jobId"])
    assert body["error"]["code"] == "invalid_request"


def test_a_refusal_names_each_field_once(command):
    done = command("ask", "q", "--tool", "Bash!", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("/tools") + done.stderr.count("tools/0") == 1


def test_fields_of_the_submission_reach_the_model(command, model, tmp_path):
    (tmp_path / "schema.json").write_text('{"type": "object", "required": ["a"]}')
    done = command("ask", "hi", "--system-prompt", "Be terse.", "--model", "claude-x", "--priority", "high", "--json")
    assert json.loads(done.stdout)["priority"] == "high"
    request = model.requests[-1].body
    assert request["model"] == "claude-x"
    assert "Be terse." in json.dumps(request["system"])
    done = command("ask", "hi", "--schema", "schema.json", "--no-mcp", "--tool", "Bash")
    assert done.returncode == 2
    assert "CLAUDE_TOOLS" in done.stderr


def test_a_session_starts_and_continues(command, model):
    begun = command("ask", "My name is Ada.", "--session", "new")
    session = re.search(r"--session (\S+)", begun.stderr)
    assert session
    assert command("ask", "What is my name?", "--session", session[1]).returncode == 0
    assert "My name is Ada." in model.texts()


def test_a_terminal_shows_that_the_queue_is_paused_then_the_answer(terminal, gateway, paused):
    process = terminal("ask", "wait for me")
    process.until("the queue is paused by an operator, first in the queue")
    gateway.client.post("/admin/api/queue/resume", auth=ADMIN)
    assert process.end() == 0
    assert process.shown.endswith("wait for me\r\n")


@pytest.mark.slow
@pytest.mark.long
def test_a_terminal_shows_the_place_in_the_queue(terminal, gateway, paused):
    gateway.submit("before it")
    process = terminal("ask", "second")
    process.until("1 ahead of it")


@pytest.mark.slow
@pytest.mark.long
def test_without_a_terminal_the_reason_for_waiting_is_one_line(gateway, paused, tmp_path):
    with running(
        subprocess.Popen(
            [COMMAND, "ask", "wait in a log"],
            cwd=tmp_path, env=environment(gateway.url), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.readline().endswith("is waiting: the queue is paused by an operator\n")
        gateway.client.post("/admin/api/queue/resume", auth=ADMIN)
        assert process.communicate(timeout=30) == ("wait in a log\n", "")


@pytest.mark.parametrize(
    "simple", first_of([{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}]), ids=str
)
def test_a_dumb_terminal_gets_the_reason_and_the_answer(terminal, gateway, paused, simple):
    process = terminal("ask", f"schön {len(simple)}", **simple)
    process.until("the queue is paused by an operator")
    gateway.client.post("/admin/api/queue/resume", auth=ADMIN)
    assert process.end() == 0
    assert ("sch\\xf6n" if "PYTHONUTF8" in simple else "schön") in process.shown


def test_a_first_interrupt_leaves_the_job_and_a_second_cancels_it(terminal, gateway, hang):
    process = terminal("ask", "interrupt me twice")
    process.until("active")
    process.signal()
    process.until("Press Ctrl-C again within 5 s to cancel it")
    job = job_in(process.shown)
    assert gateway.job(job)["state"] == "active"
    process.signal()
    assert process.end() == 130
    assert f"job {job} was cancelled" in process.shown
    assert gateway.job(job)["state"] == "cancelled"


@pytest.mark.slow
@pytest.mark.long
def test_after_one_interrupt_the_job_continues_and_can_be_followed(terminal, gateway, command, hang):
    process = terminal("ask", "interrupt me once")
    process.until("active")
    process.signal()
    process.until("or Enter to leave now.")
    process.type("\n")
    assert process.end() == 130
    job = job_in(process.shown)
    assert f"claude-gateway jobs follow {job}" in process.shown
    assert gateway.job(job)["state"] == "active"
    follower = terminal("jobs", "follow", job)
    follower.until("active")
    follower.signal()
    assert follower.end() == 130
    assert gateway.job(job)["state"] == "active"
    hang.set()
    assert command("jobs", "follow", job).stdout == "ok\n"


@pytest.mark.slow
@pytest.mark.long
def test_a_second_interrupt_cancels_a_waiting_job(terminal, gateway, paused):
    process = terminal("ask", "never started")
    process.until("paused by an operator")
    process.signal()
    process.until("Press Ctrl-C again")
    process.signal()
    assert process.end() == 130
    assert gateway.job(job_in(process.shown))["state"] == "cancelled"


@pytest.mark.parametrize(("number", "status"), first_of([(signal.SIGINT, 130), (signal.SIGTERM, 143)]))
def test_without_a_terminal_an_interrupt_ends_it_with_the_jobs_id(gateway, hang, model, tmp_path, number, status):
    query = f"interrupted by {number}"
    with running(
        subprocess.Popen(
            [COMMAND, "ask", query],
            cwd=tmp_path, env=environment(gateway.url), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
    ) as process:  # fmt: skip
        gateway.until(model.queries, lambda found: query in found)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    job = job_in(err)
    assert (process.returncode, out) == (status, "")
    assert f"claude-gateway jobs cancel {job}" in err
    assert gateway.job(job)["state"] == "active"
    gateway.client.delete(f"/api/query/{job}")


def test_jobs_are_listed_read_cancelled_and_retried(command, gateway, hang):
    job = gateway.submit("by hand", priority="low", metadata={"team": "ops"})
    listed = command("jobs", "list", "--limit", "1")
    assert job in listed.stdout
    assert "older jobs: --cursor" in listed.stderr
    assert json.loads(command("jobs", "list", "--limit", "1", "--json").stdout)["jobs"][0]["jobId"] == job
    assert json.loads(command("jobs", "list", "--state", "cancelled", "--json").stdout)["jobs"] != []
    read = command("jobs", "get", job).stdout
    assert "priority     low" in read
    assert "team=ops" in read

    cancelled = command("jobs", "cancel", job)
    assert (cancelled.returncode, cancelled.stdout) == (0, f"job {job} is cancelled\n")
    assert command("jobs", "cancel", job).returncode == 2
    followed = command("jobs", "follow", job)
    assert (followed.returncode, followed.stdout) == (1, "")
    assert json.loads(command("jobs", "get", job, "--json").stdout) == gateway.job(job)

    hang.set()
    again = command("jobs", "retry", job, variables={"ADMIN_PASSWORD": ADMIN[1]})
    assert (again.returncode, again.stdout[:40]) == (0, f"job {job}"[:40])
    assert command("jobs", "follow", job).stdout == "ok\n"
    assert "\n\nok\n" in command("jobs", "get", job).stdout
    refused = command("jobs", "retry", job, variables={"ADMIN_PASSWORD": "a wrong password"})
    assert refused.returncode == 2


@pytest.mark.parametrize("arguments", [("get",), *(long((name,)) for name in ("follow", "cancel"))])
def test_a_missing_job_is_reported(command, arguments):
    for job in (MISSING, "..", "../../health", "?wait=1", "\x1b[2J"):
        done = command("jobs", *arguments, job)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("Not found")


PRINTING = [
    ["ask", "print me"],
    ["jobs", "list"],
    ["keys", "create", "lost"],
    ["ask", "print me", "--json"],
    ["jobs", "list", "--json"],
    ["keys", "list"],
    ["keys", "create", "lost", "--json"],
    ["webhooks", "hosts"],
    ["webhooks", "secret"],
    ["webhooks", "rotate"],
    ["webhooks", "listen"],
    ["--version"],
    ["--help"],
]
# An answer, a list and a secret come first; `make slow` has every command with each kind of output.
UNWRITABLE = [
    pytest.param(arguments, kind, id=f"{' '.join(arguments)}-{kind}", marks=LONG if place > 2 or kind != "full" else ())
    for place, arguments in enumerate(PRINTING)
    for kind in ("full", "broken pipe", "closed")
]


def unwritable(kind):
    """Return a descriptor that accepts no bytes."""
    if kind == "full":
        return os.open("/dev/full", os.O_WRONLY)
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize(("arguments", "kind"), UNWRITABLE)
def test_an_output_that_cannot_be_written_is_a_one_line_error(gateway, tmp_path, arguments, kind):
    data = ["--data", str(gateway.data)] if arguments[0] in {"keys", "webhooks"} else []
    output = unwritable(kind)
    close = ["/bin/sh", "-c", 'exec "$@" >&-', "sh"] if kind == "closed" else []
    if "lost" in arguments:  # a name can be used once
        data += ["--json"] if "--json" in arguments else []
        arguments = ["keys", "create", f"lost {kind} {len(data)}"]
    try:
        done = subprocess.run(
            [*close, COMMAND, *arguments, *data],
            cwd=tmp_path, env=environment(gateway.url), text=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE,
        )  # fmt: skip
    finally:
        os.close(output)
    assert done.returncode == 2
    assert done.stderr.count("standard output cannot be written: ") == 1
    assert len(done.stderr.splitlines()) <= 2
    if arguments[:2] == ["keys", "create"] and kind != "closed":
        assert "keys revoke" in done.stderr


@pytest.mark.parametrize(
    "arguments", first_of([["ask", "without standard error"], ["jobs", "get", MISSING]]), ids=" ".join
)
def test_a_closed_standard_error_adds_nothing_to_standard_output(gateway, tmp_path, arguments):
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", COMMAND, *arguments],
        cwd=tmp_path, env=environment(gateway.url), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == ("without standard error\n" if arguments[0] == "ask" else "")


@pytest.mark.slow
@pytest.mark.long
def test_a_proxy_of_the_environment_is_not_used_for_loopback(command):
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    assert command("ask", "past the proxy", variables=proxy).stdout == "past the proxy\n"


@pytest.mark.slow
@pytest.mark.long
def test_a_receiver_of_webhooks_ends_when_nobody_reads_it(tmp_path):
    with running(
        subprocess.Popen(
            [COMMAND, "webhooks", "listen", "--secret", "whsec_" + "A" * 32],
            cwd=tmp_path, env=environment("http://127.0.0.1:1"), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        process.stdout.close()
        httpx.post(url, content=b"{}", trust_env=False)
        assert process.wait(20) == 2
        assert process.stderr is not None
        assert process.stderr.read().endswith("standard output cannot be written: Broken pipe\n")
