"""A TCP proxy before Redis that drops the reply to a command that a test names."""

import socket

from tests.support.tcp_proxy import Link, TcpProxy


class LossyProxy(TcpProxy):
    """A proxy that drops a reply.

    `lose` names bytes of a command: the next request with them reaches the server, but instead of its reply
    the connection is cut; after `swallow`, it stays open and silent.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._lose: bytes | None = None
        self._cut = True
        self._losing: set[Link] = set()
        self.lost = 0

    def lose(self, command: bytes) -> None:
        """Drop the reply to the next request with these bytes, and cut the connection."""
        self._lose, self._cut = command, True

    def swallow(self, command: bytes) -> None:
        """Drop the reply, and leave the connection open."""
        self._lose, self._cut = command, False

    def on_request(self, link: Link, data: bytes) -> None:
        """Forward a request; from a named command on, replies on its connection are dropped."""
        if self._lose is not None and self._lose in data:
            self._lose = None
            self._losing.add(link)
        super().on_request(link, data)

    def on_reply(self, link: Link, data: bytes) -> None:
        """Forward a reply, or drop it."""
        if link not in self._losing:
            super().on_reply(link, data)
            return
        self.lost += 1
        if self._cut:
            link.client.shutdown(socket.SHUT_RDWR)
