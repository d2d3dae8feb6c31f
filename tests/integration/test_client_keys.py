"""The openai and anthropic packages with callers' keys: isolation, and refusals as their exceptions."""

from functools import partial

import httpx2
import pytest

from local.app import app
from shared.store.callers import callers
from shared.store.redis.client import async_client
from tests.support.packages import anthropic, openai

PARAMS: "anthropic.types.message_create_params.MessageCreateParamsNonStreaming" = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "q"}],
}


@pytest.fixture
async def names(connect, server):
    """Return the keys of two callers, who may each submit once, and an unknown key."""
    await connect(server.url, AUTH_ENABLED="true", RATE_LIMIT="1/hour")
    return [*[(await callers.create(async_client(server.url), name)).key for name in ("ann", "bob")], "cgk_wrong"]


@pytest.fixture
async def http(names):
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as client:
        yield client


async def test_responses_of_others_do_not_exist_and_a_wrong_key_is_refused(names, http):
    made = partial(openai.AsyncOpenAI, base_url="http://gateway/v1", http_client=http, max_retries=0)
    ann, bob, nobody = (made(api_key=key).responses for key in names)
    first = await ann.create(model="m", input="q", background=True)
    assert (await ann.retrieve(first.id)).status == "queued"
    for ask in (bob.retrieve, bob.cancel, partial(bob.retrieve, stream=True)):
        with pytest.raises(openai.NotFoundError):
            await ask(first.id)
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        await bob.create(model="m", input="q", background=True, previous_response_id=first.id)
    with pytest.raises(openai.AuthenticationError):
        await nobody.retrieve(first.id)
    with pytest.raises(openai.RateLimitError):
        await ann.create(model="m", input="q", background=True)


async def test_batches_of_others_do_not_exist_and_a_wrong_key_is_refused(names, http):
    made = partial(anthropic.AsyncAnthropic, base_url="http://gateway", http_client=http, max_retries=0)
    ann, bob, nobody = (made(api_key=key).messages.batches for key in names)
    first = await ann.create(requests=[{"custom_id": "a", "params": PARAMS}])
    assert [one.id async for one in await ann.list()] == [first.id]
    assert [one.id async for one in await bob.list()] == []
    for ask in (bob.retrieve, bob.cancel, bob.results):
        with pytest.raises(anthropic.NotFoundError):
            await ask(first.id)
    with pytest.raises(anthropic.AuthenticationError):
        await nobody.retrieve(first.id)
    with pytest.raises(anthropic.RateLimitError):
        await ann.create(requests=[{"custom_id": "b", "params": PARAMS}])
