"""One execution environment: a process that imports one handler and processes one event at a time.

Events arrive on standard input and responses go to standard output, one line of JSON each; an empty line means that the
handler raised an exception. The process ends at the end of its input or with the process that started it.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from shared.host.environment import hide
from shared.host.processes import end_with_parent


@dataclass(frozen=True, slots=True)
class Context:
    """The context object that Lambda passes to a handler."""

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str = "512"
    function_version: str = "$LATEST"
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left of the function's 29 s."""
        return max(0, int(29_000 - (time.monotonic() - self.started) * 1000))


def serve(handler_path: str, function: str, events: Iterable[bytes], answers: BinaryIO) -> None:
    """Process events until the input ends."""
    module, _, name = handler_path.rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    arn = f"arn:aws:lambda:local:000000000000:function:{function}"
    for line in events:
        event = json.loads(line)
        try:
            answer = handler(event, Context(event["requestContext"]["requestId"], function, arn))
            encoded = json.dumps(answer, ensure_ascii=False).encode()
        except Exception:  # noqa: BLE001 -- Lambda survives any exception of a handler
            traceback.print_exc()
            encoded = b""
        answers.write(encoded + b"\n")
        answers.flush()


def main(parent: str, handler_path: str, function: str) -> None:
    """Process the events of the process that started this one."""
    # The input ends with the parent too, but is read only between events.
    end_with_parent(int(parent))
    hide()
    events, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Detach standard input and output, so that the handler and its children cannot disturb the protocol.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    serve(handler_path, function, events, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
