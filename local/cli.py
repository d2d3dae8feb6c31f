"""The command `claude-gateway`."""

import errno
import os
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from local.output import checked_output
from shared.version import VERSION

if TYPE_CHECKING:
    from shared.configuration.settings import ApiSettings

# Commands that are imported on first use, and their modules.
_MODULES = {
    "ask": "local.ask_command",
    "audit": "local.audit",
    "credentials": "local.credentials",
    "files": "local.files",
    "jobs": "local.jobs",
    "keys": "local.keys",
    "schedules": "local.schedules",
    "webhooks": "local.webhooks",
}
# These commands log to standard error and print at most one line to standard output.
_SERVERS = {"local", "api", "worker"}


# Set in the environment of the processes that `local` starts.
SUPERVISED = "CLAUDE_GATEWAY_SUPERVISED"


class _Commands(TyperGroup):
    """Imports the module of a command on first use, so that no command waits for the imports of another one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Placeholders, for the list of commands and for suggestions.
        self.commands.update({name: TyperCommand(name) for name in _MODULES})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = _MODULES.get(cmd_name)
        return super().get_command(ctx, cmd_name) if module is None else get_command(import_module(module).app)


app = typer.Typer(
    name="claude-gateway",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"claude-gateway {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A gateway that turns the Claude CLI into a service."""


def default_url() -> str:
    """Return the URL of the gateway on this machine, from the PORT setting that the gateway reads too."""
    port = os.environ.get("PORT")
    if not port and Path(".env").exists():
        from shared.configuration import env_file  # noqa: PLC0415 -- slow to import, and rarely needed
        from shared.configuration.errors import SettingsError  # noqa: PLC0415 -- as above

        try:
            port = env_file.read().get("PORT")
        except SettingsError as error:
            _fail(error)
    port = (port or "3000").strip().strip("\"'")
    if not (port.isascii() and port.isdecimal()):
        print("PORT: should be a whole number from 0 to 65535, such as 3000", file=sys.stderr)
        raise typer.Exit(2)
    return f"http://127.0.0.1:{port}"


Url = Annotated[
    str,
    typer.Option(
        envvar="CLAUDE_GATEWAY_URL",
        default_factory=default_url,
        show_default="http://127.0.0.1:PORT",
        help="URL of the gateway.",
    ),
]


def _fail(error: Exception) -> NoReturn:
    """Print a line for each invalid setting and exit with status 2."""
    print(error, file=sys.stderr)
    raise typer.Exit(2) from None


def _check(*, with_api: bool, with_worker: bool) -> None:
    """Validate all settings of the processes to run, so that an error is reported now and not on the first request."""
    from functions.worker.cli.environment import with_dotenv  # noqa: PLC0415 -- clients of a gateway do not need it
    from functions.worker.cli.version import check_command  # noqa: PLC0415 -- as above
    from shared.configuration.settings import (  # noqa: PLC0415 -- as above
        HTTP_SETTINGS,
        SettingsError,
        WorkerSettings,
        load,
        load_all,
    )
    from shared.host.environment import hide  # noqa: PLC0415 -- as above

    try:
        # Processes that `local` starts read the same file, and `local` has reported its errors.
        if SUPERVISED not in os.environ:
            from local.env_names import warnings  # noqa: PLC0415 -- as above

            for line in warnings():
                print(line, file=sys.stderr)
        load_all(*(HTTP_SETTINGS if with_api else ()), *((WorkerSettings,) if with_worker else ()))
        if with_worker:
            with_dotenv(os.environ)  # reads credential files
            check_command(load(WorkerSettings))
    except SettingsError as error:
        _fail(error)
    # The tools of a run can run as the same user on the same machine.
    hide()


def _settings(*, with_worker: bool) -> "ApiSettings":
    """Check the settings of the API, and of a worker if asked; return those of serving HTTP."""
    _check(with_api=True, with_worker=with_worker)
    from shared.configuration.settings import ApiSettings, load  # noqa: PLC0415 -- as above

    found: ApiSettings = load(ApiSettings)
    return found


def free_port(settings: "ApiSettings") -> int:
    """Return PORT, or a free one for 0; ends the command when it is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            of_port = error.errno in {errno.EADDRINUSE, errno.EACCES}
            what = f"PORT: {settings.port} on {settings.host}" if of_port else f"HOST: {settings.host}"
            print(f"{what} cannot be used: {error.strerror}", file=sys.stderr)
            raise typer.Exit(2) from None
        port: int = probe.getsockname()[1]
        return port


@app.command()
def local(
    *,
    lambda_: Annotated[bool, typer.Option("--lambda", help="Serve requests through the Lambda emulator.")] = False,
    data: Annotated[Path, typer.Option(help="Data directory: the embedded Redis, files.")] = Path(".data"),
) -> None:
    """Run everything on this machine: API, worker, Redis and, without credentials, a demo model."""
    from local import admin_password  # noqa: PLC0415 -- no other command needs it
    from shared.configuration import env_file  # noqa: PLC0415 -- as above
    from shared.configuration.errors import SettingsError  # noqa: PLC0415 -- as above

    try:
        admin_password.make_if_missing()
        if not {"REDIS_URL", "REDIS_HOST"} & env_file.given().keys():
            # The embedded Redis has no port, so it does not matter what Kubernetes may have set this to.
            os.environ["REDIS_PORT"] = "6379"
    except SettingsError as error:
        _fail(error)
    settings = _settings(with_worker=True)
    from local.everything import run_everything  # noqa: PLC0415 -- `api` and `worker` do without it

    raise typer.Exit(run_everything(settings.host, free_port(settings), data, emulate_lambda=lambda_))


@app.command()
def api(
    *,
    lambda_: Annotated[bool, typer.Option("--lambda", help="Serve requests through the Lambda emulator.")] = False,
) -> None:
    """Serve all the endpoints with uvicorn; needs a Redis."""
    settings = _settings(with_worker=False)
    import uvicorn  # noqa: PLC0415 -- `ask` does without it

    from local.connections import most_connections, raise_descriptor_limit  # noqa: PLC0415 -- as above
    from local.http_protocol import BoundedProtocol  # noqa: PLC0415 -- as above
    from shared.configuration.settings import SettingsError  # noqa: PLC0415 -- as above

    raise_descriptor_limit()
    try:
        most_connections()
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    port = free_port(settings)
    target = "local.lambda_emulator.app:app" if lambda_ else "local.app:app"
    uvicorn.run(
        target,
        host=settings.host,
        port=port,
        workers=1 if lambda_ else settings.web_concurrency,
        log_config=None,
        access_log=False,
        # TRUSTED_PROXIES decides who is believed; uvicorn would believe everybody on loopback.
        proxy_headers=False,
        server_header=False,
        http=BoundedProtocol,
        ws="none",
        timeout_keep_alive=settings.keep_alive_timeout,
        timeout_graceful_shutdown=5,
    )


@app.command()
def worker() -> None:
    """Run QUEUE_CONCURRENCY slots; needs a Redis."""
    # The kernel drops signals to a container's first process that it has no handler for; what is blocked stays pending
    # until the worker has its handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    _check(with_api=False, with_worker=True)
    # A process of its own kind: what the command line imported, its slots would import again.
    os.execv(sys.executable, [sys.executable, "-m", "functions.worker"])  # noqa: S606 -- no shell is wanted


def main() -> None:
    """Run the command."""
    if sys.stdout is None and sys.argv[1:2] and sys.argv[1] in _SERVERS:
        app()
    with checked_output():
        app()
