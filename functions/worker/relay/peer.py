"""Checks that the process at the other end of a relay's socket belongs to this slot."""

import asyncio
import os
import socket
import struct
import sys

from shared.host import processes

# struct ucred: pid, uid, gid.
_CREDENTIALS = struct.Struct("3i")


def is_own(transport: asyncio.BaseTransport) -> bool:
    """Return whether the peer of a Unix socket is this process or descends from it; True where Linux is not.

    Without a sandbox, a tool of another slot has the same user and can open every socket of the worker. The kernel
    translates the number of a process in a sandbox.
    """
    if sys.platform != "linux":
        return True
    given: socket.socket = transport.get_extra_info("socket")
    peer: tuple[int, ...] = _CREDENTIALS.unpack(
        given.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return processes.is_below(peer[0], os.getpid())
