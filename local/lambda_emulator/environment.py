"""One execution environment: a process that imports one handler and is given one event at a time.

Standard input has the events, standard output the answers, one line of JSON each, and an empty line where the
handler raised. The process ends with its input or with the process that started it.
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
    """What Lambda tells a handler of its invocation."""

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str = "512"
    function_version: str = "$LATEST"
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of the function's 29 s."""
        return max(0, int(29_000 - (time.monotonic() - self.started) * 1000))


def serve(handler_path: str, function: str, events: Iterable[bytes], answers: BinaryIO) -> None:
    """Answer events until there are no more."""
    module, _, name = handler_path.rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    arn = f"arn:aws:lambda:local:000000000000:function:{function}"
    for line in events:
        event = json.loads(line)
        try:
            answer = handler(event, Context(event["requestContext"]["requestId"], function, arn))
            encoded = json.dumps(answer, ensure_ascii=False).encode()
        except Exception:  # noqa: BLE001 -- Lambda survives whatever its handler raises
            traceback.print_exc()
            encoded = b""
        answers.write(encoded + b"\n")
        answers.flush()


def main(parent: str, handler_path: str, function: str) -> None:
    """Serve the process that started this one."""
    # Its input also ends with it, but that is read between two events only.
    end_with_parent(int(parent))
    hide()
    events, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What the handler or its children read and print is no part of the conversation.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    serve(handler_path, function, events, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
