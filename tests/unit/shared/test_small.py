import io
import json
import logging
import re

import pytest

from shared import logs
from shared.api.errors import FieldError, InvalidRequest, Unavailable
from shared.api.ids import is_id, new_id
from shared.api.times import rfc3339
from shared.configuration.settings import CommonSettings
from shared.services.batches import error_at


def test_ids_are_uuids_of_version_7_and_sort_by_time():
    ids = [new_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", name) for name in ids
    )
    assert [name[:13] for name in ids] == sorted(name[:13] for name in ids)


@pytest.mark.parametrize(
    "text",
    ["", "x", "../../etc", "019A9C3E-5A70-7B02-8B1D-6C1F0E7A9D22", "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22\n", "0" * 36],
)
def test_a_foreign_id_is_recognized(text):
    assert not is_id(text)


def test_times_are_rfc_3339_in_utc():
    assert rfc3339(1_769_860_800_007) == "2026-01-31T12:00:00.007Z"


def test_a_json_log_line_has_its_fields_and_no_exception_message():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError("a client's query")
    except ValueError as error:
        logger.warning("failed", exc_info=error, extra={"fields": {"job_id": "j"}})
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["job_id"], line["error"]) == ("failed", "WARNING", "j", "ValueError")
    assert "query" not in stream.getvalue()


def test_a_log_line_that_is_not_utf_8_is_written_anyway():
    record = logging.LogRecord("test", logging.INFO, "", 0, "cannot read caf\udce9", (), None)
    assert json.loads(logs.JsonFormatter().format(record))["event"] == "cannot read caf\udce9"


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        setattr(CommonSettings(), "redis_port", 1)  # noqa: B010 -- mypy knows that it is frozen


def test_a_refusal_for_the_moment_is_none_of_a_query():
    """Catches a 500 for a batch or a schedule whose JSON Schema cannot be checked at the moment."""
    error = Unavailable("try again")
    assert error_at(error, "queries.0") is error
    refused = error_at(InvalidRequest("model: no", errors=(FieldError("/model", "no"),)), "query")
    assert (refused.detail, refused.errors[0].pointer) == ("query: model: no", "/query/model")
