"""A slot logs a claim that fails."""

import json
import logging
from typing import Any
from unittest.mock import Mock

from redis.exceptions import AuthenticationError
from rq.job import Job

from functions.worker.pool.rq_adapter import RqWorker
from shared.logs import JsonFormatter


def test_a_claim_that_fails_is_logged_without_a_traceback(caplog):
    worker: Any = object.__new__(RqWorker)
    worker.name, worker.connection = "s", Mock()
    worker.run_claim = Mock(side_effect=AuthenticationError("WRONGPASS s3cret"))
    worker.execute_job(Job("job-1", connection=Mock()), Mock())
    [record] = caplog.records
    line = JsonFormatter().format(record)
    assert (record.levelno, record.name) == (logging.ERROR, "worker.slot")
    assert json.loads(line)["event"] == "claim_failed"
    assert json.loads(line)["error"] == "AuthenticationError"
    assert "Traceback" not in line
    assert "s3cret" not in line
    worker.connection.hincrby.assert_called_once_with("rq:worker:s", "failed_job_count", 1)
