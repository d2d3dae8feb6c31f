"""The anthropic package against the gateway: messages, whole and streamed, with nothing changed but the base URL."""

from typing import Any

import anthropic
import pytest

from tests.support.scripted_replies import Text

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
