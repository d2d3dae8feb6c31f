"""The bytes that a run has written are counted, however it hides them."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from functions.worker.cli.workspace_size import size

BOUND = 1 << 30


def test_bytes_of_all_directories_are_counted(tmp_path):
    for name in ("work", "home"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "file").write_bytes(b"x" * 100_000)
    assert 200_000 <= size([tmp_path / "work", tmp_path / "home", tmp_path / "missing"], [], BOUND) < 300_000


def test_empty_files_count_as_well(tmp_path):
    (tmp_path / "work").mkdir()
    for number in range(100):
        (tmp_path / "work" / f"{number}\n").touch()
    assert size([tmp_path / "work"], [], BOUND) >= 100 * 4096


def test_links_are_not_followed(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "outside").write_bytes(b"x" * 100_000)
    (tmp_path / "work" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "work" / "loop").symlink_to(tmp_path / "work")
    (tmp_path / "link").symlink_to(tmp_path)
    assert size([tmp_path / "work", tmp_path / "link"], [], BOUND) < 20_000


def test_a_hole_in_a_file_takes_no_space(tmp_path):
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert size([tmp_path / "work"], [], BOUND) < 20_000


def test_a_file_without_a_name_is_counted_while_it_is_open(tmp_path):
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / "gone").open("wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        (tmp_path / "work" / "gone").unlink()
        assert size([tmp_path / "work"], [os.getpid()], BOUND) >= 100_000


def test_a_tree_of_any_depth_is_above_every_bound(tmp_path):
    (tmp_path / "work").mkdir()
    folder = os.open(tmp_path / "work", os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    assert size([tmp_path / "work"], [], BOUND) > BOUND


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of a user for whom modes matter, which root is not; the test runs as that user."""
    # Not below pytest's directory, which no other user can enter.
    with TemporaryDirectory(dir="/tmp") as name:
        user = os.geteuid()
        if user == 0:
            os.chown(name, 12345, -1)
            os.seteuid(12345)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)


def test_a_directory_that_may_not_be_read_is_counted(folder):
    (folder / "work" / "closed").mkdir(parents=True)
    (folder / "work" / "closed" / "file").write_bytes(b"x" * 100_000)
    (folder / "work" / "closed").chmod(0)
    with pytest.raises(PermissionError):
        list((folder / "work" / "closed").iterdir())
    assert size([folder / "work"], [], BOUND) >= 100_000
