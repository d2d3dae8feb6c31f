"""The reaper: no crash leaves a record without bytes, or bytes without a record, for longer than an hour."""

import os
import re
import time

import httpx
import pytest

from functions.files import service as functions_service
from functions.worker.jobs.reaper import reap, sweep
from shared.configuration.settings import FilesSettings, load
from shared.files import objects as module
from shared.files import storing
from shared.files.objects import Objects, objects
from shared.services import files as service
from shared.store import keys
from shared.store.callers import callers
from shared.store.files import downloads, files
from shared.store.redis.client import async_client
from tests.support.gateway import ROOT
from tests.support.object_store import ObjectStore

HOUR = 3600.0


@pytest.fixture(scope="module")
def s3():
    with ObjectStore() as s3:
        yield s3


@pytest.fixture(params=["directory", "s3"])
async def stored(request, connect, s3, tmp_path, monkeypatch):
    """Return a client of the API, its Redis and its object store."""
    s3.empty()
    variables = {"FILES_URL": f"file:{tmp_path / 'files'}"} if request.param == "directory" else s3.variables
    for name in s3.variables:
        monkeypatch.delenv(name, raising=False)
    client = await connect(**variables)
    settings = load(FilesSettings)
    return client, async_client(settings.redis_address), objects(settings)


async def every(where):
    return [path async for group in where.every("") for path, _ in group]


async def paths(redis, where):
    prefix = await redis.get(keys.DEPLOYMENT)
    return [] if prefix is None else [path async for group in where.every(f"{prefix}/files") for path, _ in group]


async def put(client, content=b"content", name="a.txt"):
    answer = await client.post(f"/api/files?name={name}", content=content)
    assert answer.status_code == 201, answer.text
    return answer.json()["fileId"]


async def make_due(redis, file_id):
    """Let the time of a file's lease, or of the file, be over."""
    assert await redis.zadd(keys.FILES_DUE, {file_id: 1}, xx=True, ch=True)


async def test_a_killed_upload_is_removed_when_its_lease_ends(stored, monkeypatch):
    """Catches bytes, a record or quota that an API process leaves when it is killed after the last byte."""
    client, redis, where = stored

    class Killed(BaseException):
        pass

    async def killed(*_, **__):
        raise Killed

    monkeypatch.setattr(files, "finish", killed)
    with pytest.raises(Killed):
        await client.post("/api/files", content=b"content")
    [(file_id, due)] = await redis.zrange(keys.FILES_DUE, 0, -1, withscores=True)
    assert due / 1000 - time.time() < HOUR
    assert len(await paths(redis, where)) == 1
    await reap(redis, where)
    assert len(await paths(redis, where)) == 1, "its lease has not ended"
    await make_due(redis, file_id)
    await reap(redis, where)
    assert await paths(redis, where) == []
    assert not await redis.exists(keys.FILE_BYTES)
    assert not await redis.exists(keys.file(file_id))


async def test_a_deletion_that_is_killed_is_finished(stored, monkeypatch):
    client, redis, where = stored
    file_id = await put(client)

    async def fails(*_):
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "remove", fails)
        assert (await client.delete(f"/api/files/{file_id}")).status_code == 204
        assert (await client.get(f"/api/files/{file_id}")).status_code == 404
    assert len(await paths(redis, where)) == 1
    await reap(redis, where)
    assert await paths(redis, where) == []
    assert (await client.delete(f"/api/files/{file_id}")).status_code == 204
    assert not await redis.exists(keys.FILE_BYTES)


async def test_a_file_whose_time_is_over_is_not_found_and_then_removed(stored):
    client, redis, where = stored
    file_id = await put(client)
    await redis.hset(keys.file(file_id), "expires", 1)
    for path in ("", "/content"):
        assert (await client.get(f"/api/files/{file_id}{path}")).status_code == 404
    assert (await client.get("/api/files")).json()["files"] == []
    assert (
        await client.post("/api/query", json={"query": "q", "attachments": [{"fileId": file_id}]})
    ).status_code == 422
    await make_due(redis, file_id)
    await reap(redis, where)
    assert await paths(redis, where) == []
    assert not await redis.zcard(keys.FILES_DUE)


async def test_a_content_is_read_in_parts(stored, monkeypatch):
    """Catches a byte that is missing or doubled where one part ends and the next begins."""
    monkeypatch.setattr(module, "_READ", 10)
    monkeypatch.setattr(module, "_PIECE", 4)
    client, *_ = stored
    for size in (0, 1, 9, 10, 11, 35, 40):
        content = bytes(range(size))
        path = f"/api/files/{await put(client, content)}/content"
        assert (await client.get(path)).content == content
        part = await client.get(path, headers={"Range": "bytes=3-24"})
        assert part.content == (content[3:25] or part.content)


async def test_bytes_that_no_record_names_are_swept(stored, monkeypatch):
    """Catches bytes whose record Redis lost, and a sweep that removes the files of another deployment."""
    client, redis, where = stored
    kept, lost = await put(client), await put(client)
    await redis.delete(keys.file(lost))
    prefix = await redis.get(keys.DEPLOYMENT)

    async def feed(write):
        await write(b"x")

    await where.write("another-deployment/files/1", feed, "text/plain")
    await where.write(f"{prefix}/files/019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1.upload", feed, "text/plain")
    await sweep(redis, where)
    assert len(await paths(redis, where)) == 3, "young bytes may be of an upload in progress"
    monkeypatch.setattr(time, "time", lambda clock=time.time: clock() + HOUR)
    await sweep(redis, where)
    assert len(await paths(redis, where)) == 3, "one sweep of the fleet within 15 minutes"
    await redis.delete(keys.FILES_SWEPT)
    await sweep(redis, where)
    assert await paths(redis, where) == [f"{prefix}/files/{kept}"]
    assert await where.size("another-deployment/files/1") == 1


async def test_what_a_killed_process_left_of_an_upload_is_swept(connect, tmp_path, monkeypatch):
    client = await connect(FILES_URL=f"file:{tmp_path}")
    settings = load(FilesSettings)
    redis, where = async_client(settings.redis_address), objects(settings)
    await put(client)
    folder = tmp_path / await redis.get(keys.DEPLOYMENT) / "files"
    part = folder / "019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1#1"
    part.write_bytes(b"x")
    os.utime(part, (1, 1))
    await sweep(redis, where)
    assert not part.exists()
    assert len(list(folder.iterdir())) == 1


async def test_a_revoked_callers_files_are_removed(connect, tmp_path):
    client = await connect(FILES_URL=f"file:{tmp_path}", AUTH_ENABLED="true")
    settings = load(FilesSettings)
    redis, where = async_client(settings.redis_address), objects(settings)
    new = await callers.create(redis, "first")
    client.headers["X-API-Key"] = new.key
    await put(client)
    assert await callers.revoke(redis, new.id, keep_for=60)
    await reap(redis, where)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not await redis.exists(keys.FILE_BYTES)


async def test_a_key_revoked_during_an_upload_leaves_nothing(connect, tmp_path):
    client = await connect(FILES_URL=f"file:{tmp_path}", AUTH_ENABLED="true")
    redis = async_client(load(FilesSettings).redis_address)
    new = await callers.create(redis, "first")

    async def body():
        yield b"x"
        await callers.revoke(redis, new.id, keep_for=60)

    answer = await client.post("/api/files", content=body(), headers={"X-API-Key": new.key})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def presigned(client, content, **fields):
    announced = {"name": "a.png", "size": len(content), **fields}
    answer = await client.post("/api/files?upload=presigned", json=announced)
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert file["sha256"] is None
    return file


async def send(file, content):
    upload = file["upload"]
    async with httpx.AsyncClient() as direct:
        answer = await direct.request(upload["method"], upload["url"], content=content, headers=upload["headers"])
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def presigning(connect, s3):
    s3.empty()
    client = await connect(**s3.variables, MAX_CALLER_FILE_BYTES="100", MAX_FILE_BYTES="80")
    return client, async_client(load(FilesSettings).redis_address), objects(load(FilesSettings))


PNG = b"\x89PNG\r\n\x1a\n of a test"


async def test_a_presigned_upload_is_ready_when_it_is_read(presigning, s3):
    client, redis, _ = presigning
    file = await presigned(client, PNG)
    assert "secret-of-the-store" not in str(file)
    path = f"/api/files/{file['fileId']}"
    before = await client.get(path)
    assert (before.status_code, before.json()["sha256"]) == (200, None)
    early = await client.get(f"{path}/content")
    assert (early.status_code, early.json()["code"]) == (409, "not_finished")
    await send(file, PNG)
    ready = (await client.get(path)).json()
    assert ready["sha256"] is not None
    assert ready["mediaType"] == "image/png"
    await send(file, b"\x89PNG\r\n\x1a\n changed!!"[: len(PNG)].ljust(len(PNG)))
    assert (await client.get(f"{path}/content")).content == PNG, "a ready file never changes"
    assert (await client.delete(path)).status_code == 204
    assert [key for key in s3.keys if not key.endswith(".upload")] == []
    assert not await redis.exists(keys.FILE_BYTES)


async def test_a_presigned_upload_of_another_size_never_becomes_a_file(presigning):
    client, redis, where = presigning
    file = await presigned(client, PNG)
    await send(file, PNG + b"more")
    assert (await client.get(f"/api/files/{file['fileId']}")).json()["sha256"] is None
    for _ in range(2):
        await make_due(redis, file["fileId"])
        await reap(redis, where)
    assert (await client.get(f"/api/files/{file['fileId']}")).status_code == 404
    assert await paths(redis, where) == []


async def test_the_reaper_completes_a_presigned_upload(presigning):
    client, redis, where = presigning
    file = await presigned(client, PNG)
    await send(file, PNG)
    await make_due(redis, file["fileId"])
    await reap(redis, where)
    record = await redis.hgetall(keys.file(file["fileId"]))
    assert (record["state"], record["kind"]) == ("ready", "image/png")
    assert not await where.size(storing.awaited(record["at"]))


@pytest.mark.parametrize("is_expired", [False, True])
async def test_a_deleted_presigned_upload_stays_for_its_jobs(presigning, is_expired):
    """Catches a job that fails because nobody had read its presigned upload before it was deleted or expired."""
    client, redis, where = presigning
    file = await presigned(client, PNG)
    await send(file, PNG)
    job = await client.post("/api/query", json={"query": "x", "attachments": [{"fileId": file["fileId"]}]})
    assert job.status_code == 202, job.text
    if is_expired:
        await redis.hset(keys.file(file["fileId"]), "expires", 2)
    else:
        assert (await client.delete(f"/api/files/{file['fileId']}")).status_code == 204
    [record] = await files.of_job(redis, keys.ANONYMOUS, [file["fileId"]])
    assert record is not None
    found = await service.complete(redis, where, record)
    assert found is not None
    assert found.kind == "image/png"
    assert [piece async for piece in await where.read(found.path)] == [PNG]
    assert (await client.get(f"/api/files/{file['fileId']}")).status_code == 404
    await client.delete(f"/api/query/{job.json()['jobId']}")
    await make_due(redis, file["fileId"])
    await reap(redis, where)
    assert await paths(redis, where) == []
    assert not await redis.exists(keys.FILE_BYTES)


async def test_a_presigned_upload_outlasts_an_outage_of_the_bucket(presigning, monkeypatch):
    """Catches an upload that is taken for one that never came, because the bucket did not answer."""
    client, redis, where = presigning
    file = await presigned(client, PNG)
    await send(file, PNG)

    async def away(*_):
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "size", away)
        await make_due(redis, file["fileId"])
        with pytest.raises(OSError):  # noqa: PT011 -- that it is raised is the point
            await reap(redis, where)
    await make_due(redis, file["fileId"])
    await reap(redis, where)
    assert await redis.hget(keys.file(file["fileId"]), "state") == "ready"


@pytest.mark.parametrize(("fields", "status"), [
    ({"size": 81}, 413), ({"size": -1}, 422), ({"size": "1"}, 422), ({"size": 1.5}, 422), ({"name": "a/b"}, 422),
    ({"mediaType": "x"}, 422), ({"more": 1}, 422), ({"size": None}, 422), ({"name": None}, 422),
    ({"size": 10**30}, 413),
])  # fmt: skip
async def test_a_wrong_announcement_is_refused(presigning, store, fields, status):
    client, *_ = presigning
    answer = await client.post("/api/files?upload=presigned", json={"name": "a", "size": 1, **fields})
    assert answer.status_code == status, answer.text
    assert store.hgetall(keys.FILE_BYTES) == {}


async def test_an_announced_size_counts_in_the_quota(presigning):
    client, *_ = presigning
    await presigned(client, b"x" * 80)
    answer = await client.post("/api/files?upload=presigned", json={"name": "a", "size": 21})
    assert (answer.status_code, answer.json()["code"]) == (429, "caller_storage_full")


async def test_a_function_redirects_to_the_object_store(presigning, monkeypatch):
    client, *_ = presigning
    answer = await client.post("/api/files", content=PNG)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "files")
    content = await client.get(f"/api/files/{answer.json()['fileId']}/content")
    assert content.status_code == 302
    async with httpx.AsyncClient() as direct:
        found = await direct.get(content.headers["location"])
    assert (found.status_code, found.content) == (200, PNG)
    assert found.headers["content-disposition"] == "attachment"


@pytest.mark.parametrize(("kind", "size", "status"), [(PNG, 4_000_000, 200), (PNG, 4_000_001, 302),
                                                      (b"+", 1_000_000, 200), (b"+", 1_000_001, 302)])  # fmt: skip
async def test_a_function_answers_what_the_dashboard_shows(connect, s3, monkeypatch, kind, size, status):
    """Catches a preview that is redirected to S3: the page's policy allows no image of another host."""
    s3.empty()
    client = await connect(**s3.variables)
    redis = async_client(load(FilesSettings).redis_address)
    file_id = (await client.post("/api/files", content=kind.ljust(size, b"+"))).json()["fileId"]
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "files")
    token = await downloads.create(redis, keys.ANONYMOUS, file_id)
    answer = await client.get(f"/api/downloads/{token}")
    assert answer.status_code == status
    if status == 200:
        assert len(answer.content) == size


def test_the_dashboard_shows_what_a_function_answers():
    """Catches a button for a preview that would be redirected."""
    page = (ROOT / "functions/admin/static/outputs.js").read_text()
    limits = dict(re.findall(r"const LARGEST_(\w+) = ([\d_]+);", page))
    assert {name: int(limit) for name, limit in limits.items()} == {
        "IMAGE": functions_service._MOST_SHOWN,
        "PATCH": functions_service._MOST_TEXT_SHOWN,
    }


async def test_the_bucket_away_is_503_and_the_upload_can_be_repeated(presigning, monkeypatch):
    client, redis, _ = presigning

    async def away(*_, **__):
        raise OSError("connection refused to 10.0.0.1")

    with monkeypatch.context() as patch:
        patch.setattr(service, "store", away)
        answer = await client.post("/api/files", content=PNG)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "10.0.0.1" not in answer.text
    assert not await redis.exists(keys.FILE_BYTES)
    assert (await client.post("/api/files", content=PNG)).status_code == 201
