"""The anthropic package against the gateway: its batches, with nothing changed but the base URL."""

import json
import time
from typing import Any, cast

import httpx
import pytest

from tests.support.packages import anthropic
from tests.support.scripted_replies import Error, Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def client(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="any", max_retries=0) as client:
        yield client


def ask(name, text="hello", **params):
    message = {"role": "user", "content": text}
    return {"custom_id": name, "params": {"model": "m", "max_tokens": 512, "messages": [message], **params}}


def ended(client, batch):
    deadline = time.monotonic() + 60
    while (seen := client.messages.batches.retrieve(batch.id)).processing_status != "ended":
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


def test_a_batch_is_submitted_polled_listed_and_read_in_order(client, gateway, model, script):
    def reply(body):
        return Error(400, "invalid_request_error") if "refuse me" in str(body["messages"]) else Text("hi")

    script(reply)
    batch = client.messages.batches.create(
        requests=[
            ask("a", "one", system="Be brief."),
            ask("b", "refuse me"),
            ask("c", [{"type": "text", "text": "three"}], metadata={"user_id": "u"}),
        ]
    )
    assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 3)
    seen = ended(client, batch)
    assert (seen.request_counts.succeeded, seen.request_counts.errored) == (2, 1)
    a, b, c = client.messages.batches.results(batch.id)
    assert [one.custom_id for one in (a, b, c)] == ["a", "b", "c"]
    assert a.result.message.content[0].text == c.result.message.content[0].text == "hi"
    assert a.result.message.usage.output_tokens > 0
    assert b.result.error.error.type == "invalid_request_error"
    assert client.messages.batches.list(limit=1).data[0].id == batch.id
    [sent] = [one.body for one in model.requests if "one" in str(one.body["messages"])]
    assert "Be brief." in str(sent["system"])
    assert sent["max_tokens"] == 512


def test_a_batch_is_cancelled(client, gateway, script):
    script(lambda body: Text("late", delay_before=20))
    batch = client.messages.batches.create(requests=[ask("a"), ask("b"), ask("c")])
    client.messages.batches.cancel(batch.id)
    seen = ended(client, batch)
    assert (seen.request_counts.canceled, seen.cancel_initiated_at is not None) == (3, True)
    assert {one.result.type for one in client.messages.batches.results(batch.id)} == {"canceled"}


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"temperature": 0.5}, "requests.1.params.temperature"),
        ({"tools": [{"name": "t", "input_schema": {"type": "object"}}]}, "requests.1.params.tools"),
        ({"stop_sequences": ["x"]}, "requests.1.params.stop_sequences"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "requests.1.params.thinking"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]},
         "requests.1.params.messages.0.content.0"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
         "requests.1.params.messages"),
        ({"max_tokens": 0}, "requests.1.params"),
    ],
)  # fmt: skip
def test_an_unsupported_option_is_refused_by_name(client, params, named):
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.batches.create(requests=[ask("a"), ask("b", **params)])
    error = cast("dict[str, Any]", refused.value.body)["error"]
    assert error["type"] == "invalid_request_error"
    assert named in error["message"]


def test_structured_output_is_text_that_fits_the_schema(client, script):
    script(lambda body: ToolUse("StructuredOutput", {"n": 4}))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    batch = client.messages.batches.create(
        requests=[ask("a", output_config={"format": {"type": "json_schema", "schema": schema}})]
    )
    ended(client, batch)
    [one] = client.messages.batches.results(batch.id)
    assert json.loads(one.result.message.content[0].text) == {"n": 4}


def test_errors_are_the_packages_own_exceptions(client):
    unknown = "msgbatch_019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(unknown)
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.cancel(unknown)
    with pytest.raises(anthropic.BadRequestError, match="RESULT_TTL"):
        client.messages.batches.delete(unknown)
    with pytest.raises(anthropic.BadRequestError, match="custom_id"):
        client.messages.batches.create(requests=[ask("a"), ask("a")])


def test_an_unknown_path_gets_the_error_of_that_api(client):
    with pytest.raises(anthropic.NotFoundError) as refused:
        client.get("/v1/messages/unknown", cast_to=httpx.Response)
    assert cast("dict[str, Any]", refused.value.body)["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.APIStatusError) as not_so:
        client.put("/v1/messages/batches", cast_to=httpx.Response)
    assert not_so.value.status_code == 405
    assert cast("dict[str, Any]", not_so.value.body)["error"]["type"] == "invalid_request_error"


def test_the_beta_resources_of_the_package_list_the_same_batches(client):
    batch = client.beta.messages.batches.create(requests=[ask("a")])
    client.messages.batches.cancel(batch.id)
    assert client.beta.messages.batches.list(limit=1).data[0].id == batch.id
