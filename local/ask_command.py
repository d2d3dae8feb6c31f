"""The options of `claude-gateway ask`."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from local.cli import Url, default_url
from local.client import CommandError
from local.file_transfer import place_of
from local.job_command import JobCommand
from local.output import is_terminal, print_message
from local.workspace import files_of, git_of, is_url

ApiKey = Annotated[
    str | None, typer.Option(envvar="CLAUDE_GATEWAY_API_KEY", help="The caller's key.", show_envvar=True)
]
Timeout = Annotated[float | None, typer.Option(help="Stop following after this many seconds; the job continues.")]
Stream = Annotated[
    bool | None,
    typer.Option("--stream/--no-stream", help="Print the answer as it is generated; the default on a terminal."),
]

app = typer.Typer(add_completion=False)


def job_command(url: str, api_key: str | None) -> JobCommand:
    """Return a JobCommand for a gateway."""
    is_default = url in {os.environ.get("CLAUDE_GATEWAY_URL"), default_url()}
    return JobCommand(url, api_key, "" if is_default else f" --url {shlex.quote(url)}")


def is_live(stream: bool | None) -> bool:
    """Return whether to print the answer as it is generated."""
    return is_terminal(sys.stdout) if stream is None else stream


@app.command(name="ask")
def ask(  # noqa: PLR0913 -- each is an option
    query: Annotated[str, typer.Argument(help="The query; `-` reads standard input alone.")],
    url: Url,
    api_key: ApiKey = None,
    *,
    model: Annotated[str | None, typer.Option(help="The model; one of CLAUDE_MODELS when that is set.")] = None,
    system_prompt: Annotated[str | None, typer.Option(help="Replaces the CLI's system prompt.")] = None,
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with a JSON Schema that the answer must match.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue this session; `new` starts one and prints its id.")
    ] = None,
    priority: Annotated[Literal["high", "normal", "low"] | None, typer.Option(help="The priority.")] = None,
    mcp: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVER", help="Use this MCP server instead of the router's choice. Repeatable."),
    ] = None,
    no_mcp: Annotated[bool, typer.Option("--no-mcp", help="Use no MCP server.")] = False,
    tool: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Allow this built-in tool of the CLI. Repeatable.")
    ] = None,
    approve: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help="Ask before each call of this tool; `*` stands for any text. Repeatable."),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Let the model start this agent of the deployment. Repeatable."),
    ] = None,
    skill: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Let the model read this skill of the deployment. Repeatable."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Let the tools reach this host alone, within RUN_ALLOWED_HOSTS. Repeatable."),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Place this file in the working directory of the run. Repeatable."),
    ] = None,
    attach: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="Show this image or PDF to the model. Repeatable.")
    ] = None,
    workspace: Annotated[
        str | None,
        typer.Option(
            metavar="URL[@REF]|DIR",
            help="Clone this repository for the run, at a branch, tag or commit; or send the files of a git checkout.",
        ),
    ] = None,
    git_credential: Annotated[
        str | None, typer.Option(metavar="NAME", help="The caller's credential of the kind git for the repository.")
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="Push what the run commits or changes to this branch.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="With --workspace DIR: show the patch of the run, and apply it there.")
    ] = False,
    stdin: Annotated[
        bool | None,
        typer.Option(
            "--stdin/--no-stdin",
            help="Append standard input to the query, or ignore it. By default a pipe or file is appended.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the status body as JSON.")] = False,
    stream: Stream = None,
    timeout: Timeout = None,
) -> None:
    """Submit a query to a running gateway, follow its job, and print the answer.

    Exit status: 0 completed, 1 the job failed or was cancelled, 2 the query could not be submitted, followed or
    printed, 130 Ctrl-C. The first Ctrl-C stops following, and the job continues; the second one cancels the job.
    """
    from local import ask as command  # noqa: PLC0415 -- `--help` does without it

    fields: dict[str, Any] = {"model": model, "systemPrompt": system_prompt, "priority": priority, "tools": tool}
    fields |= {"agents": agent, "skills": skill}
    try:
        fields |= {"outputSchema": _schema(schema), "mcpServers": _servers(mcp, no_mcp=no_mcp)}
        repository, sent = _workspace(workspace, git_credential, push, apply=apply)
        fields |= {"workspace": repository}
    except CommandError as error:
        print_message(str(error))
        raise typer.Exit(error.status) from None
    fields |= {"network": {"allowedHosts": allow_host} if allow_host else None}
    fields |= {"approval": {"tools": approve} if approve else None}
    fields |= {"session": True} if session == "new" else {"sessionId": session}
    given = {name: value for name, value in fields.items() if value is not None}
    files = (*sent, *((place_of(path), path) for path in file or ()))
    apply_to = Path(workspace) if apply and workspace else None
    question = command.Question(query, given, stdin, files, tuple(attach or ()), apply_to)
    gateway = job_command(url, api_key)
    raise typer.Exit(command.ask(question, gateway, as_json=as_json, timeout=timeout, stream=is_live(stream)))


def _workspace(
    given: str | None, credential: str | None, push: str | None, *, apply: bool
) -> tuple[dict[str, Any] | None, list[tuple[str, Path]]]:
    """Return the repository of the submission, or the files of a directory."""
    if given is not None and is_url(given):
        if apply:
            raise CommandError("--apply needs a directory as --workspace; use `claude-gateway jobs patch`")
        return git_of(given, credential=credential, push=push), []
    if credential or push:
        raise CommandError("--git-credential and --push need a URL as --workspace")
    if given is None:
        if apply:
            raise CommandError("--apply needs --workspace DIR")
        return None, []
    return None, files_of(Path(given))


def _servers(names: list[str] | None, *, no_mcp: bool) -> list[str] | None:
    if no_mcp and names:
        raise CommandError("--mcp and --no-mcp are mutually exclusive")
    return [] if no_mcp else names or None


def _schema(path: Path | None) -> dict[str, Any] | None:
    """Read a JSON Schema from a file. The gateway validates it."""
    if path is None:
        return None
    try:
        found = json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise CommandError(f"--schema: {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--schema: {path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise CommandError(f"--schema: {path} should contain a JSON object")
    return found
