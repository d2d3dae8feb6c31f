"""Files and attachments of a query that are refused, each by name and before anything runs."""

import base64

import pytest

from shared.api.job_files import MAX_ATTACHED, MAX_PATH
from shared.store import keys
from shared.store.callers import callers
from shared.store.fleet import workers
from shared.store.jobs import operations
from shared.store.redis.client import async_client, sync_client
from tests.support.slot import run

PNG = b"\x89PNG\r\n\x1a\n of a test"
UNKNOWN = "019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1"
DATA = base64.b64encode(PNG).decode()


@pytest.fixture
async def client(connect, tmp_path):
    return await connect(FILES_URL=f"file:{tmp_path / 'files'}")


async def submit(client, **fields):
    return await client.post("/api/query", json={"query": "q", **fields})


PATHS = [
    "", "/etc/passwd", "../x", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/", "a\0b", "a\nb", ".", "..", "\x7f",
    "n" * 256, "ä" * 128, "/".join(["n" * 200] * 6), "a" + "/a" * (MAX_PATH // 2),
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
async def test_a_wrong_path_is_refused(client, path):
    answer = await submit(client, files=[{"path": "good", "text": ""}, {"path": path, "text": "x"}])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert answer.json()["errors"][0]["pointer"] == "/files/1/path"


@pytest.mark.parametrize("path", ["n" * 255, "a\\b", "-rf", "~", "C:x", " ", "...", ".hidden", "\u202e"])
async def test_a_strange_path_below_the_directory_is_taken(client, path):
    assert (await submit(client, files=[{"path": path, "text": "x"}])).status_code == 202


FILES = [
    ([{"path": "a"}], "/files/0"),
    ([{"path": "a", "text": "x", "data": DATA}], "/files/0"),
    ([{"path": "a", "fileId": UNKNOWN, "text": ""}], "/files/0"),
    ([{"path": "a", "data": "not base64"}], "/files/0/data"),
    ([{"path": "a", "data": "QQ"}], "/files/0/data"),
    ([{"path": "a", "data": "QQ==\n"}], "/files/0/data"),
    ([{"path": "a", "data": "ä"}], "/files/0/data"),
    ([{"path": "a", "fileId": "x"}], "/files/0/fileId"),
    ([{"path": "a", "fileId": UNKNOWN.upper()}], "/files/0/fileId"),
    ([{"path": "a", "fileId": UNKNOWN}], "/files/0/fileId"),
    ([{"path": "a", "text": "x", "mode": 511}], "/files/0/mode"),
    ([{"path": "a", "text": 1}], "/files/0/text"),
    ([{"path": "a", "text": "x"}] * 2, "/files"),
    ([{"path": "a", "text": "x"}, {"path": "a/b", "text": "x"}], "/files"),
    ([{"path": "a/b/c", "text": "x"}, {"path": "a/b", "text": "x"}], "/files"),
    ([{"path": f"f{number}", "text": ""} for number in range(101)], "/files"),
    ({"path": "a"}, "/files"),
    ("a", "/files"),
    ([None], "/files/0"),
]


@pytest.mark.parametrize(("files", "pointer"), FILES, ids=range(len(FILES)))
async def test_a_wrong_file_is_refused(client, files, pointer):
    answer = await submit(client, files=files)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


ATTACHMENTS = [
    ([{}], "/attachments/0"),
    ([{"mediaType": "image/png"}], "/attachments/0"),
    ([{"data": DATA}], "/attachments/0"),
    ([{"fileId": UNKNOWN, "mediaType": "image/png"}], "/attachments/0"),
    ([{"mediaType": "image/svg+xml", "data": DATA}], "/attachments/0/mediaType"),
    ([{"mediaType": "image/jpeg", "data": DATA}], "/attachments/0"),
    ([{"mediaType": "image/png", "data": ""}], "/attachments/0"),
    ([{"mediaType": "image/png", "data": "x"}], "/attachments/0/data"),
    ([{"mediaType": "image/png", "data": DATA}] * 21, "/attachments"),
    ([{"fileId": UNKNOWN}], "/attachments/0/fileId"),
    ([{"mediaType": "image/png", "data": DATA}, {"fileId": UNKNOWN}], "/attachments/1/fileId"),
]


@pytest.mark.parametrize(("attachments", "pointer"), ATTACHMENTS, ids=range(len(ATTACHMENTS)))
async def test_a_wrong_attachment_is_refused(client, attachments, pointer):
    answer = await submit(client, attachments=attachments, files=[{"path": "a", "text": "x"}])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


async def put(client, content, **options):
    return (await client.post("/api/files", content=content, **options)).json()["fileId"]


async def test_a_file_of_another_type_is_not_attached(client):
    """Catches an attachment that is checked by its declared type."""
    file_id = await put(client, b"<svg/>", headers={"Content-Type": "image/png"})
    answer = await submit(client, attachments=[{"fileId": file_id}])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/attachments/0/fileId")
    assert "image/png" in answer.json()["detail"]


async def test_attachments_are_bounded_together(client):
    half = await put(client, PNG.ljust(MAX_ATTACHED // 2))
    more = await put(client, PNG.ljust(MAX_ATTACHED // 2 + 1))
    assert (await submit(client, attachments=[{"fileId": half}] * 2)).status_code == 202
    answer = await submit(client, attachments=[{"fileId": half}, {"fileId": more}])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/attachments")
    assert str(MAX_ATTACHED) in answer.json()["detail"]


async def test_another_callers_file_cannot_be_named(connect, tmp_path, server):
    client = await connect(FILES_URL=f"file:{tmp_path}", AUTH_ENABLED="true")
    first, second = [(await callers.create(async_client(server.url), name)).key for name in ("a", "b")]
    file_id = await put(client, PNG, headers={"X-API-Key": first})
    client.headers["X-API-Key"] = second
    for fields in ({"attachments": [{"fileId": file_id}]}, {"files": [{"path": "a", "fileId": file_id}]}):
        answer = await submit(client, **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_files_need_a_sandbox_and_attachments_do_not(client, server):
    workers.announce(sync_client(server.url), workers.Worker("worker", None, "api_key", 1, "unavailable"))
    answer = await submit(client, files=[{"path": "a", "text": "x"}])
    assert (answer.status_code, answer.json()["code"]) == (422, "sandbox_unavailable")
    assert (await submit(client, attachments=[{"mediaType": "image/png", "data": DATA}])).status_code == 202


async def test_a_submission_with_files_is_one_round_trip(client, round_trips):
    file_id = await put(client, PNG)
    await submit(client, query="warm", attachments=[{"fileId": file_id}])
    round_trips.clear()
    fields = {"attachments": [{"fileId": file_id}], "files": [{"path": "a", "fileId": file_id}]}
    assert (await submit(client, **fields)).status_code == 202
    assert len(round_trips) == 1


async def test_a_job_that_is_retried_keeps_its_files(client, server, store):
    """Catches a file that forgot a job after its end, and whose bytes are removed while the job runs again."""
    file_id = await put(client, PNG)
    fields = {"attachments": [{"fileId": file_id}], "files": [{"path": "a", "text": '"fileId"'}]}
    job = (await submit(client, **fields)).json()["jobId"]
    await client.delete(f"/api/query/{job}")
    store.delete(f"{keys.file(file_id)}:jobs")
    assert await operations.retry(async_client(server.url), job) == "waiting"
    assert (await client.delete(f"/api/files/{file_id}")).status_code == 204
    assert store.hget(keys.file(file_id), "state") == "deleted"
    await client.delete(f"/api/query/{job}")
    assert await operations.retry(async_client(server.url), job) == "waiting"


async def test_a_file_remembers_only_jobs_that_have_not_ended(client, server, store):
    """Catches a file of many jobs whose list of them grows for ever."""
    file_id = await put(client, PNG)
    for number in range(120):
        answer = await submit(client, query=f"q{number}", attachments=[{"fileId": file_id}])
        assert answer.status_code == 202
        await run(server.url)
    assert store.scard(f"{keys.file(file_id)}:jobs") < 100
