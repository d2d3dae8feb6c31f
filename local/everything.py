"""`claude-gateway local`: runs API, worker, Redis and, if needed, the demo model on one machine until Ctrl-C."""

import json
import os
import shutil
import sys
import time
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from functions.worker.cli.environment import has_credentials, with_dotenv
from local import sealing_keys
from local.cli import SUPERVISED
from local.embedded_redis import EmbeddedRedis, EmbeddedRedisError
from local.supervisor import Child, Stopped, Supervisor
from shared.configuration.loopback import is_loopback
from shared.configuration.settings import ApiSettings, WorkerSettings, load

_COMMAND = [sys.executable, "-m", "local"]
_READY_TIMEOUT = 60.0
_DEMO = (
    "no Claude credentials: answers come from the built-in demo model. "
    "Set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN (in the environment or in .env) to use the real Claude."
)


def run_everything(host: str, port: int, data: Path, *, emulate_lambda: bool) -> int:
    """Run all processes until Ctrl-C, and return the exit status."""
    environment = _defaults(host) | {"HOST": host, "PORT": str(port), SUPERVISED: "1"}
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        with ExitStack() as stack:
            redis = None if _redis_is_configured() else stack.enter_context(EmbeddedRedis(data / "redis"))
            supervisor = stack.enter_context(Supervisor())
            if redis is not None:
                environment["REDIS_URL"] = redis.url
                supervisor.start(redis.child)
                redis.wait()
            if "files_url" not in load(WorkerSettings).model_fields_set:
                environment["FILES_URL"] = f"file:{(data / 'files').absolute()}"
            model = _model(supervisor)
            if model:
                environment["DEMO_MODEL"] = "true"
            of_api, of_worker = _sealing_keys(data)
            worker_environment = environment | of_api | model | of_worker
            # The API must not have the private key, even if this process was given one.
            environment |= of_api | {"CREDENTIALS_PRIVATE_KEY": ""}
            supervisor.start(Child("worker", [*_COMMAND, "worker"], worker_environment, stop_timeout=6))
            api = [*_COMMAND, "api", *(["--lambda"] if emulate_lambda else [])]
            supervisor.start(Child("api", api, environment, stop_timeout=2))
            _await_ready(host, port)
            print(f"ready {url}", flush=True)
            print(_first_steps(url), file=sys.stderr)
            return supervisor.wait()
    except Stopped:
        return 0
    except (EmbeddedRedisError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1


def _first_steps(url: str) -> str:
    """Return the first steps for a user, with commands that can be copied and run in this directory."""
    installed = Path(sys.executable).parent / "claude-gateway"
    found = shutil.which("claude-gateway")
    command = "claude-gateway" if found and Path(found).resolve() == installed.resolve() else _relative(installed)
    needs_key = load(ApiSettings).auth
    place = "" if url == "http://127.0.0.1:3000" else f" --url {url}"
    lines = [f"Start page: {url}/", f"API documentation: {url}/docs"]
    if needs_key:
        lines.append(f"Create an API key first: {command} keys create NAME")
    lines.append(f'Ask: {command} ask "What is 2+2?"{place}{" --api-key KEY" if needs_key else ""}')
    return "\n".join([*lines, "Stop: Ctrl-C"])


def _relative(path: Path) -> str:
    """Return a path relative to the current directory, if it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _defaults(host: str) -> dict[str, str]:
    """Return defaults for interactive use, for the settings that are not set."""
    # AUTH_ENABLED is set explicitly, because the emulator's environments would use Lambda's default.
    auth = "false" if is_loopback(host) else "true"
    chosen = {"LOG_FORMAT": "text", "SHUTDOWN_GRACE": "2", "AUTH_ENABLED": auth}
    # A webhook receiver under development runs on the same machine.
    chosen["WEBHOOK_ALLOWED_NETWORKS"] = "127.0.0.0/8 ::1/128"
    given = load(WorkerSettings).model_fields_set
    return {name: value for name, value in chosen.items() if name.lower() not in given}


def _redis_is_configured() -> bool:
    return bool({"redis_url", "redis_host"} & load(WorkerSettings).model_fields_set)


def _sealing_keys(data: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environment variables of API and worker for credentials; none when a key cannot be kept."""
    try:
        return sealing_keys.of_local(data)
    except OSError as error:
        reason = error.strerror or error
        print(f"no credentials can be stored: {data} cannot keep the key that opens them: {reason}", file=sys.stderr)
        return {}, {}


def _model(supervisor: Supervisor) -> dict[str, str]:
    """Start the demo model if there are no credentials, and return the worker's environment variables for it."""
    if has_credentials(with_dotenv(os.environ)):
        return {}
    demo = Child("demo model", [sys.executable, "-m", "local.demo_model"], ready="listening ", trusted=False)
    line = supervisor.start(demo)
    print(_DEMO, file=sys.stderr)
    return {"ANTHROPIC_BASE_URL": line.split()[1], "ANTHROPIC_API_KEY": "demo"}


def _await_ready(host: str, port: int) -> None:
    """Wait until the API reports that it and a worker are ready."""
    deadline = time.monotonic() + _READY_TIMEOUT
    while time.monotonic() < deadline:
        try:
            with closing(HTTPConnection(host, port, timeout=5)) as connection:
                connection.request("GET", "/health")
                if json.load(connection.getresponse())["status"] == "ok":
                    return
        except (OSError, HTTPException, ValueError):
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the gateway was not ready after {_READY_TIMEOUT:.0f} s; see the log lines above")
