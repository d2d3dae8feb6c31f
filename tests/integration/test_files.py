"""Callers' files: uploaded, listed, read and deleted, with record and bytes in step."""

import asyncio
import hashlib
import json

import pytest

from shared.api.policies import Policy
from shared.store import keys
from shared.store.callers import callers
from shared.store.files import files
from shared.store.redis.client import async_client

TEXT = b"name,size\nfirst,1\n"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "files"


@pytest.fixture
async def client(connect, folder):
    return await connect(FILES_URL=f"file:{folder}", MAX_FILE_BYTES="100000", MAX_CALLER_FILE_BYTES="250000")


def bytes_in(folder):
    """Return all that the object store holds, also what an upload has left."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


async def put(client, content=TEXT, name="data.csv", **options):
    return await client.post("/api/files", params={"name": name}, content=content, **options)


async def pieces(*parts):
    for part in parts:
        yield part


async def test_a_file_is_stored_listed_read_and_deleted(client, folder):
    made = await put(client)
    assert made.status_code == 201, made.text
    file = made.json()
    assert file.keys() == {"fileId", "name", "size", "sha256", "mediaType", "createdAt", "expiresAt"}
    assert (file["name"], file["size"], file["mediaType"]) == ("data.csv", len(TEXT), "text/csv")
    assert file["sha256"] == hashlib.sha256(TEXT).hexdigest()
    path = f"/api/files/{file['fileId']}"
    assert (await client.get(path)).json() == file
    assert (await client.get("/api/files")).json() == {"files": [file], "nextCursor": None}
    content = await client.get(f"{path}/content")
    assert (content.status_code, content.content) == (200, TEXT)
    assert bytes_in(folder) == [file["fileId"]]
    for _ in range(2):
        assert (await client.delete(path)).status_code == 204
    assert bytes_in(folder) == []
    for gone in (path, f"{path}/content"):
        answer = await client.get(gone)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await client.get("/api/files")).json()["files"] == []


@pytest.mark.parametrize(("declared", "name", "expected"), [
    ("text/x-python; charset=utf-8", "a", "text/x-python"),
    ("application/x-www-form-urlencoded", "a.json", "application/json"),  # the default of curl --data-binary
    ("", "a.html", "text/html"),
    ("not a type", "a", "application/octet-stream"),
    ("text/plain\x7f", "a.tar.gz", "application/octet-stream"),
])  # fmt: skip
async def test_the_media_type_is_the_declared_one_or_that_of_the_name(client, declared, name, expected):
    made = await put(client, name=name, headers={"Content-Type": declared})
    assert (made.status_code, made.json()["mediaType"]) == (201, expected)


async def test_an_image_without_a_type_gets_that_of_its_bytes(client):
    made = await put(client, b"\x89PNG\r\n\x1a\n rest", name="image")
    assert made.json()["mediaType"] == "image/png"


async def test_a_multipart_body_has_one_file(client):
    made = await client.post("/api/files", files={"file": ("C:\\x\\ä b.txt", b"one\r\n--two", "text/plain")})
    assert made.status_code == 201, made.text
    assert (made.json()["name"], made.json()["size"], made.json()["mediaType"]) == ("ä b.txt", 10, "text/plain")
    content = await client.get(f"/api/files/{made.json()['fileId']}/content")
    assert content.content == b"one\r\n--two"


@pytest.mark.parametrize("content", [b"\r\n--" * 24_000, b"\r\n--b" * 19_000, b"\r" * 99_000])
async def test_what_looks_like_a_boundary_is_content(client, content):
    """Catches content that counts as what stands beside the file."""
    body = HEAD + b"|" + content.replace(b"--b", b"--a") + b"|\r\n--b--\r\n"
    made = await client.post("/api/files", content=body, headers=FORM)
    assert (made.status_code, made.json()["size"]) == (201, len(content) + 2)


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'


@pytest.mark.parametrize(("body", "headers", "status"), [
    (b"", FORM, 422),
    (b"not multipart", FORM, 422),
    (HEAD + b"cut", FORM, 422),
    (HEAD + b"x\r\n" + HEAD + b"y\r\n--b--\r\n", FORM, 422),
    (HEAD.replace(b'"file"', b'"other"') + b"x\r\n--b--\r\n", FORM, 422),
    (HEAD.replace(b'"file"; ', b"") + b"x\r\n--b--\r\n", FORM, 422),
    (HEAD + b"x\r\n--b--\r\n", {"Content-Type": "multipart/form-data"}, 422),
    (HEAD + b"x\r\n--b--\r\n", {"Content-Type": f"multipart/form-data; boundary={'b' * 500}"}, 422),
    (b"--b\r\n" + b"X: y\r\n" * 100 + b"\r\nx\r\n--b--\r\n", FORM, 422),
    (b"--b\r\nX: " + b"y" * 60_000 + b"\r\n\r\nx\r\n--b--\r\n", FORM, 422),
    (HEAD + b"x" * 100_001 + b"\r\n--b--\r\n", FORM, 413),
    (HEAD + b"x\r\n--b--\r\n" + b"y" * 70_000, FORM, 422),
])  # fmt: skip
async def test_a_wrong_multipart_body_is_refused_and_leaves_nothing(client, folder, store, body, headers, status):
    answer = await client.post("/api/files", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"] or status == 413
    assert bytes_in(folder) == []
    assert store.hgetall(keys.FILE_BYTES) == {}


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "a\\b", "a\0b", "a\nb", "ä" * 128, "x" * 256])
async def test_a_wrong_name_is_refused(client, folder, name):
    answer = await put(client, name=name)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/name")
    assert bytes_in(folder) == []


@pytest.mark.parametrize("query", ["upload=other", "upload=presigned&name=x", "size=1"])
async def test_a_wrong_parameter_is_refused(client, query):
    answer = await client.post(f"/api/files?{query}", json={"name": "a", "size": 1})
    assert answer.status_code == 422, answer.text


async def test_a_directory_cannot_presign(client):
    answer = await client.post("/api/files?upload=presigned", json={"name": "a", "size": 1})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/upload")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_above_the_limit_is_refused_and_leaves_nothing(client, folder, store, chunked):
    parts = [b"x" * 50_000, b"x" * 50_001]
    answer = await put(client, pieces(*parts) if chunked else b"".join(parts))
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert "MAX_FILE_BYTES = 100000" in answer.json()["detail"]
    assert bytes_in(folder) == []
    assert store.hgetall(keys.FILE_BYTES) == {}
    assert (await put(client, b"x" * 100_000)).status_code == 201
    assert (await put(client, b"")).status_code == 201


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_quota_of_a_caller_counts_all_files(client, chunked):
    """Catches a quota that deleted files still hold, or that chunked uploads escape."""

    def body(size):
        return pieces(b"x" * size) if chunked else b"x" * size

    first = await put(client, body(100_000))
    assert (await put(client, body(100_000))).status_code == 201
    full = await put(client, body(50_001))
    assert (full.status_code, full.json()["code"]) == (429, "caller_storage_full")
    assert "MAX_CALLER_FILE_BYTES = 250000" in full.json()["detail"]
    assert (await put(client, body(50_000))).status_code == 201
    assert (await put(client, body(1))).status_code == 429
    await client.delete(f"/api/files/{first.json()['fileId']}")
    assert (await put(client, body(100_000))).status_code == 201


async def test_the_number_of_a_callers_files_is_limited(client, monkeypatch):
    monkeypatch.setattr(files.FileLimits.__new__, "__defaults__", (2, files.LEASE))
    for status in (201, 201, 429):
        assert (await put(client)).status_code == status


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_policy_has_a_quota_of_its_own(connect, folder, server, chunked):
    client = await connect(FILES_URL=f"file:{folder}", AUTH_ENABLED="true", MAX_CALLER_FILE_BYTES="5")
    for limit, most in ((10, 10), (3, 3), (None, 5)):
        policy = Policy.model_validate({"maxFileBytes": limit} if limit else {})
        new = await callers.create(async_client(server.url), f"{limit}", policy=policy)
        headers = {"X-API-Key": new.key}
        body = pieces(b"x" * (most + 1)) if chunked else b"x" * (most + 1)
        refused = await put(client, body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (429, "caller_storage_full")
        assert f"{'maxFileBytes' if limit else 'MAX_CALLER_FILE_BYTES'}" in refused.json()["detail"]
        assert f"= {most} bytes" in refused.json()["detail"]
        assert (await put(client, b"x" * most, headers=headers)).status_code == 201


async def test_deleted_files_leave_little_behind(client, store, monkeypatch):
    """Catches a caller that fills Redis with the records of files that it uploads and deletes."""
    monkeypatch.setattr(files, "MAX_FILES", 2)
    paths = [f"/api/files/{(await put(client)).json()['fileId']}" for _ in range(3)]
    before = store.dbsize()
    for path in paths:
        assert (await client.delete(path)).status_code == 204
    assert [(await client.delete(path)).status_code for path in paths] == [404, 204, 204]
    assert set(store.scan_iter("cg:file*")) == {"cg:files:deleted:anonymous"}
    assert store.dbsize() < before


async def test_lists_are_pages_newest_first(client):
    made = [(await put(client, name=f"f{number}")).json()["fileId"] for number in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await client.get(f"/api/files?limit=2{cursor and f'&cursor={cursor}'}")).json()
        seen += [file["fileId"] for file in page["files"]]
        cursor = page["nextCursor"]
    assert seen == made[::-1]
    for wrong in ("limit=0", "limit=101", "cursor=x", "page=2"):
        assert (await client.get(f"/api/files?{wrong}")).status_code == 422


RANGES = [
    ("bytes=0-3", 206, "bytes 0-3/18"), ("bytes=15-", 206, "bytes 15-17/18"), ("bytes=-4", 206, "bytes 14-17/18"),
    ("bytes=-99", 206, "bytes 0-17/18"), ("bytes=3-99", 206, "bytes 3-17/18"), ("bytes=18-", 416, "bytes */18"),
    ("bytes=-0", 416, "bytes */18"), ("bytes=5-2", 200, None), ("bytes=0-1,3-4", 200, None), ("lines=1-2", 200, None),
    ("bytes=" + "9" * 30 + "-", 200, None),
]  # fmt: skip


@pytest.mark.parametrize(("requested", "status", "given"), RANGES)
async def test_a_range_of_the_content_is_served(client, requested, status, given):
    path = f"/api/files/{(await put(client)).json()['fileId']}/content"
    answer = await client.get(path, headers={"Range": requested})
    assert (answer.status_code, answer.headers.get("content-range")) == (status, given)
    if status == 206:
        first, last = given[6:].partition("/")[0].split("-")
        assert answer.content == TEXT[int(first) : int(last) + 1]


async def test_a_content_is_a_download_that_no_browser_runs(client):
    """Catches a page of a caller that a browser opens with the rights of the dashboard's origin."""
    made = (
        await put(client, b"<script>alert(1)</script>", name='a"ü.html', headers={"Content-Type": "text/html"})
    ).json()
    path = f"/api/files/{made['fileId']}/content"
    answer = await client.get(path)
    assert (
        answer.headers["content-disposition"] == "attachment; filename=\"a__.html\"; filename*=UTF-8''a%22%C3%BC.html"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-type"] == "text/html"
    tag = answer.headers["etag"]
    assert tag == f'"{made["sha256"]}"'
    unchanged = await client.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    other = await client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert other.status_code == 200
    head = await client.head(path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "25", b"")


async def test_another_callers_file_is_not_found(connect, folder):
    client = await connect(FILES_URL=f"file:{folder}", AUTH_ENABLED="true")
    redis = async_client(client_url(client))
    first, second = [(await callers.create(redis, name)).key for name in ("first", "second")]
    assert (await client.get("/api/files")).status_code == 401
    mine, theirs = ({"X-API-Key": key} for key in (first, second))
    path = f"/api/files/{(await put(client, headers=mine)).json()['fileId']}"
    for method, place in (("GET", path), ("GET", f"{path}/content"), ("DELETE", path)):
        assert (await client.request(method, place, headers=theirs)).status_code == 404
    assert (await client.get("/api/files", headers=theirs)).json()["files"] == []
    assert (await client.get(path, headers=mine)).status_code == 200


def client_url(_client):
    from shared.configuration.settings import FilesSettings, load

    return load(FilesSettings).redis_address


async def test_a_client_that_goes_away_leaves_nothing(client, folder, store):
    """Catches an upload that ends with its client and leaves record, bytes or quota."""

    async def broken():
        yield b"x" * 1000
        raise EOFError

    with pytest.raises(EOFError):
        await put(client, broken())
    assert bytes_in(folder) == []
    assert store.hgetall(keys.FILE_BYTES) == {}
    assert (await client.get("/api/files")).json()["files"] == []


async def test_a_cancelled_upload_leaves_nothing(client, folder, store):
    started = asyncio.Event()

    async def slow():
        yield b"x" * 1000
        started.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(put(client, slow()))
    await started.wait()
    upload.cancel()
    await asyncio.wait({upload})
    assert bytes_in(folder) == []
    assert store.hgetall(keys.FILE_BYTES) == {}


async def test_the_object_store_away_is_503_and_leaves_no_record(connect, tmp_path, store):
    (tmp_path / "file").write_text("not a directory")
    client = await connect(FILES_URL=f"file:{tmp_path / 'file'}")
    answer = await put(client)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "FILES_URL" in answer.json()["detail"]
    assert str(tmp_path) not in answer.text
    assert store.hgetall(keys.FILE_BYTES) == {}


@pytest.mark.parametrize("file_id", ["x", "..", "0" * 36, "019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1", "%00", "a%2Fb"])
async def test_an_unknown_file_is_not_found(client, file_id):
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        answer = await client.request(method, f"/api/files/{file_id}{path}")
        assert answer.status_code in {404, 405}, answer.text


async def test_the_json_of_a_raw_upload_is_a_file(client):
    made = await client.post("/api/files?name=a.json", json={"a": 1})
    assert (made.status_code, made.json()["mediaType"]) == (201, "application/json")
    content = await client.get(f"/api/files/{made.json()['fileId']}/content")
    assert json.loads(content.content) == {"a": 1}
