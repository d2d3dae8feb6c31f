"""The embedded Redis keeps its data, ends with its parent, and never shares its data directory."""

import base64
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

ROOT = Path(__file__).parents[2]
# The same calls as in `claude-gateway local`.
PROGRAM = """
import sys
from pathlib import Path
from local.embedded_redis import EmbeddedRedis, EmbeddedRedisError
from local.supervisor import Stopped, Supervisor

try:
    with EmbeddedRedis(Path(sys.argv[1])) as embedded, Supervisor() as supervisor:
        supervisor.start(embedded.child)
        embedded.wait()
        print(embedded.url, flush=True)
        sys.exit(supervisor.wait())
except Stopped:
    sys.exit(0)
except (EmbeddedRedisError, RuntimeError) as error:
    sys.exit(str(error))
"""
# The append-only file of Redis 6.2.14, which an earlier version of the gateway bundled: a snapshot, then commands.
FROM_REDIS_6 = base64.b64decode(
    "UkVESVMwMDA5+glyZWRpcy12ZXIGNi4yLjE0+gpyZWRpcy1iaXRzwED6BWN0aW1lwnYDCGv6CHVzZWQtbWVtwuhiDgD6DGFv"
    "Zi1wcmVhbWJsZcAB/gD7BAAPAnN0ARAAAAGiF02F5QAAAAAAAAAAHR0AAAAKAAEBAAEBAYFhAgABAgEAAQABgWICBAH/AYEA"
    "AAGiF02F5QAADQFoEREAAAANAAAAAgAAAWYDAXb/DAF6EBAAAAANAAAAAgAAAW0D8v8AAWHAAf8c6VuDbZ3ezCoyDQokNg0K"
    "U0VMRUNUDQokMQ0KMA0KKjMNCiQzDQpzZXQNCiQxDQpiDQokMQ0KMg0K"
)


def run(data):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(data)],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@contextmanager
def redis_on(data):
    """Run a parent with its Redis; yield the parent, the server's process and a client."""
    with run(data) as parent:
        try:
            url = parent.stdout.readline().strip()
            assert url.startswith("unix://"), parent.communicate(timeout=10)
            [server] = psutil.Process(parent.pid).children(recursive=True)
            with redis.Redis.from_url(url) as client:
                yield parent, server, client
        finally:
            parent.send_signal(signal.SIGTERM)
            parent.communicate(timeout=10)


@pytest.fixture
def data(tmp_path):
    # A path with a space, because the server's options are lines of a file.
    return tmp_path / "the data"


def test_data_survive_a_restart_and_nothing_else_remains(data):
    with redis_on(data) as (parent, server, client):
        client.set("k", "v")
        socket = Path(client.connection_pool.connection_kwargs["path"])
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(10) == 0
        assert not server.is_running()
        assert not socket.parent.exists()
    with redis_on(data) as (_, _, client):
        assert client.get("k") == b"v"


def test_answered_writes_survive_a_kill_and_the_parent_reports_it(data):
    with redis_on(data) as (parent, server, client):
        client.set("k", "v")
        server.kill()
        _, errors = parent.communicate(timeout=10)
        assert parent.returncode == 1
        assert f"redis ended with status -{int(signal.SIGKILL)}" in errors
    with redis_on(data) as (_, _, client):
        assert client.get("k") == b"v"


def test_a_second_start_on_the_same_directory_is_refused(data):
    with redis_on(data) as (_, _, client):
        with run(data) as second:
            _, errors = second.communicate(timeout=10)
        assert second.returncode == 1
        assert errors.strip() == f"Another gateway uses {data}: stop it, or choose another directory with --data"
        assert client.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_killed_parent_leaves_no_redis_no_lock_and_no_stale_socket(data):
    with redis_on(data) as (parent, server, client):
        client.set("k", "v")
        socket = Path(client.connection_pool.connection_kwargs["path"])
        # Becomes readable when the process ends, also when another process is its parent.
        end = os.pidfd_open(server.pid)
        parent.kill()
        assert select.select([end], [], [], 10)[0]
        os.close(end)
    with redis_on(data) as (_, _, client):
        assert client.get("k") == b"v"
        assert not socket.parent.exists()


def test_unreadable_data_fails_the_start_with_the_last_log_line(data):
    data.mkdir()
    (data / "appendonly.aof").write_bytes(b"not an append-only file\n")
    with run(data) as parent:
        _, errors = parent.communicate(timeout=10)
    assert parent.returncode == 1
    assert "redis ended with status 1: " in errors
    assert (data / "redis.log").read_text().splitlines()[-1] in errors


def test_only_the_owner_can_connect_and_only_by_socket(data):
    with redis_on(data) as (_, server, client):
        socket = Path(client.connection_pool.connection_kwargs["path"])
        assert socket.stat().st_mode & 0o777 == 0o700
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        assert socket.stat().st_uid == os.getuid()
        assert server.net_connections("inet") == []


def test_it_runs_with_durable_options(data):
    """Catches documentation that promises more than the server does."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    promised = re.search(r"the embedded store of `claude-gateway local`[^.]*`appendfsync (\w+)`", text, re.IGNORECASE)
    assert promised
    options = {"appendonly": "yes", "appendfsync": promised[1], "maxmemory-policy": "noeviction", "save": ""}
    with redis_on(data) as (_, _, client):
        assert {name: client.config_get(name)[name] for name in options} == options


def test_data_of_the_previously_bundled_redis_are_loaded(data):
    """Catches an update that starts with an empty store beside the old file."""
    data.mkdir()
    (data / "appendonly.aof").write_bytes(FROM_REDIS_6)
    for _ in range(2):  # the first start converts the file, the next one reads the result
        with redis_on(data) as (_, _, client):
            assert {key: client.type(key) for key in client.scan_iter()} == {
                b"a": b"string", b"b": b"string", b"z": b"zset", b"h": b"hash", b"st": b"stream",
            }  # fmt: skip
            assert (client.get("a"), client.get("b"), client.hget("h", "f")) == (b"1", b"2", b"v")
