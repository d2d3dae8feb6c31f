import json
from typing import Any

from local.messages_api import (
    Answer,
    TextBlock,
    ToolCall,
    Usage,
    answer_body,
    answer_events,
    encode_event,
    error_body,
    last_user_texts,
    user_query,
)

REMINDER = "<system-reminder>\nToday's date is 2026-01-31.\n</system-reminder>\n"


def blocks(*texts: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


def test_a_stream_closes_each_block_before_the_message_stops():
    answer = Answer("m", [TextBlock(["Hel", "lo"]), ToolCall("Read", {"path": "a"}, id="toolu_1")], id="msg_1")
    events = list(answer_events(answer))
    assert [(event["type"], event.get("index")) for event in events] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("message_delta", None),
        ("message_stop", None),
    ]


def test_a_stream_has_text_chunks_and_tool_input_as_json():
    events = list(answer_events(Answer("m", [TextBlock(["Hel", "lo"]), ToolCall("Read", {"path": "a"})])))
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert [delta.get("text") for delta in deltas[:2]] == ["Hel", "lo"]
    assert json.loads(deltas[2]["partial_json"]) == {"path": "a"}


def test_the_usage_and_stop_reason_are_at_the_end_of_a_stream():
    usage = Usage(10, 20, cache_read_input_tokens=3, cache_creation_input_tokens=4)
    events = list(answer_events(Answer("m", [TextBlock(["x"])], usage)))
    first, last = events[0]["message"], events[-2]
    assert (first["stop_reason"], first["usage"]["output_tokens"], first["content"]) == (None, 1, [])
    assert last["delta"]["stop_reason"] == "end_turn"
    assert last["usage"] == {
        "input_tokens": 10,
        "output_tokens": 20,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 4,
    }


def test_an_answer_without_content_has_no_block_at_all():
    assert [e["type"] for e in answer_events(Answer("m"))] == ["message_start", "message_delta", "message_stop"]
    assert answer_body(Answer("m"))["content"] == []


def test_a_tool_call_has_the_stop_reason_tool_use_by_default():
    call = ToolCall("Read", {})
    assert answer_body(Answer("m", blocks=[call]))["stop_reason"] == "tool_use"
    assert answer_body(Answer("m", blocks=[call], stop_reason="max_tokens"))["stop_reason"] == "max_tokens"


def test_a_whole_answer_equals_its_stream():
    body = answer_body(
        Answer("m", [TextBlock(["Hel", "lo"]), ToolCall("Read", {"path": "a"}, id="toolu_1")], id="msg_1")
    )
    assert body["content"] == [
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a"}},
    ]
    assert (body["id"], body["type"], body["role"], body["model"]) == ("msg_1", "message", "assistant", "m")


def test_two_answers_have_different_ids():
    assert Answer("m").id != Answer("m").id


def test_an_event_is_one_frame_whatever_its_text():
    frame = encode_event({"type": "content_block_delta", "delta": {"text": "a\n\nevent: message_stop\r\u2028"}})
    assert frame.count(b"\n\n") == 1
    assert frame.startswith(b"event: content_block_delta\ndata: ")
    assert json.loads(frame.split(b"data: ")[1])["delta"]["text"] == "a\n\nevent: message_stop\r\u2028"


def test_an_error_has_the_shape_of_the_api():
    assert error_body("overloaded_error", "Overloaded") == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
    }


def test_the_query_is_found_as_a_string_and_among_blocks():
    assert user_query({"messages": [{"role": "user", "content": " as it is\n"}]}) == " as it is\n"
    assert user_query({"messages": [blocks(REMINDER, REMINDER, "mine")]}) == "mine"
    assert last_user_texts({"messages": [blocks(REMINDER, "mine")]}) == [REMINDER, "mine"]


def test_a_query_that_looks_like_a_reminder_is_still_the_query():
    assert user_query({"messages": [blocks(REMINDER, "<system-reminder>mine</system-reminder>")]}).endswith(
        "mine</system-reminder>"
    )
    assert user_query({"messages": [blocks("<system-reminder> unclosed")]}) == "<system-reminder> unclosed"


def test_only_the_last_user_message_is_read():
    system = {"role": "system", "content": [{"type": "text", "text": "# Environment"}]}
    request = {"messages": [blocks("old"), {"role": "assistant", "content": "x"}, blocks("new"), system]}
    assert user_query(request) == "new"


def test_a_request_without_user_text_has_an_empty_query():
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}
    assert [user_query(body) for body in ({}, {"messages": None}, {"messages": [result]})] == ["", "", ""]
