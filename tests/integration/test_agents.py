"""Agents of AGENTS_DIR: allowed by name, with no more tools than the job, and with steps below their call."""

import json

import pytest

from tests.support.scripted_model import Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agents")
    (folder / "reviewer.md").write_text("---\ndescription: Reviews.\n---\nYou review with care.")
    (folder / "writer.md").write_text("---\ndescription: Writes.\ntools: Write\n---\nYou write with care.")
    return {"CLAUDE_TOOLS": "Bash,Write", "AGENTS_DIR": str(folder), "CACHE_TTL": "0"}


def scripted(called, agent="reviewer"):
    """The model starts an agent, which calls a tool."""

    def reply(body):
        ended = "tool_result" in json.dumps(body["messages"])
        if "with care" in json.dumps(body["system"]):
            return Text("reviewed") if ended else called
        start = {"description": "review", "prompt": "Review it.", "subagent_type": agent}
        return Text("done") if ended else ToolUse("Agent", start)

    return reply


def steps_of(gateway, job):
    return gateway.client.get(f"/api/query/{job['jobId']}/steps").json()["steps"]


def test_the_steps_of_an_agent_have_its_call_as_parent(gateway, model):
    model.reply = scripted(ToolUse("Bash", {"command": "echo found"}))
    job = gateway.ask("review", tools=["Bash"], agents=["reviewer"])
    assert job["result"]["response"] == "done", job
    call, below = steps_of(gateway, job)
    assert (call["tool"], call["parentId"], call["status"]) == ("Agent", None, "completed")
    assert (below["tool"], below["parentId"], below["output"]) == ("Bash", call["id"], "found")


def test_an_agent_has_no_tool_that_the_job_does_not_have(gateway, model):
    """Catches an agent that widens what the request allows."""
    model.reply = scripted(ToolUse("Write", {"file_path": "/work/a", "content": "x"}), "writer")
    job = gateway.ask("write", tools=["Bash"], agents=["writer"])
    assert job["state"] == "completed", job
    assert [one["status"] for one in steps_of(gateway, job) if one["tool"] == "Write"] in ([], ["failed"])


def test_only_the_named_agents_are_offered(gateway, model):
    before = len(model.requests)
    model.reply = scripted(ToolUse("Bash", {"command": "true"}), "writer")
    job = gateway.ask("another", agents=["reviewer"])
    assert job["state"] == "completed", job
    requested = [json.dumps(one.body) for one in model.requests[before:]]
    assert "You write with care" not in "".join(requested)
    assert "Writes." not in requested[0]
    assert [one["status"] for one in steps_of(gateway, job)] == ["failed"]


@pytest.mark.parametrize("agents", [["nobody"], ["../reviewer"], [""], ["reviewer.md"], [7], "reviewer", {"a": "b"}])
def test_an_agent_that_is_no_file_is_refused(gateway, agents):
    answer = gateway.client.post("/api/query", json={"query": "q", "agents": agents})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
