"""Commands that use the gateway's store: of the settings, or that of a running `claude-gateway local`."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import redis.asyncio
import typer
from redis.exceptions import RedisError

from local.embedded_redis import address_in
from local.output import print_message
from shared.configuration.settings import CommonSettings, SettingsError, load
from shared.store.redis import failures
from shared.store.redis.client import async_client, close_clients

Data = Annotated[Path, typer.Option(help="Data directory of `claude-gateway local`, if no Redis is configured.")]
T = TypeVar("T")


def with_store(data: Path, work: Callable[[redis.asyncio.Redis], Awaitable[T]]) -> T:
    """Call `work` with a client of the configured Redis, or of that of a running `claude-gateway local`."""

    async def do(url: str) -> T:
        try:
            return await work(async_client(url))
        finally:
            await close_clients()

    try:
        settings = load(CommonSettings)
        configured = {"redis_url", "redis_host"} & settings.model_fields_set
        local_url = None if configured else address_in(data / "redis")
        url = local_url or settings.redis_address
    except SettingsError as error:
        print_message(str(error))
        raise typer.Exit(2) from None
    try:
        return asyncio.run(do(url))
    except (RedisError, OSError) as error:
        failure = failures.classify(error)
        problem = f"{failure.title}: {failure.advice}" if failure else "Redis rejected the command"
        here = (
            ""
            if configured or local_url
            else f"; or run the command in the directory that has {data} of `claude-gateway local`"
        )
        print_message(f"Redis at {failures.address(url)}: {problem}{here}")
        raise typer.Exit(1) from None
