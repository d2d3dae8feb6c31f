"""Where calls are decided, and who may: keys, operators, one-use URLs, and tools that always need a decision."""

import html
import json
import re
import sys

import pytest

from tests.integration.test_decisions import after, ask, bash, decide, paused, results
from tests.support.mcp_run import QUICK
from tests.support.receiver import Receiver
from tests.support.scripted_model import Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture(scope="module")
def variables(tmp_path_factory, server):
    config = tmp_path_factory.mktemp("mcp") / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"shop": {"command": sys.executable, "args": ["-S", str(QUICK)]}}}))
    return {
        "CLAUDE_TOOLS": "Bash,Read,Write", "CLAUDE_MAX_RETRIES": "1", "MCP_ENABLED": "true", "MCP_CONFIG": str(config),
        "ALWAYS_ASK_TOOLS": "Write", "PUBLIC_URL": "http://127.0.0.1:9", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "REDIS_URL": server.url, "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": "a-password-of-the-admin",
    }  # fmt: skip


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as receiver:
        yield receiver


def test_a_webhook_has_a_url_that_decides_once(gateway, model, receiver):
    """Catches a URL that decides at a GET, that works twice, or a page on which the call becomes markup."""
    command = "echo '<script>alert(1)</script>'"
    job = ask(gateway, model, bash(command), Text("done"), webhookUrl=receiver.url, metadata={"a": "b"})
    [hook] = gateway.until(lambda: [one for one in receiver.hooks if job["jobId"] in one.body], bool)
    event = hook.event
    assert event["type"] == "query.action_required"
    assert (event["data"]["pending"], event["data"]["metadata"]) == (job["pending"], {"a": "b"})
    assert "decisionUrl" not in job
    path = event["decisionUrl"].removeprefix("http://127.0.0.1:9")
    page = gateway.client.get(path)
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert html.escape("<script>alert(1)</script>") in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert gateway.client.get(path).status_code == 200, "reading it changes nothing"
    assert gateway.client.post(path, data={"decision": "perhaps"}).status_code == 422
    assert gateway.client.post(path[:-1] + "_", data={"decision": "allow"}).status_code == 404
    assert gateway.client.post(path, json={"decision": "allow"}).status_code == 415
    assert gateway.client.post(path, data={"decision": "deny", "message": "by URL"}).status_code == 200
    assert gateway.client.post(path, data={"decision": "allow"}).status_code == 404
    assert gateway.client.get(path).status_code == 404
    assert gateway.finished(job["jobId"])["state"] == "completed"
    assert "by URL" in results(model)[0]["content"]
    types = gateway.until(
        lambda: [one.event["type"] for one in receiver.hooks if job["jobId"] in one.body], lambda found: len(found) > 1
    )
    assert types == ["query.action_required", "query.completed"]
    again = gateway.client.post(f"/api/query/{job['jobId']}/redeliver")
    assert again.json()["requestIds"] == [job["requestId"]], "only the end is sent again"


def test_the_page_answers_the_questions_of_the_model(gateway, model, receiver):
    options = [{"label": "<b>Red", "description": "r"}, {"label": "Blue", "description": "b"}]
    questions = [
        {"question": "Which color?", "header": "Color", "multiSelect": False, "options": options},
        {"question": "Which ones?", "header": "Ones", "multiSelect": True, "options": options},
    ]
    call = ToolUse("AskUserQuestion", {"questions": questions})
    job = ask(gateway, model, call, Text("done"), tools=[], approval={}, webhookUrl=receiver.url)
    [hook] = gateway.until(lambda: [one for one in receiver.hooks if job["jobId"] in one.body], bool)
    path = hook.event["decisionUrl"].removeprefix("http://127.0.0.1:9")
    assert re.findall(r'value="([^"]*)">', gateway.client.get(path).text)[:2] == ["&lt;b&gt;Red", "Blue"]
    assert gateway.client.post(path, data={"decision": "allow"}).status_code == 422
    form = {"decision": "allow", "answer-0": "Blue", "other-0": "", "answer-1": ["<b>Red", "Blue"], "other-1": "Pink"}
    assert gateway.client.post(path, data=form).status_code == 200
    assert gateway.finished(job["jobId"])["state"] == "completed"
    shown = results(model)[0]["content"]
    assert '"Which color?"="Blue"' in shown
    assert '"Which ones?"="<b>Red, Blue, Pink"' in shown


def test_a_call_of_an_mcp_tool_waits(gateway, model):
    """Catches a server that the resumed run reaches without the decision, or never."""
    call = ToolUse("mcp__shop__echo", {"text": "one"})
    fields = {"tools": [], "mcpServers": ["shop"], "approval": {"tools": ["mcp__*"]}}
    job = ask(gateway, model, call, call, Text("done"), **fields)
    assert job["pending"]["tool"] == "mcp__shop__echo"
    decide(gateway, job, decision="allow", updatedInput={"text": "two"})
    job = after(gateway, job)
    assert "two" in json.dumps(results(model)[0]["content"])
    decide(gateway, job, decision="deny", message="enough")
    job = after(gateway, job)
    assert job["state"] == "completed", job
    assert "enough" in json.dumps(results(model)[1]["content"])


def test_a_tool_of_the_operator_always_waits(gateway, model):
    job = ask(gateway, model, ToolUse("Write", {"file_path": "w", "content": "x"}), Text("done"),
              tools=["Write"], approval=None)  # fmt: skip
    assert job["pending"]["tool"] == "Write"
    admin = ("admin", "a-password-of-the-admin")
    place = f"/admin/api/jobs/{job['jobId']}/decisions/{job['pending']['id']}"
    answer = gateway.client.post(place, json={"decision": "allow"}, auth=admin)
    assert answer.status_code == 200, answer.text
    assert gateway.client.post(place, json={"decision": "allow"}, auth=admin).status_code == 409
    assert gateway.client.post(place, json={"decision": "allow"}).status_code == 401
    assert gateway.finished(job["jobId"])["state"] == "completed"
    entries = gateway.client.get("/admin/api/audit", auth=admin).json()["entries"]
    assert entries[0]["action"] == "decide"
    assert "w" not in entries[0]["details"]


def test_a_decision_in_the_audit_list_has_neither_call_nor_message(gateway, model):
    job = ask(gateway, model, bash("echo sesame"), Text("done"))
    decide(gateway, job, decision="deny", message="opensesame")
    gateway.finished(job["jobId"])
    entries = gateway.client.get("/admin/api/audit", auth=("admin", "a-password-of-the-admin")).json()["entries"]
    assert entries[0]["details"]["job_id"] == job["jobId"]
    assert "sesame" not in json.dumps(entries)


def test_the_clock_stands_while_a_job_is_paused(gateway, model, store):
    """Catches a pause that counts against timeoutMs: an hour of it, by the job's record."""
    job = ask(gateway, model, bash("echo x"), Text("done"))
    listed = gateway.client.get("/api/query?state=paused").json()["jobs"]
    assert [one["pending"] for one in listed if one["jobId"] == job["jobId"]] == [job["pending"]]
    for moment in ("started", "stopped"):
        store.hincrby(f"cg:job:{job['jobId']}", moment, -3_600_000)
    decide(gateway, job, decision="allow")
    ended = gateway.finished(job["jobId"])
    assert ended["state"] == "completed", ended


@pytest.mark.long
def test_the_events_of_a_pause_can_be_resumed(gateway, model):
    job = ask(gateway, model, bash("echo x"), Text("done"))
    decide(gateway, job, decision="allow")
    gateway.finished(job["jobId"])
    stream = gateway.client.get(f"/api/query/{job['jobId']}/events").text
    names = re.findall(r"^event: (.*)$", stream, re.MULTILINE)
    assert names.count("action_required") == 1
    assert "reset" not in names
    [line] = [part for part in stream.split("\n\n") if "event: action_required" in part]
    assert json.loads(line.split("data: ")[1].split("\n")[0]) == job["pending"]


def test_a_session_goes_on_after_a_turn_that_was_paused(gateway, model):
    """Catches a kept session that lacks what came before the pause, and files that a pause loses."""
    job = ask(gateway, model, bash("echo one > a"), Text("first"), session=True)
    decide(gateway, job, decision="allow")
    session = gateway.finished(job["jobId"])["result"]["sessionId"]
    job = ask(gateway, model, bash("cat a"), Text("second"), sessionId=session)
    decide(gateway, job, decision="allow")
    assert gateway.finished(job["jobId"])["result"]["sessionId"] == session
    assert [one["content"].strip() for one in results(model)][-1] == "one"
    assert len(results(model)) == 2
    after_it = ask(gateway, model, bash("echo no"), Text("third"), sessionId=session, fork=True)
    decide(gateway, after_it, decision="deny")
    assert gateway.finished(after_it["jobId"])["state"] == "completed"
    assert len(results(model)) == 3


@pytest.mark.long
def test_the_patch_of_a_paused_job_is_against_its_beginning(gateway, model):
    files = [{"path": "a.txt", "text": "one\n"}]
    job = ask(gateway, model, bash("echo two >> a.txt"), bash("echo three >> a.txt"), Text("done"), files=files)
    decide(gateway, job, decision="allow")
    job = after(gateway, job)
    decide(gateway, job, decision="allow")
    ended = gateway.finished(job["jobId"])
    assert ended["result"]["patch"]["insertions"] == 2, ended


@pytest.mark.long
def test_turns_and_usage_count_over_the_pauses(gateway, model):
    job = ask(gateway, model, bash("echo x"), bash("echo y"), maxTurns=2)
    decide(gateway, job, decision="allow")
    job = after(gateway, job)
    decide(gateway, job, decision="allow")
    ended = after(gateway, job)
    assert ended["error"]["code"] == "max_turns", ended


@pytest.mark.parametrize(
    "approval",
    [
        {"tools": "Bash"}, {"tools": ["B ash"]}, {"tools": [""]}, {"tools": ["x" * 201]}, {"tools": ["A"] * 101},
        {"timeoutMs": 999}, {"timeoutMs": 604_800_001}, {"timeoutMs": True}, {"onTimeout": "allow"}, {"more": 1}, [],
        {"tools": ["(a+)+$"]}, {"tools": [None]},
    ],
)  # fmt: skip
def test_an_approval_that_is_not_valid_is_refused(gateway, approval):
    answer = gateway.client.post("/api/query", json={"query": "x", "approval": approval})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("/approval")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"decision": "maybe"}, {"decision": "allow", "message": 1}, {"decision": "deny", "message": "x" * 4001},
        {"decision": "allow", "updatedInput": "ls"}, {"decision": "allow", "updatedInput": {"a": "x" * 70_000}},
        {"decision": "allow", "answers": {"a": "b"}}, {"decision": "allow", "by": "me"},
        {"decision": "allow", "updatedInput": {}}, {"decision": "allow", "updatedInput": {"a": [float("inf")]}},
    ],
)  # fmt: skip
def test_a_decision_that_is_not_valid_is_refused(gateway, model, body, waiting_job):
    place = f"/api/query/{waiting_job['jobId']}/decisions/{waiting_job['pending']['id']}"
    text = json.dumps(body).replace("Infinity", "1e999")
    answer = gateway.client.post(place, content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert gateway.job(waiting_job["jobId"])["state"] == "paused"


@pytest.fixture(scope="module")
def waiting_job(gateway, model):
    job = ask(gateway, model, bash("echo x"))
    yield job
    gateway.client.delete(f"/api/query/{job['jobId']}")


def test_an_input_that_nobody_could_read_is_denied(gateway, model):
    model.script(bash("echo " + "x" * 70_000), Text("done"))
    ended = gateway.finished(gateway.submit("large", tools=["Bash"], approval={"tools": ["Bash"]}))
    assert ended["state"] == "completed", ended
    assert "larger than 65536 bytes" in results(model)[0]["content"]


@pytest.mark.long
def test_a_call_that_needs_none_runs_without_a_pause(gateway, model):
    model.script(bash("echo x"), Text("done"))
    job_id = gateway.submit("free", tools=["Bash"], approval={"tools": ["mcp__*"]})
    assert paused(gateway, job_id)["state"] == "completed"
