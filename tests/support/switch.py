"""A TCP forwarder before Redis with a changeable target, like a DNS name during a failover."""

import hiredis

from tests.support.tcp_proxy import Link, TcpProxy


class Switch(TcpProxy):
    """A proxy whose target changes for new connections.

    After `refuse`, connections that are open at that time answer every command with an error, and later ones do not.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._refusal = b""
        self._refusing: set[Link] = set()

    def lead_to(self, port: int) -> None:
        """Forward new connections to another port."""
        self.target = port

    def refuse(self, error: str) -> None:
        """Answer every command on the connections that are open now with an error."""
        self._refusal = f"-{error}\r\n".encode()
        self._refusing = set(self.links)

    def on_request(self, link: Link, data: bytes) -> None:
        """Forward a request, or answer each of its commands with the error."""
        if link in self._refusing:
            link.client.sendall(self._refusal * _commands_in(data))
        else:
            super().on_request(link, data)


def _commands_in(data: bytes) -> int:
    reader = hiredis.Reader()
    reader.feed(data)
    count = 0
    while reader.gets() is not False:
        count += 1
    return count
