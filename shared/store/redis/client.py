"""Redis clients: connected at their first command, and kept for each event loop."""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared.store.redis import failover, internals, pipelining

# Seconds. A command whose reply is lost is sent once more: every script of the store may run twice.
CONNECT_TIMEOUT = 0.6
REPLY_TIMEOUT = 1.0
_RETRIED = [RedisConnectionError, RedisTimeoutError]

# The loops of a frozen Lambda, of uvicorn and of each test have their own pools: a connection belongs to one loop.
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, redis.asyncio.Redis]] = WeakKeyDictionary()


def _options(url: str, retry: Any) -> dict[str, Any]:
    return {
        # hiredis calls a method of Python for each field of a RESP3 map, and for none of a RESP2 list. redis-py returns
        # the same objects for both.
        "protocol": 2,
        "parser_class": failover.async_parser(url),
        "decode_responses": True,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": REPLY_TIMEOUT,
        "retry": retry,
        "retry_on_error": _RETRIED,
        "health_check_interval": 30,
        "maint_notifications_config": internals.NO_NOTIFICATIONS,
    }


def async_client(url: str) -> redis.asyncio.Redis:
    """Return the running loop's client for a Redis URL; it connects at its first command."""
    loop = asyncio.get_running_loop()
    clients = _pools.get(loop)
    if clients is None:
        clients = _pools[loop] = {}
    if url not in clients:
        retry = redis.asyncio.retry.Retry(ExponentialBackoff(cap=0.05, base=0.01), 1)
        # Bounded: a thousand concurrent requests share these connections, and wait for one rather than open another.
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=64, timeout=2, **_options(url, retry))
        if pool.connection_kwargs.get("password") is not None:
            # A password without a user is refused by a server that has none, unless the user is named.
            pool.connection_kwargs.setdefault("username", "default")
        internals.pack_in_c(pool)
        clients[url] = redis.asyncio.Redis.from_pool(pool)
    return clients[url]


def sync_client(url: str, *, reply_timeout: float = REPLY_TIMEOUT, retry: Retry | None = None) -> redis.Redis:
    """Return a new client for a thread that blocks, such as RQ's loop; its replies are bytes, as RQ expects.

    A blocking command needs a `reply_timeout` that is longer than the command blocks.
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
    """Close the running loop's clients, before a process or a test ends."""
    for client in _pools.pop(asyncio.get_running_loop(), {}).values():
        await pipelining.close(client)
        await client.aclose()
