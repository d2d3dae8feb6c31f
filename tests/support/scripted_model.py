"""A scripted Messages API, for tests with the real Claude CLI."""

import threading
from collections import deque
from types import TracebackType
from typing import Self

from local.messages_api import user_query
from tests.support.scripted_replies import Disconnect, Empty, Error, Hang, Reply, ReplyFunction, Text, Thinking, ToolUse
from tests.support.scripted_server import Received, ScriptedServer

__all__ = ["Disconnect", "Empty", "Error", "Hang", "Received", "Reply", "ScriptedModel", "Text", "Thinking", "ToolUse"]


class ScriptedModel:
    """A Messages API on a free port of 127.0.0.1; runs within a `with` block.

    Every `POST /v1/messages` uses the next reply given to `script`, else the one that `reply` returns for its body.
    A list of `Text`, `Thinking` and `ToolUse` is one message with a block for each. With `echo` the default answer is
    the query itself, otherwise `ok`. A `reply` that raises fails the test at the end of the `with`.
    """

    def __init__(self, reply: ReplyFunction | None = None, *, echo: bool = False) -> None:
        self.reply: ReplyFunction = reply or (lambda body: Text(user_query(body) if echo else "ok"))
        self._closing = threading.Event()
        self._scripted: deque[Reply | list[Reply]] = deque()
        self._received: list[Received] = []
        self._changed = threading.Condition()
        self._faults: list[Exception] = []
        self._server = ScriptedServer(self._take, self._closing)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="scripted-model")

    @property
    def url(self) -> str:
        """The value of ANTHROPIC_BASE_URL for the CLI."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Received]:
        """The message requests so far."""
        with self._changed:
            return list(self._received)

    def queries(self) -> list[str]:
        """Return the user's text of every request so far."""
        return [user_query(request.body) for request in self.requests]

    def script(self, *replies: Reply | list[Reply]) -> None:
        """Answer the next requests with these, in order of arrival."""
        with self._changed:
            self._scripted.extend(replies)

    def wait_for_requests(self, count: int, timeout: float = 10) -> list[Received]:
        """Wait for a number of requests, and return them; AssertionError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._received) >= count, timeout):
                raise AssertionError(f"{len(self._received)} of {count} requests after {timeout} s")
            return list(self._received)

    def _take(self, received: Received) -> list[Reply]:
        """Record a request and decide its replies."""
        with self._changed:
            self._received.append(received)
            scripted = self._scripted.popleft() if self._scripted else None
            self._changed.notify_all()
        try:
            reply = self.reply(received.body) if scripted is None else scripted
        except Exception as fault:  # noqa: BLE001 - a faulty script must fail its test, not the server's thread
            self._faults.append(fault)
            return [Error(500, "api_error", f"the script raised {fault!r}")]
        return reply if isinstance(reply, list) else [reply]

    def close(self) -> None:
        """Cut every connection and stop listening; returns when all threads have ended."""
        self._closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.cut_connections()
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._faults and error is None:
            raise self._faults[0]

    def texts(self) -> list[str]:
        """Return the texts of the last request's messages, of user and model, in order."""
        texts = []
        for message in self.requests[-1].body["messages"]:
            blocks = message["content"] if isinstance(message["content"], list) else [{"text": message["content"]}]
            texts += [block["text"] for block in blocks if message["role"] in {"user", "assistant"}]
        return texts
