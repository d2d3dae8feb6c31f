"""The body of a run's request with the tools of its client."""

import json

import pytest

from functions.worker.relay.client_tools import ClientTools
from functions.worker.relay.request import BadRequestError

TOOL = {"name": "t", "input_schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "c", "name": "t", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": "r"}
TOOLS = ClientTools((TOOL,), None, {"first": CALL, "second": RESULT})


def text(words, **marks):
    return {"type": "text", "text": words, **marks}


def added(added_by, *messages, **fields):
    body = json.dumps({"model": "m", "messages": list(messages), **fields})
    return json.loads(added_by.added_to(body.encode()))


def test_blocks_take_the_places_of_their_placeholders():
    marks = {"cache_control": {"type": "ephemeral"}}
    user = {"role": "user", "content": [text("reminder"), text("second", **marks)]}
    body = added(TOOLS, {"role": "assistant", "content": [text("first")]}, user, tools=[{"name": "own"}])
    assert body["messages"][0]["content"] == [CALL]
    assert body["messages"][1]["content"] == [{**RESULT, **marks}, text("reminder")]
    assert body["tools"] == [{"name": "own"}, TOOL]
    assert "tool_choice" not in body


def test_text_with_a_placeholder_in_it_is_left_as_it_is():
    message = {"role": "user", "content": "the second"}
    assert added(TOOLS, message)["messages"] == [{"role": "user", "content": [text("the second")]}]


def test_the_cli_may_not_go_on_after_a_call():
    """Catches a request of the CLI in which it answers the call itself, and which costs money."""
    with pytest.raises(BadRequestError):
        added(TOOLS, {"role": "assistant", "content": [CALL]})
    other = {"role": "assistant", "content": [{**CALL, "name": "StructuredOutput"}]}
    assert added(TOOLS, other)["messages"] == [other]
