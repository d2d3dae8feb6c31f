"""A session continues whichever worker runs its next turn, and whichever is killed."""

import threading

from local.messages_api import user_query
from tests.support.deployment import Deployment
from tests.support.scripted_replies import Hang, Text


def test_a_session_survives_a_killed_worker(model, script, tmp_path):
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="1") as gateway:
        gateway.start_worker()
        session = gateway.ask("one", session=True)["result"]["sessionId"]
        gateway.kill_worker()
        gateway.start_worker()
        go = threading.Event()
        script(lambda body: Hang(go) if user_query(body) == "two" and not go.is_set() else Text(user_query(body)))
        turn = gateway.submit("two", sessionId=session)
        gateway.until(lambda: gateway.job(turn)["state"], "active".__eq__, timeout=60)
        gateway.kill_worker()
        go.set()
        gateway.start_worker()
        assert gateway.finished(turn, timeout=60)["state"] == "completed"
        gateway.ask("three", sessionId=session)
        assert model.texts() == ["one", "one", "two", "two", "three"]
