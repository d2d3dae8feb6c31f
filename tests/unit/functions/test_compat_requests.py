"""Requests of Anthropic's messages and OpenAI's chat completions as queries."""

import base64
from typing import Any

import pytest

from functions.anthropic.requests import MessageRequest, query_of
from functions.openai.chat import ChatRequest, translate
from shared.api.errors import InvalidRequest

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
TOOL = {"name": "t", "description": "d", "input_schema": {"type": "object"}}
NAMED = {"name": "t", "description": "d", "parameters": {"type": "object"}}
FUNCTION = {"type": "function", "function": NAMED}
FORCED = {"type": "function", "function": {"name": "t"}}
DATA = base64.b64encode(b"\x89PNG\r\n\x1a\n of a test").decode()
SOURCE = {"type": "base64", "media_type": "image/png", "data": DATA}
IMAGE = {"type": "image", "source": SOURCE}
WRONG, URL = (
    {**IMAGE, "source": source} for source in ({**SOURCE, "data": "x"}, {"type": "url", "url": "https://x.y"})
)
Q = {"type": "text", "text": "q"}
PNG, PICTURE = f"data:image/png;base64,{DATA}", "messages[0].content[1].image_url"

CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "t", "input": {"n": 1}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]}
OUTPUT = {"role": "tool", "tool_call_id": "c", "content": "r"}


def block(message, **fields):
    return {**message, "content": [{**message["content"][0], **fields}]}


def called(**function):
    return {"id": "c", "type": "function", "function": {"name": "t", "arguments": '{"n": 1}', **function}}


CALLED = {"role": "assistant", "content": None, "tool_calls": [called()]}


def picture(url):
    return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}


def message(**fields):
    return query_of(
        MessageRequest.model_validate({"model": "m", "max_tokens": 9, "messages": [USER], **fields}), "high"
    )


def chat(**fields):
    return translate(ChatRequest.model_validate({"model": "m", "messages": [USER], **fields}), "high")


@pytest.mark.parametrize(
    "nothing",
    [
        {"temperature": 1, "top_p": 1.0, "stop_sequences": [], "tools": [], "tool_choice": {"type": "auto"}},
        {"stream": False, "system": None, "metadata": None, "service_tier": "auto", "thinking": {"type": "adaptive"}},
        {"cache_control": {"type": "ephemeral"}, "messages": [{**USER, "content": [{"type": "text", "text": "q"}]}]},
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
    ],
)
def test_parameters_of_messages_that_change_nothing_are_accepted(nothing):
    assert message(**nothing) == message()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [ANSWER]}, "messages"),
        ({"messages": [USER, ANSWER]}, "messages"),
        ({"messages": [{"role": "system", "content": "s"}]}, "messages"),
        ({"messages": [7]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{**USER, "bogus": 1}]}, "messages.0.bogus"),
        ({"messages": [{**USER, "content": [IMAGE]}]}, "messages.0.content"),
        ({"messages": [USER, {**ANSWER, "content": [IMAGE]}, USER]}, "messages.1.content.0"),
        ({"messages": [USER, ANSWER, {**USER, "content": [Q, {**IMAGE, "title": "t"}]}]}, "messages.2.content.1.title"),
        ({"messages": [{**USER, "content": [WRONG]}, USER]}, "messages.0.content.0.source"),
        ({"messages": [{**USER, "content": [URL, Q]}]}, "messages.0.content.0.source"),
        ({"messages": [USER, ANSWER, {**USER, "content": " "}]}, "messages.2.content"),
        ({"messages": [{**USER, "content": ""}, USER]}, "messages.0.content"),
        ({"messages": [USER, {**ANSWER, "content": []}, USER]}, "messages.1.content"),
        ({"messages": [{**USER, "output_config": {"effort": "high", "x": 1}}]}, "messages.0.output_config"),
        ({"messages": [{**USER, "output_config": {"effort": "huge"}}]}, "output_config.effort"),
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 0}, "temperature"),
        ({"top_k": 1}, "top_k"),
        ({"stop_sequences": ["x"]}, "stop_sequences"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream": {}}, "stream"),
        ({"system": 7}, "system"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses"}]}}, "context_management"),
        ({"tools": [TOOL, TOOL]}, "tools.1.name"),
        ({"tools": [{**TOOL, "input_schema": "x"}]}, "tools.0.input_schema"),
        ({"tools": [{**TOOL, "description": 7}]}, "tools.0.description"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools.0.defer_loading"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "other"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "auto", "name": "t"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "auto", "bogus": 1}}, "tool_choice.bogus"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": 1}},
            "tool_choice.disable_parallel_tool_use",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools.0.type"),
        ({"tools": [None]}, "tools.0"),
        ({"thread": {"type": "create"}}, "thread"),
        ({"messages": [USER, CALL, USER]}, "messages.1"),
        ({"messages": [USER, CALL]}, "messages"),
        ({"messages": [USER, RESULT]}, "messages.1"),
        ({"messages": [USER, CALL, RESULT, RESULT]}, "messages.3"),
        ({"messages": [USER, {**CALL, "role": "user"}]}, "messages.1.content.0"),
        ({"messages": [block(CALL, id="a b"), RESULT]}, "messages.0.content.0.id"),
        ({"messages": [block(CALL, input="x"), RESULT]}, "messages.0.content.0.input"),
        ({"messages": [block(CALL, name=7), RESULT]}, "messages.0.content.0.name"),
        ({"messages": [CALL, block(RESULT, is_error=1)]}, "messages.1.content.0.is_error"),
        ({"messages": [CALL, block(RESULT, content=7)]}, "messages.1.content.0.content"),
        ({"messages": [CALL, block(RESULT, content=[{"type": "image"}])]}, "messages.1.content.0.content.0"),
        ({"messages": [CALL, block(RESULT, bogus=1)]}, "messages.1.content.0.bogus"),
        ({"tools": "x"}, "tools"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [{**TOOL, "name": ""}], "tool_choice": {"type": "any"}}, "tools.0.name"),
        ({"output_config": {"format": {"type": "x"}}}, "output_config.format"),
        ({"mcp_servers": [{"url": "https://example.com"}]}, "mcp_servers"),
        ({"answerTool": "x"}, "answerTool"),
    ],
)
def test_unsupported_parameters_of_messages_are_named(fields, named):
    with pytest.raises(InvalidRequest) as refused:
        message(**fields)
    assert refused.value.detail.startswith(f"{named}:")
    assert refused.value.errors[0].pointer == "/" + named.replace(".", "/")


@pytest.mark.parametrize(
    "nothing",
    [
        {"temperature": 1, "top_p": 1, "n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}},
        {
            "stop": None,
            "tools": [],
            "tool_choice": "none",
            "parallel_tool_calls": True,
            "logprobs": False,
            "store": False,
        },
        {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "auto", "verbosity": "medium"},
        {"response_format": {"type": "text"}, "modalities": ["text"], "reasoning_effort": None},
        {"messages": [{**USER, "content": [{"type": "text", "text": "q"}]}]},
    ],
)
def test_parameters_of_chats_that_change_nothing_are_accepted(nothing):
    assert chat(**nothing).query == chat().query


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"messages": None}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [USER, ANSWER]}, "messages"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "messages[0]"),
        ({"messages": [USER, OUTPUT]}, "messages[1]"),
        ({"messages": [USER, CALLED, USER]}, "messages[1]"),
        ({"messages": [USER, CALLED, {**OUTPUT, "tool_call_id": ""}]}, "messages[2].tool_call_id"),
        ({"messages": [USER, CALLED, {**OUTPUT, "content": None}]}, "messages[2].content"),
        ({"messages": [USER, CALLED, {**OUTPUT, "content": [{"type": "image_url"}]}]}, "messages[2].content[0]"),
        ({"messages": [USER, CALLED, {**OUTPUT, "bogus": 1}]}, "messages[2].bogus"),
        (
            {"messages": [USER, {**CALLED, "tool_calls": [called(arguments="[]")]}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [USER, {**CALLED, "tool_calls": [called(name="a b")]}]},
            "messages[1].tool_calls[0].function.name",
        ),
        ({"messages": [USER, {**CALLED, "tool_calls": "x"}]}, "messages[1].tool_calls[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{**USER, "name": "n"}]}, "messages[0].name"),
        ({"messages": [{**USER, "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
        ({"messages": [{**USER, "content": [Q, picture("https://example.com/a")]}]}, f"{PICTURE}.url"),
        ({"messages": [{**USER, "content": [Q, picture("data:image/png;base64,x")]}]}, f"{PICTURE}.url"),
        ({"messages": [{**USER, "content": [Q, picture(PNG), 7]}]}, "messages[0].content[2]"),
        ({"messages": [{**ANSWER, "content": [picture(PNG)]}, USER]}, "messages[0].content[0].type"),
        (
            {"messages": [{**USER, "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
        ),
        ({"messages": [USER, {**ANSWER, "tool_calls": [{"id": "c"}]}, USER]}, "messages[1].tool_calls[0]"),
        ({"messages": [USER, ANSWER, {**USER, "content": " "}]}, "messages[2].content"),
        ({"seed": 1}, "seed"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"stop": "x"}, "stop"),
        ({"temperature": 0.2}, "temperature"),
        ({"logprobs": True}, "logprobs"),
        ({"store": True}, "store"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"reasoning_effort": "minimal"}, "reasoning_effort"),
        ({"response_format": {"type": "x"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"tools": [FUNCTION, FUNCTION]}, "tools[1].name"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "t"}}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": 7}, "tool_choice"),
        ({"tools": [FUNCTION], "parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": {"t": FUNCTION}}, "tools"),
        ({"tools": [{**FUNCTION, "bogus": 1}]}, "tools[0].function.bogus"),
        ({"functions": [{}]}, "functions"),
        ({"web_search_options": {"a": 1}}, "web_search_options"),
    ],
)
def test_unsupported_parameters_of_chats_are_named(fields, named):
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)
    assert refused.value.errors[0].pointer == named


def test_a_forced_tool_is_the_schema_of_the_answer():
    expected = ({"type": "object", "description": "d"}, "t")
    query, _ = message(tools=[TOOL], tool_choice={"type": "tool", "name": "t", "disable_parallel_tool_use": True})
    assert (query.output_schema, query.answer_tool) == expected
    for choice in ("required", FORCED):
        query = chat(tools=[FUNCTION], tool_choice=choice).query
        assert (query.output_schema, query.answer_tool) == expected


def test_both_apis_offer_the_same_tools():
    two = [{**TOOL, "name": name, "strict": True} for name in "tu"]
    functions = [{"type": "function", "function": {**NAMED, "name": name}} for name in "tu"]
    choices: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"tool_choice": {"type": "auto"}}, {"tool_choice": "auto", "parallel_tool_calls": True}),
        ({"tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
        ({"tool_choice": {"type": "none"}}, {"tool_choice": "none", "parallel_tool_calls": False}),
        ({"tool_choice": {"type": "tool", "name": "t"}}, {"tool_choice": FORCED}),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, {"parallel_tool_calls": False}),
    ]
    for ours, theirs in choices:
        (query, _), other = message(tools=two, **ours), chat(tools=functions, **theirs).query
        assert query.client_tools == other.client_tools == [{**TOOL, "name": name} for name in "tu"]
        assert query.client_tool_choice == other.client_tool_choice
        assert query.output_schema is None


def test_both_apis_have_the_same_turns_with_calls_and_results():
    """Catches a result that is taken for the query, or text beside a call that is lost."""
    intro = {**CALL, "content": [Q, *CALL["content"]]}
    query, _ = message(messages=[USER, intro, RESULT])
    assert query.history == chat(messages=[USER, {**CALLED, "content": "q"}, OUTPUT]).query.history
    assert query.query == "q"
    assert [block["type"] for turn in query.history for block in turn["content"]] == [
        *("text", "text", "tool_use", "tool_result", "no_query")
    ]
    query, _ = message(messages=[USER, CALL, {**RESULT, "content": [*RESULT["content"], {**Q, "text": "and?"}]}])
    assert query.query == "and?"
    assert query.history[-1]["content"][-1] == {"type": "query"}


def test_the_effort_of_the_last_message_counts():
    later = {"role": "system", "content": "s", "output_config": {"effort": "low"}}
    assert message(output_config={"effort": "high"})[0].effort == "high"
    assert message(output_config={"effort": "high"}, messages=[USER, later])[0].effort == "low"


def test_attachments_of_all_turns_keep_their_places():
    """Catches images that move to another turn, or to the other side of a text."""
    turns = [{**USER, "content": [IMAGE, Q]}, ANSWER, {**USER, "content": [Q, IMAGE, {**Q, "text": "r"}, IMAGE]}]
    chats = [{**USER, "content": [picture(PNG), Q]}, ANSWER]
    chats.append({**USER, "content": [Q, picture(PNG), {**Q, "text": "r"}, picture(PNG)]})
    for query in (message(messages=turns)[0], chat(messages=chats).query):
        assert query.query == "r"
        assert [one.data for one in query.attachments] == [DATA] * 3
        first, second, third = ({"type": "attachment", "number": number} for number in range(3))
        assert [turn["content"] for turn in query.history] == [
            [first, Q],
            [{"type": "text", "text": "a"}],
            [Q, second, {"type": "query"}, third],
        ]
