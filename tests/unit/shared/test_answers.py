"""A cached answer is what its model writes, however large the result is and however old."""

import json

import pytest

from shared.api.models import Cached, Result
from shared.http.answers import as_cached

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
