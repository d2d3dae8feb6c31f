"""Images and documents in OpenAI's responses and in Anthropic's batches are attachments of the query."""

import base64
import json

import pytest

from shared.store import keys

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n of a test").decode()
PDF = base64.b64encode(b"%PDF-1.4 of a test").decode()
TEXT = {"type": "input_text", "text": "what is it?"}
UNKNOWN = "019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1"


@pytest.fixture
async def client(connect, tmp_path):
    return await connect(FILES_URL=f"file:{tmp_path / 'files'}")


async def respond(client, *parts, role="user"):
    items = [{"role": role, "content": list(parts)}]
    items += [{"role": "user", "content": "q"}] if role != "user" else []
    return await client.post("/v1/responses", json={"model": "m", "background": True, "input": items})


async def batch(client, *blocks):
    params = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": list(blocks)}]}
    body = {"requests": [{"custom_id": "a", "params": params}]}
    return await client.post("/v1/messages/batches", json=body, headers={"anthropic-version": "2023-06-01"})


def stored(store):
    """Return the request that the worker will read."""
    [job_id] = store.zrange(keys.WAITING, 0, -1)
    return json.loads(store.get(keys.job_input(job_id)))


async def upload(client):
    return (await client.post("/api/files", content=base64.b64decode(PNG))).json()["fileId"]


async def test_images_and_files_of_a_response_are_attachments(client, store):
    file_id = await upload(client)
    answer = await respond(
        client,
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
        TEXT,
        {"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"},
        {"type": "input_image", "file_id": file_id},
    )
    assert answer.status_code == 200, answer.text
    assert stored(store)["query"] == "what is it?"
    assert stored(store)["attachments"] == [
        {"mediaType": "image/png", "data": PNG}, {"mediaType": "application/pdf", "data": PDF}, {"fileId": file_id},
    ]  # fmt: skip


WRONG_PARTS = [
    ({"type": "input_image", "image_url": "https://example.com/a.png"}, "input[0].content[1].image_url"),
    ({"type": "input_image", "image_url": f"data:image/svg+xml;base64,{PNG}"}, "input[0].content[1].image_url"),
    ({"type": "input_image", "image_url": f"data:image/jpeg;base64,{PNG}"}, "input[0].content[1].image_url"),
    ({"type": "input_image", "image_url": "data:image/png;base64,x"}, "input[0].content[1].image_url"),
    ({"type": "input_image", "image_url": {"url": "x"}}, "input[0].content[1].image_url"),
    ({"type": "input_image"}, "input[0].content[1]"),
    ({"type": "input_image", "file_id": "file-123"}, "input[0].content[1].file_id"),
    ({"type": "input_image", "file_id": UNKNOWN}, "input[0].content[1].file_id"),
    ({"type": "input_image", "file_id": 1}, "input[0].content[1].file_id"),
    ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, "input[0].content[1].file_url"),
    ({"type": "input_audio", "data": "x"}, "input[0].content[1].type"),
    ({"type": ["input_image"]}, "input[0].content[1]"),
]


@pytest.mark.parametrize(("part", "param"), WRONG_PARTS, ids=range(len(WRONG_PARTS)))
async def test_a_wrong_part_of_a_response_is_refused_by_its_place(client, part, param):
    answer = await respond(client, TEXT, part)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


async def test_instructions_have_no_images(client):
    answer = await respond(client, {"type": "input_image", "file_id": UNKNOWN}, role="system")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input[0].content[0].type")


async def test_images_and_documents_of_a_batch_are_attachments(client, store):
    file_id = await upload(client)
    answer = await batch(
        client,
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        {"type": "image", "source": {"type": "file", "file_id": file_id}},
        {"type": "text", "text": "what is it?"},
    )
    assert answer.status_code == 200, answer.text
    assert stored(store)["query"] == "what is it?"
    assert [one.get("mediaType") for one in stored(store)["attachments"]] == ["image/png", "application/pdf", None]


WRONG_BLOCKS = [
    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/svg+xml", "data": PNG}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PDF}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "x"}},
    {"type": "image", "source": {"type": "file", "file_id": UNKNOWN}},
    {"type": "image", "source": {"type": "file", "file_id": "x"}},
    {"type": "image"},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
    {"type": "document", "title": "x", "source": {"type": "file", "file_id": UNKNOWN}},
]


@pytest.mark.parametrize("block", WRONG_BLOCKS, ids=range(len(WRONG_BLOCKS)))
async def test_a_wrong_block_of_a_batch_is_refused_by_its_place(client, block):
    answer = await batch(client, {"type": "text", "text": "q"}, block)
    assert answer.status_code == 400, answer.text
    assert "requests.0.params.messages.0.content" in answer.json()["error"]["message"]
