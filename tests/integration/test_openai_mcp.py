"""Calls of MCP servers in OpenAI's Responses API, with the openai package: items, whole and streamed."""

import json
import sys

import pytest

from tests.support.mcp_run import QUICK
from tests.support.packages import openai
from tests.support.scripted_replies import Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    config = tmp_path_factory.mktemp("mcp") / "mcp.json"
    routing = {"keywords": ["use the shop"]}
    entry = {"command": sys.executable, "args": ["-S", str(QUICK)], "routing": routing}
    config.write_text(json.dumps({"mcpServers": {"shop": entry}}))
    return {"MCP_ENABLED": "true", "MCP_CONFIG": str(config), "CLAUDE_MAX_RETRIES": "1"}


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def call():
    return ToolUse("mcp__shop__echo", {"text": "tea"})


def check(response):
    used, message = response.output
    assert (used.type, used.status, used.server_label, used.name) == ("mcp_call", "completed", "shop", "echo")
    assert json.loads(used.arguments) == {"text": "tea"}
    assert "tea" in used.output
    assert (message.type, response.output_text) == ("message", "the end")


@pytest.mark.parametrize("background", [False, True])
def test_a_response_has_the_calls_of_mcp_servers(client, gateway, model, background):
    model.script(call(), Text("the end"))
    made = client.responses.create(model="m", input=f"use the shop {background}", background=background)
    gateway.finished(made.id.removeprefix("resp_"))
    read = client.responses.retrieve(made.id)
    check(read)
    if not background:
        check(made)
    again = [{"role": "user", "content": "one"}, *read.to_dict()["output"], {"role": "user", "content": "two"}]
    assert client.responses.create(model="m", input=again).output_text == "two"
    reference = {"type": "item_reference", "id": read.output[0].id}
    again = [{"role": "user", "content": "three"}, reference, {"role": "user", "content": "four"}]
    assert client.responses.create(model="m", input=again).output_text == "four"


@pytest.mark.parametrize("background", [False, True])
def test_a_stream_has_the_calls_of_mcp_servers(client, model, background):
    """Catches events that the package's own accumulation of a response does not take."""
    model.script(call(), Text("the end"))
    given = f"use the shop, streamed {background}"
    with client.responses.stream(model="m", input=given, **({"background": True} if background else {})) as stream:
        events = list(stream)
        check(stream.get_final_response())
    kinds = [event.type for event in events if "mcp_call" in event.type]
    assert kinds == ["response.mcp_call.in_progress", "response.mcp_call_arguments.done", "response.mcp_call.completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
