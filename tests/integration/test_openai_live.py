"""The openai package against the gateway, with nothing changed but the base URL: calls that wait for the answer."""

from typing import Any, cast

import pydantic
import pytest

from tests.support.packages import openai
from tests.support.scripted_replies import Disconnect, Error, Text, ToolUse
from tests.support.waiting import until

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


@pytest.mark.long
def test_a_completion_is_parsed_into_a_model_of_pydantic(client, script):
    script(lambda body: ToolUse("StructuredOutput", {"n": 4}))
    answer = client.chat.completions.parse(**ask("n?"), response_format=Number)
    assert answer.choices[0].message.parsed == Number(n=4)
    response = client.responses.parse(model="m", input="n?", text_format=Number)
    assert response.output_parsed == Number(n=4)


@pytest.mark.long
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


def test_several_turns_are_kept_with_a_stored_response(client, model):
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    for _ in range(2):  # the second time in a CLI that waits
        first = client.responses.create(model="m", input=turns)
        assert model.texts() == ["one", "two", "three"]
        second = client.responses.create(model="m", input="four", previous_response_id=first.id)
        assert second.output_text == "four"
        assert model.texts() == ["one", "two", "three", "three", "four"]


@pytest.mark.long
def test_a_response_that_was_cut_cannot_be_continued(client, script):
    """Catches a continuation that runs without the answer of a run whose CLI was ended at the limit."""
    script(lambda body: Text(["cut ", "here"], stop_reason="max_tokens"))
    first = client.responses.create(model="m", input="begin", max_output_tokens=9)
    assert (first.status, first.output_text) == ("incomplete", "cut here")
    with pytest.raises(openai.BadRequestError, match="this response is incomplete"):
        client.responses.create(model="m", input="go on", previous_response_id=first.id)


def test_a_cut_stream_is_an_error_where_text_cannot_be_taken_back(client, model):
    model.script(Disconnect(after_chunks=2, delay_between=0.5))
    with pytest.raises(openai.APIError, match="cut after its first words"):
        list(client.chat.completions.create(**ask(), stream=True))
    model.script(Disconnect(after_chunks=2, delay_between=0.5))
    events = list(client.responses.create(model="m", input="again", stream=True))
    assert [event.item.status for event in events if event.type == "response.output_item.done"] == [
        "incomplete",
        "completed",
    ]
    assert events[-1].response.output_text == "again"


@pytest.mark.long
def test_an_answer_that_reaches_max_tokens_is_cut_and_not_an_error(client, script):
    script(lambda body: Text(["one ", "two"], stop_reason="max_tokens"))
    choice = client.chat.completions.create(**ask(), max_completion_tokens=9).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("one two", "length")
    response = client.responses.create(model="m", input="q", max_output_tokens=9)
    assert (response.status, response.output_text) == ("incomplete", "one two")
    assert response.incomplete_details.reason == "max_output_tokens"
    *_, last = client.responses.create(model="m", input="q", max_output_tokens=9, stream=True)
    assert last.type == "response.incomplete"


@pytest.mark.long
def test_a_forced_function_is_called_with_a_structured_answer(client, script):
    script(lambda body: ToolUse("StructuredOutput", {"n": 4}))
    function = {"name": "number", "parameters": Number.model_json_schema()}
    tools = {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}
    [call] = client.chat.completions.create(**ask(), **tools).choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("number", '{"n": 4}')
    with client.chat.completions.stream(**ask(), **tools) as stream:
        [call] = stream.get_final_completion().choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("number", '{"n": 4}')


@pytest.mark.long
async def test_the_asynchronous_package_works_and_cancels_by_closing(gateway, script):
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        answer = await client.chat.completions.create(**ask("async"))
        assert answer.choices[0].message.content == "async"
        script(lambda body: Text([str(number) for number in range(200)], delay_between=0.3))
        stream = await client.chat.completions.create(**ask(), stream=True)
        first = await anext(aiter(stream))
        await stream.close()
    job = f"/api/query/{first.id.removeprefix('chatcmpl-')}"
    until(lambda: gateway.client.get(job).json()["state"] == "cancelled", within=2)
