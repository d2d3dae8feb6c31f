"""A tool can write to the CLI's output: whatever a step claims to be, its fields have a type and a size."""

import json
from typing import Any

import pytest
from claude_agent_sdk import AssistantMessage, SystemMessage, ToolResultBlock, ToolUseBlock, UserMessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.worker.cli.cut import cut_input
from functions.worker.cli.publisher import Publisher
from functions.worker.cli.steps import Steps
from shared.api.steps import MAX_STEP_BYTES, MOST_STEPS, for_step


class Published(Publisher):
    """Keeps what is published."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.counted = 0

    def add_step(self, step_id, data, *, is_new):
        step = json.loads(data)
        assert (step["id"], is_new) == (step_id, step["status"] == "started")
        assert len(data.encode()) < 3 * MAX_STEP_BYTES * 6
        self.steps.append(step)

    def count_step(self):
        self.counted += 1


def call(step_id: Any = "t1", name: Any = "Bash", given: Any = None, parent: Any = None):
    block = ToolUseBlock(step_id, name, {"command": "ls"} if given is None else given)
    return AssistantMessage(content=[block], model="m", parent_tool_use_id=parent)


def result(step_id: Any = "t1", content: Any = "ok", is_error: Any = False):
    return UserMessage(content=[ToolResultBlock(step_id, content, is_error)])


def observed(*messages):
    published = Published()
    steps = Steps(published)
    for message in messages:
        steps.observe(message)
    return published


@pytest.mark.parametrize("step_id", [None, 1, "", "a b", "a\n", "=x", "x" * 101, ["t"], {"a": 1}, "é", "a:b"])
def test_a_step_with_another_id_is_none(step_id):
    """Catches an id that reaches the store, a log or a page as it was forged."""
    assert observed(call(step_id), result(step_id)).steps == []


@pytest.mark.parametrize("name", [None, 1, "", "a\x1b[2J", "x" * 201, ["Bash"], "a\u202eb"])
def test_a_forged_name_is_unknown(name):
    assert [one["tool"] for one in observed(call(name=name)).steps] == ["unknown"]


@pytest.mark.parametrize(
    "given", [[], "text", 7, float("nan"), {"a": float("inf")}, {"a": 10**400}, {"\ud800": "\ud800"}]
)
def test_any_input_becomes_an_object_of_json(given):
    [step] = observed(call(given=given)).steps
    assert isinstance(step["input"], dict)
    assert step["truncated"] == (given != {"\ud800": "\ud800"})
    json.dumps(step, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("content", [None, 7, [], ["x"], [{"type": 7}], [{"type": "text"}], {"a": 1}, "\ud800"])
def test_any_output_becomes_text(content):
    *_, step = observed(call(), result(content=content)).steps
    assert isinstance(step["output"], str)
    step["output"].encode()


def test_an_image_in_a_result_is_named_by_its_type():
    content = [{"type": "text", "text": "see"}, {"type": "image", "source": {"data": "x" * 100_000}}]
    *_, step = observed(call(), result(content=content)).steps
    assert (step["output"], step["truncated"]) == ("see\n[image]", False)


def test_a_step_begins_once_and_ends_once():
    """Catches a forged second call or result under the id of a step."""
    found = observed(call(), call(name="Read"), result(), result(content="again"), result("t9"))
    assert [(one["tool"], one["status"], one["output"]) for one in found.steps] == [
        ("Bash", "started", None), ("Bash", "completed", "ok"),
    ]  # fmt: skip


def test_a_denial_before_its_call_denies_nothing():
    denied = SystemMessage("permission_denied", {"tool_use_id": "t1"})
    assert [one["status"] for one in observed(denied, call(), result()).steps] == ["started", "completed"]
    assert [one["status"] for one in observed(call(), denied, result()).steps] == ["started", "denied"]


@pytest.mark.parametrize(("parent", "shown"), [("toolu_1", "toolu_1"), (None, None), (7, None), ("a b", None)])
def test_a_step_has_its_parent(parent, shown):
    assert [one["parentId"] for one in observed(call(parent=parent)).steps] == [shown]


def test_steps_beyond_the_limit_are_counted():
    """Catches memory of the slot that a tool fills with forged steps."""
    messages = [call(f"t{number}") for number in range(MOST_STEPS + 50)]
    found = observed(*messages, result(f"t{MOST_STEPS + 1}"))
    assert (len(found.steps), found.counted) == (MOST_STEPS, 50)


def test_a_run_that_ends_closes_its_steps():
    published = Published()
    steps = Steps(published)
    steps.observe(call())
    steps.close()
    steps.observe(result())
    assert [one["status"] for one in published.steps] == ["started", "failed"]


def test_a_step_that_waits_for_a_decision_goes_on_in_the_next_run():
    """Catches a step that fails at a pause, and one that begins again after it."""
    before, after = Published(), Published()
    steps = Steps(before)
    steps.observe(call())
    waiting = steps.close("t1")
    assert waiting is not None
    steps = Steps(after)
    steps.go_on(waiting, {"command": "echo human"})
    steps.observe(call())
    steps.observe(result())
    assert [one["status"] for one in before.steps] == ["started"]
    [ended] = after.steps
    assert (ended["status"], ended["input"]) == ("completed", {"command": "echo human"})
    assert ended["startedAt"] == before.steps[0]["startedAt"]


def test_a_deep_input_is_cut():
    deep: Any = "x"
    for _ in range(500):
        deep = {"a": deep}
    assert cut_input(deep)[1]


LONG = st.builds(lambda text, times: text * times, st.text(max_size=10), st.integers(0, 1000))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | LONG,
    lambda children: st.lists(children, max_size=5) | st.dictionaries(LONG, children, max_size=5),
    max_leaves=10,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(LONG, JSON, max_size=20))
def test_no_input_is_larger_than_the_limit(value):
    found, is_cut = cut_input(value)
    text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    assert len(text.encode()) <= MAX_STEP_BYTES
    assert is_cut or found == value


@settings(max_examples=40)
@given(LONG | st.text(st.characters(codec=None), max_size=50).map(lambda text: text * 100))
def test_no_text_is_larger_than_the_limit(text):
    found, is_cut = for_step(text)
    assert len(found.encode()) <= MAX_STEP_BYTES
    assert is_cut or len(found) <= len(text)
