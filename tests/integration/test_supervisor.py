"""The supervisor and its children always end together."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux adopts orphans and ends with a parent")
ROOT = Path(__file__).parents[2]
# Starts the given children, prints their ready lines, and then `all`.
PROGRAM = """
import json, sys
from local.supervisor import Child, Stopped, Supervisor

try:
    with Supervisor(**json.loads(sys.argv[1])) as supervisor:
        for child in json.loads(sys.argv[2]):
            print(supervisor.start(Child(**child)), flush=True)
        print("all", flush=True)
        sys.exit(supervisor.wait())
except Stopped:
    sys.exit(0)
except RuntimeError as error:
    sys.exit(str(error))
"""
QUIET = "import signal, sys; print('ready', flush=True); signal.pause()"
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: print("will not", file=sys.stderr, flush=True))
print("ready", flush=True)
while True:
    signal.pause()
"""
# Its child has its own session, ignores signals, and is up before the parent is ready.
WITH_GRANDCHILD = f"""
import signal, subprocess, sys
below = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], start_new_session=True, stdout=subprocess.PIPE)
below.stdout.readline()
print("ready", flush=True)
signal.pause()
"""
# Its ready line names the orphan that its child left behind.
ORPHANING = f"""
import signal, subprocess, sys
leave = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=2).pid)"
print("ready", subprocess.check_output([sys.executable, "-c", leave, {QUIET!r}], text=True), flush=True)
signal.pause()
"""


def child(name, code, **more):
    return {"name": name, "argv": [sys.executable, "-c", code], "ready": "ready", **more}


@contextmanager
def supervisor(*children, **options):
    """Run a supervisor of `children`, and end all its processes afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(options), json.dumps(children)],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        errors="surrogateescape",
    )  # fmt: skip
    family = []
    try:
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    family = below(process)
                process.kill()
    finally:
        for left in family:
            if left.is_running():
                left.kill()


def until_all(process):
    """Wait until every child is ready; return all the processes below the supervisor."""
    for line in process.stdout:
        if line == "all\n":
            return below(process)
    raise AssertionError(process.stderr.read())


def below(process):
    return psutil.Process(process.pid).children(recursive=True)


def ended(process, family):
    """Return the exit status and standard error once the supervisor has ended and left nothing."""
    _, errors = process.communicate(timeout=10)
    # Already gone when the supervisor is, not soon after.
    assert [left for left in family if left.is_running()] == []
    return process.returncode, errors


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_child_and_grandchild(number):
    children = [child("quiet", QUIET), child("stubborn", STUBBORN, stop_timeout=0.2), child("deep", WITH_GRANDCHILD)]
    with supervisor(*children) as process:
        family = until_all(process)
        assert len(family) == 4
        process.send_signal(number)
        status, errors = ended(process, family)
        assert status == 0
        assert "Traceback" not in errors


@linux
def test_a_child_that_exits_ends_the_rest_and_is_named_with_its_status():
    with supervisor(child("first", QUIET), child("doomed", QUIET), child("deep", WITH_GRANDCHILD)) as process:
        family = until_all(process)
        family[1].kill()
        status, errors = ended(process, family)
        assert status == 1
        assert "doomed ended with status -9" in errors


@linux
def test_an_orphan_that_exits_does_not_stop_the_supervisor():
    with supervisor(child("deep", ORPHANING)) as process:
        orphan = psutil.Process(int(process.stdout.readline().split()[1]))
        family = until_all(process)
        assert orphan.ppid() == process.pid
        orphan.kill()
        # Gone from the process table, so its new parent, the supervisor, has reaped it.
        assert not psutil.wait_procs([orphan], timeout=10)[1]
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert ended(process, family)[0] == 0


@linux
def test_children_end_with_a_killed_supervisor():
    with supervisor(child("one", QUIET), child("two", QUIET)) as process:
        family = until_all(process)
        assert len(family) == 2
        # Descriptors that become readable when a process ends, also when another process is its parent.
        ends = [os.pidfd_open(left.pid) for left in family]
        process.kill()
        for end in ends:
            assert select.select([end], [], [], 10)[0]
            os.close(end)


def test_children_stop_in_reverse_order_and_each_before_the_next():
    polite = """
import signal, sys
def leave(*_):
    print(sys.argv[1], "asked", file=sys.stderr, flush=True)
    print(sys.argv[1], "leaves", file=sys.stderr, flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
signal.pause()
"""
    children = [child(name, polite) for name in ("redis", "worker", "api")]
    for entry in children:
        entry["argv"].append(entry["name"])
    with supervisor(*children) as process:
        family = until_all(process)
        process.send_signal(signal.SIGINT)
        _, errors = ended(process, family)
        expected = [f"{name} {what}" for name in ("api", "worker", "redis") for what in ("asked", "leaves")]
        assert errors.splitlines() == expected


def test_a_second_ctrl_c_kills_at_once():
    with supervisor(child("quiet", QUIET), child("stubborn", STUBBORN, stop_timeout=60), stop_within=60) as process:
        family = until_all(process)
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "will not\n"
        process.send_signal(signal.SIGINT)
        status, errors = ended(process, family)
        assert (status, errors) == (0, "stopping immediately\n")


def test_all_stubborn_children_share_one_deadline():
    children = [child(name, STUBBORN, stop_timeout=60) for name in ("one", "two", "three")]
    with supervisor(*children, stop_within=0.5) as process:
        family = until_all(process)
        before = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert ended(process, family)[0] == 0
        assert time.monotonic() - before < 5


def test_ctrl_c_while_a_child_starts_stops_what_was_started():
    never = child("never", "import signal; print('not yet', flush=True); signal.pause()")
    with supervisor(child("first", QUIET), never) as process:
        assert process.stderr.readline() == "not yet\n"
        family = below(process)
        assert len(family) == 2
        process.send_signal(signal.SIGINT)
        assert ended(process, family)[0] == 0


def test_a_child_that_exits_before_it_is_ready_is_named_with_its_output():
    failing = child("failing", "import sys; print('port taken', flush=True); sys.exit(3)")
    with supervisor(child("first", QUIET), failing) as process:
        status, errors = ended(process, [])
        assert status == 1
        assert sorted(errors.splitlines()) == ["failing ended with status 3", "port taken"]


def test_a_child_that_exits_during_the_start_is_reported_at_once():
    never = child("never", "import signal; print('not yet', flush=True); signal.pause()")
    with supervisor(child("doomed", QUIET), never) as process:
        assert process.stdout.readline() == "ready\n"
        assert process.stderr.readline() == "not yet\n"
        family = below(process)
        family[0].kill()
        status, errors = ended(process, family)
        assert (status, errors) == (1, "doomed ended with status -9\n")


def test_a_child_that_closes_its_output_early_does_not_block_the_start():
    closing = child("closing", "import os, signal; os.close(1); signal.pause()")
    with supervisor(closing) as process:
        status, errors = ended(process, [])
        assert status == 1
        assert "closing closed its standard output before it was ready" in errors


def test_a_missing_program_is_reported_as_the_exit_of_its_child():
    with supervisor(child("first", QUIET), {"name": "missing", "argv": ["/no/such/program"]}) as process:
        status, errors = ended(process, [])
        assert status == 1
        assert "missing ended with status 1" in errors


def test_children_write_to_stderr_and_only_ready_lines_to_stdout():
    noise = r"""
import os, signal
os.write(1, b"before\nready at 7\nready again\nraw \xff\r\n")
os.write(2, b"said\n")
os.write(1, b"last\n")
signal.pause()
"""
    with supervisor(child("talks", noise), child("without ready", noise, ready=None)) as process:
        ready = [process.stdout.readline() for _ in range(3)]
        lines = [process.stderr.buffer.readline() for _ in range(11)]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=10)
    assert ready == ["ready at 7\n", "\n", "all\n"]
    assert rest == ""
    forwarded = [b"before\n", b"ready again\n", b"raw \xff\r\n", b"said\n", b"last\n"]
    assert sorted(lines) == sorted([*forwarded, *forwarded, b"ready at 7\n"])


def test_ctrl_c_on_the_terminal_cannot_reach_a_child():
    with supervisor(child("one", QUIET)) as process:
        [only] = until_all(process)
        # A terminal signals a process group, which has no members in another session.
        assert os.getsid(only.pid) == only.pid
