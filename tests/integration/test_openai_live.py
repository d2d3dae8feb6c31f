"""The openai package against the gateway, with nothing changed but the base URL: calls that wait for the answer."""

from typing import Any, cast

import openai
import pydantic
import pytest

from tests.support.scripted_replies import Error, Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        yield client


class Number(pydantic.BaseModel):
    n: int


def ask(text="hello", **params) -> Any:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **params}


def test_a_chat_completion_has_the_official_shape(client, gateway, model):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2+2?"}]
    answer = client.chat.completions.create(model="m", messages=messages, max_tokens=512, temperature=1, user="u")
    assert (answer.object, answer.choices[0].finish_reason) == ("chat.completion", "stop")
    assert answer.choices[0].message.content == "What is 2+2?"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer._request_id
    [sent] = [one.body for one in model.requests if "2+2" in str(one.body["messages"])]
    assert "Be brief." in str(sent["system"])
    assert sent["max_tokens"] == 512
    assert gateway.client.get(f"/api/query/{answer.id.removeprefix('chatcmpl-')}").json()["priority"] == "high"


def test_a_streamed_completion_has_the_official_chunks_in_order(client, script):
    script(lambda body: Text(["one ", "two ", "three"], delay_between=0.1))
    chunks = list(client.chat.completions.create(**ask(), stream=True, stream_options={"include_usage": True}))
    *written, last, usage = chunks
    assert written[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in written) == "one two three"
    assert last.choices[0].finish_reason == "stop"
    assert (usage.choices, usage.usage.prompt_tokens, usage.usage.completion_tokens) == ([], 10, 5)


def test_a_completion_is_parsed_into_a_model_of_pydantic(client, script):
    script(lambda body: ToolUse("StructuredOutput", {"n": 4}))
    answer = client.chat.completions.parse(**ask("n?"), response_format=Number)
    assert answer.choices[0].message.parsed == Number(n=4)
    response = client.responses.parse(model="m", input="n?", text_format=Number)
    assert response.output_parsed == Number(n=4)


def test_a_response_is_answered_without_background(client):
    response = client.responses.create(model="m", input="What is 3+3?")
    assert (response.status, response.output_text, response.background) == ("completed", "What is 3+3?", False)
    assert client.responses.retrieve(response.id).output_text == "What is 3+3?"
    assert client.responses.retrieve(response.id).background is False


def test_a_streamed_response_has_the_official_events_in_order(client, script):
    script(lambda body: Text(["one ", "two ", "three"], delay_between=0.1))
    events = list(client.responses.create(model="m", input="count", stream=True))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == "one two three"


def test_the_models_are_listed_and_read(client):
    [only] = client.models.list().data
    assert client.models.retrieve(only.id) == only
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-0")
    answer = client.chat.completions.create(**{**ask(), "model": only.id})
    assert answer.model == only.id


def test_a_failure_before_the_first_text_is_an_error_of_the_package(client, script):
    script(lambda body: Error(404, "not_found_error"))
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError) as failed:
            client.chat.completions.create(**ask(), stream=stream)
        assert cast("dict[str, Any]", failed.value.body)["code"] == "model_not_found"
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model="m", input="q", stream=stream)
