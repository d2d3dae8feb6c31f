"""`claude-gateway keys`: callers' keys, made, listed and revoked."""

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
    name="keys", add_completion=False, help="Callers' API keys: shown once, stored hashed.", no_args_is_help=True
)
Data = Annotated[Path, typer.Option(help="Where `claude-gateway local` keeps its data, if no Redis is configured.")]
T = TypeVar("T")


class _RevokeSettings(CommonSettings):
    result_ttl: int = Field(86_400, ge=1)


def with_store(data: Path, work: Callable[[redis.asyncio.Redis], Awaitable[T]]) -> T:
    """Do something with the gateway's Redis: the configured one, else that of a running `claude-gateway local`."""

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
        problem = f"{failure.title}: {failure.advice}" if failure else "The store refuses the command"
        here = "" if configured or local_url else f"; or run the command where {data} of `claude-gateway local` is"
        print_message(f"Redis at {failures.address(url)}: {problem}{here}")
        raise typer.Exit(1) from None


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who the key is for.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    data: Data = Path(".data"),
) -> None:
    """Make a key; what it prints is shown this once."""
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
        print_message(f"The key was made, and nobody has seen it. Revoke it: claude-gateway keys revoke {new.id}")
        raise
    if not as_json:
        print_message("Keep both now: they are not shown again.")


@app.command(name="list")
def list_(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
    data: Data = Path(".data"),
) -> None:
    """List the keys, without what is secret of them."""
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
    caller_id: Annotated[str, typer.Argument(metavar="ID", help="The id of the key, as `list` shows it.")],
    *,
    data: Data = Path(".data"),
) -> None:
    """Revoke a key, cancel its caller's jobs that have not ended, and end its open streams; all within 5 s."""

    async def do(client: redis.asyncio.Redis) -> bool:
        return await callers.revoke(client, caller_id, keep_for=load(_RevokeSettings).result_ttl)

    if not with_store(data, do):
        typer.echo("There is no key with this id", err=True)
        raise typer.Exit(1)
