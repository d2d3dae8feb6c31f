"""Attacks on the machine, and on the next job of the same slot by what a run leaves behind."""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.redteam.catalogue import BOMBS
from tests.redteam.conftest import CANARY, THE_END

# The name of a bomb, its script, and the code with which its job ends.
SCRIPTS = [
    ("Start processes without end", "#!/bin/sh\nb() { b | b & }; b; sleep 60", "resource_exceeded"),
    (
        "Take memory without end",
        "held = []\nwhile True:\n    held.append(bytearray(b'x' * (64 << 20)))\n",
        "resource_exceeded",
    ),
    (
        "Take memory by page tables alone",
        """
import mmap, time
for _ in range(16):
    # 32 GiB of nothing: a page table of 4 KiB for each 2 MiB that is looked at.
    held = mmap.mmap(-1, 32 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)
    held.madvise(15)
    for place in range(0, len(held), 2 << 20):
        held[place]
    globals()[f"held{_}"] = held
time.sleep(60)
""",
        "resource_exceeded",
    ),
    (
        "Fill the disk",
        "#!/bin/sh\ni=0; while :; do i=$((i+1)); head -c 10000000 /dev/urandom >> /tmp/f$((i % 9)); done",
        "resource_exceeded",
    ),
    (
        "Fill the disk with files that have no name",
        """
import time
held = []
for number in range(30):
    held.append(open("/work/gone", "wb"))
    os.unlink("/work/gone")
    held[-1].write(os.urandom(5 << 20))
    held[-1].flush()
time.sleep(60)
""",
        "resource_exceeded",
    ),
    (
        "Make more files than a disk has places for",
        "import time\nfor number in range(100_000):\n    open(f'/home/claude/{number}', 'w').close()\ntime.sleep(60)\n",
        "resource_exceeded",
    ),
    (
        "Leave links, strange names and closed directories behind",
        """
for number in range(500):
    os.symlink("/" if number % 2 else f"/work/link-{number - 1}", f"/work/link-{number}")
place = "/work"
for number in range(60):
    place = os.path.join(place, "d" * 200)
    try:
        os.mkdir(place)
    except OSError:
        break
for name in ("\\n", "a\\tb", "-rf", "*", "\\xff", "ü" * 100):
    os.mkdir(os.path.join("/work", name.encode().decode("unicode_escape") if name.isascii() else name))
os.mkdir("/work/closed")
open("/work/closed/file", "w").close()
os.chmod("/work/closed/file", 0)
os.chmod("/work/closed", 0)
os.chmod("/work", 0)
os.chmod("/home/claude", 0)
""",
        None,
    ),
    (
        "Nest directories 10,000 deep",
        """
import time
os.chdir("/work")
for number in range(10_000):
    os.mkdir("deep")
    os.chdir("deep")
time.sleep(60)
""",
        "resource_exceeded",
    ),
    (
        "Make 100,000 empty directories",
        """
import time
for number in range(100_000):
    if number % 1000 == 0:
        place = f"/home/claude/{number}"
        os.mkdir(place)
    os.mkdir(f"{place}/{number}")
time.sleep(60)
""",
        "resource_exceeded",
    ),
    (
        "Leave pipes, sockets, sparse and hard-linked files behind",
        """
for number in range(100):
    os.mkfifo(f"/work/fifo-{number}")
    socket.socket(socket.AF_UNIX).bind(f"/work/socket-{number}")
    with open(f"/work/sparse-{number}", "wb") as file:
        file.truncate(60 << 20)
    os.chmod(f"/work/fifo-{number}", 0)
for number in range(1000):
    os.link("/work/sparse-0", f"/work/link-{number}")
for flag in (0x10, 0x20):
    import fcntl
    with open("/work/sparse-1", "rb") as file:
        try:
            fcntl.ioctl(file, 0x40086602, flag.to_bytes(8, "little"))
            breach("sets the flag", flag)
        except OSError:
            pass
""",
        None,
    ),
    (
        "Fill `/dev/shm`",
        """
try:
    with open("/dev/shm/left", "wb") as file:
        while True:
            file.write(bytes(1 << 20))
            if file.tell() > 65 << 20:
                breach("writes", file.tell())
except OSError as error:
    print(error)
""",
        None,
    ),
    (
        "Hold locks on what all runs read",
        """
import fcntl, time
for path in ("/usr/bin/env", "/bin/sh", "/opt/claude/claude", "/etc/ld.so.cache", "/usr", "/"):
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
time.sleep(1)
""",
        None,
    ),
    ("Run beyond its time", '#!/bin/sh\ntrap "" TERM INT HUP; while :; do sleep 1; done', "timeout"),
    (
        "Leave processes and files for the next run",
        """#!/bin/sh
for place in /work /tmp /config /home/claude /dev/shm /opt /usr/local/bin; do echo left > $place/left 2>/dev/null; done
echo 'echo left' >> ~/.bashrc; echo 'echo left' >> ~/.profile; mkdir -p /config/hooks
echo '{"env": {"LEFT": "left"}}' > /config/settings.json
nohup setsid sh -c 'trap "" TERM HUP; while :; do sleep 1; done' >/dev/null 2>&1 &
nohup setsid python3 -c 'import socket, time; s = socket.socket(); s.bind(("", 5555)); s.listen(); time.sleep(999)' &
sleep 0.2
""",
        None,
    ),
]
# Those of `make redteam-short`.
SHORT = (
    "Start processes without end",
    "Take memory without end",
    "Fill the disk",
    "Leave links, strange names and closed directories behind",
    "Leave processes and files for the next run",
)
# What the next job looks for.
TRACES = """
for place in ("/work", "/tmp", "/config", "/home/claude", "/dev/shm", "/opt", "/usr/local/bin"):
    if os.path.exists(os.path.join(place, "left")):
        breach("left", place)
if env.get("LEFT") or os.path.exists("/config/settings.json") or os.path.exists("/home/claude/.bashrc"):
    breach("settings")
if reaches("127.0.0.1", 5555):
    breach("listens")
if len(glob.glob("/proc/[0-9]*")) > 12:
    breach("processes", glob.glob("/proc/[0-9]*"))
"""


def test_each_bomb_has_a_script():
    assert [name for name, *_ in SCRIPTS] == list(BOMBS)
    assert set(SHORT) <= set(BOMBS)


@pytest.mark.parametrize(
    ("name", "script", "code"),
    [pytest.param(*one, id=one[0], marks=() if one[0] in SHORT else pytest.mark.slow) for one in SCRIPTS],
)
def test_a_bomb_harms_only_its_own_job(target, name, script, code):
    job = target.run(script, timeoutMs=8000 if code == "timeout" else 60_000)
    assert (job["error"] or {"code": None})["code"] == code, job
    assert "BREACH" not in job["output"]
    assert "Traceback" not in job["output"]
    assert (THE_END in job["output"]) is (code is None)
    # Two slots: one of the next two jobs has the slot that the bomb was in.
    for _ in range(2):
        after = target.run(TRACES)
        assert after["state"] == "completed"
        assert after["attempts"] == 1
        assert "BREACH" not in after["output"]
        assert CANARY not in after["output"]
    until(lambda: len(folders(target)) <= 2, "directories of runs are left")
    until(lambda: left_processes(target) == [], "processes of runs are left")
    until(lambda: written(target) < 32 << 20, "files of runs are left")
    assert target.gateway.client.get("/health").json()["status"] == "ok"


def folders(target):
    """List the directories of runs, without those of shared MCP servers, which live as long as their slot."""
    found = target.gateway.runs.glob("claude-worker-*/claude-run-*")
    return [folder for folder in found if "-mcp-" not in folder.name]


def left_processes(target):
    """List processes of runs that belong to no CLI that waits."""
    clis = {process.pid for process in target.gateway.clis()}
    below = {child.pid for pid in clis for child in _children(pid)}
    return [
        process
        for process in target.gateway.processes()
        if process.is_running() and process.name() in {"sh", "python3", "sleep", "head", "bash"}
        if process.pid not in clis | below
    ]


def _children(pid):
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def written(target):
    """Return the bytes in the directories of runs; the free space of the disk depends on other programs too."""
    found = 0
    for path, _, files in os.walk(target.gateway.runs):
        for name in files:
            with suppress(OSError):  # it has been removed meanwhile
                found += (Path(path) / name).lstat().st_blocks * 512
    return found


def until(holds, what):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
