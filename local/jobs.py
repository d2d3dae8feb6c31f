"""`claude-gateway jobs`: list, read, follow, cancel and retry jobs of a running gateway, and get what they left."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlencode

import typer

from local.ask_command import ApiKey, Stream, Timeout, is_live, job_command
from local.cli import Url
from local.client import Body, Client, CommandError
from local.output import print_message, visible, write, write_json
from local.paths import job_path

app = typer.Typer(name="jobs", add_completion=False, help="Manage the jobs of a running gateway.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print the response body as JSON.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
State = Literal["waiting", "active", "delayed", "paused", "completed", "failed", "cancelled"]


def _send(method: str, path: str, url: str, api_key: str | None, basic: tuple[str, str] | None = None) -> Body:
    """Send a request and return the response body. Any status but 2xx ends the command with a message."""
    try:
        with Client(url, api_key, basic=basic) as client:
            return client.send(method, path, timeout=40)[0]
    except CommandError as error:
        print_message(str(error))
        raise typer.Exit(error.status) from None


@app.command(name="list")
def list_(
    url: Url,
    api_key: ApiKey = None,
    *,
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Only jobs that this schedule made.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Maximum number of jobs.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="`nextCursor` of the previous page.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the caller's own jobs, newest first."""
    given = {"state": state, "schedule": schedule, "limit": limit, "cursor": cursor}
    query = urlencode({name: value for name, value in given.items() if value is not None}, errors="replace")
    page = _send("GET", f"/api/query?{query}", url, api_key)
    if as_json:
        write_json(page)
        return
    from local.job_table import print_jobs  # noqa: PLC0415 -- the other commands do without tables

    print_jobs(page["jobs"])
    if page.get("nextCursor"):
        print_message(f"older jobs: --cursor {page['nextCursor']}")


@app.command()
def get(
    job: Job,
    url: Url,
    api_key: ApiKey = None,
    *,
    wait: Annotated[float, typer.Option(min=0, max=25, help="Seconds to wait for the end of the job.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print a job and its answer, whatever its state."""
    status = _send("GET", f"{job_path(job)}?wait={wait:g}", url, api_key)
    if as_json:
        write_json(status)
        return
    health: Body = {}
    if status.get("state") in {"waiting", "delayed"}:
        with Client(url, api_key) as client:
            health = client.health()
    from local.job_text import details_of  # noqa: PLC0415 -- as above

    write(visible(details_of(status, health)))


@app.command()
def follow(
    job: Job,
    url: Url,
    api_key: ApiKey = None,
    *,
    as_json: AsJson = False,
    stream: Stream = None,
    timeout: Timeout = None,
) -> None:
    """Follow a job to its end and print its answer.

    Exit status as for `ask`: 0 completed, 1 failed or cancelled, 2 it could not be followed or printed, 130 Ctrl-C.
    Ctrl-C does not cancel the job.
    """
    from local import following  # noqa: PLC0415 -- the other commands do without
    from local.deadline import Deadline  # noqa: PLC0415
    from local.progress_display import ProgressDisplay  # noqa: PLC0415

    gateway = job_command(url, api_key)
    live = is_live(stream) and not as_json

    def work() -> int:
        deadline = Deadline(timeout)
        with gateway.connect() as client:
            # A job that does not exist has no state to show.
            client.send("GET", job_path(job))
            gateway.job_id = job
            with ProgressDisplay(gateway.connect) as display:
                status = following.follow(client, job, display, deadline, as_json=as_json, live=live)
        return following.report(status, as_json=as_json, shown=live)

    raise typer.Exit(gateway.run(work, second_cancels=False))


@app.command()
def patch(job: Job, url: Url, api_key: ApiKey = None) -> None:
    """Print the patch of a job: `claude-gateway jobs patch JOB | git apply`."""
    from local import job_outputs  # noqa: PLC0415 -- the other commands do without

    gateway = job_command(url, api_key)

    def work() -> int:
        with gateway.connect() as client:
            job_outputs.write_patch(job_outputs.patch_of(client, job))
        return 0

    raise typer.Exit(gateway.run(work, second_cancels=False))


@app.command()
def artifacts(
    job: Job,
    url: Url,
    api_key: ApiKey = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Download all artifacts below this directory.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what the run of a job left in `outputs/`, or download it."""
    from local import job_outputs  # noqa: PLC0415 -- as above

    gateway = job_command(url, api_key)

    def work() -> int:
        with gateway.connect() as client:
            found = job_outputs.artifacts_of(client, job)
            if as_json:
                write_json(found)
            elif output is None and found["artifacts"]:
                write("\n".join(f"{one['size']:>12}  {visible(one['path'])}" for one in found["artifacts"]))
            if output is not None:
                job_outputs.save_artifacts(client, job, found, output)
        for reason, count in found["omitted"].items():
            print_message(f"{count} omitted: {reason}")
        return 0

    raise typer.Exit(gateway.run(work, second_cancels=False))


@app.command()
def cancel(job: Job, url: Url, api_key: ApiKey = None, *, as_json: AsJson = False) -> None:
    """Cancel a job, for every submission that joined it."""
    status = _send("DELETE", job_path(job), url, api_key)
    if as_json:
        write_json(status)
    else:
        write(f"job {visible(job)} is {visible(str(status.get('state')))}")


@app.command()
def decide(
    job: Job,
    decision: Annotated[Literal["allow", "deny"], typer.Argument(help="The decision.")],
    url: Url,
    api_key: ApiKey = None,
    *,
    message: Annotated[str | None, typer.Option(help="The reason, which the model receives with a denial.")] = None,
    as_json: AsJson = False,
) -> None:
    """Allow or deny the call that a job is paused for; `jobs get JOB --json` shows it as `pending`."""
    from local.deciding import decide_pending  # noqa: PLC0415 -- as above

    gateway = job_command(url, api_key)

    def work() -> int:
        with gateway.connect() as client:
            status = decide_pending(client, job, decision, message)
        if as_json:
            write_json(status)
        else:
            write(f"job {visible(job)} is {visible(str(status.get('state')))}")
        return 0

    raise typer.Exit(gateway.run(work, second_cancels=False))


@app.command()
def retry(
    job: Job,
    url: Url,
    *,
    admin_user: Annotated[str, typer.Option(envvar="ADMIN_USERNAME", help="Username of the admin login.")] = "admin",
    admin_password: Annotated[
        str | None,
        typer.Option(
            envvar="ADMIN_PASSWORD",
            help="Password of the admin login. Other users of this machine can read options; prefer the variable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a failed or cancelled job again under the same id, or a delayed job now; for operators.

    This command uses the admin API. It requires ADMIN_ENABLED at the gateway, and the admin login.
    A caller without the admin login submits the query again with `ask`.
    """
    if not admin_password:
        print_message("ADMIN_PASSWORD is not set: a retry uses the admin API, which requires the admin login")
        raise typer.Exit(2)
    body = _send("POST", f"{job_path(job, '/admin/api/jobs')}/retry", url, None, (admin_user, admin_password))
    if as_json:
        write_json(body)
    else:
        write(f"job {visible(job)} runs again; follow it with `claude-gateway jobs follow {visible(job)}`")
