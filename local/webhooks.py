"""`claude-gateway webhooks`: manages deliveries, signing secrets and failing hosts, and runs a receiver."""

import json
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import redis.asyncio
import typer
from rich.console import Console
from rich.table import Table

from local.audit import record
from local.cli import Url
from local.client_request import request
from local.output import print_message, visible
from local.paths import job_path
from local.store_client import Data, with_store
from shared.api.views import failing_host
from shared.store import keys
from shared.store.webhooks import history, signing_secrets
from shared.webhook_secret import check_secret

app = typer.Typer(
    name="webhooks",
    add_completion=False,
    help="Manage deliveries, signing secrets and failing hosts of webhooks.",
    no_args_is_help=True,
)
ApiKey = Annotated[str | None, typer.Option(envvar="CLAUDE_GATEWAY_API_KEY", help="The caller's key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
_DATA = Path(".data")


@app.command(name="list")
def list_(job: Job, url: Url, api_key: ApiKey = None, *, as_json: AsJson = False) -> None:
    """List the delivery attempts of a job's webhooks, oldest first."""
    found = request("GET", f"{job_path(job)}/deliveries", url, api_key)
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("at", "attempt", "status", "ms", "error", "next", "url", "submission", box=None)
    for one in found["deliveries"]:
        fields = (
            one["at"], one["attempt"], one["statusCode"], one["durationMs"], one["error"], one["nextAttemptAt"],
            one["url"], one["requestId"],
        )  # fmt: skip
        table.add_row(*("" if field is None else visible(str(field)) for field in fields))
    Console(width=220, markup=False, emoji=False, highlight=False).print(table)


@app.command()
def redeliver(
    job: Job,
    url: Url,
    api_key: ApiKey = None,
    *,
    request_id: Annotated[str | None, typer.Option(help="Only for this submission; by default for all.")] = None,
) -> None:
    """Send a job's terminal event again, with the same id."""
    only = f"?requestId={quote(request_id, safe='', errors='replace')}" if request_id else ""
    answer = request("POST", f"{job_path(job)}/redeliver{only}", url, api_key)
    typer.echo(f"Redelivered: {len(answer['requestIds'])}; see `claude-gateway webhooks list {job}`")


@app.command()
def secret(*, data: Data = _DATA) -> None:
    """Show the gateway's own signing secret, used without callers' keys unless WEBHOOK_SECRET is set."""
    typer.echo(with_store(data, signing_secrets.of_gateway)[0])


@app.command()
def rotate(
    caller_id: Annotated[
        str,
        typer.Argument(metavar="[ID]", help="Id of a caller's key; by default the gateway's own secret is rotated."),
    ] = keys.ANONYMOUS,
    *,
    data: Data = _DATA,
) -> None:
    """Create a new signing secret. The previous one also signs for another day."""

    async def do(client: redis.asyncio.Redis) -> str | None:
        new = await signing_secrets.rotate(client, caller_id)
        if new is not None:
            await record(client, "webhook_secret_rotated", caller=caller_id)
        return new

    new = with_store(data, do)
    if new is None:
        print_message("There is no key with this id; `claude-gateway keys list` shows the ids")
        raise typer.Exit(1)
    typer.echo(new)
    print_message("Store a caller's secret now: it is not shown again. The previous one is valid for another day.")


@app.command()
def hosts(*, as_json: AsJson = False, data: Data = _DATA) -> None:
    """List failing hosts, and hosts paused after failing for WEBHOOK_DISABLE_AFTER."""
    found = with_store(data, history.failing_hosts)
    shown = [failing_host(host) for host in found]
    if as_json:
        typer.echo(json.dumps(shown))
        return
    table = Table("host", "failures", "failing since", "paused since", box=None)
    for one in shown:
        table.add_row(*("" if field is None else str(field) for field in one.values()))
    Console(width=160, markup=False, emoji=False, highlight=False).print(table)


@app.command()
def resume(
    host: Annotated[str, typer.Argument(help="Host as shown by `hosts`, such as example.com:443.")],
    *,
    data: Data = _DATA,
) -> None:
    """Resume deliveries to a paused host. Send deliveries that were skipped with `redeliver`."""

    async def do(client: redis.asyncio.Redis) -> bool:
        done = await history.resume(client, host)
        if done:
            await record(client, "webhook_host_resumed", host=host)
        return done

    if not with_store(data, do):
        print_message("This host is not failing; `claude-gateway webhooks hosts` lists those that are")
        raise typer.Exit(1)


@app.command()
def listen(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 selects a free port.")] = 0,
    *,
    secret: Annotated[
        str | None, typer.Option(envvar="WEBHOOK_SECRET", help="Signing secret; by default the gateway's own.")
    ] = None,
    data: Data = _DATA,
) -> None:
    """Receive, verify and print webhooks on loopback until Ctrl-C."""
    from local.webhook_receiver import receive  # noqa: PLC0415 -- the other commands do not need it

    try:
        given = [check_secret(one) for one in (secret or "").split()]
    except ValueError as error:
        print_message(f"WEBHOOK_SECRET: {error}")
        raise typer.Exit(2) from None
    secrets = given or with_store(data, signing_secrets.of_gateway)
    receive(port, secrets)
