"""The end of a run whose files cannot be stored at once: nothing is lost, and nothing is left over."""

import time

import pytest

from tests.support.deployment import Deployment
from tests.support.object_store import ObjectStore
from tests.support.ports import free_port
from tests.support.scripted_model import Text, ToolUse
from tests.support.tcp_proxy import TcpProxy

COMMAND = "mkdir outputs; for n in 1 2 3; do head -c 300000 /dev/urandom >outputs/$n; done; echo changed >given"


class Store(TcpProxy):
    """The way to an object store, which can be closed: then every connection and every attempt to connect is cut."""

    s3: ObjectStore

    def close(self):
        """Cut what is open, and let nothing through."""
        self._port, self.target = self.target, free_port()
        for link in self.links:
            link.client.close()
            link.server.close()

    def open(self):
        """Let connections through again."""
        self.target = self._port


@pytest.fixture
def store():
    with ObjectStore() as s3, Store(int(s3.url.rpartition(":")[2])) as way:
        s3.variables["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{way.port}"
        way.s3 = s3
        yield way


@pytest.fixture
def gateway(tmp_path, model, store):
    variables = {"QUEUE_CONCURRENCY": "1", "CLAUDE_TOOLS": "Bash", **store.s3.variables}
    with Deployment(tmp_path, model.url, **variables) as gateway:
        gateway.start_worker()
        yield gateway


def submit(gateway, model):
    model.script(ToolUse("Bash", {"command": COMMAND}), Text("done"))
    return gateway.submit("leave files", tools=["Bash"], files=[{"path": "given", "text": "given\n"}])


def check(gateway, job):
    """The job has all its files, and the caller has no others."""
    assert job["state"] == "completed", job
    assert [(one["path"], one["size"]) for one in job["result"]["artifacts"]] == [(n, 300_000) for n in "123"]
    assert "omitted" not in job["result"]
    for path in ("artifacts/1", "artifacts/3", "patch"):
        assert gateway.client.get(f"/api/query/{job['jobId']}/{path}").status_code == 200
    names = [one["name"] for one in gateway.client.get("/api/files").json()["files"]]
    assert sorted(names) == ["1", "2", "3", "changes.patch"]


def wait_for_end_of_run(gateway):
    """Wait until the run has ended, and what it has left is to be stored."""
    gateway.until(lambda: list(gateway.folder.glob("tmp/claude-worker-*/claude-run-*/finished.json")), bool, timeout=60)


@pytest.mark.timeout(200)
def test_an_object_store_that_is_away_at_the_end_loses_nothing(gateway, model, store, full, row):
    """Catches a job that fails, or runs again and costs twice, because its files cannot be stored at once."""
    away = 30 if full else 4
    store.close()
    job_id = submit(gateway, model)
    wait_for_end_of_run(gateway)
    waited = time.monotonic()
    gateway.until(lambda: time.monotonic() - waited, lambda seconds: seconds > away, timeout=60)
    assert gateway.job(job_id)["state"] == "active"
    store.open()
    job = gateway.finished(job_id, timeout=100)
    check(gateway, job)
    assert (job["attempts"], len(model.requests)) == (1, 2)
    row(f"object store away for {away} s at the end of a job", "all files kept, one run of the CLI")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("what", [pytest.param("slot", marks=pytest.mark.slow), "worker"])
def test_a_worker_that_dies_while_it_uploads_loses_nothing(gateway, model, store, row, what):
    """Catches a CLI that runs again, and costs twice, because the process that stored its files was killed."""
    store.close()
    job_id = submit(gateway, model)
    wait_for_end_of_run(gateway)
    if what == "slot":
        [slot] = gateway.slots()
        slot.kill()
    else:
        gateway.kill_all_of_the_worker()
        gateway.start_worker()
    store.open()
    job = gateway.finished(job_id, timeout=100)
    check(gateway, job)
    assert (job["attempts"], len(model.requests)) == (1, 2)
    row(f"{what} killed while it uploads artifacts", "all files kept, one run of the CLI")
