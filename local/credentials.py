"""`claude-gateway credentials`: manages a caller's credentials, and the keys that encrypt them."""

import getpass
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import redis.asyncio
import typer
from rich.console import Console
from rich.table import Table

from local.audit import record
from local.cli import Url
from local.client import CommandError
from local.client_request import request
from local.output import is_terminal, print_message, visible, write
from local.paths import credential_path
from local.standard_input import query_text
from local.store_client import Data, with_store
from shared.api.times import when
from shared.store import keys
from shared.store.callers import callers, credentials

app = typer.Typer(
    name="credentials",
    add_completion=False,
    help="Manage a caller's credentials, which only workers can decrypt.",
    no_args_is_help=True,
)
ApiKey = Annotated[str | None, typer.Option(envvar="CLAUDE_GATEWAY_API_KEY", help="The caller's key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the credential, as used by jobs.")]
_DATA = Path(".data")


@app.command(name="set")
def set_(
    name: Name,
    url: Url,
    api_key: ApiKey = None,
    *,
    kind: Annotated[
        Literal["anthropic_api_key", "git", "header"], typer.Option(help="Kind of the credential.")
    ] = "anthropic_api_key",
    host: Annotated[
        list[str] | None,
        typer.Option(help="Send the value only to this host, such as api.example.com or *.example.com. Repeatable."),
    ] = None,
) -> None:
    """Store or replace a credential. The value is read from standard input, or from a prompt that does not echo it."""
    try:
        value = getpass.getpass("Value: ") if is_terminal(sys.stdin) else query_text("-", append=None)
    except CommandError as error:
        print_message(str(error))
        raise typer.Exit(error.status) from None
    # `echo` and editors add a line end, which is not part of the credential.
    body = {"kind": kind, "value": value.removesuffix("\n").removesuffix("\r"), "hosts": host or []}
    stored = request("PUT", credential_path(name), url, api_key, body)
    print_message(f"Stored {stored['name']}")


@app.command(name="list")
def list_(url: Url, api_key: ApiKey = None, *, as_json: AsJson = False) -> None:
    """List the caller's credentials, without their values."""
    found = request("GET", "/api/credentials", url, api_key)
    if as_json:
        write(json.dumps(found))
        return
    table = Table("name", "kind", "hosts", "created", "updated", "last used", box=None)
    for one in found["credentials"]:
        used = one["lastUsedAt"] or "never"
        fields = (one["name"], one["kind"], " ".join(one["hosts"]), one["createdAt"], one["updatedAt"], used)
        table.add_row(*(visible(field) for field in fields))
    Console(width=180, markup=False, emoji=False, highlight=False).print(table)


@app.command()
def delete(name: Name, url: Url, api_key: ApiKey = None) -> None:
    """Delete a credential. Jobs that name it and have not started fail."""
    request("DELETE", credential_path(name), url, api_key)
    print_message(f"Deleted {name}")


@app.command(name="list-all")
def list_all(*, as_json: AsJson = False, data: Data = _DATA) -> None:
    """List the credentials of all callers, and who may use them, without their values."""

    async def do(client: redis.asyncio.Redis) -> list[credentials.Granted]:
        every = [keys.ANONYMOUS, *(one.id for one in await callers.every(client))]
        return await credentials.of_callers(client, every)

    found = with_store(data, do)
    if as_json:
        shown = [
            {
                "caller": one.owner, "name": one.stored.name, "kind": one.stored.kind, "hosts": one.stored.hosts,
                "lastUsedAt": when(one.stored.used), "users": one.users,
            }
            for one in found
        ]  # fmt: skip
        write(json.dumps(shown))
        return
    table = Table("caller", "name", "kind", "hosts", "last used", "may be used by", box=None)
    for one in found:
        stored, used = one.stored, when(one.stored.used) or "never"
        table.add_row(one.owner, stored.name, stored.kind, " ".join(stored.hosts), used, " ".join(one.users))
    Console(width=220, markup=False, emoji=False, highlight=False).print(table)


@app.command()
def share(
    caller_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the caller whose credential it is.")],
    name: Name,
    *,
    user: Annotated[
        list[str] | None, typer.Option("--with", metavar="ID", help="Id of a caller that may use it. Repeatable.")
    ] = None,
    data: Data = _DATA,
) -> None:
    """Let other callers use a credential, and no others; without --with nobody."""
    users = list(dict.fromkeys(user or ()))

    async def do(client: redis.asyncio.Redis) -> tuple[str, str]:
        outcome, refused = await credentials.grant(client, caller_id, name, users)
        if outcome == "done":
            await record(client, "credential_shared", caller=caller_id, credential=name, users=users)
        return outcome, refused

    outcome, refused = with_store(data, do)
    if outcome != "done":
        print_message(
            {
                "missing": f"The caller has no credential {name}; see `claude-gateway credentials list-all`",
                "unknown": f"{refused} is the id of no other caller; see `claude-gateway keys list`",
                "taken": f"{refused} may already use another caller's credential of this name",
            }[outcome]
        )
        raise typer.Exit(1)


@app.command(name="key-pair")
def key_pair() -> None:
    """Print a new key pair: the public key is for the API, the private key for the workers only."""
    from shared import sealing  # noqa: PLC0415 -- the other commands do without it

    public, private = sealing.new_pair()
    write(f"CREDENTIALS_PUBLIC_KEY={public}\nCREDENTIALS_PRIVATE_KEY={private}")


@app.command()
def reseal(*, data: Data = _DATA) -> None:
    """Re-encrypt all credentials with the first key of CREDENTIALS_PRIVATE_KEY, so that the others can be removed."""
    from local import resealing, sealing_keys  # noqa: PLC0415 -- the other commands do without them
    from shared.configuration.settings import SettingsError  # noqa: PLC0415 -- as above

    try:
        privates = sealing_keys.private_keys(data)
    except (SettingsError, OSError) as error:
        print_message(str(error))
        raise typer.Exit(2) from None
    if not privates:
        print_message("CREDENTIALS_PRIVATE_KEY is not set; run this command in the environment of a worker")
        raise typer.Exit(2)

    async def do(client: redis.asyncio.Redis) -> resealing.Resealed:
        done = await resealing.reseal(client, privates)
        await record(client, "credentials_resealed", resealed=done.resealed)
        return done

    done = with_store(data, do)
    write(f"{done.resealed} sealed again, {done.current} were already, {len(done.unopened)} cannot be opened")
    for caller, name, reason in done.unopened:
        print_message(f"{name} of caller {caller}: {reason}")
    if done.unopened:
        raise typer.Exit(1)
