"""Connections to Redis: made when first needed, and kept for each event loop."""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared.store.redis import failover, pipelining

# A reply is awaited for a second, and one that was lost is asked for again, once: every script of the store may be
# sent twice.
CONNECT_TIMEOUT = 0.6
REPLY_TIMEOUT = 1.0
_ANSWERED_BY_RETRY = [RedisConnectionError, RedisTimeoutError]

# The loop of a frozen Lambda, of uvicorn and of each test has its own pool: a connection cannot move between loops.
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, redis.asyncio.Redis]] = WeakKeyDictionary()


class _PackedInC:
    """Writes commands by hiredis, as redis-py's connections do that block; the asynchronous ones do it in Python."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        packed: list[bytes] = self._serializer.pack(*args)
        return packed


def _options(url: str, retry: Any) -> dict[str, Any]:
    return {
        "parser_class": failover.async_parser(url),
        "decode_responses": True,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": REPLY_TIMEOUT,
        "retry": retry,
        "retry_on_error": _ANSWERED_BY_RETRY,
        "health_check_interval": 30,
        "maint_notifications_config": pipelining.NO_NOTIFICATIONS,
    }


def async_client(url: str) -> redis.asyncio.Redis:
    """Return the running loop's client for a Redis URL; nothing is connected before the first command."""
    clients = _pools.setdefault(asyncio.get_running_loop(), {})
    if url not in clients:
        retry = redis.asyncio.retry.Retry(ExponentialBackoff(cap=0.05, base=0.01), 1)
        # Bounded: a thousand requests at once share these, and wait for one rather than open another.
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=64, timeout=2, **_options(url, retry))
        pool.connection_class = type("PackedInC", (_PackedInC, pool.connection_class), {})
        clients[url] = redis.asyncio.Redis.from_pool(pool)
    return clients[url]


def sync_client(url: str, *, reply_timeout: float = REPLY_TIMEOUT, retry: Retry | None = None) -> redis.Redis:
    """Return a new client of its own for a thread that blocks, such as RQ's loop.

    RQ reads bytes. A client that waits for something in Redis needs a `reply_timeout` that is longer than that wait.
    """
    return redis.Redis.from_url(
        url,
        parser_class=failover.sync_parser(url),
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=reply_timeout,
        retry=retry or Retry(ExponentialBackoff(cap=0.05, base=0.01), 1),
        health_check_interval=30,
    )


async def close_clients() -> None:
    """Close what the running loop has open; for a process or a test that ends."""
    for client in _pools.pop(asyncio.get_running_loop(), {}).values():
        await pipelining.close(client)
        await client.aclose()
