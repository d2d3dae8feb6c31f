"""A step of git that reaches the repository's server, through the relay."""

import logging
import secrets
import socket
from dataclasses import dataclass, field, replace
from typing import Literal

from functions.worker.git.shell import NOT_INSTALLED, TOO_LARGE, Access, GitError, Shell, WorkspaceError
from functions.worker.relay.egress import Egress, EgressPolicy
from functions.worker.relay.git import GitAccess
from functions.worker.relay.proxy import RunProxy
from functions.worker.relay.run import Watcher
from shared.egress.targets import Network
from shared.logs import event

log = logging.getLogger("worker.git")

_TOO_LARGE = "The repository is larger than MAX_WORKSPACE_BYTES allows"


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository as a step reaches it: `networks` are allowed though not public; `watcher` receives connections."""

    access: GitAccess
    networks: tuple[Network, ...] = ()
    watcher: Watcher = field(default_factory=Watcher)


async def run_with_relay(
    shell: Shell,
    remote: Remote,
    script: str,
    *arguments: str,
    places: dict[str, Access],
    within: float,
    what: Literal["cloned", "pushed"],
    otherwise: str,
) -> bytes:
    """Run a step whose git reaches the repository, and return what it prints; raise WorkspaceError.

    `otherwise` is the message when git fails although the server has answered all of its requests.
    """
    access = remote.access
    if not shell.is_confined:
        access = replace(access, token=secrets.token_hex(16))
    egress = Egress(EgressPolicy((), remote.networks, shell.largest, access), remote.watcher.connected)
    proxy = RunProxy(egress)

    async def serve(listener: socket.socket) -> str:
        await proxy.start(listener)
        return access.prefix

    try:
        return await shell.run(script, *arguments, places=places, within=within, serve=serve)
    except GitError as error:
        raise _failure(error, egress, what, otherwise) from None
    except OSError as error:
        event(log, "git_failed", logging.ERROR, step=what, error=error.strerror or type(error).__name__)
        raise WorkspaceError(f"The repository could not be {what}: the worker has no network for it") from None
    finally:
        proxy.end()
        await proxy.wait()


def _failure(error: GitError, egress: Egress, what: str, otherwise: str) -> WorkspaceError:
    failure = egress.git_failure
    event(log, "git_failed", logging.WARNING, step=what, status=error.status, reason=failure and failure.reason)
    if error.status == TOO_LARGE or (failure is not None and failure.outcome == "exhausted"):
        return WorkspaceError(_TOO_LARGE, "workspace_too_large")
    if failure is not None:
        return WorkspaceError(f"The repository could not be {what}: {failure.reason}")
    if error.status == NOT_INSTALLED:
        return WorkspaceError(f"The repository could not be {what}: the worker has no git")
    if error.status is None:
        return WorkspaceError(f"The repository could not be {what} in time")
    return WorkspaceError(otherwise)
