"""Git through the relay: requests for the one repository of a run, to which the relay adds the credential.

Git inside asks `http://127.0.0.1:PORT/git/HOST/PATH`; the relay asks `https://HOST/PATH` for it, and answers. Each
request has a connection of its own.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from functions.worker.relay.connecting import tls_context
from functions.worker.relay.dialing import Streams, dial
from functions.worker.relay.egress import Connection, Egress, EgressError
from functions.worker.relay.git_body import body_of, check_push
from functions.worker.relay.heads import END, RequestHead
from functions.worker.relay.tunnel import IDLE, end, send
from shared.egress.targets import Target

_PIECE = 65_536
_TLS_WITHIN = 10.0
# Requests of git's smart protocol: the method, and what follows the path of the repository.
_FETCH = {("GET", "/info/refs?service=git-upload-pack"), ("POST", "/git-upload-pack")}
_PUSH = {("GET", "/info/refs?service=git-receive-pack"), ("POST", "/git-receive-pack")}
_PASSED = {
    "accept", "accept-encoding", "content-encoding", "content-length", "content-type", "git-protocol",
    "transfer-encoding", "user-agent",
}  # fmt: skip
_RETURNED = {"cache-control", "content-encoding", "content-length", "content-type", "transfer-encoding"}
_STATUS = re.compile(r"HTTP/1\.[01] (\d{3})(?: .*)?")


@dataclass(frozen=True, slots=True)
class GitAccess:
    """The repository that git may reach: `place` is what follows `https://`, and `path` its path.

    `authorization` is the header that the relay adds. Without `push`, the branch, nothing can be pushed. `token` is
    part of the URL where other programs can reach the socket too.
    """

    target: Target
    place: str
    path: str
    authorization: str = field(default="", repr=False)
    push: str | None = None
    token: str = field(default="", repr=False)

    @property
    def prefix(self) -> str:
        """The path at the relay below which all hosts are."""
        return f"/{self.token}/git" if self.token else "/git"

    def path_of(self, method: str, target: str) -> str:
        """Return the path at the server, with its query; raise EgressError for a request that is not allowed."""
        own = f"{self.prefix}/{self.place}"
        operation = (method, target.removeprefix(own))
        if not target.startswith(own) or operation not in _FETCH | _PUSH:
            advice = "Git may fetch the repository of workspace.git, by its smart protocol"
            raise EgressError(403, "refused", "Not a request for the repository of this job", advice)
        if operation in _PUSH and self.push is None:
            raise EgressError(403, "refused", "A run may not push", "workspace.git.push names a branch to push to")
        return self.path + operation[1]


async def forward(
    access: GitAccess, request: RequestHead, near: Streams, connection: Connection, egress: Egress
) -> None:
    """Send a request of git to the server and pass on the answer; raise EgressError."""
    connection.host, connection.port = access.target.host, access.target.port
    path = access.path_of(request.method, request.target)
    egress.check_bytes()
    far = await _connected(access, egress)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(IDLE) as idle:

            def passed(size: int) -> None:
                if not idle.expired():
                    idle.reschedule(loop.time() + IDLE)
                egress.spend(size)

            await _send(access, request, path, (near, far), lambda size: passed(_sent(connection, size)))
            status, answer = await _answer_head(far[0], access)
            _check_status(status, access)
            connection.is_open = send(near[1], answer)
            while piece := await far[0].read(_PIECE):
                connection.received += len(piece)
                passed(len(piece))
                if not send(near[1], piece):
                    return
                await near[1].drain()
            end(near[1])
    except TimeoutError:
        raise EgressError(504, "idle", f"No byte within {IDLE:.0f} s") from None
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
        raise EgressError(502, "failed", f"The connection to {access.target.host} was cut") from None
    finally:
        far[1].transport.abort()


def _sent(connection: Connection, size: int) -> int:
    connection.sent += size
    return size


async def _send(
    access: GitAccess, request: RequestHead, path: str, ends: tuple[Streams, Streams], passed: Callable[[int], None]
) -> None:
    """Send a request to the server, with the credential."""
    (reader, near), (_, far) = ends
    if request.headers.get("expect", "").lower() == "100-continue":
        send(near, b"HTTP/1.1 100 Continue" + END)
    body = body_of(reader, request.headers)
    if access.push is not None and path.endswith("/git-receive-pack"):
        body = check_push(body, access.push)
    is_chunked, is_begun = "transfer-encoding" in request.headers, False
    head = _request_head(request, path, access)
    async for piece in body:
        if not is_begun:
            far.write(head)
        is_begun = True
        passed(len(piece))
        far.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
        await far.drain()
    far.write((b"" if is_begun else head) + (b"0\r\n\r\n" if is_chunked else b""))


async def _connected(access: GitAccess, egress: Egress) -> Streams:
    """Return a connection with TLS, to an address that was checked."""
    host = access.target.host
    reader, writer = await dial(access.target, egress)
    try:
        async with asyncio.timeout(_TLS_WITHIN):
            await writer.start_tls(_context(), server_hostname=host)
    except ssl.SSLCertVerificationError:
        writer.transport.abort()
        raise EgressError(502, "failed", f"The certificate of {host} is not valid") from None
    except TimeoutError:
        writer.transport.abort()
        raise EgressError(504, "failed", f"The connection to {host} timed out") from None
    except OSError:
        writer.transport.abort()
        raise EgressError(502, "failed", f"{host} does not answer with TLS") from None
    return reader, writer


@cache
def _context() -> ssl.SSLContext:
    return tls_context(os.environ)


def _request_head(request: RequestHead, path: str, access: GitAccess) -> bytes:
    own = {"host": access.place.partition("/")[0], "connection": "close"}
    if access.authorization:
        own["authorization"] = access.authorization
    kept = {name: value for name, value in request.headers.items() if name in _PASSED}
    return _written(f"{request.method} {path} HTTP/1.1", kept | own)


async def _answer_head(reader: asyncio.StreamReader, access: GitAccess) -> tuple[int, bytes]:
    """Return the status of the answer, and its head as git receives it."""
    while True:
        lines = (await reader.readuntil(END)).decode("latin-1").split("\r\n")
        found = _STATUS.fullmatch(lines[0])
        if found is None:
            raise EgressError(502, "failed", f"{access.target.host} does not answer as a git server does")
        if not found[1].startswith("1"):
            break
    pairs = (line.partition(":") for line in lines[1:] if line)
    kept = {name.lower(): value.strip() for name, _, value in pairs if name.lower() in _RETURNED}
    return int(found[1]), _written(f"HTTP/1.1 {found[1]} Relayed", kept | {"connection": "close"})


def _check_status(status: int, access: GitAccess) -> None:
    """Raise EgressError for an answer that is no success; git inside asks for no credential."""
    host = access.target.host
    if status < 300:
        return
    if status < 400:
        raise EgressError(502, "failed", f"{host} redirects the repository to another URL", "Name that one")
    if status in {401, 403} and access.authorization:
        raise EgressError(403, "refused", f"{host} refused the credential")
    if status in {401, 403}:
        raise EgressError(403, "refused", f"{host} requires a credential for the repository")
    if status in {404, 410}:
        raise EgressError(404, "failed", f"{host} has no such repository, or the credential does not show it")
    raise EgressError(502, "failed", f"{host} answered with the status {status}")


def _written(first: str, headers: dict[str, str]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1", "replace") + END
