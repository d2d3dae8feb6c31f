"""What a slot logs of RQ's failures."""

import json
import logging
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from redis.exceptions import AuthenticationError

from functions.worker.pool.slot import Slot
from shared.logs import JsonFormatter

if TYPE_CHECKING:
    from rq.job import Job


def test_a_claim_that_fails_is_logged_without_a_traceback(caplog):
    slot = object.__new__(Slot)
    slot.name = "s"
    try:
        raise AuthenticationError("WRONGPASS s3cret")
    except AuthenticationError:
        slot.handle_exception(cast("Job", SimpleNamespace(id="job-1")), *sys.exc_info())
    [record] = caplog.records
    line = JsonFormatter().format(record)
    assert (record.levelno, record.name) == (logging.ERROR, "worker.slot")
    assert json.loads(line)["event"] == "claim_failed"
    assert json.loads(line)["error"] == "AuthenticationError"
    assert "Traceback" not in line
    assert "s3cret" not in line
