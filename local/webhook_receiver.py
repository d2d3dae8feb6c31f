"""A webhook receiver on loopback: verifies each event as a client would, and prints it."""

import json
import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

from local.output import OutputFailed, print_message, visible

_MOST = 16 * 1024 * 1024


def receive(port: int, secrets: Sequence[str]) -> None:
    """Print the webhooks that arrive at 127.0.0.1 until Ctrl-C; port 0 selects a free port."""
    try:
        keys = [Webhook(secret) for secret in secrets]
    except ValueError:
        print_message("--secret should be whsec_ followed by base64")
        sys.exit(2)

    failed: list[OutputFailed] = []

    class Receiver(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
            """Disable the access log."""

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            body = self.rfile.read(min(int(length), _MOST)) if length.isdecimal() else b""
            verified = _verifies(keys, body, dict(self.headers.items()))
            # A delivery attempt without a 2xx response is retried.
            self.send_response(204 if verified else 401)
            self.end_headers()
            mark = "verified" if verified else "NOT VERIFIED"
            text = body.decode(errors="replace")
            if verified:
                text = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
            try:
                print(visible(f"{mark} {self.headers.get('webhook-id')} {self.path}\n{text}"), flush=True)
            except OutputFailed as error:
                failed.append(error)
                server.shutdown()

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    except OSError as error:
        print_message(f"--port: {port} cannot be used: {error.strerror}")
        sys.exit(2)
    with server:
        print(f"listening http://127.0.0.1:{server.server_address[1]}", flush=True)
        print_message("Submit a query with this URL as its webhookUrl. Stop with Ctrl-C.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print_message("")
    # Raised here, because in a thread of the server it would end only that request.
    if failed:
        raise failed[0]


def _verifies(keys: Sequence[Webhook], body: bytes, headers: dict[str, str]) -> bool:
    for key in keys:
        try:
            key.verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError):
            continue
        return True
    return False
