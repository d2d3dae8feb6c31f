"""Requests to count tokens in the store: asked, taken, answered, refused."""

import asyncio

import pytest

from shared.store import keys
from shared.store.fleet import counting
from shared.store.redis.client import async_client, close_clients

pytestmark = pytest.mark.once


@pytest.fixture
async def client(server, store):
    yield async_client(server.url)
    await close_clients()


async def take(client):
    while (request := await counting.take(client)) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return request


async def test_a_request_is_taken_once_and_answered(client):
    asking = asyncio.create_task(counting.ask(client, "r", '{"a": 1}', 5))
    request = await take(client)
    assert (request.request_id, request.body, await counting.take(client)) == ("r", '{"a": 1}', None)
    await counting.answer(client, "r", {"inputTokens": 3})
    assert await asking == {"inputTokens": 3}


async def test_a_request_without_an_answer_is_withdrawn(client):
    assert await counting.ask(client, "r", "{}", 0.2) is None
    assert await counting.take(client) is None


async def test_a_full_list_refuses_further_requests(client, store):
    store.rpush(keys.COUNTS, *["x"] * counting.MOST_WAITING)
    with pytest.raises(counting.CountsFullError):
        await counting.ask(client, "r", "{}", 5)
    assert store.llen(keys.COUNTS) == counting.MOST_WAITING
