from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway
from tests.support.scripted_model import ScriptedModel


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    """A Messages API that answers each query with itself, unless a test scripts it."""
    with ScriptedModel(echo=True) as model:
        yield model


@pytest.fixture
def script(model):
    """Let a test say how the model replies, and put it back afterwards."""
    before = model.reply

    def reply(function):
        model.reply = function

    yield reply
    model.reply = before


@pytest.fixture(scope="module", params=["uvicorn", "lambda"])
def gateway(request, model, tmp_path_factory) -> Iterator[Gateway]:
    """A gateway of two slots; each test runs through uvicorn and through the Lambda emulator."""
    options = ["--lambda"] if request.param == "lambda" else []
    variables = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "2"}
    with Gateway(tmp_path_factory.mktemp("gateway"), *options, **variables) as gateway:
        yield gateway
