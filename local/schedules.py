"""`claude-gateway schedules`: manage a caller's schedules, one by one or from a file."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from local import yaml_file
from local.ask_command import ApiKey
from local.cli import Url
from local.client_request import request
from local.output import is_terminal, print_message, visible, write, write_json
from local.paths import job_path

app = typer.Typer(
    name="schedules", add_completion=False, help="Manage queries that run at set times.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print the response body as JSON.")]
Schedule = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's id.")]
_COLLECTION = "/api/schedules"


def _every(url: str, api_key: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = request("GET", f"{_COLLECTION}?limit=100{cursor}", url, api_key)
        found += page["schedules"]
        if page["nextCursor"] is None:
            return found
        cursor = f"&cursor={page['nextCursor']}"


def _path(schedule: str, action: str = "") -> str:
    return job_path(schedule, _COLLECTION) + action


def _show(schedule: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json(schedule)
        return
    following = schedule["nextRuns"][0] if schedule["nextRuns"] else f"paused ({schedule['paused']})"
    write(f"{schedule['scheduleId']}  {visible(schedule['name'])}  next run: {following}")


@app.command(name="list")
def list_(url: Url, api_key: ApiKey = None, *, as_json: AsJson = False) -> None:
    """List the caller's schedules, newest first."""
    found = _every(url, api_key)
    if as_json:
        write_json({"schedules": found})
        return
    table = Table("id", "name", "cron", "timezone", "next run", "failures", box=None)
    for one in found:
        upcoming = one["nextRuns"][0] if one["nextRuns"] else f"paused ({one['paused']})"
        fields = (one["scheduleId"], one["name"], one["cron"], one["timezone"], upcoming, one["failures"])
        table.add_row(*(visible(str(field)) for field in fields))
    Console(width=200, markup=False, emoji=False, highlight=False).print(table)


@app.command()
def get(schedule: Schedule, url: Url, api_key: ApiKey = None, *, as_json: AsJson = False) -> None:
    """Print a schedule and its last runs."""
    found = request("GET", _path(schedule), url, api_key)
    _show(found, as_json=as_json)
    if not as_json:
        for run in found["runs"]:
            why = f"  {run['error']['message'] or run['error']['code']}" if run["error"] else ""
            write(visible(f"{run['dueAt'] or run['at']}  {run['state']}  {run['jobId'] or ''}{why}"))


@app.command()
def create(  # noqa: PLR0913 -- one for each option
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
    query: Annotated[str, typer.Argument(help="The query of each run.")],
    url: Url,
    api_key: ApiKey = None,
    *,
    cron: Annotated[str, typer.Option(help="When it runs, such as '30 2 * * *' or @daily.")],
    timezone: Annotated[str, typer.Option(help="Time zone of the IANA database.")] = "UTC",
    overlap: Annotated[Literal["skip", "queue"], typer.Option(help="While the last job has not ended.")] = "skip",
    catch_up: Annotated[Literal["none", "last"], typer.Option(help="For missed due times.")] = "none",
    options: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON with more fields of the query.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a schedule."""
    more: Any = {}
    if options is not None:
        try:
            more = yaml_file.read(options)
        except yaml_file.FileRefused as error:
            print_message(str(error))
            raise typer.Exit(2) from None
        if not isinstance(more, dict):
            print_message(f"{options}: should be an object with fields of a query")
            raise typer.Exit(2)
    body = {
        "name": name, "cron": cron, "timezone": timezone, "overlap": overlap, "catchUp": catch_up,
        "query": {**more, "query": query},
    }  # fmt: skip
    _show(request("POST", _COLLECTION, url, api_key, body), as_json=as_json)


@app.command()
def pause(schedule: Schedule, url: Url, api_key: ApiKey = None, *, as_json: AsJson = False) -> None:
    """Pause a schedule."""
    _show(request("POST", _path(schedule, "/pause"), url, api_key), as_json=as_json)


@app.command()
def resume(schedule: Schedule, url: Url, api_key: ApiKey = None, *, as_json: AsJson = False) -> None:
    """Resume a schedule, from its next due time on."""
    _show(request("POST", _path(schedule, "/resume"), url, api_key), as_json=as_json)


@app.command()
def run(schedule: Schedule, url: Url, api_key: ApiKey = None, *, as_json: AsJson = False) -> None:
    """Run a schedule now."""
    made = request("POST", _path(schedule, "/run"), url, api_key)
    if as_json:
        write_json(made)
    else:
        write(f"job {made['jobId']}; follow it with `claude-gateway jobs follow {made['jobId']}`")


@app.command()
def delete(schedule: Schedule, url: Url, api_key: ApiKey = None) -> None:
    """Delete a schedule. Its jobs stay."""
    request("DELETE", _path(schedule), url, api_key)
    print_message(f"Deleted {visible(schedule)}")


@app.command()
def export(url: Url, api_key: ApiKey = None) -> None:
    """Print the caller's schedules as a file for `apply`."""
    from local import schedule_plan  # noqa: PLC0415 -- the other commands do without the models

    write(schedule_plan.export(_every(url, api_key)).rstrip("\n"))


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON, as `export` prints it.")],
    url: Url,
    api_key: ApiKey = None,
    *,
    prune: Annotated[bool, typer.Option("--prune", help="Delete the schedules that the file does not have.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Make the changes without a question.")] = False,
) -> None:
    """Make the caller's schedules those of a file. Prints a plan first, and changes nothing before you agree.

    Exit status: 0 done or nothing to do, 1 not agreed, 2 the file or the gateway refused it.
    """
    from local import schedule_plan  # noqa: PLC0415 -- as above

    try:
        wanted = schedule_plan.read(file)
        steps = schedule_plan.plan(wanted, _every(url, api_key), prune=prune)
    except yaml_file.FileRefused as error:
        print_message(str(error))
        raise typer.Exit(2) from None
    if not steps:
        write("nothing to change")
        return
    write("\n".join(visible(str(step)) for step in steps))
    if not yes and not (is_terminal(sys.stdin) and typer.confirm("Make these changes?")):
        print_message("nothing is changed; --yes makes these changes without a question")
        raise typer.Exit(1)
    methods = {"create": "POST", "change": "PATCH", "delete": "DELETE"}
    for step in steps:
        path = _path(step.schedule_id) if step.schedule_id else _COLLECTION
        request(methods[step.verb], path, url, api_key, step.body)
    write(f"{len(steps)} made")
