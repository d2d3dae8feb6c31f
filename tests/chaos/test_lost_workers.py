"""Trials that are too slow for every change: a job that kills its workers, and many jobs at once."""

import os
import signal
import threading

import psutil
import pytest

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


@pytest.mark.timeout(300)
def test_many_concurrent_queries_get_their_answers_and_leave_no_process(tmp_path, model, full):
    many = 100 if full else 24
    variables = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "2"}
    with Gateway(tmp_path, **variables) as gateway:
        jobs = {gateway.submit(f"query {number}"): f"query {number}" for number in range(many)}
        for job_id, query in jobs.items():
            job = gateway.finished(job_id, timeout=110)
            assert (job["state"], job["result"]["response"], job["attempts"]) == ("completed", query, 1)
        assert len(model.requests) == many
        # The remaining CLIs wait in the two slots for the next job.
        gateway.until(gateway.clis, lambda clis: len(clis) == 2)
        gateway.until(lambda: len(gateway.run_directories()), (2).__eq__)
