"""Task protection, with a stand-in for the agent that ECS gives each container."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from functions.worker.pool import ecs_protection
from functions.worker.pool.ecs_protection import Protection


@pytest.fixture
def agent(monkeypatch):
    """Record the requests to the agent; refuse the first."""
    monkeypatch.setattr(ecs_protection, "_CHECK_EVERY", 0.01)
    requests: queue.Queue[object] = queue.Queue()
    statuses = iter([500])

    class Agent(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(next(statuses, 200))
            self.end_headers()
            requests.put((self.path, body))

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api", requests
        server.shutdown()
        thread.join()


def test_a_task_is_protected_during_a_job_and_agent_errors_are_retried(agent):
    url, requests = agent
    busy = threading.Event()
    watcher = Protection(url, busy.is_set)
    busy.set()
    path = "/api/task-protection/v1/state"
    wanted = {"ProtectionEnabled": True, "ExpiresInMinutes": 10}
    assert [requests.get(timeout=10) for _ in range(2)] == [(path, wanted)] * 2
    busy.clear()
    assert requests.get(timeout=10) == (path, {"ProtectionEnabled": False})
    watcher.close()
    assert requests.empty()
