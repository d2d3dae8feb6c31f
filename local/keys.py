"""`claude-gateway keys`: creates, lists and revokes callers' API keys."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import redis.asyncio
import typer
from pydantic import Field
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from local.embedded_redis import address_in
from local.output import OutputFailed, print_message, visible, write
from shared.api.times import rfc3339
from shared.configuration.settings import CommonSettings, SettingsError, load
from shared.store.callers import callers
from shared.store.redis import failures
from shared.store.redis.client import async_client, close_clients

app = typer.Typer(
    name="keys",
    add_completion=False,
    help="Manage callers' API keys, which are shown once and stored hashed.",
    no_args_is_help=True,
)
Data = Annotated[Path, typer.Option(help="Data directory of `claude-gateway local`, if no Redis is configured.")]
T = TypeVar("T")


class _RevokeSettings(CommonSettings):
    result_ttl: int = Field(86_400, ge=1)


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


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the caller.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the key as JSON.")] = False,
    data: Data = Path(".data"),
) -> None:
    """Create a key and print it. It is not shown again."""
    try:
        new = with_store(data, lambda client: callers.create(client, name))
    except callers.NameRefused as refusal:
        print_message(str(refusal))
        raise typer.Exit(2) from None
    shown = {"id": new.id, "name": new.name, "key": new.key, "webhookSecret": new.webhook_secret}
    lines = f"id             {new.id}\nkey            {new.key}\nwebhook secret {new.webhook_secret}"
    try:
        write(json.dumps(shown) if as_json else lines)
    except OutputFailed:
        print_message(f"The key was created but could not be printed. Revoke it: claude-gateway keys revoke {new.id}")
        raise
    if not as_json:
        print_message("Store both now: they are not shown again.")


@app.command(name="list")
def list_(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the keys as JSON.")] = False,
    data: Data = Path(".data"),
) -> None:
    """List the keys without their secrets."""
    found = with_store(data, callers.every)
    if as_json:
        shown = [{"id": caller.id, "name": caller.name, "createdAt": rfc3339(caller.created)} for caller in found]
        typer.echo(json.dumps(shown))
        return
    table = Table("id", "name", "created", box=None)
    for caller in found:
        table.add_row(caller.id, visible(caller.name), rfc3339(caller.created))
    Console(width=180, markup=False, emoji=False, highlight=False).print(table)


@app.command()
def revoke(
    caller_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as shown by `list`.")],
    *,
    data: Data = Path(".data"),
) -> None:
    """Revoke a key, cancel its caller's unfinished jobs, and close its open streams, all within 5 s."""

    async def do(client: redis.asyncio.Redis) -> bool:
        return await callers.revoke(client, caller_id, keep_for=load(_RevokeSettings).result_ttl)

    if not with_store(data, do):
        typer.echo("There is no key with this id; `claude-gateway keys list` shows the ids", err=True)
        raise typer.Exit(1)
