import asyncio
from collections.abc import Iterator

import httpx
import pytest
import redis
import redis.asyncio

from local.app import app
from local.embedded_redis import find_server
from shared.configuration.settings import load
from shared.http import callers as http_callers
from shared.http.traffic import traffic
from shared.store.redis.client import close_clients
from shared.store.redis.ordered_replies import OrderedReplies
from tests.support.commands import stop_command_server
from tests.support.gateway import Gateway
from tests.support.parameters import long
from tests.support.redis_server import RedisServer
from tests.support.scripted_model import ScriptedModel


def pytest_generate_tests(metafunc):
    """Run each test with a gateway through uvicorn and through the Lambda emulator, unless it is marked `once`.

    `make slow` uses the emulator, and `make test` has the emulator's own tests.
    """
    if "gateway" in metafunc.fixturenames:
        once, emulated = (metafunc.definition.get_closest_marker(name) for name in ("once", "emulated"))
        only = pytest.param("lambda", marks=pytest.mark.slow)
        too = long("lambda")
        ways = ["uvicorn"] if once else [only] if emulated else ["uvicorn", too]
        metafunc.parametrize("gateway", ways, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def command_server() -> Iterator[None]:
    """End the process that runs the commands of a module's tests with the module."""
    yield
    stop_command_server()


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    """A Messages API that answers each query with itself, unless a test scripts it."""
    with ScriptedModel(echo=True) as model:
        yield model


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """Further variables of a module's gateway; modules override it."""
    return {}


@pytest.fixture(scope="module")
def gateway(request, model, variables, tmp_path_factory) -> Iterator[Gateway]:
    """A gateway of two slots."""
    options = ["--lambda"] if request.param == "lambda" else []
    credentials = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "2"}
    with Gateway(tmp_path_factory.mktemp("gateway"), *options, **{**credentials, **variables}) as gateway:
        yield gateway


@pytest.fixture
def round_trips(monkeypatch) -> list[object]:
    """Collect the round trips of asynchronous clients to Redis while a test wants it."""
    sent: list[object] = []
    send = redis.asyncio.connection.AbstractConnection.send_packed_command

    async def counted(self, command, check_health=True):
        sent.append(command)
        await send(self, command, check_health)

    monkeypatch.setattr(redis.asyncio.connection.AbstractConnection, "send_packed_command", counted)
    write, of_this_turn = OrderedReplies._write, set[OrderedReplies]()

    def counted_write(self):
        # What is sent in one turn of the loop is answered together, in however many packets it is sent.
        if self._packed and self not in of_this_turn:
            sent.append(self)
            of_this_turn.add(self)
            asyncio.get_running_loop().call_soon(of_this_turn.discard, self)
        write(self)

    monkeypatch.setattr(OrderedReplies, "_write", counted_write)
    return sent


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RedisServer]:
    """A Redis on a port of 127.0.0.1, empty at first."""
    with RedisServer(find_server(), tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def store(server) -> Iterator[redis.Redis]:
    """A client of that Redis, which is emptied before each test."""
    with redis.Redis(port=server.port, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
async def connect(store, server, monkeypatch):
    """Return a client of the composed app in this process, with the Redis of that URL."""
    clients = []

    async def connect(url=server.url, **variables):
        for name, value in {"REDIS_URL": url, **variables}.items():
            monkeypatch.setenv(name, value)
        load.cache_clear()
        http_callers._cache.clear()
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")
        clients.append(client)
        return client

    yield connect
    for client in clients:
        await client.aclose()
    await traffic.stop()
    await close_clients()
    load.cache_clear()
