"""Unused ports."""

import socket


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free at the time of the call."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
