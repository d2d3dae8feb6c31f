"""What a hostile run leaves for the worker to store: nothing of the worker comes back as an artifact or a patch."""

import pytest

from tests.redteam.catalogue import OUTPUT_PLANTS
from tests.redteam.conftest import CANARY

LINKS = """
os.makedirs("/work/outputs/d")
places = [env["TARGET_FOLDER"] + "/.env", env["TARGET_FOLDER"], env["TARGET_HOME"], env["TARGET_SPOOL"],
          "/proc/self/environ", "/proc/1/environ", "/proc/self/fd/0", "/run/claude/relay", env["TARGET_RUNS"], "/"]
for number, place in enumerate(places):
    os.symlink(place, f"/work/outputs/{number}")
    os.symlink(place, f"/work/outputs/d/{number}")
"""
REPLACED = """
os.symlink(env["TARGET_FOLDER"], "/work/outputs")
"""
EXCHANGED = """
os.makedirs("/work/outputs/d")
for number in range(50):
    open(f"/work/outputs/d/{number}", "w").write("mine")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for handle in (0, 1, 2):
            os.close(handle)
        while True:
            for number in range(50):
                path = f"/work/outputs/d/{number}"
                try:
                    os.symlink(env["TARGET_FOLDER"] + "/.env", path + "~")
                    os.rename(path + "~", path)
                    open(path + "-", "w").write("mine")
                    os.rename(path + "-", path)
                except OSError:
                    pass
    os._exit(0)
"""
SPECIAL = """
os.makedirs("/work/outputs")
os.mkfifo("/work/outputs/pipe")
socket.socket(socket.AF_UNIX).bind("/work/outputs/socket")
with open("/work/outputs/sparse", "w") as file:
    file.truncate(1 << 26)
for name, device in (("zero", (1, 5)), ("mem", (1, 1))):
    try:
        os.mknod("/work/outputs/" + name, stat.S_IFCHR | 0o666, os.makedev(*device))
        breach("made a device")
    except OSError:
        pass
"""


def contents(target, job):
    """Return everything that a client gets of a job's outputs."""
    place = f"/api/query/{job['jobId']}"
    listed = target.client.get(f"{place}/artifacts").json()["artifacts"]
    found = [target.client.get(f"{place}/artifacts/{one['path']}").text for one in listed]
    patch = target.client.get(f"{place}/patch")
    return [*found, patch.text if patch.status_code == 200 else ""]


@pytest.mark.parametrize(("script", "omitted"), [
    (LINKS, {"not_regular": 20}), (REPLACED, {"not_regular": 1}), (SPECIAL, {"not_regular": 2, "too_large": 1}),
], ids=["links", "a link in the place of the directory", "pipes, sockets and sparse files"])  # fmt: skip
def test_what_is_no_regular_file_is_counted_and_not_read(target, script, omitted):
    job = target.run(script, files=[{"path": "given", "text": "x"}])
    assert job["state"] == "completed", job
    assert "Traceback" not in job["output"]
    assert "BREACH" not in job["output"]
    assert job["result"]["omitted"] == omitted
    assert job["result"]["artifacts"] == []
    assert CANARY not in "".join(contents(target, job))


def test_files_that_are_exchanged_for_links_show_nothing(target):
    """Catches a worker that opens what a process of the run still changes."""
    job = target.run(EXCHANGED)
    assert job["state"] == "completed", job
    found = contents(target, job)
    assert CANARY not in "".join(found)
    assert set(found) <= {"mine", ""}


def test_the_next_turn_writes_through_no_kept_link(target):
    """Catches files of a turn that reach the worker through a link that an earlier turn kept."""
    first = target.run('os.symlink(env["TARGET_FOLDER"], "/work/d")\nos.symlink("/tmp", "/work/e")', session=True)
    assert first["state"] == "completed", first
    session = first["result"]["sessionId"]
    second = target.run("pass", sessionId=session, files=[{"path": "d/planted", "text": "x"}])
    assert (second["state"], second["error"]["code"]) == ("failed", "workspace_failed")
    assert target.run('print(os.readlink("/work/d"))', sessionId=session)["state"] == "completed"


def test_every_plant_has_a_test():
    assert len(OUTPUT_PLANTS) == 5
