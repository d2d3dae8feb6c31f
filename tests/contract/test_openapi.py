"""The committed OpenAPI document is what the code says, and every function serves it."""

import httpx
import pytest

from functions.admin.app import app as admin
from functions.batches.app import app as batches
from functions.responses.app import app as responses
from functions.status.app import app as status
from functions.submit.app import app as submit
from functions.webhook.app import app as webhook
from local.openapi import document
from shared.http.route_table import DOCUMENT
from shared.models import Accepted, Status
from shared.requests import SubmitRequest


def test_the_committed_document_is_the_generated_one():
    assert DOCUMENT.read_text() == document(), "run `make openapi`"


@pytest.mark.parametrize("app", [submit, status, webhook, responses, batches, admin])
@pytest.mark.parametrize(("path", "kind"), [("/openapi.json", "application/json"), ("/docs", "text/html")])
async def test_every_function_serves_the_documents(app, path, kind):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("model", [SubmitRequest, Accepted, Status])
def test_examples_are_true(model):
    for example in model.model_config["json_schema_extra"]["examples"]:
        model.model_validate(example)
