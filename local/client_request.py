"""One request of a command to a gateway; an error ends the command with its message and status."""

from typing import Any

import typer

from local.client import Client, CommandError
from local.output import print_message


def request(method: str, path: str, url: str, api_key: str | None, body: dict[str, Any] | None = None) -> Any:
    """Send a request and return the JSON of the response; raises typer.Exit for an error."""
    try:
        with Client(url, api_key) as client:
            return client.send(method, path, body)[0]
    except CommandError as error:
        print_message(str(error))
        raise typer.Exit(error.status) from None
