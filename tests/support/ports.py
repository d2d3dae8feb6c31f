"""Ports that nobody listens on."""

import socket


def free_port() -> int:
    """Return one of 127.0.0.1, free when it was looked for."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
