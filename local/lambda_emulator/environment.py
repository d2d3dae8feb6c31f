"""One execution environment: a process that imports one handler and is given one event at a time.

Standard input has the events, standard output the answers, one JSON object a line each; it ends with its input.
"""

import importlib
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import Any


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


def serve(handler_path: str, function: str) -> None:
    """Answer events until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What the handler prints must not be taken for an answer.
    os.dup2(2, 1)
    module, _, name = handler_path.rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    for line in sys.stdin:
        invocation = json.loads(line)
        arn = f"arn:aws:lambda:local:000000000000:function:{function}"
        try:
            answer: dict[str, Any] = {
                "answer": handler(invocation, Context(invocation["requestContext"]["requestId"], function, arn))
            }
        except Exception:  # noqa: BLE001 -- Lambda survives whatever its handler raises
            traceback.print_exc()
            answer = {"failed": True}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
