"""A response with functions is continued by its items."""

import json
from typing import Any

import pytest

from functions.openai import continuing, service
from functions.openai.requests import ResponseRequest
from shared.api.errors import NotFound, PayloadTooLarge, RefusedParameter
from shared.configuration.settings import SubmitSettings
from shared.store.jobs.records import StoredJob

JOB = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"
RESULT = {
    "response": "",
    "model": "m",
    "usage": dict.fromkeys(("inputTokens", "outputTokens", "cacheReadTokens", "cacheCreationTokens"), 1),
    "toolCalls": [{"id": "c", "name": "f", "input": {"n": 1}}],
}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "o"}


@pytest.fixture
def previous(monkeypatch):
    """Return what the store has of the previous response; a test changes it."""
    request: dict[str, Any] = {"query": "q", "itemChain": {"from": None}}
    kept: dict[str, Any] = {"request": request, "result": RESULT}

    async def find(response_id, *, caller, settings):
        if response_id != f"resp_{JOB}":
            raise NotFound("Response not found")
        record = {"state": "completed" if kept["result"] else "active", "created": "0"}
        return service.Found(StoredJob(JOB, record, kept["result"], None), kept["request"])

    monkeypatch.setattr(service, "find", find)
    return kept


async def continued(new, response_id=f"resp_{JOB}"):
    body = ResponseRequest.model_validate({"model": "m", "input": new, "previous_response_id": response_id})
    return await continuing.with_earlier_items(body, caller="c", settings=SubmitSettings(max_body_bytes=2048))


async def test_the_items_of_the_previous_response_precede_the_new_ones(previous):
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "b", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "b"}, {"type": "query"}]},
    ]
    previous["request"]["history"] = turns
    body, job = await continued([OUTPUT])
    called = [(item.get("type"), item.get("call_id"), item.get("content")) for item in body.input]
    assert called == [
        (None, None, "a"),
        ("function_call", "b", None),
        ("function_call_output", "b", None),
        (None, None, "q"),
        ("function_call", "c", None),
        ("function_call_output", "c", None),
    ]
    assert json.loads(body.input[4]["arguments"]) == {"n": 1}
    assert (job, body.model_extra["previous_response_id"]) == (JOB, None)


async def test_a_text_is_the_users_next_message(previous):
    body, _ = await continued("next")
    assert body.input[-1] == {"role": "user", "content": "next"}


@pytest.mark.parametrize("new", [None, [], {}, 7])
async def test_an_input_that_is_none_is_left_to_be_refused(previous, new):
    assert (await continued(new))[0].input == new


@pytest.mark.parametrize("response_id", ["resp_other", 7])
async def test_another_response_is_left_to_be_found_as_a_session(previous, response_id):
    body, job = await continued([OUTPUT], response_id)
    assert (body.input, job) == ([OUTPUT], None)


async def test_a_response_that_keeps_a_session_is_continued_by_that(previous):
    del previous["request"]["itemChain"]
    assert (await continued("next"))[0].input == "next"


async def test_a_conversation_that_exceeds_a_body_is_refused(previous):
    """Catches a chain of small requests that together become a request without a limit."""
    with pytest.raises(PayloadTooLarge, match="MAX_BODY_BYTES = 2048"):
        await continued("é" * 1000)


@pytest.mark.parametrize(("change", "why"), [({"result": None}, "not completed"), ({"request": None}, "attachments")])
async def test_a_response_whose_items_are_not_all_there_is_refused(previous, change, why):
    previous |= change
    previous["request"] = previous["request"] or {"query": "q", "itemChain": {"from": None}, "attachments": [{}]}
    with pytest.raises(RefusedParameter, match=why) as refused:
        await continued("next")
    assert refused.value.errors[0].pointer == "previous_response_id"
