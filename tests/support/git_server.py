"""Git in tests: its command, and a server with TLS and Basic in front of `git http-backend`."""

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

ENVIRONMENT = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "C",
    "GIT_COMMITTER_EMAIL": "c@example.com",
}  # fmt: skip
USER, PASSWORD = "robot", "hunter2-of-git"


def git(*arguments: str, cwd: Path, stdin: bytes | None = None) -> str:
    """Run git in a directory, and return what it prints."""
    command = ["git", "-c", "init.defaultBranch=main", *arguments]
    done = subprocess.run(command, cwd=cwd, input=stdin, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def commit(folder: Path, files: dict[str, bytes | str], message: str = "a commit") -> str:
    """Write files in a repository, which is made when it is not there; commit them, and return the commit."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git("init", "-q", cwd=folder)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    git("add", "-A", "-f", cwd=folder)
    git("commit", "-q", "-m", message, cwd=folder)
    return git("rev-parse", "HEAD", cwd=folder)


@dataclass(frozen=True)
class Received:
    """A request to the server."""

    method: str
    target: str
    headers: dict[str, str]


class GitServer:
    """Serves the bare repositories below `folder` at `https://127.0.0.1:PORT/NAME.git`; runs within a `with` block.

    It takes the credential USER and PASSWORD alone. `answer` may answer a request itself, with a status and headers.
    Its certificate has the names and addresses of `also` too.
    """

    def __init__(self, folder: Path, *also: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = trustme.CA()
        self.requests: list[Received] = []
        self.needs_credential = True
        self.answer: Callable[[Received], tuple[int, dict[str, str]] | None] = lambda _: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1", "localhost", "git.example", *also).configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def place(self) -> str:
        """The address and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, name: str) -> str:
        """Return the URL of a repository."""
        return f"https://{self.place}/{name}.git"

    def publish(self, source: Path, name: str) -> Path:
        """Serve a copy of a repository, and return its directory."""
        target = self.folder / f"{name}.git"
        git("clone", "-q", "--bare", str(source), str(target), cwd=source)
        git("config", "http.receivepack", "true", cwd=target)
        return target

    def write_authority(self, path: Path) -> Path:
        """Write the certificate by which clients know the server."""
        self.authority.cert_pem.write_to_path(path)
        return path

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.serve(self)

            do_POST = do_GET  # noqa: N815 -- the names that the class expects

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.command, request.path, headers)
        self.requests.append(received)
        body = _body(request, headers)
        own = self.answer(received)
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if own is None and self.needs_credential and headers.get("authorization") != f"Basic {pair}":
            own = (401, {"WWW-Authenticate": 'Basic realm="git"'})
        if own is not None:
            request.send_response(own[0])
            for name, value in {**own[1], "Content-Length": "0"}.items():
                request.send_header(name, value)
            request.end_headers()
            return
        self._backend(request, headers, body)

    def _backend(self, request: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> None:
        path, _, query = request.path.partition("?")
        variables = {
            **ENVIRONMENT, "GIT_PROJECT_ROOT": str(self.folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": request.command, "REMOTE_USER": USER,
            "CONTENT_TYPE": headers.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=body, env=variables, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        request.send_response(status)
        for name, value in fields:
            if name != "Status":
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


def _body(request: BaseHTTPRequestHandler, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return request.rfile.read(int(headers.get("content-length", "0")))
    pieces = []
    while size := int(request.rfile.readline(), 16):
        pieces.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(pieces)
