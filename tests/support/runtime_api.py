"""The part of Lambda's runtime API that a function uses: events, responses, and the restore of a snapshot.

Source: "Using the Lambda runtime API for custom runtimes", and awslambdaric for `restore/next`.
"""

import json
import queue
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

_ANSWER_WITHIN = 30.0


@dataclass
class _Invocation:
    id: str
    event: bytes
    answers: "queue.Queue[tuple[str, Any]]" = field(default_factory=queue.Queue)


class RuntimeApi:
    """Sends events to one process, one at a time, within a `with` block."""

    def __init__(self) -> None:
        api = self
        self._waiting: queue.Queue[_Invocation | None] = queue.Queue()
        self._given: dict[str, _Invocation] = {}
        self._count = 0
        # Set when its imports are done and it requests the restore, which is answered after `restore`.
        self.snapshot = threading.Event()
        self._restored = threading.Event()
        self.failure: Any = None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path.endswith("/restore/next"):
                    api.snapshot.set()
                    api._restored.wait(_ANSWER_WITHIN)
                    return self._answer({}, b"{}")
                invocation = api._waiting.get()
                if invocation is None:
                    return self.close_connection_now()
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": invocation.id,
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 29) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:f:live",
                    "Lambda-Runtime-Trace-Id": "Root=1-6921c1f0-0123456789abcdef01234567;Sampled=0",
                }
                return self._answer(headers, invocation.event)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                reported = json.loads(body or b"null")
                parts = self.path.split("/")
                if "invocation" in parts:
                    api._given[parts[-2]].answers.put((parts[-1], reported))
                else:  # init/error, restore/error
                    api.failure = reported
                    api.snapshot.set()
                self._answer({}, b"{}", 202)

            def _answer(self, headers: dict[str, str], body: bytes, status: int = 200) -> None:
                self.send_response(status)
                for name, value in {
                    **headers,
                    "Content-Type": "application/json",
                    "Content-Length": str(len(body)),
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def close_connection_now(self) -> None:
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def restore(self) -> None:
        """Restore the process from its snapshot."""
        self._restored.set()

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the handler's result for an event; AssertionError when it raises or times out."""
        assert self.failure is None, self.failure
        self._count += 1
        invocation = _Invocation(f"invocation-{self._count}", json.dumps(event).encode())
        self._given[invocation.id] = invocation
        self._waiting.put(invocation)
        how, answer = invocation.answers.get(timeout=_ANSWER_WITHIN)
        assert how == "response", answer
        return cast("dict[str, Any]", answer)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._waiting.put(None)
        self._restored.set()
        self._server.shutdown()
        self._server.server_close()
