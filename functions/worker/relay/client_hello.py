"""Reads the server name of a TLS ClientHello (RFC 8446, RFC 6066), which is the first message of a connection.

A run names a host in CONNECT. A server behind the same address may serve other hosts too, and finds out by this name
which one is wanted.
"""

# A ClientHello is smaller than this, keys for post-quantum exchanges included; bytes.
MAX_HELLO = 16_384
# Programs send it in one record.
_MOST_RECORDS = 4
# Fatal alert `unrecognized_name`.
ALERT = bytes.fromhex("15030300020270")
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0


class NotTlsError(Exception):
    """The bytes are not a ClientHello with one server name."""


class _Incomplete(Exception):
    pass


def server_name(data: bytes) -> str | None:
    """Return the server name in lower case; None while more bytes are needed. Raise NotTlsError."""
    try:
        return _name_in(_hello(data))
    except _Incomplete:
        if len(data) >= MAX_HELLO:
            raise NotTlsError from None
        return None


def _hello(data: bytes) -> "_Reader":
    """Return the body of the message, which may be divided among several records."""
    records, message = _Reader(data), b""
    for _ in range(_MOST_RECORDS):
        if records.left and records.peek() != _HANDSHAKE:
            raise NotTlsError
        records.take(3)  # type and version
        part = records.vector(2)
        message += part
        if not part or message[0] != _CLIENT_HELLO:
            raise NotTlsError
        if len(message) >= 4 and len(message) >= (end := 4 + int.from_bytes(message[1:4])):
            return _Reader(message[4:end])
    raise NotTlsError


def _name_in(hello: "_Reader") -> str:
    try:
        hello.take(34)  # version and random
        for width in (1, 2, 1):  # session, cipher suites, compression
            hello.vector(width)
        extensions, names = _Reader(hello.vector(2)), []
        while extensions.left:
            kind, content = int.from_bytes(extensions.take(2)), _Reader(extensions.vector(2))
            if kind == _SERVER_NAME:
                listed = _Reader(content.vector(2))
                while listed.left:
                    names.append((listed.take(1)[0], listed.vector(2)))
    except _Incomplete:
        raise NotTlsError from None
    if len(names) != 1 or names[0][0] != _HOST_NAME:
        raise NotTlsError
    return names[0][1].decode("latin-1").lower().removesuffix(".")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def peek(self) -> int:
        return self._data[self._at]

    def take(self, size: int) -> bytes:
        if self.left < size:
            raise _Incomplete
        self._at += size
        return self._data[self._at - size : self._at]

    def vector(self, width: int) -> bytes:
        """Return bytes that follow their length, which has `width` bytes."""
        return self.take(int.from_bytes(self.take(width)))
