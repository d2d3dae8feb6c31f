"""`claude-gateway keys`: callers' API keys, and their policies."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import redis.asyncio
import typer
from pydantic import Field
from rich.console import Console
from rich.table import Table

from local import policy_file
from local.audit import record
from local.output import OutputFailed, print_message, visible, write
from local.store_client import Data, with_store
from shared.api.policies import NO_POLICY, Policy
from shared.api.times import rfc3339
from shared.configuration.settings import CommonSettings, load
from shared.store.callers import api_keys, callers, policies

app = typer.Typer(
    name="keys",
    add_completion=False,
    help="Manage callers' API keys, which are shown once and stored hashed.",
    no_args_is_help=True,
)
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as shown by `list`.")]


class ScopeName(StrEnum):
    """What a key may do, as the command line has it."""

    SUBMIT = "submit"
    READ = "read"
    DECIDE = "decide"
    ADMIN_READ = "admin-read"


class _RevokeSettings(CommonSettings):
    result_ttl: int = Field(86_400, ge=1)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the caller.")],
    *,
    policy: Annotated[Path | None, typer.Option(help="File of the caller's policy, YAML or JSON.")] = None,
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(help="What the key may do; by default submit, read and decide. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the key as JSON.")] = False,
    data: Data = Path(".data"),
) -> None:
    """Create a key and print it. It is not shown again."""
    limits, scopes = _policy_in(policy) if policy else NO_POLICY, [one.value for one in scope or ()]

    async def do(client: redis.asyncio.Redis) -> callers.NewKey:
        made = await callers.create(client, name, policy=limits, scopes=scopes)
        # Standard error is for the person who gets the key.
        await record(client, "key_created", quiet=True, caller=made.id, caller_name=made.name, scopes=scopes)
        return made

    try:
        new = with_store(data, do)
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
    found = with_store(data, api_keys.every)
    if as_json:
        shown = [
            {
                "id": one.caller.id,
                "keyId": one.id,
                "name": one.caller.name,
                "createdAt": rfc3339(one.caller.created),
                "lastUsedAt": None if one.used is None else rfc3339(one.used),
                "scopes": one.scopes,
                "policy": json.loads(one.policy.to_json()),
            }
            for one in found
        ]
        typer.echo(json.dumps(shown))
        return
    table = Table("id", "name", "created", "last used", "scopes", box=None)
    for one in found:
        used = "never" if one.used is None else rfc3339(one.used)
        created = rfc3339(one.caller.created)
        table.add_row(one.caller.id, visible(one.caller.name), created, used, " ".join(one.scopes))
    Console(width=180, markup=False, emoji=False, highlight=False).print(table)


@app.command()
def rotate(
    caller_id: Id,
    *,
    overlap: Annotated[int, typer.Option(min=0, max=2_592_000, help="Seconds for which both keys work.")] = 86_400,
    data: Data = Path(".data"),
) -> None:
    """Replace a key and print the new one. The present key works for the overlap."""

    async def do(client: redis.asyncio.Redis) -> str | None:
        key = await api_keys.rotate(client, caller_id, overlap=overlap)
        if key is not None:
            await record(client, "key_rotated", caller=caller_id, overlap_seconds=overlap)
        return key

    key = with_store(data, do)
    if key is None:
        raise _unknown()
    write(key)


@app.command()
def policy(
    caller_id: Id,
    *,
    file: Annotated[Path | None, typer.Option("--set", help="File of the new policy, YAML or JSON.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove the policy.")] = False,
    data: Data = Path(".data"),
) -> None:
    """Print a caller's policy as JSON, or replace it: within 5 s everywhere."""
    if file or clear:
        new = _policy_in(file) if file else NO_POLICY

        async def put(client: redis.asyncio.Redis) -> str:
            outcome = await policies.put(client, caller_id, new)
            if outcome == "done":
                await record(client, "policy_changed", caller=caller_id, policy=json.loads(new.to_json()))
            return outcome

        if with_store(data, put) == "missing":
            raise _unknown()
        return
    found = with_store(data, lambda client: policies.read(client, caller_id))
    if found is None:
        raise _unknown()
    write(found.to_json())


@app.command(name="policy-schema")
def policy_schema() -> None:
    """Print the JSON Schema of policy files."""
    write(json.dumps(Policy.model_json_schema(by_alias=True), indent=2))


def _policy_in(path: Path) -> Policy:
    try:
        return policy_file.read(path)
    except policy_file.PolicyRefused as refusal:
        print_message(str(refusal))
        raise typer.Exit(2) from None


def _unknown() -> typer.Exit:
    print_message("There is no key with this id; `claude-gateway keys list` shows the ids")
    return typer.Exit(1)


@app.command()
def revoke(
    caller_id: Id,
    *,
    data: Data = Path(".data"),
) -> None:
    """Revoke a key, cancel its caller's unfinished jobs, and close its open streams, all within 5 s."""

    async def do(client: redis.asyncio.Redis) -> bool:
        done = await callers.revoke(client, caller_id, keep_for=load(_RevokeSettings).result_ttl)
        if done:
            await record(client, "key_revoked", caller=caller_id)
        return done

    if not with_store(data, do):
        raise _unknown()
