"""What the official packages do besides one call: they parse, repeat, give up and leave, synchronously and not."""

from typing import Any

import pydantic
import pytest

from tests.support.packages import anthropic, openai
from tests.support.scripted_replies import Error, Text, ToolUse
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]


class Number(pydantic.BaseModel):
    n: int


def claude(gateway, kind: Any = None, **options) -> Any:
    return (kind or anthropic.Anthropic)(base_url=gateway.url, api_key="any", **{"max_retries": 0, **options})


def chat(gateway, kind: Any = None, **options) -> Any:
    return (kind or openai.OpenAI)(base_url=f"{gateway.url}/v1", api_key="any", **{"max_retries": 0, **options})


def ask(text="hello", **params) -> Any:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **params}


def jobs(gateway):
    return gateway.client.get("/api/query?limit=100").json()["jobs"]


def endless(_body):
    return Text([str(number) for number in range(200)], delay_between=0.3)


def test_messages_are_parsed_into_a_model_of_pydantic(gateway, script):
    script(lambda body: ToolUse("StructuredOutput", {"n": 4}))
    with claude(gateway) as client:
        for messages in (client.messages, client.beta.messages):
            assert messages.parse(**ask("n?", max_tokens=512), output_format=Number).parsed_output == Number(n=4)
        with client.messages.stream(**ask("n?", max_tokens=512), output_format=Number) as stream:
            assert stream.get_final_message().parsed_output == Number(n=4)


async def test_the_asynchronous_package_streams_and_cancels_by_closing(gateway, script):
    async with claude(gateway, anthropic.AsyncAnthropic) as client:
        assert (await client.messages.create(**ask("async", max_tokens=512))).content[0].text == "async"
        async with client.messages.stream(**ask("words", max_tokens=512)) as stream:
            assert [text async for text in stream.text_stream] == ["words"]
        script(endless)
        async with client.messages.stream(**ask("left", max_tokens=2000)) as stream:
            message = (await anext(aiter(stream))).message
    job = f"/api/query/{message.id.removeprefix('msg_')}"
    until(lambda: gateway.client.get(job).json()["state"] == "cancelled", within=2)


def test_a_client_that_gives_up_cancels_its_job(gateway, script, model):
    """Catches a job that goes on, and costs, after the package has raised a timeout."""
    script(endless)
    for client, params in ((claude(gateway), {"max_tokens": 2000}), (chat(gateway), {})):
        create = client.messages.create if params else client.chat.completions.create
        before, seen = len(jobs(gateway)), len(model.requests)
        with pytest.raises((anthropic.APITimeoutError, openai.APITimeoutError)), client:
            create(**ask("slow", **params), timeout=4)
        assert len(jobs(gateway)) == before + 1
        assert len(model.requests) > seen
        until(lambda: jobs(gateway)[0]["state"] == "cancelled", within=2)


def test_a_package_does_not_repeat_a_request_that_cannot_succeed(gateway, script):
    """Catches an answer without the header that forbids to repeat it."""
    script(lambda body: Error(400, "invalid_request_error"))
    before = len(jobs(gateway))
    with claude(gateway, max_retries=2) as client, pytest.raises(anthropic.BadRequestError, match="invalid_request"):
        client.messages.create(**ask(max_tokens=9))
    with chat(gateway, max_retries=2) as client, pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ask())
    assert refused.value.request_id == refused.value.response.headers["x-request-id"]
    assert len(jobs(gateway)) == before + 2


def test_both_packages_read_the_class_of_an_error(gateway, script):
    script(lambda body: Error(402, "billing_error"))
    with claude(gateway) as client, pytest.raises(anthropic.APIStatusError) as failed:
        client.messages.create(**ask(max_tokens=9))
    assert (failed.value.status_code, failed.value.type) == (402, "billing_error")
    script(lambda body: Error(404, "not_found_error"))
    with chat(gateway) as client, pytest.raises(openai.NotFoundError, match="model_not_found"):
        client.responses.create(model="m", input="q")
    with claude(gateway) as client, pytest.raises(anthropic.NotFoundError, match="POST /v1/messages"):
        client.post("/v1/complete", body={}, cast_to=object)


def test_raw_responses_have_the_request_id(gateway):
    with claude(gateway) as client:
        raw = client.messages.with_raw_response.create(**ask(max_tokens=9))
        assert raw.headers["request-id"] == raw.parse()._request_id
    with chat(gateway) as client, client.chat.completions.with_streaming_response.create(**ask(), stream=True) as raw:
        assert raw.headers["content-type"].startswith("text/event-stream")
        assert list(raw.iter_lines())[-2:] == ["data: [DONE]", ""]
