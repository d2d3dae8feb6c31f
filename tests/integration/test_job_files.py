"""Files in the working directory of a run, and attachments that the model is shown: the whole way with the real CLI."""

import base64
import json

import httpx
import pytest

from tests.support.object_store import STORES, ObjectStore
from tests.support.scripted_model import Text, ToolUse

# The handlers are those of every job: `test_main_job`, `test_every_route`.
pytestmark = [pytest.mark.once, pytest.mark.slow]

# One pixel: the CLI leaves out an image that it cannot read.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.4 of a test"
HOOK = {"hooks": [{"type": "command", "command": "touch planted"}]}
PLANTED = json.dumps({"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}, "hooks": {"SessionStart": [HOOK]}})


@pytest.fixture(scope="module", params=STORES)
def variables(request):
    """A gateway whose files are in a directory, and one whose files are in S3."""
    common = {"CLAUDE_TOOLS": "Bash,Read", "DEDUP_ENABLED": "true"}
    if request.param == "directory":
        yield common
        return
    with ObjectStore() as s3:
        yield {**common, **s3.variables}


def b64(content):
    return base64.b64encode(content).decode()


def upload(gateway, content, name="a.bin"):
    answer = gateway.client.post("/api/files", params={"name": name}, content=content)
    assert answer.status_code == 201, answer.text
    return answer.json()["fileId"]


def tool_results(model):
    """Return the text of the last request's tool results."""
    found = []
    for message in model.requests[-1].body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else []
        found += [json.dumps(block.get("content")) for block in blocks if block["type"] == "tool_result"]
    return "\n".join(found)


def test_a_run_reads_its_files_at_their_paths(gateway, model):
    """Catches files that come late, at another path, or with other bytes, and ones of another run."""
    file_id = upload(gateway, b"of the store\n")
    model.script(
        ToolUse("Bash", {"command": "cat a/b/stored inline 'ä b' && wc -c < binary && ls -A . a; env | grep -c AWS_"}),
        Text("read"),
    )
    files = [
        {"path": "a/b/stored", "fileId": file_id},
        {"path": "inline", "text": "of the request ä\n"},
        {"path": "ä b", "text": ""},
        {"path": "binary", "data": b64(bytes(range(256)))},
        {"path": ".claude/settings.json", "text": PLANTED},
    ]
    job = gateway.ask("read them", tools=["Bash"], files=files)
    assert job["state"] == "completed", job
    seen = tool_results(model)
    assert "of the store" in seen
    assert "of the request ä" in json.loads(f'"{seen[1:-1]}"') or "of the request" in seen
    assert "256" in seen
    assert "planted" not in seen
    job = gateway.ask("and now?", tools=["Bash"])
    assert job["state"] == "completed"


def test_the_model_is_shown_attachments_before_the_query(gateway, model):
    attachments = [{"fileId": upload(gateway, PNG)}, {"mediaType": "application/pdf", "data": b64(PDF)}]
    job = gateway.ask("what is shown?", attachments=attachments, context={"a": 1})
    assert job["state"] == "completed", job
    [message] = [one for one in model.requests[-1].body["messages"] if one["role"] == "user"][:1]
    context, *blocks = message["content"]
    assert context["text"].startswith("Data that the application supplies")
    # The CLI adds nothing, such as where it has copied the image.
    assert [block["type"] for block in blocks] == ["image", "document", "text"]
    assert blocks[2]["text"] == "what is shown?"
    assert [block["source"] for block in blocks[:2]] == [
        {"type": "base64", "media_type": "image/png", "data": b64(PNG)},
        {"type": "base64", "media_type": "application/pdf", "data": b64(PDF)},
    ]


@pytest.mark.slow
def test_a_deleted_file_stays_for_the_jobs_that_have_it(gateway, model):
    """Catches a job that fails because its caller deletes a file after the submission."""
    file_id = upload(gateway, b"deleted\n")
    gateway.client.delete(f"/api/files/{file_id}").raise_for_status()
    answer = gateway.client.post("/api/query", json={"query": "q", "files": [{"path": "a", "fileId": file_id}]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/files/0/fileId")
    file_id = upload(gateway, b"deleted later\n")
    job_ids = []
    for number in range(4):  # more than slots, so that some of them wait
        model.script(ToolUse("Bash", {"command": "cat a"}), Text("read"))
        fields = {"tools": ["Bash"], "files": [{"path": "a", "fileId": file_id}]}
        job_ids.append(gateway.submit(f"q{number}", **fields))
    gateway.client.delete(f"/api/files/{file_id}").raise_for_status()
    assert gateway.client.get(f"/api/files/{file_id}").status_code == 404
    assert [gateway.finished(job_id)["state"] for job_id in job_ids] == ["completed"] * 4


@pytest.mark.slow
def test_equal_contents_are_one_answer_whatever_their_ids(gateway, model):
    first, second, other = upload(gateway, PNG), upload(gateway, PNG, "b"), upload(gateway, PNG + b"!")
    job = gateway.ask("cached?", attachments=[{"fileId": first}])
    for attachment in ({"fileId": second}, {"mediaType": "image/png", "data": b64(PNG)}):
        answer = gateway.client.post("/api/query", json={"query": "cached?", "attachments": [attachment]})
        assert (answer.status_code, answer.json()["jobId"]) == (200, job["jobId"]), answer.text
    answer = gateway.client.post("/api/query", json={"query": "cached?", "attachments": [{"fileId": other}]})
    assert answer.json()["status"] == "queued"
    gateway.finished(answer.json()["jobId"])


@pytest.mark.slow
def test_a_batch_has_files_of_its_own(gateway, model):
    file_id = upload(gateway, PNG)
    queries = [{"query": f"q{number}", "attachments": [{"fileId": file_id}]} for number in range(3)]
    batch = gateway.client.post("/api/batches", json={"queries": queries})
    assert batch.status_code == 202, batch.text
    place = batch.headers["location"]
    gateway.until(lambda: gateway.client.get(place).json(), lambda one: one["state"] == "ended")
    lines = gateway.client.get(f"{place}/results").text.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["completed"] * 3
    queries[1]["attachments"] = [{"fileId": "019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1"}]
    refused = gateway.client.post("/api/batches", json={"queries": queries})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/queries/1/attachments/0/fileId")


@pytest.mark.slow
@pytest.mark.long
def test_a_presigned_upload_can_be_used_before_it_is_read(gateway, model):
    answer = gateway.client.post("/api/files?upload=presigned", json={"name": "a.png", "size": len(PNG)})
    if answer.status_code == 422:
        pytest.skip("a directory cannot presign")
    file, upload = answer.json(), answer.json()["upload"]
    failed = gateway.ask("before", attachments=[{"fileId": file["fileId"]}])
    assert (failed["state"], failed["error"]["code"]) == ("failed", "workspace_failed")
    httpx.put(upload["url"], content=PNG, headers=upload["headers"]).raise_for_status()
    job = gateway.ask("after", attachments=[{"fileId": file["fileId"]}])
    assert job["state"] == "completed", job
    assert gateway.client.get(f"/api/files/{file['fileId']}").json()["sha256"] is not None


def test_no_log_line_has_a_path_or_a_secret_of_the_store(gateway):
    text = "".join(gateway.log)
    assert "secret-of-the-store" not in text
    assert "Traceback" not in text
