"""The openai package against the gateway: its background mode, with nothing changed but the base URL."""

import threading
import time
from typing import Any, cast

import httpx
import pydantic
import pytest

from tests.support.packages import openai
from tests.support.scripted_replies import Error, Hang, Text, ToolUse

pytestmark = pytest.mark.slow
IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png"}


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def ended(client, response):
    deadline = time.monotonic() + 60
    while (seen := client.responses.retrieve(response.id)).status in {"queued", "in_progress"}:
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


@pytest.mark.once
def test_a_response_is_created_polled_and_read(client, model):
    response = client.responses.create(
        model="m", input="What is 2+2?", instructions="Be brief.", background=True, metadata={"a": "b"},
        max_output_tokens=512,
    )  # fmt: skip
    assert (response.status, response.instructions, response.metadata) == ("queued", "Be brief.", {"a": "b"})
    seen = ended(client, response)
    assert (seen.status, seen.output_text, seen.error) == ("completed", "What is 2+2?", None)
    assert seen.usage is not None
    assert seen.usage.total_tokens == seen.usage.input_tokens + seen.usage.output_tokens > 0
    [sent] = [one.body for one in model.requests if "2+2" in str(one.body["messages"])]
    assert "Be brief." in str(sent["system"])
    assert sent["max_tokens"] == 512


def strung(client, response_id, first):
    """Resume the stream whenever a response ends."""
    events = list(first)
    while events[-1].type not in {"response.completed", "response.failed"}:
        after = events[-1].sequence_number
        events += client.responses.retrieve(response_id, stream=True, starting_after=after)
    return events


def test_a_stream_resumes_exactly_where_it_was_cut(client, script):
    script(lambda body: Text([f"piece {number} " for number in range(12)], delay_between=0.05))
    stream = client.responses.create(model="m", input="tell me", background=True, stream=True)
    first = next(iter(stream))
    response_id = first.response.id
    cut = [first]
    for event in stream:
        cut.append(event)
        if len(cut) == 6:
            break
    stream.close()
    events = strung(client, response_id, cut)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "".join(f"piece {number} " for number in range(12)) == events[-1].response.output_text
    whole = strung(client, response_id, client.responses.retrieve(response_id, stream=True))
    assert [event.to_dict() for event in whole] == [event.to_dict() for event in events]


@pytest.mark.long
@pytest.mark.once
def test_a_failed_attempt_that_wrote_leaves_an_incomplete_item(client, model, script):
    model.script(Error(529, "overloaded_error", after_chunks=2))
    script(lambda body: Text("well"))
    events = list(client.responses.create(model="m", input="again", background=True, stream=True))
    items = [event.item for event in events if event.type == "response.output_item.done"]
    assert items[-1].status == "completed"
    assert [item.status for item in items[:-1]] in ([], ["incomplete"])
    assert events[-1].response.output_text == "well"


@pytest.mark.once
def test_a_cancelled_response_stays_cancelled(client, script):
    script(lambda body: Text("late", delay_before=20))
    response = client.responses.create(model="m", input="slow", background=True)
    assert client.responses.cancel(response.id).status == "cancelled"
    assert client.responses.cancel(response.id).status == "cancelled"


@pytest.mark.once
def test_an_unstored_response_is_not_cached_and_cannot_be_continued(client):
    request = {"model": "m", "input": "the same", "background": True, "store": False}
    first, second = (ended(client, client.responses.create(**request)) for _ in range(2))
    assert first.id != second.id
    assert (first.output_text, second.output_text, first.store) == ("the same", "the same", False)
    with pytest.raises(openai.BadRequestError, match="was not stored"):
        client.responses.create(**{**request, "store": True, "previous_response_id": first.id})


@pytest.mark.once
def test_a_previous_response_can_be_continued_many_times(client, model):
    first = ended(client, client.responses.create(model="m", input="one", background=True))
    for question in ("two", "another two"):
        second = client.responses.create(model="m", input=question, background=True, previous_response_id=first.id)
        assert second.previous_response_id == first.id
        assert ended(client, second).status == "completed"
        assert model.texts() == ["one", "one", question]


@pytest.mark.once
def test_structured_output_is_one_delta(client, script):
    script(lambda body: ToolUse("StructuredOutput", {"n": 4}))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    text = {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}}
    events = list(client.responses.create(model="m", input="n?", background=True, stream=True, text=text))
    assert events[-1].response.output_text == '{"n": 4}'
    assert {event.response.text.format.name for event in events if hasattr(event, "response")} == {"n"}
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ['{"n": 4}']


class Sum(pydantic.BaseModel):
    """The model whose schema the package sends, and that it parses the answer into."""

    n: int


@pytest.mark.long
@pytest.mark.once
def test_text_before_structured_output_is_left_out(client, script):
    script(lambda body: [Text("Here it is: "), ToolUse("StructuredOutput", {"n": 4})])
    request = {"model": "m", "input": "said before", "background": True, "text_format": Sum}
    with client.responses.stream(**request) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_parsed == Sum(n=4)
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ['{"n": 4}']
    texts = [event.text for event in events if event.type == "response.output_text.done"]
    items = [event.item.content[0].text for event in events if event.type == "response.output_item.done"]
    assert texts == items == [final.output_text] == ['{"n": 4}']
    middle = next(event.sequence_number for event in events if event.type == "response.output_item.added")
    rest = list(client.responses.retrieve(final.id, stream=True, starting_after=middle))
    assert [event.sequence_number for event in rest] == list(range(middle + 1, len(events)))


@pytest.mark.long
@pytest.mark.emulated
def test_in_lambda_resuming_a_silent_response_waits_for_an_event(client, gateway, script):
    go = threading.Event()
    script(lambda body: Hang(go))
    response = client.responses.create(model="m", input="slow", background=True)
    gateway.until(lambda: client.responses.retrieve(response.id).status, "in_progress".__eq__)
    events = list(client.responses.retrieve(response.id, stream=True))
    threading.Timer(3, go.set).start()
    before = time.monotonic()
    more = list(client.responses.retrieve(response.id, stream=True, starting_after=events[-1].sequence_number))
    assert more
    assert time.monotonic() - before > 2


@pytest.mark.once
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"temperature": 0.5}, "temperature"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "nothing"}}}},
            "text.format.schema.type",
        ),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"input": [{"role": "user", "content": [IMAGE]}]}, "input[0].content[0].image_url"),
        ({"input": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "input"),
        ({"previous_response_id": "resp_019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"}, "previous_response_id"),
    ],
)
def test_an_unsupported_option_is_refused_by_name(client, fields, named):
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**{"model": "m", "input": "hello", "background": True, **fields})
    assert refused.value.param == named


@pytest.mark.once
def test_errors_are_the_packages_own_exceptions(client):
    unknown = "resp_019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"
    for ask in (client.responses.retrieve, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            ask(unknown)
    with pytest.raises(openai.BadRequestError, match="include"):
        client.responses.retrieve(unknown, include=["message.output_text.logprobs"])
    with pytest.raises(openai.BadRequestError, match="RESULT_TTL"):
        client.responses.delete(unknown)


@pytest.mark.once
def test_an_unknown_path_gets_the_error_of_that_api(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.files.list()
    assert cast("dict[str, Any]", refused.value.body)["type"] == "invalid_request_error"
    with pytest.raises(openai.APIStatusError) as not_so:
        client.put("/responses", cast_to=httpx.Response)
    assert (not_so.value.status_code, not_so.value.code) == (405, "method_not_allowed")
