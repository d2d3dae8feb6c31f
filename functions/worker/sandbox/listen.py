"""A program that listens on loopback of a network namespace, and hands the socket back.

A process enters a user namespace only while it has one thread, so a slot cannot. Arguments: the descriptors of the
channel to the slot, of the network namespace and of the user namespace that owns it, and the port.
"""

import ctypes
import os
import socket
import sys

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_BACKLOG = 64


def _enter(libc: ctypes.CDLL, namespace: int, kind: int) -> None:
    if libc.setns(namespace, kind) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def main(channel: int, network: int, user: int, port: int) -> None:
    """Enter the namespaces, listen, and send the socket; on an error send its number instead."""
    with socket.socket(fileno=channel) as slot:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            _enter(libc, user, _CLONE_NEWUSER)
            _enter(libc, network, _CLONE_NEWNET)
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
                listener.bind(("127.0.0.1", port))
                listener.listen(_BACKLOG)
                socket.send_fds(slot, [b"0"], [listener.fileno()])
        except OSError as error:
            slot.send(str(error.errno or 1).encode())


if __name__ == "__main__":
    os.umask(0o077)
    main(*map(int, sys.argv[1:]))
