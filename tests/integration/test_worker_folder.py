"""The directories of runs in a temporary directory that is writable by everybody."""

import fcntl
import os
import stat
import subprocess
import sys
import tempfile

import pytest

from functions.worker.cli.removal import remove_tree
from functions.worker.cli.workspace import WorkerFolder, Workspace


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The temporary directory of this process."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", "")
    (tmp_path / "tmp").mkdir(mode=0o755)
    return tmp_path / "tmp"


@pytest.fixture
def treasure(tmp_path):
    """A foreign directory, which no removal may reach."""
    (tmp_path / "treasure").mkdir(mode=0o755)
    (tmp_path / "treasure" / "file").write_text("kept")
    (tmp_path / "treasure" / "file").chmod(0o640)
    return tmp_path / "treasure"


def is_whole(treasure):
    mode = [stat.S_IMODE(path.stat().st_mode) for path in (treasure, treasure / "file")]
    return mode == [0o755, 0o640] and (treasure / "file").read_text() == "kept"


def abandoned(temporary, name="claude-worker-old"):
    folder = temporary / name
    (folder / "claude-run-1-x" / "work").mkdir(parents=True)
    (folder / "lock").touch()
    return folder


def start_and_end():
    folder = WorkerFolder()
    folder.remove()


def test_the_directory_of_a_killed_worker_is_removed(temporary):
    abandoned(temporary)
    start_and_end()
    assert list(temporary.iterdir()) == []


def test_the_directory_of_a_live_worker_stays(temporary):
    live = WorkerFolder()
    start_and_end()
    assert (live._path / "lock").exists()
    live.remove()
    assert list(temporary.iterdir()) == []


def test_the_directory_of_a_worker_of_an_earlier_version_stays(temporary):
    folder = abandoned(temporary)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        start_and_end()
        assert folder.exists()
    start_and_end()
    assert not folder.exists()


def test_a_lock_that_a_run_replaced_does_not_end_a_live_worker(temporary):
    live = WorkerFolder()
    (live._path / "lock").unlink()
    (live._path / "lock").touch()
    start_and_end()
    assert live._path.exists()
    live.remove()


def test_a_directory_whose_worker_has_not_locked_it_yet_stays(temporary):
    folder = abandoned(temporary)
    (folder / "lock").unlink()
    start_and_end()
    assert folder.exists()
    os.utime(folder, (0, 0))
    start_and_end()
    assert not folder.exists()


def fifo(lock, _):
    os.mkfifo(lock)


def link(lock, treasure):
    lock.symlink_to(treasure / "file")


def link_to_nothing(lock, treasure):
    lock.symlink_to(treasure / "new")


def second_name(lock, treasure):
    lock.hardlink_to(treasure / "file")


def directory(lock, _):
    lock.mkdir()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", [fifo, link, link_to_nothing, second_name, directory])
def test_a_foreign_lock_file_neither_hangs_nor_misleads(temporary, treasure, make):
    folder = abandoned(temporary)
    (folder / "lock").unlink()
    make(folder / "lock", treasure)
    start_and_end()
    assert not folder.exists()
    assert is_whole(treasure)
    assert len(list(treasure.iterdir())) == 1


def test_a_link_in_place_of_a_directory_is_not_followed(temporary, treasure):
    (treasure / "lock").touch()
    (temporary / "claude-worker-link").symlink_to(treasure)
    (temporary / "claude-worker-file").touch()
    os.mkfifo(temporary / "claude-worker-fifo")
    start_and_end()
    assert len(list(temporary.iterdir())) == 3
    assert is_whole(treasure)
    # The mode of the shared directory does not change either.
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_a_directory_of_another_user_stays(temporary):
    folder = abandoned(temporary)
    os.chown(folder, 12345, -1)
    start_and_end()
    assert folder.exists()


def test_links_of_a_run_are_removed_and_not_followed(temporary, treasure):
    live = WorkerFolder()
    (live._path / "claude-run-7-link").symlink_to(treasure)
    run = live._path / "claude-run-7-x"
    run.mkdir()
    (run / "directory").symlink_to(treasure)
    (run / "file").symlink_to(treasure / "file")
    other = live._path / "claude-run-77-x"
    other.mkdir()
    live.remove_runs_of(7)
    assert sorted(path.name for path in live._path.iterdir()) == ["claude-run-77-x", "lock"]
    assert is_whole(treasure)
    live.remove()


# As another user if the tests run as root, for whom modes do not matter.
REMOVE = """
import os, sys
from pathlib import Path
from functions.worker.cli.removal import remove_tree
root = Path(sys.argv[1])
if os.geteuid() == 0:
    os.chown(root, 12345, -1)
    os.seteuid(12345)
(root / "run" / "a" / "b").mkdir(parents=True)
(root / "run" / "a" / "b" / "c").touch()
(root / "run" / "closed").mkdir()
for path in ("run/a/b/c", "run/a/b", "run/a", "run/closed", "run"):
    (root / path).chmod(0)
remove_tree(root / "run")
print(os.listdir(root))
"""


def test_file_modes_do_not_prevent_removal():
    # Not below pytest's directory, which no other user can enter.
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        done = subprocess.run([sys.executable, "-c", REMOVE, root], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"


@pytest.mark.timeout(60)
def test_deep_nesting_does_not_prevent_removal(tmp_path):
    root = tmp_path / "run"
    root.mkdir()
    at = os.open(root, os.O_RDONLY)
    for _ in range(3000):  # deeper than the longest path, and than Python's recursion limit
        os.mkdir("d" * 20, dir_fd=at)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    remove_tree(root)
    assert not root.exists()


def test_a_run_leaves_nothing(temporary):
    workspace = Workspace.create()
    (workspace.work / "x" / "y").mkdir(parents=True)
    workspace.remove()
    workspace.remove()
    assert list(temporary.iterdir()) == []
