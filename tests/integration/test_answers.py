"""The answer of a run is the text of its last message."""

import json

import pytest

from tests.support.parameters import first_of
from tests.support.scripted_model import Empty, Text, Thinking, ToolUse
from tests.support.streams import Stream

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_TOOLS": "Bash,Task", "CLAUDE_MAX_RETRIES": "1"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ([Text("first "), Text("second")], "first second"),
        ([Text("before"), Thinking("hm")], "before"),
        ([Thinking("hm"), Text("after")], "after"),
        ([Text("one "), Thinking("hm"), Text("two "), Text("three")], "one two three"),
        ([Text("real"), Text("  ")], "real  "),
        ([Text(["in ", "chunks"])], "in chunks"),
    ],
    ids=["two texts", "text then thinking", "thinking then text", "mixed", "white space", "chunks"],
)
def test_the_answer_is_all_text_of_the_last_message(gateway, script, message, expected):
    script(lambda _: message)
    assert gateway.ask(f"answer with {expected}")["result"]["response"] == expected


def test_thinking_alone_is_not_an_answer(gateway, script):
    script(lambda _: [Thinking("hm")])
    assert gateway.ask("think")["error"]["code"] == "empty_result"


def test_text_beside_a_tool_call_is_not_part_of_a_later_answer(gateway, script):
    replies = iter([[Text("Let me look."), ToolUse("Bash", {"command": "true"})], Text("Done.")])
    script(lambda _: next(replies))
    assert gateway.ask("look", tools=["Bash"])["result"]["response"] == "Done."


@pytest.mark.parametrize("last", first_of([Empty(), Text(" \n"), Thinking("hm")]), ids=["empty", "blank", "thinking"])
def test_an_empty_last_message_leaves_the_text_beside_the_tool_call(gateway, script, last):
    replies = iter([[Text("The answer is 42."), ToolUse("Bash", {"command": "true"})], [last], [last]])
    script(lambda _: next(replies))
    assert gateway.ask(f"answer before {last}", tools=["Bash"])["result"]["response"] == "The answer is 42."


def test_streamed_text_and_the_answer_are_the_same(gateway, script):
    script(lambda _: [Text("first "), Thinking("hm"), Text("second")])
    job = gateway.submit("stream two blocks")
    assert gateway.finished(job)["result"]["response"] == "first second"
    stream = Stream(gateway.client, job).to_the_end()
    deltas = [json.loads(event.data)["text"] for event in stream.events if event.kind == "delta"]
    assert "".join(deltas) == "first second"


def test_usage_holds_the_tokens_of_subagents_too(gateway, script, model):
    def reply(body):
        if "find the number" in str(body["messages"][0]):
            return Text("seven")
        if "tool_result" in str(body["messages"][-1]):
            return Text("It is seven.")
        task = {"description": "find", "prompt": "find the number", "subagent_type": "general-purpose"}
        return ToolUse("Task", task)

    script(reply)
    before = len(model.requests)
    job = gateway.ask("delegate", tools=["Task"])
    assert job["result"]["response"] == "It is seven."
    requests = len(model.requests) - before
    assert requests >= 3
    assert job["result"]["usage"]["outputTokens"] == 5 * requests


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [({"max_tokens": 512}, False), ({"max_tokens": 1024}, False), ({"max_tokens": 1025}, True)],
)
def test_a_short_answer_is_requested_without_thinking(gateway, model, fields, thinks):
    message = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "short"}], **fields}
    batch = {"requests": [{"custom_id": "a", "params": message}]}
    before = len(model.requests)
    made = gateway.client.post("/v1/messages/batches", json=batch, headers={"anthropic-version": "2023-06-01"})
    assert made.status_code == 200, made.text
    request = model.wait_for_requests(before + 1, 30)[-1].body
    assert request["max_tokens"] == fields["max_tokens"]
    assert (request.get("thinking", {}).get("type", "disabled") != "disabled") is thinks
