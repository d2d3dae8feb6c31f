"""An MCP server of the standard library alone: it starts in 30 ms, and misbehaves as its tools are asked to.

`python -S quick_mcp_server.py [FILE]`: with a file, it reads its orders from the first line and adds its process id at
the end. Orders are `silent` (answers nothing), `deaf` (reads nothing) and `ends` (exits at once).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Tool = Callable[[dict[str, Any], dict[str, Any]], object]
tools: dict[str, Tool] = {}
_NO_ANSWER = object()
_calls = 0
_hoard: list[bytes] = []


def put(message: object) -> None:
    """Write one message."""
    write(json.dumps(message, separators=(",", ":")))


def write(line: str) -> None:
    """Write one line, of any bytes."""
    sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.buffer.flush()


def tool(name: str) -> Callable[[Tool], Tool]:
    """Offer a function, of arguments and request, as a tool."""
    return lambda function: tools.setdefault(name, function)


@tool("state")
def _state(_arguments: dict[str, Any], request: dict[str, Any]) -> object:
    meta = request["params"].get("_meta")
    return {"pid": os.getpid(), "calls": _calls, "meta": meta, "session": os.getsid(0), "group": os.getpgid(0)}


@tool("environment")
def _environment(_arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    return dict(os.environ)


@tool("surroundings")
def _surroundings(_arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    descriptors = [path.name for path in Path("/proc/self/fd").iterdir()]
    return {"environment": dict(os.environ), "cwd": str(Path.cwd()), "descriptors": descriptors}


@tool("echo")
def _echo(arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    return arguments


@tool("dotted.name/of-a-tool")
def _dotted(_arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    return "answered by its dotted name"


@tool("refuse")
def _refuse(_arguments: dict[str, Any], request: dict[str, Any]) -> object:
    error = {"code": -32000, "message": "Connection closed"}
    put({"jsonrpc": "2.0", "id": request["id"], "error": error})
    return _NO_ANSWER


@tool("closed")
def _closed(_arguments: dict[str, Any], request: dict[str, Any]) -> object:
    result = {"content": [{"type": "text", "text": "Connection closed"}], "isError": True}
    put({"jsonrpc": "2.0", "id": request["id"], "result": result})
    return _NO_ANSWER


@tool("large")
def _large(arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    return arguments.get("text", "x") * arguments["size"]


@tool("values")
def _values(arguments: dict[str, Any], request: dict[str, Any]) -> object:
    put({"jsonrpc": "2.0", "id": request["id"], "result": {"content": [{}] * arguments["size"]}})
    return _NO_ANSWER


@tool("late id")
def _late_id(arguments: dict[str, Any], request: dict[str, Any]) -> object:
    put({"result": {"content": [{"type": "text", "text": "x" * arguments["size"]}]}, "id": request["id"]})
    return _NO_ANSWER


@tool("endless")
def _endless(_arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    while True:
        os.write(1, b"x" * (1 << 20))


@tool("noise")
def _noise(arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    for _ in range(arguments.get("times", 1)):
        write(arguments["line"])
    return "after the noise"


@tool("raw")
def _raw(arguments: dict[str, Any], request: dict[str, Any]) -> object:
    write(
        bytes.fromhex(arguments["hex"]).replace(b"ID", str(request["id"]).encode()).decode("utf-8", "surrogateescape")
    )
    return _NO_ANSWER


@tool("errors")
def _errors(arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    for _ in range(arguments["times"]):
        os.write(2, b"e" * 4096 + b"\n")
    return "after the errors"


@tool("progress")
def _progress(_arguments: dict[str, Any], request: dict[str, Any]) -> object:
    token = request["params"]["_meta"]["progressToken"]
    put({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
    return {"token": token}


@tool("changed")
def _changed(_arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    put({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    return "changed"


@tool("ask")
def _ask(arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    put({"jsonrpc": "2.0", "id": "mine", "method": arguments["method"], "params": {}})
    return json.loads(sys.stdin.readline())


@tool("children")
def _children(_arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    return [
        subprocess.Popen(["sleep", "300"], start_new_session=apart, stdin=subprocess.DEVNULL).pid
        for apart in (True, False)
    ]


@tool("orphan")
def _orphan(_arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    script = ["sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!"]
    return int(subprocess.run(script, capture_output=True, text=True, check=True).stdout)


@tool("die")
def _die(_arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    os._exit(1)


@tool("die behind a child")
def _die_behind_a_child(_arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    # The child holds the output open.
    subprocess.Popen(["sleep", "300"], start_new_session=True, stdin=subprocess.DEVNULL)
    os._exit(1)


@tool("memory")
def _memory(arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    _hoard.append(b"x" * arguments["size"])
    return "more"


@tool("sleep")
def _sleep(arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    time.sleep(arguments["seconds"])
    return "slept"


@tool("hang")
def _hang(arguments: dict[str, Any], _request: dict[str, Any]) -> object:
    if "sign" in arguments:
        Path(arguments["sign"]).touch()
    return _NO_ANSWER


def _initialize(params: dict[str, Any]) -> object:
    capabilities = {"tools": {"listChanged": True}, "logging": {}}
    info = {"name": "quick", "version": str(os.getpid())}
    return {"protocolVersion": params["protocolVersion"], "capabilities": capabilities, "serverInfo": info}


def _called(request: dict[str, Any]) -> object:
    global _calls  # noqa: PLW0603 -- the state of this server
    _calls += 1
    params = request["params"]
    found = tools[params["name"]](params.get("arguments") or {}, request)
    if found is _NO_ANSWER:
        return found
    text = found if isinstance(found, str) else json.dumps(found)
    return {"content": [{"type": "text", "text": text}]}


def _answer(request: dict[str, Any]) -> object:
    match request["method"]:
        case "initialize":
            return _initialize(request["params"])
        case "tools/list":
            return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in tools]}
        case "tools/call":
            return _called(request)
        case "ping":
            return {}
    error = {"code": -32601, "message": "no such method"}
    put({"jsonrpc": "2.0", "id": request["id"], "error": error})
    return _NO_ANSWER


def _follow_orders(file: Path) -> None:
    orders = file.read_text().splitlines() if file.exists() else [""]
    file.write_text("\n".join([*orders, str(os.getpid())]))
    if orders[0] == "ends":
        sys.exit(1)
    if orders[0] == "deaf":
        time.sleep(300)
    if orders[0] == "silent":
        sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1:]:
        _follow_orders(Path(sys.argv[1]))
    while message := sys.stdin.readline():
        request = json.loads(message)
        if "id" in request and "method" in request and (result := _answer(request)) is not _NO_ANSWER:
            put({"jsonrpc": "2.0", "id": request["id"], "result": result})
