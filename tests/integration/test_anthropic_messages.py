"""The anthropic package against the gateway: messages, whole and streamed, with nothing changed but the base URL."""

import json
import socket
import threading
from typing import Any

import pytest

from tests.support.packages import anthropic
from tests.support.scripted_replies import Disconnect, Error, Text
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow]
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.fixture
def client(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="any", max_retries=0) as client:
        yield client


def ask(text="hello", **params) -> Any:
    return {"model": "m", "max_tokens": 512, "messages": [{"role": "user", "content": text}], **params}


def test_a_message_has_the_official_shape(client, gateway, model):
    message = client.messages.create(**ask("What is 2+2?", system="Be brief."))
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert message.content[0].text == "What is 2+2?"
    assert message.usage.input_tokens > 0
    assert message._request_id
    [sent] = [one.body for one in model.requests if "2+2" in str(one.body["messages"])]
    assert "Be brief." in str(sent["system"])
    assert sent["max_tokens"] == 512
    assert gateway.client.get(f"/api/query/{message.id.removeprefix('msg_')}").json()["priority"] == "high"


def test_a_stream_has_the_official_events_in_order(client, script):
    script(lambda body: Text(["one ", "two ", "three"], delay_between=0.1))
    with client.messages.stream(**ask()) as stream:
        kinds = [event.type for event in stream if event.type != "text"]
        final = stream.get_final_message()
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert final.content[0].text == "one two three"
    assert (final.stop_reason, final.usage.output_tokens, final.usage.input_tokens) == ("end_turn", 5, 10)


def text(words):
    return {"type": "text", "text": words}


def test_several_turns_reach_the_model_as_they_are_written(client, model):
    turns = [
        {"role": "user", "content": "/cost"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": " one \n"}, {"type": "text", "text": "@/etc/passwd"}],
        },
        {"role": "user", "content": "two"},
        {"role": "user", "content": "\tthree "},
        {"role": "assistant", "content": "four"},
        {"role": "user", "content": "five"},
    ]
    message = client.messages.create(**{**ask(), "messages": [*turns, {"role": "user", "content": " last\r\n"}]})
    assert message.content[0].text == " last\r\n"
    assert model.texts() == ["/cost", " one \n", "@/etc/passwd", "two", "\tthree ", "four", "five", " last\r\n"]
    assert [one["role"] for one in model.requests[-1].body["messages"]][:5] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]


@pytest.mark.long
def test_a_conversation_may_begin_with_the_assistant(client, model):
    turns = [{"role": "assistant", "content": "Welcome"}, {"role": "user", "content": "hi"}]
    assert client.messages.create(**{**ask(), "messages": turns}).content[0].text == "hi"
    assert model.texts() == ["Welcome", "hi"]


@pytest.mark.long
def test_system_messages_within_the_conversation_are_instructions(client, model):
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "q"},
        {"role": "system", "content": "Be kind."},
    ]
    client.messages.create(**{**ask(), "messages": turns, "system": "Be wise."})
    assert "Be wise.\nBe brief.\nBe kind." in model.requests[-1].body["system"][-1]["text"]


def test_an_answer_that_reaches_max_tokens_is_cut_and_not_an_error(client, script):
    script(lambda body: Text(["one ", "two"], stop_reason="max_tokens"))
    message = client.messages.create(**ask())
    assert (message.content[0].text, message.stop_reason) == ("one two", "max_tokens")
    assert message.usage.output_tokens == 5
    with client.messages.stream(**ask()) as stream:
        assert stream.get_final_message().stop_reason == "max_tokens"


def test_a_failure_before_the_first_text_is_an_error_of_the_package(client, script):
    script(lambda body: Error(404, "not_found_error"))
    for stream in (False, True):
        with pytest.raises(anthropic.NotFoundError) as failed:
            client.messages.create(**ask(), stream=stream)
        assert "model_not_found" in str(failed.value)


def test_a_stream_that_is_cut_ends_with_the_error_event(client, model):
    """Catches a stream that just ends, which the package would take for a whole message."""
    model.script(Disconnect(after_chunks=2, delay_between=0.5))
    with pytest.raises(anthropic.APIStatusError, match="cut after its first words") as failed:
        list(client.messages.create(**ask(), stream=True))
    assert failed.value.type == "api_error"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_its_job(gateway, model, script, stream):
    script(lambda body: Text([str(number) for number in range(200)], delay_before=0.5, delay_between=0.3))
    seen = len(model.requests)
    leaving = threading.Event()
    asking = threading.Thread(target=leave_when, args=(gateway.url, {**ask("leave"), "stream": stream}, leaving))
    asking.start()
    model.wait_for_requests(seen + 1, timeout=30)
    leaving.set()
    asking.join()
    until(lambda: gateway.client.get("/api/query?limit=1").json()["jobs"][0]["state"] == "cancelled", within=2)


def leave_when(url, body, leaving):
    """Send a request on a connection of its own, and close that at the event."""
    data = json.dumps(body).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}"
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"\r\nContent-Type: application/json\r\n\r\n" + data)
        leaving.wait()


@pytest.mark.long
def test_a_stream_is_kept_alive_while_nothing_is_written(gateway, script):
    script(lambda body: Text("late", delay_before=12))
    with gateway.client.stream("POST", "/v1/messages", json={**ask(), "stream": True}, timeout=40) as response:
        lines = [line for line in response.iter_lines() if line.startswith("event: ")]
    assert lines[:2] == ["event: message_start", "event: ping"]
    assert lines[-1] == "event: message_stop"


def test_tokens_are_counted_without_a_job(client, gateway):
    before = gateway.client.get("/api/query?limit=1").json()["jobs"]
    messages = [{"role": "user", "content": "How many?"}]
    assert client.messages.count_tokens(model="m", messages=messages).input_tokens == len(json.dumps(messages))
    assert gateway.client.get("/api/query?limit=1").json()["jobs"] == before
    with pytest.raises(anthropic.BadRequestError, match="mcp_servers"):
        client.messages.count_tokens(model="m", messages=messages, extra_body={"mcp_servers": [{"url": "x"}]})
