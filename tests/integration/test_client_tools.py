"""Tools that a client runs itself: the model's calls reach the client, and their results the model."""

from typing import Any

import anthropic
import openai
import pytest

from tests.support.scripted_replies import Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow]
PLACE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "The weather of a city.", "input_schema": PLACE}
TIME = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture
def claude(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def chat(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def ask(*messages, **params) -> Any:
    question = {"role": "user", "content": "What is the weather in Paris?"}
    return {"model": "m", "max_tokens": 2000, "tools": [WEATHER, TIME], "messages": [question, *messages], **params}


def test_a_call_reaches_the_client_and_its_result_the_model(claude, script, model):
    """Catches a call that the CLI runs itself, or a result that it changes or answers."""
    script(lambda body: [Text("Let me look."), ToolUse("get_weather", {"city": "Paris"}), ToolUse("get_time", {})])
    before = len(model.requests)
    message = claude.messages.create(**ask())
    text, weather, time = message.content
    assert (message.stop_reason, text.text) == ("tool_use", "Let me look.")
    assert (weather.name, weather.input, time.name, time.input) == ("get_weather", {"city": "Paris"}, "get_time", {})
    sent = model.requests[before].body
    assert sent["tools"] == [WEATHER, TIME]
    results = [
        {"type": "tool_result", "tool_use_id": weather.id, "content": "rain"},
        {"type": "tool_result", "tool_use_id": time.id, "content": [{"type": "text", "text": "noon"}]},
    ]
    script(lambda body: Text("It rains."))
    answer = claude.messages.create(
        **ask({"role": "assistant", "content": message.content}, {"role": "user", "content": results})
    )
    assert (answer.stop_reason, answer.content[0].text) == ("end_turn", "It rains.")
    assert len(model.requests) == before + 2
    called, answered = (one for one in model.requests[-1].body["messages"][1:] if one["role"] != "system")
    assert [block["type"] for block in called["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["content"] for block in answered["content"][:2]] == ["rain", [{"type": "text", "text": "noon"}]]
    assert "get_weather" in str(called)
