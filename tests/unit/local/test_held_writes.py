"""The head and the body of a response leave together, and nothing is held longer than a turn of the loop."""

import asyncio
import socket
import struct
import sys

import pytest

from local.held_writes import HeldWrites
from tests.support.served import read_answer, served


class Connection(asyncio.Transport):
    """Notes what is sent in each call."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.ended = False

    def write(self, data):
        self.sent.append(data)

    def is_closing(self):
        return self.ended


@pytest.fixture
async def held():
    return HeldWrites(Connection(), asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_is_sent_once_at_its_end(held):
    held.write(b"head ")
    held.write(b"body")
    assert held.sent == []
    await asyncio.sleep(0)
    held.write(b"next")
    await asyncio.sleep(0)
    assert held.sent == [b"head body", b"next"]


async def test_a_flush_sends_at_once_and_nothing_twice(held):
    held.write(b"head")
    held.flush()
    assert held.sent == [b"head"]
    await asyncio.sleep(0)
    assert held.sent == [b"head"]


async def test_more_than_is_held_is_sent_at_once(held):
    held.write(b"head ")
    held.write(b"x" * 65_536)
    assert [len(one) for one in held.sent] == [65_541]


async def test_nothing_is_sent_on_a_connection_that_has_ended(held):
    held.write(b"head")
    held._transport.ended = True
    await asyncio.sleep(0)
    assert held.sent == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads a structure of Linux")
def test_a_client_receives_head_and_body_in_one_segment():
    with served() as peer, peer.connect() as connection:
        for count in range(1, 6):
            connection.sendall(b"GET /keep HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert read_answer(connection).endswith(b"no key")
            assert segments(connection) == count


def segments(connection):
    """Return how many segments with data a connection has received: tcpi_data_segs_in of the kernel's tcp_info."""
    (count,) = struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 152)
    return count


def test_a_head_does_not_wait_for_its_body():
    with served() as peer, peer.connect() as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\n")
        head = connection.recv(1 << 16)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert head.endswith(b"\r\n\r\n")
        connection.sendall(b"abc")
        assert connection.recv(1 << 16) == b"abc"


def test_answers_to_pipelined_requests_keep_their_order():
    with served() as peer, peer.connect() as connection:
        connection.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % one for one in range(5)))
        assert [read_answer(connection)[-3:] for _ in range(5)] == [b"/%d " % one for one in range(5)]
