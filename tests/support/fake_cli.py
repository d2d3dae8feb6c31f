"""A stand-in for the Claude CLI that misbehaves in ways that the real one cannot be made to.

It is not the CLI: it speaks just enough of the stream-json protocol of claude-agent-sdk to be connected to, and then
does what a list of steps says. Tests of anything that works use the real CLI with a scripted model.
"""

import json
import stat
import sys
from pathlib import Path
from typing import Any, Literal

Behaviour = Literal[
    "success",
    "error_envelope",
    "garbage",
    "nothing",
    "flood",
    "flood_lines",
    "dies_halfway",
    "dies_at_start",
    "refuses_the_schema",
    "hang",
    "forks",
    "allocates",
    "leaves_children",
    "by_query",
]
Step = tuple[str, Any]

_MESSAGE = {"id": "msg_fake", "type": "message", "role": "assistant", "model": "fake-cli", "usage": {}}
_IDS = {"session_id": "00000000-0000-4000-8000-000000000000", "uuid": "00000000-0000-4000-8000-000000000001"}
_RESULT = {
    **_IDS,
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "duration_ms": 1,
    "duration_api_ms": 1,
    "num_turns": 1,
    "result": "done by the fake CLI",
    "stop_reason": "end_turn",
    "terminal_reason": "completed",
    "total_cost_usd": 0.0,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
_ASSISTANT = {
    **_IDS,
    "type": "assistant",
    "message": {**_MESSAGE, "content": [{"type": "text", "text": "done by the fake CLI"}]},
    "parent_tool_use_id": None,
}
_DELTA = {
    **_IDS,
    "type": "stream_event",
    "event": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "half an ans"}},
    "parent_tool_use_id": None,
}
_FAILURE = {
    **_RESULT,
    "is_error": True,
    "result": "API Error: 500 scripted",
    "api_error_status": 500,
    "terminal_reason": "api_error",
}
_50_MB = 50 * 1024 * 1024


def _line(message: dict[str, Any]) -> str:
    return json.dumps(message) + "\n"


# Steps at the first user message. A step is (verb, argument): `write` a text, `repeat` [text, times],
# `bytes` given in hexadecimal, `exit` with a status, `kill` itself with a signal, `hang`, `serve` the next message,
# `spawn` so many processes in sessions of their own that outlive it, `allocate` so many bytes.
_STEPS: dict[str, list[Step]] = {
    "success": [("write", _line(_ASSISTANT) + _line(_RESULT)), ("serve", None)],
    "error_envelope": [("write", _line(_FAILURE)), ("exit", 0)],
    "garbage": [("bytes", "00fffe8081c3280a"), ("write", '{"type": "assistant", "message": {"con\n'), ("exit", 0)],
    "nothing": [("exit", 0)],
    "flood": [("write", '{"type": "'), ("repeat", ["x" * 65_536, _50_MB // 65_536]), ("write", '"}\n'), ("exit", 0)],
    "flood_lines": [("repeat", ["x" * 1_023 + "\n", _50_MB // 1_024]), ("exit", 0)],
    "dies_halfway": [("write", _line(_DELTA) + _line(_ASSISTANT)[:60]), ("kill", 9)],
    "dies_at_start": [],
    "refuses_the_schema": [
        ("complain", 'Error: --json-schema is not a valid JSON Schema: {"event": "forged"}\n'),
        ("exit", 1),
    ],
    "hang": [("hang", None)],
    "forks": [("spawn", 1000), ("hang", None)],
    "allocates": [("allocate", 4 << 30), ("hang", None)],
    "leaves_children": [("spawn", 3), ("write", _line(_ASSISTANT) + _line(_RESULT)), ("serve", None)],
}

_SCRIPT = '''\
#!{python}
"""A stand-in for the Claude CLI, made by a test."""
import json, os, signal, sys, time

ALL = json.loads({steps!r})
BY_QUERY = {by_query}
out = sys.stdout.buffer

def write(data):
    out.write(data)
    out.flush()

def perform(steps):
    for verb, argument in steps:
        if verb == "write":
            write(argument.encode())
        elif verb == "complain":
            sys.stderr.write(argument)
            sys.stderr.flush()
        elif verb == "bytes":
            write(bytes.fromhex(argument))
        elif verb == "repeat":
            text, times = argument
            for _ in range(times):
                write(text.encode())
        elif verb == "exit":
            os._exit(argument)
        elif verb == "kill":
            os.kill(os.getpid(), argument)
        elif verb == "spawn":
            for _ in range(argument):
                if os.fork() == 0:
                    os.setsid()
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    os.close(0), os.close(1), os.close(2)
                    time.sleep(120)
                    os._exit(0)
        elif verb == "allocate":
            held = [bytearray(os.urandom(1)) * (1 << 26) for _ in range(argument >> 26)]
        elif verb == "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()

if "-v" in sys.argv or "--version" in sys.argv:
    print("99.0.0 (fake CLI)")
    sys.exit(0)
if not ALL["chosen"]:
    sys.exit(1)
try:
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "control_request":
            response = {{"subtype": "success", "request_id": message["request_id"], "response": {{}}}}
            write((json.dumps({{"type": "control_response", "response": response}}) + "\\n").encode())
        elif message["type"] == "user":
            query = message["message"]["content"][-1]["text"]
            perform(ALL.get(query, ALL["success"]) if BY_QUERY else ALL["chosen"])
except BrokenPipeError:
    os._exit(1)
'''


def fake_cli(folder: Path, behaviour: Behaviour) -> Path:
    """Write an executable that stands in for the CLI and has the named behavior; return its path.

    `flood` is one line of 50 MB, `flood_lines` 50 MB of lines that are no JSON, `hang` ignores SIGTERM, `dies_at_start`
    exits with 1 before it answers anything, `refuses_the_schema` says so and exits, `forks` a thousand processes,
    `allocates` 4 GB, `leaves_children` that ignore SIGTERM in sessions of their own. With `by_query` the query names
    the behaviour, and any other is a success.
    """
    path = folder / f"fake-cli-{behaviour.replace('_', '-')}"
    chosen = "success" if behaviour == "by_query" else behaviour
    steps = json.dumps(_STEPS | {"chosen": _STEPS[chosen]})
    path.write_text(_SCRIPT.format(python=sys.executable, steps=steps, by_query=behaviour == "by_query"))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
