"""An MCP server over HTTP of the standard library alone, which misbehaves as its tools are asked to.

It writes its port to standard output. A request without the header `Authorization: Bearer s3cret` gets 401.
"""

import gzip
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

sessions: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    """Answers JSON-RPC requests with JSON."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Offer no stream of events."""
        self._send(405, b"")

    def do_DELETE(self) -> None:
        """End a session."""
        self._send(200, b"")

    def do_POST(self) -> None:
        """Answer a request."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != "Bearer s3cret":
            self._send(401, b"")
        elif "id" not in message:
            self._send(202, b"")
        elif message["method"] == "initialize":
            sessions.add(f"session-{len(sessions)}")
            result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}}
            result["serverInfo"] = {"name": "web", "version": str(len(sessions))}
            self._answer(message, result, {"Mcp-Session-Id": f"session-{len(sessions) - 1}"})
        elif self.headers.get("Mcp-Session-Id") not in sessions:
            self._send(404, b"")
        elif message["method"] == "tools/list":
            tool = {"name": "echo", "description": "Echoes", "inputSchema": {"type": "object"}}
            self._answer(message, {"tools": [tool]})
        else:
            self._call(message)

    def _call(self, message: dict[str, Any]) -> None:
        name, arguments = message["params"]["name"], message["params"].get("arguments", {})
        match name:
            case "large":
                self._answer(message, {"content": [{"type": "text", "text": "x" * arguments["size"]}]})
            case "values":
                self._answer(message, {"content": [{}] * arguments["size"]})
            case "event":
                answer = {
                    "jsonrpc": "2.0",
                    "id": message["id"],
                    "result": {"content": [{"text": "x" * arguments["size"]}]},
                }
                body = b"data: " + json.dumps(answer).encode() + b"\n\n"
                self._send(200, body, {"Content-Type": "text/event-stream"})
            case "bomb":
                body = gzip.compress(b" " * arguments["size"])
                self._send(200, body, {"Content-Type": "application/json", "Content-Encoding": "gzip"})
            case "forget":
                sessions.clear()
                sessions.add("none")
                self._answer(message, {"content": [{"type": "text", "text": "forgotten"}]})
            case "die":
                os._exit(1)
            case _:
                text = {"session": self.headers["Mcp-Session-Id"], "arguments": arguments}
                self._answer(message, {"content": [{"type": "text", "text": json.dumps(text)}]})

    def _answer(self, message: dict[str, Any], result: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        self._send(200, body, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
