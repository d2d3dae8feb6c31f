"""Tools that a client runs itself: the model's calls reach the client, and their results the model."""

import json
from typing import Any

import pydantic
import pytest

from tests.support.packages import anthropic, openai
from tests.support.scripted_replies import Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow]
PLACE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "The weather of a city.", "input_schema": PLACE}
TIME = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
# A number that a program with floats alone would change.
CALLS = [ToolUse("get_weather", {"city": "Zürich", "n": 9007199254740993}), ToolUse("get_time", {})]
FUNCTIONS = [{"type": "function", "name": tool["name"], "parameters": tool["input_schema"]} for tool in (WEATHER, TIME)]
NESTED = [
    {"type": "function", "function": {key: value for key, value in function.items() if key != "type"}}
    for function in FUNCTIONS
]


@pytest.fixture
def claude(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def chat(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def ask(*messages: Any, **params: Any) -> Any:
    question = {"role": "user", "content": "How is the weather?"}
    return {"model": "m", "messages": [question, *messages], **params}


def sent(model):
    """Return the blocks of the last request's turns, without what the CLI says of its environment."""
    turns = [one for one in model.requests[-1].body["messages"] if one["role"] != "system"]
    return [block for turn in turns for block in turn["content"] if "system-reminder" not in str(block)]


def without_marks(blocks):
    return [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks]


def test_a_call_reaches_the_client_and_its_result_the_model(claude, gateway, script, model):
    """Catches a call that the CLI answers itself, and a result that it changes or answers."""
    script(lambda body: [Text("Let me look."), *CALLS])
    before = len(model.requests)
    params = {"max_tokens": 2000, "tools": [WEATHER, TIME], "tool_choice": {"type": "any"}}
    message = claude.messages.create(**ask(**params))
    intro, weather, time = message.content
    assert (message.stop_reason, intro.text) == ("tool_use", "Let me look.")
    assert (weather.name, weather.input) == (CALLS[0].name, CALLS[0].input)
    assert (time.name, time.input) == ("get_time", {})
    assert model.requests[before].body["tools"] == [WEATHER, TIME]
    assert model.requests[before].body["tool_choice"] == {"type": "any"}
    job = gateway.client.get(f"/api/query/{message.id.removeprefix('msg_')}").json()
    assert [call["id"] for call in job["result"]["toolCalls"]] == [weather.id, time.id]

    results = [
        {"type": "tool_result", "tool_use_id": weather.id, "content": "rain", "is_error": True},
        {"type": "tool_result", "tool_use_id": time.id, "content": [{"type": "text", "text": "noon"}]},
    ]
    script(lambda body: Text("It rains."))
    turns = {"role": "assistant", "content": message.content}, {"role": "user", "content": results}
    answer = claude.messages.create(**ask(*turns, **params))
    assert (answer.stop_reason, answer.content[0].text) == ("end_turn", "It rains.")
    assert len(model.requests) == before + 2
    called = [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input} for call in (weather, time)]
    assert without_marks(sent(model))[2:] == [*called, *results]


@pytest.mark.long
def test_text_after_results_is_the_query(claude, gateway, script, model):
    script(lambda body: Text("ok"))
    call = {"type": "tool_use", "id": "c1", "name": "get_time", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c1"}
    content = [{"type": "text", "text": "And now?"}, result, {"type": "text", "text": "Be brief."}]
    turns = {"role": "assistant", "content": [call]}, {"role": "user", "content": content}
    # Without tools: a client may end its loop so.
    claude.messages.create(**ask(*turns, max_tokens=2000))
    assert [block.get("text", block["type"]) for block in sent(model)][1:] == [
        *("tool_use", "tool_result", "And now?", "Be brief.")
    ]


def test_a_streamed_message_ends_with_its_calls(claude, script):
    for intro in ([Text(["Let ", "me look."])], []):
        script(lambda body, intro=intro: [*intro, *CALLS])
        with claude.messages.stream(**ask(max_tokens=2000, tools=[WEATHER, TIME])) as stream:
            kinds = [event.type for event in stream if event.type in {"content_block_start", "content_block_stop"}]
            final = stream.get_final_message()
        assert kinds == ["content_block_start", "content_block_stop"] * (2 + len(intro))
        assert [block.type for block in final.content] == [*["text"] * len(intro), "tool_use", "tool_use"]
        assert final.content[-2].input == CALLS[0].input
        assert final.stop_reason == "tool_use"


@pytest.mark.long
def test_the_packages_own_loop_runs_the_tools(claude, script, model):
    """Catches an error after which the package does not send the conversation without its thread."""

    @anthropic.beta_tool
    def get_time() -> str:
        """Return the time."""
        return "noon"

    script(lambda body: Text("It is noon.") if "tool_result" in str(body["messages"]) else ToolUse("get_time", {}))
    params = ask(max_tokens=2000, tools=[get_time])
    assert claude.beta.messages.tool_runner(**params).until_done().content[0].text == "It is noon."
    assert "noon" in str(sent(model)[-1]["content"])


def test_a_chat_has_the_calls_whole_and_streamed(chat, script, model):
    script(lambda body: [Text("Let me look."), *CALLS])
    params = {"tools": NESTED, "parallel_tool_calls": False}
    choice = chat.chat.completions.create(**ask(**params)).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look.")
    assert model.requests[-1].body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    calls = choice.message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [call.input for call in CALLS]
    with chat.chat.completions.stream(**ask(**params)) as stream:
        streamed = stream.get_final_completion().choices[0]
    assert streamed.finish_reason == "tool_calls"
    assert [call.function.arguments for call in streamed.message.tool_calls] == [
        call.function.arguments for call in calls
    ]
    script(lambda body: Text("It rains."))
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"of {call.function.name}"} for call in calls]
    answer = chat.chat.completions.create(**ask(choice.message, *results, **params)).choices[0]
    assert (answer.finish_reason, answer.message.content) == ("stop", "It rains.")
    assert [block["content"] for block in sent(model)[-2:]] == ["of get_weather", "of get_time"]


@pytest.mark.long
def test_a_response_has_the_calls_whole_and_streamed(chat, script, model):
    script(lambda body: CALLS)
    question = [{"role": "user", "content": "How is the weather?"}]
    whole = chat.responses.create(model="m", input=question, tools=FUNCTIONS)
    assert [item.type for item in whole.output] == ["function_call", "function_call"]
    assert (whole.tools[0].name, whole.tool_choice, whole.store) == ("get_weather", "auto", True)
    with chat.responses.stream(model="m", input=question, tools=FUNCTIONS) as stream:
        kinds = [event.type for event in stream if "response.output_item" in event.type or "arguments" in event.type]
        streamed = stream.get_final_response()
    assert kinds == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
    ] * len(CALLS)
    assert [item.arguments for item in streamed.output] == [item.arguments for item in whole.output]
    results = [{"type": "function_call_output", "call_id": one.call_id, "output": one.name} for one in whole.output]
    script(lambda body: Text("It rains."))
    for items in (whole.output, [{"type": "item_reference", "id": one.id} for one in whole.output]):
        answer = chat.responses.create(model="m", input=[*question, *items, *results], tools=FUNCTIONS)
        assert answer.output_text == "It rains."
        assert [block["type"] for block in sent(model)] == [
            "text",
            "tool_use",
            "tool_use",
            "tool_result",
            "tool_result",
        ]
        assert sent(model)[1]["input"] == CALLS[0].input


@pytest.mark.long
def test_a_response_continues_the_calls_of_the_previous_one(chat, script, model):
    """Catches a continuation that loses a turn, which the stored request of the previous response has."""
    script(lambda body: [Text("Let me look."), CALLS[1]])
    first = chat.responses.create(model="m", input="What time is it?", tools=FUNCTIONS)
    output = [{"type": "function_call_output", "call_id": first.output[1].call_id, "output": "noon"}]
    second = chat.responses.create(model="m", input=output, tools=FUNCTIONS, previous_response_id=first.id)
    output[0]["call_id"] = second.output[1].call_id
    script(lambda body: Text("It is noon."))
    third = chat.responses.create(model="m", input=output, tools=FUNCTIONS, previous_response_id=second.id)
    last = chat.responses.create(model="m", input="Really?", previous_response_id=third.id)
    assert [block.get("text", block["type"]) for block in sent(model)] == [
        "What time is it?",
        *["Let me look.", "tool_use", "tool_result"] * 2,
        "It is noon.",
        "Really?",
    ]
    assert chat.responses.retrieve(last.id).previous_response_id == third.id
    forgotten = chat.responses.create(model="m", input="q", tools=FUNCTIONS, store=False)
    with pytest.raises(openai.BadRequestError, match="was not stored"):
        chat.responses.create(model="m", input="q", previous_response_id=forgotten.id)


@pytest.mark.long
def test_a_reference_is_to_an_item_of_the_callers_responses(chat, script, model):
    script(lambda body: Text("It is noon."))
    first = chat.responses.create(model="m", input="What time is it?")
    again = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "Really?"}]
    chat.responses.create(model="m", input=[{"role": "user", "content": "What time is it?"}, *again])
    assert [block["text"] for block in sent(model)] == ["What time is it?", "It is noon.", "Really?"]
    for name in ("msg_019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22", f"fc_{first.id.removeprefix('resp_')}_0", "rs_1", None):
        again[0]["id"] = name
        with pytest.raises(openai.BadRequestError, match=r"input\[0\].id"):
            chat.responses.create(model="m", input=again)


@pytest.mark.long
def test_a_structured_answer_follows_the_calls(chat, script, model):
    """Catches text beside a call that the package parses as the answer."""

    class Weather(pydantic.BaseModel):
        rain: bool

    def reply(body):
        if "tool_result" in str(body["messages"]):
            return ToolUse("StructuredOutput", {"rain": True})
        return [Text("Let me look."), ToolUse("get_time", {})]

    script(reply)
    time = {"name": "get_time", "parameters": TIME["input_schema"], "strict": True}
    params = {"tools": [{"type": "function", "function": time}], "response_format": Weather}
    message = chat.chat.completions.parse(**ask(**params)).choices[0].message
    assert (message.content, message.parsed, len(message.tool_calls)) == (None, None, 1)
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "noon"}
    answer = chat.chat.completions.parse(**ask(message.to_dict(), result, **params)).choices[0]
    assert answer.message.parsed == Weather(rain=True)


def test_a_cut_message_has_no_half_of_a_call(claude, script):
    script(lambda body: [Text("Let me", stop_reason="max_tokens"), ToolUse("get_time", {})])
    message = claude.messages.create(**ask(max_tokens=2000, tools=[TIME]))
    assert (message.stop_reason, [block.type for block in message.content]) == ("max_tokens", ["text"])
