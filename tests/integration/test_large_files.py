"""Memory and files at sizes that no process may hold: a file of 1 GB, up and down."""

import asyncio
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from local.embedded_redis import find_server
from shared.configuration.files_address import AWS_VARIABLES
from shared.files import objects
from tests.support.measured import COVERAGE
from tests.support.object_store import ObjectStore
from tests.support.parameters import long
from tests.support.processes import running
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads VmHWM")]

GIGABYTE = 1 << 30
MORE = 64 << 20
PIECE = bytes(range(256)) * 4096


def peak(pid: int) -> int:
    """Return the most memory that a process has had so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def gigabyte() -> Iterator[bytes]:
    for _ in range(GIGABYTE // len(PIECE)):
        yield PIECE


@pytest.mark.parametrize("kind", ["directory", long("s3")])
@pytest.mark.timeout(600)
def test_a_gigabyte_passes_in_64_mb_of_memory(kind, tmp_path):
    """Catches an upload or a download that is held in memory."""
    size = GIGABYTE if kind == "directory" else 2 * MORE  # moto itself holds it in memory
    with RedisServer(find_server(), tmp_path) as redis, ObjectStore() as s3:
        variables = {
            "PATH": os.environ["PATH"], "REDIS_URL": redis.url, "PORT": "0",
                "MAX_FILE_BYTES": str(GIGABYTE), "MAX_CALLER_FILE_BYTES": str(2 * GIGABYTE),
            **COVERAGE, **(s3.variables if kind == "s3" else {"FILES_URL": f"file:{tmp_path / 'files'}"}),
        }  # fmt: skip
        program = str(Path(sys.executable).parent / "claude-gateway")
        api = psutil.Popen([program, "api"], env=variables, cwd=tmp_path)
        with running(api), httpx.Client(timeout=120, trust_env=False) as client:
            url = address_of(api)
            client.post(f"{url}/api/files", content=b"warm").raise_for_status()
            before = peak(api.pid)
            reset_peak(api.pid)
            pieces = (piece for number, piece in enumerate(gigabyte()) if number * len(PIECE) < size)
            made = client.post(f"{url}/api/files?name=large", content=pieces)
            assert (made.status_code, made.json()["size"]) == (201, size), made.text
            assert peak(api.pid) - before < MORE
            total = 0
            with client.stream("GET", f"{url}/api/files/{made.json()['fileId']}/content") as answer:
                for piece in answer.iter_raw():
                    total += len(piece)
            assert total == size
            assert peak(api.pid) - before < MORE


@pytest.mark.parametrize("kind", [long("directory"), "s3"])
async def test_a_slow_reader_gets_the_whole_content(kind, tmp_path, monkeypatch):
    """Catches a download that ends when one request to S3 lasts longer than the library allows."""
    monkeypatch.setitem(objects._CLIENT, "timeout", "1s")
    content = PIECE * 40
    with ObjectStore() as s3:
        where = objects.Objects(
            s3.variables["FILES_URL"] if kind == "s3" else f"file:{tmp_path}",
            {name: value for name, value in s3.variables.items() if name in AWS_VARIABLES},
        )

        async def feed(write):
            await write(content)

        await where.write("a", feed, "text/plain")
        found, slept = hashlib.sha256(), 0
        async for piece in await where.read("a"):
            found.update(piece)
            if slept < 6:
                await asyncio.sleep(1.2)  # longer than the limit, and more often than the library retries
                slept += 1
        assert found.digest() == hashlib.sha256(content).digest()


def address_of(process: psutil.Popen) -> str:
    """Wait until a process listens, and return its URL."""
    [connection] = until(lambda: [one for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN])
    return f"http://127.0.0.1:{connection.laddr.port}"
