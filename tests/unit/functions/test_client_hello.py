"""The server name in the first bytes of a TLS connection."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.worker.relay.client_hello import MAX_HELLO, NotTlsError, server_name
from tests.support.egress import client_hello

HELLO = client_hello("tools.example")


def sized(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width) + data


def hello(extensions: bytes) -> bytes:
    """Return a ClientHello with these extensions."""
    body = b"\x03\x03" + bytes(32) + sized(b"", 1) + sized(b"\x13\x01", 2) + sized(b"\0", 1) + sized(extensions, 2)
    return b"\x16\x03\x01" + sized(b"\x01" + sized(body, 3), 2)


def name_extension(*names: tuple[int, bytes]) -> bytes:
    listed = b"".join(bytes([kind]) + sized(name, 2) for kind, name in names)
    return b"\0\0" + sized(sized(listed, 2), 2)


def test_the_name_of_a_real_client_is_read():
    assert server_name(HELLO) == "tools.example"
    assert server_name(HELLO + b"more") == "tools.example"
    assert server_name(hello(name_extension((0, b"TOOLS.example.")))) == "tools.example"


def test_a_part_of_it_is_not_enough():
    assert [end for end in range(len(HELLO)) if server_name(HELLO[:end]) is not None] == []


@pytest.mark.parametrize("at", [1, 3, 4, 40, 200])
def test_a_message_may_be_divided_among_records(at):
    message = HELLO[5:]
    assert server_name(b"".join(b"\x16\x03\x01" + sized(part, 2) for part in (message[:at], message[at:]))) == (
        "tools.example"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-x\r\n", b"\x15\x03\x01\0\x02\x02\x70", b"\x17\x03\x03\0\x01x", b"\x80\x2e\x01\0\x02",
        b"\x16\x03\x01\0\0", b"\x16\x03\x01\0\x01\x02", hello(b""), hello(name_extension()),
        hello(name_extension((0, b"a"), (0, b"b"))), hello(name_extension((0, b"a")) * 2),
        hello(name_extension((1, b"a"))),
        hello(name_extension((0, b"a"))[:-1]), hello(b"\0\0\0\x01\0"), hello(b"\0"),
        b"\x16\x03\x01\0\x05\x01\0\0\x01\0",
        b"\x16\x03\x01\0\x01\x01" * 9, b"\x16\x03\x01\xff\xff" + b"\x01\0\xff\xff" + bytes(MAX_HELLO),
    ],
)  # fmt: skip
def test_anything_else_is_refused(data):
    with pytest.raises(NotTlsError):
        server_name(data)


@given(st.binary(max_size=400))
@example(b"")
def test_any_bytes_are_a_name_nothing_or_an_error(data):
    with contextlib.suppress(NotTlsError):
        assert server_name(data) is None


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_else(at, value):
    with contextlib.suppress(NotTlsError):
        server_name(HELLO[:at] + bytes([value]) + HELLO[at + 1 :])
