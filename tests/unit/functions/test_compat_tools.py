"""Tools, calls and results in requests of Anthropic's messages and OpenAI's chat completions."""

from typing import Any

import pytest

from shared.api.errors import InvalidRequest
from tests.unit.functions.test_compat_requests import USER, Q, chat, message

TOOL = {"name": "t", "description": "d", "input_schema": {"type": "object"}}
NAMED = {"name": "t", "description": "d", "parameters": {"type": "object"}}
FUNCTION = {"type": "function", "function": NAMED}
FORCED = {"type": "function", "function": {"name": "t"}}
CALL: dict[str, Any] = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "c", "name": "t", "input": {"n": 1}}],
}
RESULT: dict[str, Any] = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]}
OUTPUT = {"role": "tool", "tool_call_id": "c", "content": "r"}


def block(message, **fields):
    return {**message, "content": [{**message["content"][0], **fields}]}


def called(**function):
    return {"id": "c", "type": "function", "function": {"name": "t", "arguments": '{"n": 1}', **function}}


def calling(**function):
    return {"role": "assistant", "content": None, "tool_calls": [called(**function)]}


CALLED = calling()
PLACE = "messages[1].tool_calls[0]"
# More levels than a body may have.
DEEP = '{"a":' * 300 + "1" + "}" * 300


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": "x"}, "tools"),
        ({"tools": [None]}, "tools.0"),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools.0.type"),
        ({"tools": [{**TOOL, "name": ""}]}, "tools.0.name"),
        ({"tools": [TOOL, TOOL]}, "tools.1.name"),
        ({"tools": [{**TOOL, "input_schema": "x"}]}, "tools.0.input_schema"),
        ({"tools": [{**TOOL, "description": 7}]}, "tools.0.description"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools.0.defer_loading"),
        ({"tools": [{**TOOL, "name": f"t{number}"} for number in range(129)]}, "tools"),
        ({"tools": [{**TOOL, "input_schema": {"maximum": float("inf")}}]}, "tools"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "other"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "auto", "name": "t"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "auto", "bogus": 1}}, "tool_choice.bogus"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": 1}},
            "tool_choice.disable_parallel_tool_use",
        ),
        ({"messages": [USER, CALL, USER]}, "messages.1"),
        ({"messages": [USER, CALL]}, "messages"),
        ({"messages": [USER, RESULT]}, "messages.1"),
        ({"messages": [USER, CALL, RESULT, RESULT]}, "messages.3"),
        ({"messages": [USER, {**CALL, "role": "user"}]}, "messages.1.content.0"),
        ({"messages": [CALL, RESULT]}, "messages.1.content"),
        ({"messages": [USER, block(CALL, id="a b"), RESULT]}, "messages.1.content.0.id"),
        ({"messages": [USER, block(CALL, input="x"), RESULT]}, "messages.1.content.0.input"),
        ({"messages": [USER, block(CALL, input={"n": float("nan")}), RESULT]}, "messages"),
        ({"messages": [USER, block(CALL, name=7), RESULT]}, "messages.1.content.0.name"),
        ({"messages": [USER, CALL, block(RESULT, is_error=1)]}, "messages.2.content.0.is_error"),
        ({"messages": [USER, CALL, block(RESULT, content=7)]}, "messages.2.content.0.content"),
        ({"messages": [USER, CALL, block(RESULT, content=[{"type": "image"}])]}, "messages.2.content.0.content.0"),
        ({"messages": [USER, CALL, block(RESULT, bogus=1)]}, "messages.2.content.0.bogus"),
    ],
)
def test_what_is_wrong_in_a_message_is_named(fields, named):
    with pytest.raises(InvalidRequest) as refused:
        message(**fields)
    assert refused.value.errors[0].pointer == "/" + named.replace(".", "/")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": {"t": FUNCTION}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"tools": [{**FUNCTION, "bogus": 1}]}, "tools[0].function.bogus"),
        ({"tools": [FUNCTION, FUNCTION]}, "tools[1].name"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "t"}}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": 7}, "tool_choice"),
        ({"tools": [FUNCTION], "parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"messages": [OUTPUT]}, "messages[0]"),
        ({"messages": [USER, OUTPUT]}, "messages[1]"),
        ({"messages": [USER, CALLED, USER]}, "messages[1]"),
        ({"messages": [USER, CALLED, {**OUTPUT, "tool_call_id": ""}]}, "messages[2].tool_call_id"),
        ({"messages": [USER, CALLED, {**OUTPUT, "content": None}]}, "messages[2].content"),
        ({"messages": [USER, CALLED, {**OUTPUT, "content": [{"type": "image_url"}]}]}, "messages[2].content[0]"),
        ({"messages": [USER, CALLED, {**OUTPUT, "bogus": 1}]}, "messages[2].bogus"),
        ({"messages": [USER, {**CALLED, "tool_calls": "x"}]}, PLACE),
        ({"messages": [USER, {**CALLED, "tool_calls": [{"id": "c"}]}]}, PLACE),
        ({"messages": [USER, calling(name="a b"), OUTPUT]}, f"{PLACE}.function.name"),
        ({"messages": [USER, calling(arguments="[]"), OUTPUT]}, f"{PLACE}.function.arguments"),
        ({"messages": [USER, calling(arguments='{"n":NaN}'), OUTPUT]}, f"{PLACE}.function.arguments"),
        ({"messages": [USER, calling(arguments=DEEP), OUTPUT]}, f"{PLACE}.function.arguments"),
        ({"messages": [USER, calling(arguments='{"n":1e999}'), OUTPUT]}, "messages"),
    ],
)
def test_what_is_wrong_in_a_chat_is_named(fields, named):
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


def test_blank_text_beside_a_call_is_left_out():
    """Catches a model's empty line before a call, after which a client cannot go on."""
    blank = {"type": "text", "text": "\n\n"}
    query, _ = message(messages=[USER, {**CALL, "content": [blank, *CALL["content"]]}, RESULT])
    assert query.history == message(messages=[USER, CALL, RESULT])[0].history
    assert query.history == chat(messages=[USER, {**CALLED, "content": "\n\n"}, OUTPUT]).query.history
