"""Blocking calls to Redis in a stopping process."""

import copy
import socket
import time

import pytest
import redis

from functions.worker.pool.redis_retries import Patience
from shared.store.redis.client import sync_client


@pytest.fixture
def mute():
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_after_a_stop_one_reply_is_awaited_and_no_more(mute):
    patience = Patience()
    client = sync_client(mute, reply_timeout=0.3, retry=patience)
    patience.end(within=60)
    started = time.monotonic()
    for _ in range(100):
        with pytest.raises(redis.RedisError):
            client.ping()
    assert time.monotonic() - started < 5
    client.close()


def test_a_call_after_the_deadline_is_not_sent():
    patience = Patience()
    patience.end(within=0)
    with pytest.raises(redis.ConnectionError, match="process stops"):
        patience.call_with_retry(lambda: pytest.fail("sent"), lambda error: None)


def test_connections_share_one_policy_so_that_a_stop_reaches_all():
    patience = Patience()
    assert copy.deepcopy(patience) is patience


def test_a_failure_before_the_stop_is_retried_once():
    tries: list[int] = []

    def fails_first() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise redis.ConnectionError("lost")
        return "answer"

    assert Patience().call_with_retry(fails_first, lambda error: None) == "answer"
    assert len(tries) == 2
