"""A worker ends within SHUTDOWN_GRACE and ten seconds, whatever the state of Redis."""

import signal
import socket
import time

import pytest

from shared.store import keys
from tests.support.fake_cli import fake_cli
from tests.support.parameters import long
from tests.support.redis_states import STATES, in_state
from tests.support.worker import MAY_TAKE, Worker

# Each takes seconds; `make slow` runs them all.
SOME = [pytest.param(state, marks=[pytest.mark.slow, pytest.mark.long]) for state in STATES]


@pytest.fixture
async def hanging_job(connect):
    """A job whose CLI hangs: its id, and a client of the API."""
    client = await connect()
    job_id = (await client.post("/api/query", json={"query": "hang", "timeoutMs": 100_000})).json()["jobId"]
    return job_id, client


@pytest.mark.parametrize("state", ["healthy", *SOME])
def test_an_idle_worker_ends_in_any_state_of_redis(server, store, tmp_path, state):
    with Worker(tmp_path, server.url) as worker:
        worker.wait_for_slots(store, 2)
        if state == "healthy":
            assert worker.stop() < MAY_TAKE
        else:
            with in_state(server, state):
                worker.wait_for_line("redis_failed")
                assert worker.stop() < MAY_TAKE
        assert worker.status == 0
        assert "worker_stopped" in worker.log
        assert "Traceback" not in worker.log


@pytest.mark.slow
@pytest.mark.parametrize("state", ["hanging", *(one for one in SOME if one.values != ("hanging",))])
async def test_a_job_at_the_stop_is_never_lost(hanging_job, server, tmp_path, state):
    job_id, client = hanging_job
    command = str(fake_cli(tmp_path, "hang"))
    with Worker(tmp_path, server.url, CLAUDE_COMMAND=command, SPOOL_DIR=str(tmp_path / "spool")) as worker:
        worker.wait_for_line("job_started")
        with in_state(server, state):
            assert worker.stop() < MAY_TAKE
            assert "how=spooled" in worker.log
            assert "Traceback" not in worker.log
    # The next worker with this spool hands the job back without counting an attempt.
    with Worker(tmp_path, server.url, CLAUDE_COMMAND=command, SPOOL_DIR=str(tmp_path / "spool")) as worker:
        worker.wait_for_line("job_started", times=2)
        job = (await client.get(f"/api/query/{job_id}")).json()
        assert (job["state"], job["attempts"]) == ("active", 0)
        assert worker.stop() < MAY_TAKE
    job = (await client.get(f"/api/query/{job_id}")).json()
    assert (job["state"], job["attempts"]) == ("waiting", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
@pytest.mark.parametrize("state", [one for one in SOME if one.values[0] not in {"read-only", "without-primary"}])
def test_a_worker_that_waits_for_redis_ends_at_once(server, store, tmp_path, state, number):
    with in_state(server, state), Worker(tmp_path, server.url) as worker:
        worker.wait_for_line("redis_failed")
        assert worker.stop(number) < 5
        assert worker.status == 0


@pytest.mark.slow
@pytest.mark.long
def test_a_worker_stopped_while_slots_fail_to_start_ends(server, store, tmp_path):
    with in_state(server, "read-only"), Worker(tmp_path, server.url) as worker:
        # By then the next start is at least a second away.
        worker.wait_for_line("slot_ended", times=4)
        assert worker.stop() < MAY_TAKE
        assert worker.status == 0
        assert "Traceback" not in worker.log


@pytest.mark.slow
def test_a_second_signal_leaves_a_job_its_grace(hanging_job, server, tmp_path):
    with Worker(tmp_path, server.url, CLAUDE_COMMAND=str(fake_cli(tmp_path, "hang")), SHUTDOWN_GRACE="3") as worker:
        worker.wait_for_line("job_started")
        took = worker.stop(signal.SIGINT, signal.SIGTERM, signal.SIGTERM)
        assert 3 <= took < 3 + 10
        assert worker.status == 0
        assert "how=settled" in worker.log


@pytest.mark.slow
@pytest.mark.parametrize("module", ["functions.worker", long("local")])
def test_a_stop_during_start_up_is_not_lost(server, store, tmp_path, module):
    # As PID 1 of a container it would ignore signals without a handler.
    for delay in (0.0, 0.1, 0.3, 0.6, 1.0, 1.5):
        with Worker(tmp_path, server.url, module, *(["worker"] if module == "local" else [])) as worker:
            time.sleep(delay)
            assert worker.stop() < MAY_TAKE, worker.log
    assert store.hlen(keys.WORKERS) == 0


def test_the_health_check_ends_when_redis_hangs(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        with Worker(tmp_path, url, "functions.worker.health") as check:
            assert check.process.wait(10) != 0
