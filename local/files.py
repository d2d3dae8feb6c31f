"""`claude-gateway files`: sends files to a gateway, and lists, reads and deletes them there."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from local.cli import Url
from local.client import Client, CommandError
from local.client_request import request
from local.file_transfer import upload
from local.output import is_terminal, print_message, visible, write
from local.paths import file_path

app = typer.Typer(name="files", add_completion=False, help="Manage a caller's files.", no_args_is_help=True)
ApiKey = Annotated[str | None, typer.Option(envvar="CLAUDE_GATEWAY_API_KEY", help="The caller's key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FileId = Annotated[str, typer.Argument(metavar="ID", help="The file's id.")]


@app.command()
def put(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="The files to send.")],
    url: Url,
    api_key: ApiKey = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Upload files and print their ids."""
    try:
        with Client(url, api_key) as client:
            for path in paths:
                file = upload(client, path)
                write(json.dumps(file) if as_json else f"{file['fileId']}  {visible(file['name'])}")
    except CommandError as error:
        print_message(str(error))
        raise typer.Exit(error.status) from None


@app.command()
def get(
    file_id: FileId,
    url: Url,
    api_key: ApiKey = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="Write to this file; else to standard output.")
    ] = None,
) -> None:
    """Download a file."""
    if output is None and is_terminal(sys.stdout):
        print_message("the file may not be text: send the output to a file, or use --output PATH")
        raise typer.Exit(2)
    try:
        with Client(url, api_key) as client:
            pieces = client.download(f"{file_path(file_id)}/content")
            if output is None:
                for piece in pieces:
                    sys.stdout.buffer.write(piece)
                return
            # Into another file first, so that a download that fails leaves the old one.
            with tempfile.NamedTemporaryFile(dir=output.parent, prefix=".files-get-", delete=False) as file:
                try:
                    for piece in pieces:
                        file.write(piece)
                    file.close()
                    os.replace(file.name, output)  # noqa: PTH105 -- a text
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
    except OSError as error:
        print_message(f"{output}: cannot be written: {error.strerror}")
        raise typer.Exit(2) from None
    except CommandError as error:
        print_message(str(error))
        raise typer.Exit(error.status) from None


@app.command(name="list")
def list_(
    url: Url,
    api_key: ApiKey = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the caller's newest files."""
    found = request("GET", f"/api/files?limit={limit}", url, api_key)
    if as_json:
        write(json.dumps(found))
        return
    table = Table("id", "name", "size", "type", "created", "expires", box=None)
    for one in found["files"]:
        fields = (one["fileId"], one["name"], one["size"], one["mediaType"], one["createdAt"], one["expiresAt"])
        table.add_row(*(visible(str(field)) for field in fields))
    Console(width=180, markup=False, emoji=False, highlight=False).print(table)


@app.command()
def delete(
    file_ids: Annotated[list[str], typer.Argument(metavar="ID…", help="The files' ids.")],
    url: Url,
    api_key: ApiKey = None,
) -> None:
    """Delete files. Jobs that were submitted with them still run with them."""
    for file_id in file_ids:
        request("DELETE", file_path(file_id), url, api_key)
        print_message(f"Deleted {file_id}")
