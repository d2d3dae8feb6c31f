"""The answer to a submission is what its model writes, however large a cached result is and however old."""

import json

import pytest
from starlette.responses import Response

from shared.api.models import Accepted, Cached, Result
from shared.http.answers import as_accepted, as_cached, as_json

OLD = {
    "response": "Blue é", "format": "text", "structured": None, "sessionId": None, "model": "m", "costUsd": 0.5,
    "durationMs": 1, "turns": 1,
    "usage": {"inputTokens": 1, "outputTokens": 2, "cacheReadTokens": 3, "cacheCreationTokens": 4},
}  # fmt: skip


@pytest.mark.parametrize("response", ["Blue é", 'a "quote"\n', "x" * 20_000])
def test_a_cached_answer_has_the_form_of_its_model(response):
    stored = json.dumps(OLD | {"response": response})
    for _ in range(2):  # the second from memory, unless it is large
        answer = as_cached("r", "j", stored, {"X-Left": "1"})
        cached = Cached(request_id="r", status="cached", job_id="j", result=Result.model_validate_json(stored))
        assert json.loads(bytes(answer.body)) == json.loads(cached.model_dump_json(by_alias=True))
        assert answer.headers["x-left"] == "1"


def test_a_result_of_an_older_version_gets_the_fields_that_it_lacks():
    result = json.loads(bytes(as_cached("r", "j", json.dumps(OLD), {}).body))["result"]
    assert (result["artifacts"], result["patch"], result["commit"]) == ([], None, None)


def test_an_accepted_submission_is_written_as_its_model():
    accepted = Accepted(request_id="r", status="duplicate", job_id="j")
    answer = as_accepted("r", "duplicate", "j", {})
    assert (answer.status_code, bytes(answer.body)) == (202, accepted.model_dump_json(by_alias=True).encode())


def test_the_header_fields_are_those_of_starlette():
    """Catches a length in characters, and a field that is lost or written in another way."""
    accepted = Accepted(request_id="\u00e9", status="queued", job_id="j")
    given = {"X-Left": "1", "Location": "/a\xe9"}
    ours, theirs = as_json(accepted, 202, given), Response(accepted.model_dump_json(by_alias=True), 202, given)
    theirs.raw_headers.append((b"content-type", b"application/json"))
    assert sorted(ours.raw_headers) == sorted(theirs.raw_headers)
    assert sorted(as_json(accepted).raw_headers) == sorted(field for field in theirs.raw_headers if b"con" in field[0])
