"""A job that takes its workers with it; slower than what runs at every change, for a lease has to end twice."""

import os
import signal
import threading

import psutil

from local.messages_api import user_query
from tests.support.gateway import Gateway
from tests.support.scripted_model import Hang, ScriptedModel, Text


def test_a_job_that_loses_two_workers_fails_and_blocks_nobody(tmp_path):
    never = threading.Event()

    def reply(body):
        return Hang(until=never) if user_query(body) == "deadly" and not never.is_set() else Text("fine")

    model = ScriptedModel(reply)
    variables = {"ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "2", "DEDUP_ENABLED": "true"}
    with model, Gateway(tmp_path, ANTHROPIC_BASE_URL=model.url, **variables) as gateway:
        job_id = gateway.submit("deadly")
        for attempt in range(2):
            gateway.until(lambda: gateway.job(job_id)["attempts"], attempt.__eq__, timeout=40)
            cli = gateway.until(gateway.running, bool, timeout=40)[0]
            os.kill(cli.ppid(), signal.SIGKILL)
            psutil.wait_procs([cli], timeout=10)
        job = gateway.finished(job_id, timeout=40)
        assert (job["state"], job["error"]["code"], job["attempts"]) == ("failed", "worker_lost", 2)
        never.set()
        assert gateway.ask("deadly")["result"]["response"] == "fine"
