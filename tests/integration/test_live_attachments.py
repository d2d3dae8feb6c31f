"""Images and PDFs in requests whose client waits: in the last turn and in earlier ones, at their places."""

import base64
from typing import Any

import pytest

from tests.support.packages import anthropic, openai

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]
# One pixel: the CLI leaves out an image that it cannot read.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = base64.b64encode(b"%PDF-1.4 of a test").decode()
DATA = f"data:image/png;base64,{PNG}"


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    return {"FILES_URL": f"file:{tmp_path_factory.mktemp('files')}"}


@pytest.fixture
def claude(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def chat(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def seen(model):
    """Return the turns of the last request: its texts, and the types and data of what is attached."""
    turns = []
    for message in model.requests[-1].body["messages"]:
        if message["role"] in {"user", "assistant"}:
            content = message["content"]
            blocks: Any = [{"type": "text", "text": content}] if isinstance(content, str) else content
            shown = [one["text"] if one["type"] == "text" else (one["type"], one["source"]["data"]) for one in blocks]
            turns.append((message["role"], [one for one in shown if not str(one).startswith("<system-reminder>")]))
    return turns


def text(words):
    return {"type": "text", "text": words}


def image(**source):
    return {"type": "image", "source": source or {"type": "base64", "media_type": "image/png", "data": PNG}}


def document():
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}


def test_images_and_documents_of_messages_reach_the_model_in_their_turns(claude, gateway, model):
    """Catches an attachment that is lost, moves to another turn or to the other side of a text."""
    upload = gateway.client.post("/api/files?name=a.png", content=base64.b64decode(PNG)).json()["fileId"]
    messages = [
        {"role": "user", "content": [image(), text("first"), document()]},
        {"role": "assistant", "content": "seen"},
        {"role": "user", "content": [text("and"), image(type="file", file_id=upload), text("last?"), image()]},
    ]
    answer = claude.messages.create(model="m", max_tokens=2000, messages=messages)
    assert answer.content[0].text
    picture, paper = ("image", PNG), ("document", PDF)
    assert seen(model) == [
        ("user", [picture, "first", paper]),
        ("assistant", ["seen"]),
        ("user", ["and", picture, "last?", picture]),
    ]


def test_images_of_chats_and_responses_reach_the_model(chat, model):
    picture = ("image", PNG)
    question = [text("what?"), {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}}]
    for earlier in ([], [{"role": "user", "content": question}, {"role": "assistant", "content": "a dot"}]):
        messages = [*earlier, {"role": "user", "content": question}]
        with chat.chat.completions.stream(model="m", messages=messages) as stream:
            assert stream.get_final_completion().choices[0].message.content
        assert seen(model)[-1] == ("user", ["what?", picture])
        assert seen(model)[:-1] == ([("user", ["what?", picture]), ("assistant", ["a dot"])] if earlier else [])
    parts = [{"type": "input_image", "image_url": DATA, "detail": "auto"}, {"type": "input_text", "text": "what?"}]
    first = chat.responses.create(model="m", input=[{"role": "user", "content": parts}])
    assert seen(model) == [("user", [picture, "what?"])]
    chat.responses.create(
        model="m", input=[{"role": "user", "content": parts}], previous_response_id=first.id, stream=False
    )
    assert [turn for turn in seen(model) if turn[0] == "user"] == [("user", [picture, "what?"])] * 2


def test_an_attachment_that_cannot_be_had_is_named_by_its_place(claude, chat):
    unknown = "019a9c3e-5a70-7d13-8a0f-54d1c6a0e8b1"
    messages = [
        {"role": "user", "content": [image(), text("q")]},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": [text("q"), image(type="file", file_id=unknown)]},
    ]
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.2\.content\.1\.source"):
        claude.messages.create(model="m", max_tokens=9, messages=messages)
    parts = [text("q"), {"type": "file", "file": {"file_id": unknown}}]
    with pytest.raises(openai.BadRequestError) as refused:
        chat.chat.completions.create(model="m", messages=[{"role": "user", "content": parts}])
    assert refused.value.param == "messages[0].content[1].file.file_id"
    with pytest.raises(anthropic.BadRequestError, match="messages: List should have at most 20"):
        claude.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": [*[image()] * 21, text("q")]}]
        )
