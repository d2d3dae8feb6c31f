"""Requests of Anthropic's messages and OpenAI's chat completions as queries."""

import base64

import pytest

from functions.anthropic.requests import MessageRequest, query_of
from functions.openai.chat import ChatRequest, translate
from shared.api.errors import InvalidRequest

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
DATA = base64.b64encode(b"\x89PNG\r\n\x1a\n of a test").decode()
SOURCE = {"type": "base64", "media_type": "image/png", "data": DATA}
IMAGE = {"type": "image", "source": SOURCE}
WRONG, URL = (
    {**IMAGE, "source": source} for source in ({**SOURCE, "data": "x"}, {"type": "url", "url": "https://x.y"})
)
Q = {"type": "text", "text": "q"}
PNG, PICTURE = f"data:image/png;base64,{DATA}", "messages[0].content[1].image_url"


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
        ({"thread": {"type": "create"}}, "thread"),
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
        ({"functions": [{}]}, "functions"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"web_search_options": {"a": 1}}, "web_search_options"),
    ],
)
def test_unsupported_parameters_of_chats_are_named(fields, named):
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)
    assert refused.value.errors[0].pointer == named


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
