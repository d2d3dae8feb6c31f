"""The steps of a run: in order with the text, bounded, resumable, and gone with the job."""

import json

import pytest

from shared.api.steps import MAX_STEP_BYTES
from tests.support.scripted_model import Disconnect, Text, ToolUse
from tests.support.streams import Stream
from tests.support.waiting import until

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def variables():
    return {
        "CLAUDE_TOOLS": "Bash,Read",
        "CLAUDE_MAX_RETRIES": "2",
        "CACHE_TTL": "0",
        "ADMIN_ENABLED": "true",
        "ADMIN_PASSWORD": PASSWORD,
    }


PASSWORD = "twelve characters"


def bash(command, **more):
    return ToolUse("Bash", {"command": command, **more})


def steps_of(gateway, job, **query):
    answer = gateway.client.get(f"/api/query/{job}/steps", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_steps_are_in_order_with_the_text(gateway, model):
    """Catches a step that is published before the text that the model wrote first, and a step without its end."""
    model.script([Text("Let me look. "), bash("echo found")], [Text("Again. "), bash("exit 3")], Text("Done."))
    job = gateway.submit("look", tools=["Bash"])
    stream = Stream(gateway.client, job).to_the_end()
    seen = [(one.kind, json.loads(one.data)) for one in stream.events if one.kind in {"delta", "step"}]
    shown = [data["text"] if kind == "delta" else (data["tool"], data["status"]) for kind, data in seen]
    started, completed, failed = ("Bash", "started"), ("Bash", "completed"), ("Bash", "failed")
    assert shown == ["Let me look. ", started, completed, "Again. ", started, failed, "Done."]
    first, second = steps_of(gateway, job)["steps"]
    assert first == seen[2][1]
    assert (first["input"], first["output"], first["truncated"]) == ({"command": "echo found"}, "found", False)
    assert (first["kind"], first["parentId"], second["status"]) == ("tool", None, "failed")
    assert 0 <= first["durationMs"] < 20_000
    assert gateway.job(job)["steps"] == 2
    assert json.loads(stream.events[-1].data)["steps"] == 2


def test_a_denied_call_is_a_step_of_its_own_status(gateway, model):
    model.script(ToolUse("Read", {"file_path": "/etc/passwd"}), Text("no"))
    job = gateway.submit("read", tools=["Read"])
    gateway.finished(job)
    [step] = steps_of(gateway, job)["steps"]
    assert step["status"] == "denied"


@pytest.mark.slow
@pytest.mark.long
def test_a_step_is_cut_to_its_size_at_a_character(gateway, model):
    """Catches an output cut within a character, and an input that is no object any more."""
    model.script(bash("echo start; yes é | head -c 9000", description="é" * 5000), Text("done"))
    job = gateway.submit("much", tools=["Bash"])
    gateway.finished(job)
    [step] = steps_of(gateway, job)["steps"]
    assert step["truncated"]
    assert MAX_STEP_BYTES - 4 <= len(step["output"].encode()) <= MAX_STEP_BYTES
    assert step["output"].startswith("start\né")
    assert len(json.dumps(step["input"], ensure_ascii=False).encode()) <= MAX_STEP_BYTES
    assert step["input"]["command"].startswith("echo start")
    assert step["input"]["description"].strip("é") == ""


@pytest.fixture(scope="module")
def five(gateway, model):
    """A job with five steps."""
    model.script(*[bash(f"echo {number}") for number in range(5)], Text("done"))
    return gateway.ask("five", tools=["Bash"])["jobId"]


def test_a_stream_of_steps_resumes_after_any_event(gateway, five):
    whole = Stream(gateway.client, five).to_the_end()
    assert sum(one.kind == "step" for one in whole.events) == 10
    for place, event in enumerate(whole.events[:-1]):
        rest = Stream(gateway.client, five, last=event.id).to_the_end()
        assert [one.id for one in rest.events] == [one.id for one in whole.events[place + 1 :]]


def test_the_list_has_pages(gateway, five):
    outputs, cursor = [], None
    while True:
        page = steps_of(gateway, five, limit=2, **({"cursor": cursor} if cursor else {}))
        outputs += [one["output"] for one in page["steps"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert outputs == ["0", "1", "2", "3", "4"]
    assert steps_of(gateway, five, cursor="9999") == {"steps": [], "nextCursor": None}


WRONG = [
    "limit=0", "limit=101", "limit=x", "limit=1e3", "cursor=x", "cursor=-1", "cursor=12345", "cursor=%00",
    "cursor=%F0%9F%98%80", "unknown=1",
]  # fmt: skip


def test_a_wrong_page_is_refused(gateway, five):
    found = {query: gateway.client.get(f"/api/query/{five}/steps?{query}").status_code for query in WRONG}
    assert found == dict.fromkeys(WRONG, 422)


def test_a_second_attempt_adds_its_steps(gateway, model):
    """Catches steps of the first attempt that disappear, although what they did has happened."""
    model.script(bash("echo first"), Disconnect(3), bash("echo second"), Text("done"))
    job = gateway.submit("twice", tools=["Bash"])
    stream = Stream(gateway.client, job).to_the_end()
    assert gateway.job(job)["attempts"] == 2, gateway.job(job)
    assert [one["output"] for one in steps_of(gateway, job)["steps"]] == ["first", "second"]
    kinds = [one.kind for one in stream.events if one.kind in {"step", "reset"}]
    assert kinds == ["step", "step", "reset", "step", "step"]


@pytest.mark.slow
@pytest.mark.long
def test_a_step_that_its_run_left_open_has_failed(gateway, model):
    """Catches a step that seems to run in a job that has ended."""
    model.script(bash("echo go; sleep 60"))
    job = gateway.submit("cancel", tools=["Bash"])
    until(lambda: gateway.job(job)["steps"] == 1)
    assert [one["status"] for one in steps_of(gateway, job)["steps"]] == ["started"]
    gateway.client.delete(f"/api/query/{job}").raise_for_status()
    assert [one["status"] for one in steps_of(gateway, job)["steps"]] == ["failed"]


@pytest.mark.slow
@pytest.mark.long
def test_operators_see_the_steps_and_delete_them_with_the_job(gateway, model):
    model.script(bash("echo secret-of-the-run"), Text("done"))
    job = gateway.submit("delete", tools=["Bash"])
    gateway.finished(job)
    operator = {"auth": ("admin", PASSWORD)}
    seen = gateway.client.get(f"/admin/api/jobs/{job}/steps", **operator).json()
    assert [one["output"] for one in seen["steps"]] == ["secret-of-the-run"]
    gateway.client.delete(f"/admin/api/jobs/{job}", **operator).raise_for_status()
    assert gateway.client.get(f"/api/query/{job}/steps").status_code == 404
    assert gateway.client.get(f"/admin/api/jobs/{job}/steps", **operator).status_code == 404
    assert not [line for line in gateway.log if "secret-of-the-run" in line]


@pytest.mark.slow
@pytest.mark.long
def test_the_answer_tool_is_no_step(gateway, model):
    model.script(ToolUse("StructuredOutput", {"n": 4}), Text("4"))
    job = gateway.submit("number", outputSchema={"type": "object", "properties": {"n": {"type": "integer"}}})
    assert gateway.finished(job)["result"]["structured"] == {"n": 4}
    assert steps_of(gateway, job) == {"steps": [], "nextCursor": None}
