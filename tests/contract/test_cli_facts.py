"""What the relay relies on in the bundled CLI; a release that changes it fails here, and not in production."""

import json
import mmap
import re
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from functions.worker.relay import models
from functions.worker.relay.prices import PRICES, Price
from local.messages_api import Answer, TextBlock, Usage, answer_events, encode_event, error_body
from shared.api.vocabulary import CLI_DEFAULT_MODEL
from tests.support.real_cli import REAL_CLI, ask_real_cli, isolated_environment
from tests.support.scripted_model import ScriptedModel, ToolUse

# Facts change with a release of the CLI, and not with a change of the gateway.
# `.ci/run` leaves them out: only another version of the CLI changes what they find.
pytestmark = [pytest.mark.slow, pytest.mark.long]


class Socket:
    """A Messages API on a Unix socket that answers `ok`, or with the statuses that it is given."""

    def __init__(self, path: Path, *statuses: int) -> None:
        self.path = path
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        left, requests = list(statuses), self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                if left:
                    status, data, kind = left.pop(0), json.dumps(error_body("some_error", "m")).encode(), "json"
                else:
                    answer = Answer(body["model"], [TextBlock(["ok"])], Usage(10, 5))
                    status, kind = 200, "json"
                    if body.get("stream"):
                        data, kind = b"".join(encode_event(event) for event in answer_events(answer)), "stream"
                self.send_response(status)
                self.send_header("content-type", "text/event-stream" if kind == "stream" else "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                requests.append((self.path, {}, None))
                self.send_error(404)

        self._server = ThreadingUnixStreamServer(str(path), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> "Socket":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def ask(tmp_path, monkeypatch):
    def ask(*flags: str, socket: str = "../s", credential: str = "ANTHROPIC_API_KEY", **variables: str) -> Any:
        def environment(home: Path, url: str) -> dict[str, str]:
            known = {
                name: value for name, value in isolated_environment(home, url).items() if name != "ANTHROPIC_API_KEY"
            }
            return {**known, "ANTHROPIC_UNIX_SOCKET": socket, credential: "placeholder", **variables}

        monkeypatch.setattr("tests.support.real_cli.isolated_environment", environment)
        (tmp_path / "work").mkdir(exist_ok=True)
        return ask_real_cli("hello", "http://relay", tmp_path / "work", *flags)

    return ask


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize(
    ("credential", "header"),
    [
        ("ANTHROPIC_API_KEY", ("x-api-key", "placeholder")),
        ("ANTHROPIC_AUTH_TOKEN", ("authorization", "Bearer placeholder")),
        ("CLAUDE_CODE_OAUTH_TOKEN", ("authorization", "Bearer placeholder")),
    ],
)
def test_the_cli_calls_claude_through_its_unix_socket_only(ask, tmp_path, relative, credential, header):
    """Catches a CLI that ignores ANTHROPIC_UNIX_SOCKET, or that asks for more than the Messages API."""
    with Socket(tmp_path / "s") as socket:
        socket_path = "../s" if relative else str(socket.path)
        proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
        assert ask(socket=socket_path, credential=credential, **proxy)["result"] == "ok"
    [(path, headers, body)] = socket.requests
    assert path == "/v1/messages?beta=true"
    assert headers[header[0]] == header[1]
    assert ("oauth-2025-04-20" in headers["anthropic-beta"]) == (credential == "CLAUDE_CODE_OAUTH_TOKEN")
    assert body["stream"] is True


def test_the_cli_ends_at_403_and_retries_nothing_by_itself(ask, tmp_path):
    """Catches a CLI that goes on after the relay has refused a request."""
    with Socket(tmp_path / "s", *[403] * 9) as socket:
        envelope = ask()
    assert (envelope["is_error"], envelope["api_error_status"], len(socket.requests)) == (True, 403, 1)
    with Socket(tmp_path / "t", *[529] * 9) as socket:
        envelope = ask(socket="../t")
    assert (envelope["is_error"], envelope["api_error_status"], len(socket.requests)) == (True, 529, 1)


def test_requests_of_a_subagent_are_marked(tmp_path):
    """Catches a CLI that does not say which requests are a subagent's, which are no turns of the run."""
    task = ToolUse("Task", {"description": "d", "prompt": "of the subagent", "subagent_type": "general-purpose"})
    with ScriptedModel() as model:
        model.script(task)
        envelope = ask_real_cli("hello", model.url, tmp_path, "--tools", "Task", "--allowedTools", "Task")
        marked = ["x-claude-code-agent-id" in request.headers for request in model.requests]
    assert envelope["result"] == "ok"
    # The subagent runs beside the main loop, so their order varies.
    assert (marked[0], marked.count(True)) == (False, 1)


@pytest.mark.parametrize("alias", models._ALIASES)
def test_an_alias_of_a_model_is_the_model_that_the_cli_asks(ask, tmp_path, alias):
    """Catches a release in which an alias stands for another model."""
    with Socket(tmp_path / "s") as socket:
        ask("--model", alias)
    assert socket.requests[0][2]["model"] == models.resolve(alias, {})


def test_the_default_model_is_the_one_that_the_cli_asks(ask, tmp_path):
    """Catches a release with another default: /v1/models would list a model that no request uses."""
    with Socket(tmp_path / "s") as socket:
        ask()
    assert socket.requests[0][2]["model"] == CLI_DEFAULT_MODEL


def test_the_prices_are_those_of_the_clis_catalog():
    """Catches a release with another price, or with a model that the relay does not know."""
    with REAL_CLI.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary:
        start = binary.find(b"pricing_tiers:{")
        assert start > 0, "the CLI's catalog of models is written in another way"
        text = binary[start : start + 60_000].decode("latin-1")
    tiers = {name: _tier(body) for name, body in re.findall(r"[{,](\w+):\{(input:[^}]*(?:\{[^}]*\})?)", text)}
    catalog = dict(re.findall(r'\{id:"(claude-[\w.-]+)",family:.*?pricing:"(\w+)"', text, re.DOTALL))
    assert {model: tiers[tier] for model, tier in catalog.items()} == PRICES


def _tier(body: str) -> Price:
    body, _, nested = body.partition("long_prompt:{")
    own = {name: float(value) for name, value in re.findall(r"(\w+):([\d.e]+)", body)}
    price = Price(own["input"], own["output"], own["cache_write_5m"], own["cache_write_1h"], own["cache_read"])
    if not nested:
        return price
    more = {name: float(value) for name, value in re.findall(r"(\w+):([\d.e]+)", nested)}
    long = Price(more["input"], more["output"], more["cache_write_5m"], more["cache_write_1h"], more["cache_read"])
    return Price(
        price.input, price.output, price.write_5m, price.write_1h, price.read, int(more["above_prompt_tokens"]), long
    )
