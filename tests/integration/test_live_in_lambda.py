"""The synchronous APIs in Lambda, which buffers responses and ends them after 30 s."""

import time
from typing import Any

import pytest

from tests.support.scripted_replies import Text

pytestmark = [pytest.mark.emulated, pytest.mark.slow, pytest.mark.long]
MESSAGES = [{"role": "user", "content": "hello"}]
CHAT: dict[str, Any] = {"model": "m", "messages": MESSAGES}
PATHS: dict[str, dict[str, Any]] = {
    "/v1/messages": {**CHAT, "max_tokens": 64},
    "/v1/chat/completions": CHAT,
    "/v1/responses": {"model": "m", "input": "hello"},
}


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_in_time_is_returned_whole(gateway, path):
    answer = gateway.client.post(path, json=PATHS[path])
    assert answer.status_code == 200, answer.text
    assert "hello" in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_streaming_is_refused_by_name(gateway, path):
    answer = gateway.client.post(path, json={**PATHS[path], "stream": True})
    assert answer.status_code == 400
    assert "stream: not supported in Lambda" in answer.json()["error"]["message"]


def test_a_later_answer_is_a_timeout_that_names_background(gateway, script):
    script(lambda body: Text("late", delay_before=60))
    began = time.monotonic()
    answer = gateway.client.post("/v1/messages", json=PATHS["/v1/messages"], timeout=60)
    assert time.monotonic() - began < 29  # when API Gateway gives up
    assert (answer.status_code, answer.json()["error"]["type"]) == (504, "timeout_error")
    assert "background" in answer.json()["error"]["message"]
    assert gateway.client.get("/api/query?limit=1").json()["jobs"][0]["state"] == "cancelled"
