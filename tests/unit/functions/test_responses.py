"""OpenAI's requests as queries, and the events of a job as those of OpenAI's streams."""

import json

import pytest

from functions.openai import references, requests
from functions.openai.requests import ResponseRequest
from functions.openai.stream import Translation
from shared.api.errors import RefusedParameter
from shared.configuration.settings import CommonSettings
from shared.services.following import Update
from shared.store.jobs.events import Event
from shared.store.jobs.records import StoredJob

JOB = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"
WAITING, ACTIVE = (("state", json.dumps({"state": state, "progress": 0})) for state in ("waiting", "active"))
RISEN = ("state", '{"state":"active","progress":40}')
RESET = ("reset", "")
FORMAT = {"type": "json_schema", "schema": {"type": "object"}}
USER, PART = {"role": "user", "content": "q"}, {"type": "input_text", "text": "p"}
SYSTEM = {"role": "system", "content": "s"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "o"}


def translate(happened, answer=None, *, state="completed", kind="text"):
    """Translate the events of a job and its end; return the translated events."""
    first = {
        "id": f"resp_{JOB}", "status": "queued", "text": {"format": {"type": kind}},
        "tools": [{"type": "function", "name": "mcp__a__function_of_the_client"}],
    }  # fmt: skip
    translation = Translation(JOB, first)
    written = translation.begin()
    for what, data in happened:
        written += translation.translate(Update(Event("1-0", what, data)), None)
    job = StoredJob(JOB, {"state": state}, None if answer is None else {"response": answer}, None)
    written += translation.translate(Update(Event("2-0", "done", ""), job), {"status": state})
    events = [json.loads(one.decode().split("data: ", 1)[1]) for one in written]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def deltas(events):
    return [event["delta"] for event in events if event["type"] == "response.output_text.delta"]


def items(events):
    """Return the ended items: number, status and text."""
    ended = [event for event in events if event["type"] == "response.output_item.done"]
    texts = [event["text"] for event in events if event["type"] == "response.output_text.done"]
    return [
        (one["output_index"], one["item"]["status"], text) for one, text in zip(ended, texts, strict=True)
    ]  # fmt: skip


def test_an_answer_is_one_item_with_its_deltas():
    events = translate([ACTIVE, ("delta", "a"), ("delta", "b")], "ab")
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "queued", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert items(events) == [(0, "completed", "ab")]


def test_only_a_change_of_the_status_is_an_event():
    events = translate([ACTIVE, RISEN, WAITING, RISEN], "x")
    statuses = [event["response"]["status"] for event in events if "response" in event]
    assert statuses == ["queued", "queued", "in_progress", "queued", "in_progress", "completed"]


def test_text_of_earlier_turns_is_not_followed_by_the_answer_again():
    events = translate([("delta", "I look. "), ("delta", "It is 4.")], "It is 4.")
    assert (deltas(events), items(events)) == (["I look. ", "It is 4."], [(0, "completed", "I look. It is 4.")])


def test_a_failed_attempt_that_wrote_leaves_an_incomplete_item():
    events = translate([("delta", "he"), RESET, ("delta", "hello")], "hello")
    assert items(events) == [(0, "incomplete", "he"), (1, "completed", "hello")]


def test_an_answer_without_deltas_is_sent_whole():
    events = translate([("delta", "he"), RESET], "hello")
    assert (deltas(events), items(events)) == (["he", "hello"], [(0, "incomplete", "he"), (1, "completed", "hello")])


def test_a_stream_without_its_beginning_sends_the_answer_as_a_new_item():
    events = translate([("delta", "lo")], "hello")
    assert items(events) == [(0, "incomplete", "lo"), (1, "completed", "hello")]


def test_an_empty_answer_is_an_item_without_a_delta():
    events = translate([], "")
    assert (deltas(events), items(events)) == ([], [(0, "completed", "")])


@pytest.mark.parametrize(
    "written", [[], [("delta", "Here: ")], [("delta", '{"n": 4}')], [("delta", "He"), RESET, ("delta", "Here: ")]]
)
def test_structured_output_is_one_item_of_one_delta(written):
    events = translate([ACTIVE, *written], '{"n": 4}', kind="json_schema")
    assert (deltas(events), items(events)) == (['{"n": 4}'], [(0, "completed", '{"n": 4}')])


def test_text_beside_structured_output_that_never_came_is_no_item():
    events = translate([("delta", "he")], state="failed", kind="json_schema")
    assert [event["type"] for event in events] == ["response.created", "response.queued", "response.failed"]


@pytest.mark.parametrize(("state", "last"), [("failed", "response.failed"), ("cancelled", "response.incomplete")])
def test_a_job_without_an_answer_ends_its_items_as_incomplete(state, last):
    events = translate([("delta", "he")], state=state)
    assert (items(events), events[-1]["type"]) == ([(0, "incomplete", "he")], last)


def query_of(**fields):
    body = {"background": True, "input": "q", **fields}
    return requests.translate(ResponseRequest.model_validate(body), None)


@pytest.mark.parametrize(
    "nothing",
    [
        {"metadata": None, "instructions": None, "temperature": None, "store": None, "stream": None},
        {"reasoning": {"effort": None, "summary": None}},
        {"text": {"format": None, "verbosity": None}},
        {"tools": [], "tool_choice": "auto", "include": [], "parallel_tool_calls": True},
        {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "temperature": 1, "top_p": 1.0},
        {"truncation": "disabled", "service_tier": "auto", "stream_options": {"include_obfuscation": False}},
    ],
)
def test_options_that_change_nothing_are_accepted(nothing):
    assert query_of(**nothing) == query_of()


async def test_references_to_many_responses_are_refused_before_any_is_read():
    items = [{"type": "item_reference", "id": f"msg_{JOB[:-3]}{number:03}"} for number in range(101)]
    with pytest.raises(RefusedParameter, match="at most 100 responses"):
        await references.resolved(items, caller="c", settings=CommonSettings())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "user", "content": [None]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": None}]}, "input[0].content"),
        ({"input": [None]}, "input[0]"),
        ({"input": [{**USER, "type": "function_call"}]}, "input[0].call_id"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{**USER, "bogus": 5}]}, "input[0].bogus"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "o"}]}, "input[0]"),
        ({"input": [OUTPUT], "previous_response_id": f"resp_{JOB}"}, "input[0]"),
        ({"input": [CALL, OUTPUT], "previous_response_id": f"resp_{JOB}"}, "input"),
        ({"tools": [FUNCTION], "previous_response_id": f"resp_{JOB}"}, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{**FUNCTION, "parameters": []}]}, "tools[0].parameters"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice"),
        ({"input": [{**USER, "content": [{**PART, "bogus": 1}]}]}, "input[0].content[0].bogus"),
        ({"input": [SYSTEM, SYSTEM, {**USER, "content": [{"type": "input_image"}]}]}, "input[2].content[0]"),
        ({"input": [SYSTEM, {**USER, "content": " "}]}, "input[1].content"),
        ({"input": " "}, "input"),
        ({"stream": "yes"}, "stream"),
        ({"store": False, "previous_response_id": f"resp_{JOB}"}, "store"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": []}, "metadata"),
        ({"instructions": ["a"]}, "instructions"),
        ({"reasoning": {"effort": "low", "bogus": 0}}, "reasoning.bogus"),
        ({"reasoning": {"effort": ""}}, "reasoning.effort"),
        ({"reasoning": {"effort": 7}}, "reasoning.effort"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "text", "name": "n"}}}, "text.format.name"),
        ({"text": {"format": {**FORMAT, "bogus": False}}}, "text.format.bogus"),
        ({"text": {"format": {**FORMAT, "name": "a b"}}}, "text.format.name"),
        ({"text": {"format": {**FORMAT, "name": 7}}}, "text.format.name"),
        ({"text": {"format": {**FORMAT, "strict": "yes"}}}, "text.format.strict"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options"),
        ({"temperature": True}, "temperature"),
        ({"input": [USER, {"role": "assistant", "content": "a"}]}, "input"),
        ({"input": [{"role": "assistant", "content": ""}, USER]}, "input[0].content"),
        ({"input": [SYSTEM]}, "input"),
        ({"input": [USER, USER], "previous_response_id": f"resp_{JOB}"}, "input"),
        ({"background": "yes"}, "background"),
    ],
)
def test_unsupported_options_are_named(fields, named):
    with pytest.raises(RefusedParameter) as refused:
        query_of(**fields)
    assert refused.value.errors[0].pointer == named


def test_an_item_can_have_the_type_message():
    system = {"type": "message", "role": "system", "content": [PART], "phase": None}
    query = query_of(input=[system, {**USER, "type": "message"}]).query
    assert (query.query, query.system_prompt) == ("q", "p")


def test_instructions_include_system_messages():
    messages = [
        {"role": "developer", "content": "two"},
        {"role": "user", "content": [{"type": "input_text", "text": "q"}]},
    ]
    query = query_of(instructions="one", input=messages).query
    assert (query.query, query.system_prompt) == ("q", "one\n\ntwo")


def test_earlier_turns_are_the_history_as_they_are_written():
    answer = {
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": " a ", "annotations": [], "logprobs": []}],
    }  # fmt: skip
    query = query_of(input=[USER, answer, {"role": "user", "content": "last"}]).query
    assert query.query == "last"
    assert query.history == [
        {"role": "user", "content": [{"type": "text", "text": "q"}]},
        {"role": "assistant", "content": [{"type": "text", "text": " a "}]},
    ]


def test_a_response_that_is_not_in_background_has_a_high_priority():
    assert (query_of().query.priority, query_of(background=False).query.priority) == ("normal", "high")
    assert requests.translate(ResponseRequest.model_validate({"input": "q"}), "low").query.priority == "low"


def step(name="one", status="started", tool="mcp__shop__echo", **fields):
    """Return the event of a step."""
    body = {"id": name, "parentId": None, "kind": "tool", "tool": tool, "input": {"text": "é"}, "status": status,
            "output": None if status == "started" else "said", "truncated": False, **fields}  # fmt: skip
    return "step", json.dumps(body)


def calls_in(events):
    """Return the item and the status of each event that concerns an MCP call, in order."""
    kinds = {"response.output_item.added", "response.output_item.done"}
    found = [event for event in events if event["type"] in kinds and event["item"]["type"] == "mcp_call"]
    return [(one["output_index"], one["item"]["id"][-2:], one["item"]["status"]) for one in found]


def test_a_call_of_an_mcp_server_is_an_item_between_the_texts():
    """Catches a call that is not shown, at another place than the model made it, or that a client is asked to make."""
    events = translate([ACTIVE, ("delta", "let me see"), step(), step(status="completed"), ("delta", "done")], "done")
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds[kinds.index("output_item.done") + 1 :] == [
        "output_item.added", "mcp_call.in_progress", "mcp_call_arguments.done", "mcp_call.completed",
        "output_item.done", "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    ended = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [one["type"] for one in ended] == ["message", "mcp_call", "message"]
    assert [one["content"][0]["text"] for one in ended[::2]] == ["let me see", "done"]
    assert (ended[1]["server_label"], ended[1]["name"], ended[1]["output"]) == ("shop", "echo", "said")
    assert json.loads(ended[1]["arguments"]) == {"text": "é"}
    assert ended[1]["error"] is None


def test_calls_at_the_same_time_keep_their_places():
    both = [step("one"), step("two"), step("two", "completed"), step("one", "denied")]
    events = translate([ACTIVE, *both], "done")
    assert calls_in(events) == [
        (0, "_0", "in_progress"), (1, "_1", "in_progress"), (1, "_1", "completed"), (0, "_0", "failed"),
    ]  # fmt: skip
    failed = next(event["item"] for event in events if event.get("item", {}).get("error"))
    assert failed["error"] == {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "said"}]}
    assert failed["output"] is None


@pytest.mark.parametrize("end", [RESET, None])
def test_a_call_that_never_ends_has_failed(end):
    events = translate([ACTIVE, step(), *([end] if end else [])], "done")
    assert calls_in(events) == [(0, "_0", "in_progress"), (0, "_0", "failed")]


@pytest.mark.parametrize("tool", ["Bash", None, "mcp__", "mcp__shop", "mcp__a__function_of_the_client"])
def test_no_other_step_is_an_item(tool):
    """Catches an item for which a package runs the tool in its own process, such as that of a shell."""
    assert calls_in(translate([ACTIVE, step(tool=tool), step(tool=tool, status="completed")], "done")) == []


def test_the_items_of_a_response_are_bounded():
    events = translate([ACTIVE, *(step(str(n), "completed") for n in range(150))], "done")
    assert len(calls_in(events)) == 200


def test_the_call_of_an_mcp_server_can_be_sent_back():
    """Catches a framework whose next request is refused, because it repeats all items of the last response."""
    given = {"type": "mcp_call", "id": "mcp_1", "name": "echo", "server_label": "shop", "arguments": "{}"}
    items = [USER, given, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    turns = requests.translate(ResponseRequest(input=items), None).query.history
    assert "mcp" not in str(turns)
