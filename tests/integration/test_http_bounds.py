"""Limits on the resources that an unauthenticated client can hold, with raw sockets."""

import select
import socket
import threading
import time

import pytest

from local import connections, http_protocol
from tests.support.served import BIG, read_all, read_answer, served
from tests.support.waiting import until

END = b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.fixture
def peer(monkeypatch):
    """A server with timeouts of a hundredth of the real ones."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "ANSWER_SECONDS", "DISCARD_SECONDS", "SURPLUS_SECONDS"):
        monkeypatch.setattr(http_protocol, name, 0.3)
    monkeypatch.setattr(connections, "_SWEEP_SECONDS", 0.05)
    with served(timeout_keep_alive=1) as peer:
        yield peer


@pytest.fixture(scope="module")
def patient():
    """A server with the real timeouts."""
    with served() as peer:
        yield peer


@pytest.mark.parametrize("head", [
    b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 70_000 + b"\r\n" + END,
    b"GET / HTTP/1.1\r\nX-Endless: " + b"x" * 200_000,
    b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n" + END,
    b"GET /" + b"x" * 200_000,
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(101)) + END,
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %b\r\n" % (number, b"x" * 3000) for number in range(60)) + END,
    b"GET / HTTP/1.1\r\n" + b"X" * 200_000 + b": 1\r\n" + END,
])  # fmt: skip
def test_a_head_above_the_bound_is_refused(patient, head):
    answer = patient.ask(head)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code": "head_too_large"' in answer


def test_a_head_just_below_the_bound_is_served(patient):
    fields = b"".join(b"X-%02d: %b\r\n" % (number, b"x" * 640) for number in range(97))
    assert patient.ask(b"GET /ok HTTP/1.1\r\n" + fields + END).startswith(b"HTTP/1.1 200 ")


def test_a_large_head_sent_with_a_body_is_one_request(patient):
    head = b"POST /ok HTTP/1.1\r\nX-Long: " + b"x" * 60_000 + b"\r\nContent-Length: 300000\r\n" + END
    assert patient.ask(head + b"y" * 300_000).endswith(b"y" * 300_000)


def test_a_huge_head_does_not_delay_others(patient):
    def send():
        with patient.connect() as connection:
            try:
                connection.sendall(b"GET / HTTP/1.1\r\nX-Huge: ")
                for _ in range(128):
                    connection.sendall(b"x" * (1 << 20))
            except OSError:
                pass

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    for _ in range(20):
        assert patient.alive()
    assert time.monotonic() - started < 10
    for thread in threads:
        thread.join(30)


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x"])
def test_a_head_that_does_not_end_is_timed_out(peer, sent):
    assert peer.ask(sent).startswith(b"HTTP/1.1 408 ")


def connection_survives(connection, trickle):
    """Send a few bytes repeatedly for 10 s; return whether the connection stays open."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            connection.sendall(trickle)
        except OSError:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("trickle", [b"X-A: 1\r\n", b"\r\n"])
def test_a_trickling_head_is_timed_out(peer, trickle):
    with peer.connect() as connection:
        connection.sendall(b"" if trickle == b"\r\n" else b"GET / HTTP/1.1\r\n")
        assert not connection_survives(connection, trickle)


def test_an_idle_socket_is_closed(peer):
    assert peer.ask(b"") == b""


def test_a_kept_connection_is_closed_after_its_time(peer):
    with peer.connect() as connection:
        connection.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(connection).endswith(b"/a ")
        # Longer than the timeout of a head, shorter than that of a kept connection: it stays open and silent.
        assert select.select([connection], [], [], 0.5)[0] == []
        connection.sendall(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(connection).endswith(b"/b ")
        assert read_all(connection) == b""


@pytest.mark.parametrize("head", [b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"])
def test_a_body_that_stops_is_timed_out(peer, head):
    assert peer.ask(b"POST / HTTP/1.1\r\nHost: x\r\n" + head).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_goes_on_slowly_is_read(peer):
    with peer.connect() as connection:
        connection.sendall(b"POST /slow HTTP/1.1\r\nContent-Length: 10\r\n" + END)
        for _ in range(10):
            time.sleep(0.1)
            connection.sendall(b"z")
        assert read_all(connection).endswith(b"/slow zzzzzzzzzz")


def test_a_refused_body_that_stops_holds_no_connection(peer):
    with peer.connect() as connection:
        connection.sendall(b"POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert read_answer(connection).endswith(b"no key")
        assert read_all(connection) == b""


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_answer_sent_before_the_body_is_not_lost(patient, version):
    head = b"POST /refuse HTTP/%b\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n" % version
    for _ in range(10):
        with patient.connect() as connection:
            connection.sendall(head)
            connection.sendall(b"x" * (8 << 20))
            assert read_all(connection).endswith(b"too large")


def test_an_unread_body_does_not_disturb_the_next_request(patient):
    with patient.connect() as connection:
        connection.sendall(b"POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert read_answer(connection).endswith(b"no key")
        connection.sendall(b"GET /x HTTP/1.1\r\n\r\n" * 50_000 + b"y" * 50_000)
        connection.sendall(b"GET /next HTTP/1.1\r\n" + END)
        assert read_all(connection).endswith(b"/next ")


@pytest.mark.parametrize("flood", [
    b"1;" + b"e" * 200_000 + b"\r\nx\r\n0\r\n\r\n",
    (b"1;" + b"e" * 1000 + b"\r\nx\r\n") * 200 + b"0\r\n\r\n",
    b"1\r\nx\r\n0\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n",
    b"1\r\nx\r\n0\r\nX-T: " + b"t" * 200_000 + b"\r\n\r\n",
    b"zz\r\n",
    b"ffffffffffffffffff\r\n",
])  # fmt: skip
def test_a_chunked_body_that_is_mostly_framing_is_refused(patient, flood):
    answer = patient.ask(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + flood)
    assert answer.split(b" ")[1] in {b"400", b"431"}


def test_chunks_of_one_byte_are_a_body(patient):
    chunks = b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
    answer = patient.ask(b"POST /tiny HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + END + chunks)
    assert answer.endswith(b"/tiny " + b"x" * 50_000)


def test_a_trailer_field_is_no_header_field(patient):
    head = b"POST /headers HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + END
    answer = patient.ask(head + b"1\r\nx\r\n0\r\nX-API-Key: forged\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"forged" not in answer


def test_trailer_fields_count_with_the_header_fields(patient):
    """Catches trailer fields without end after a request that is within the limit."""
    head = b"POST /headers HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + END + b"1\r\nx\r\n0\r\n"
    # With the three of the head, 100 and 101.
    few, many = (b"".join(b"X-%d: 1\r\n" % number for number in range(count)) + b"\r\n" for count in (97, 98))
    assert patient.ask(head + few).startswith(b"HTTP/1.1 200 ")
    assert patient.ask(head + many).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("bytes_", [b"\x16\x03\x01\x02\x00\x01\x00", b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                                    b"CONNECT evil:1 HTTP/1.1\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n",
                                    b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])  # fmt: skip
def test_what_is_not_http_is_refused(patient, bytes_):
    assert patient.ask(bytes_).startswith(b"HTTP/1.1 400 ")


def test_a_pipeline_is_answered_in_order_up_to_a_bound(patient):
    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(50))
    with patient.connect() as connection:
        connection.sendall(requests)
        assert [read_answer(connection).endswith(b"/%d " % number) for number in range(50)] == [True] * 50
    answer = patient.ask(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
    count = answer.count(b"HTTP/1.1 200 ")
    assert http_protocol.PIPELINED <= count < 5000
    assert b"connection: close" in answer.rpartition(b"HTTP/1.1 200")[2]


def test_garbage_after_a_request_does_not_lose_its_answer(patient):
    answer = patient.ask(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\nNONSENSE\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"/first ")


def test_an_offered_protocol_upgrade_is_ignored(patient):
    offer = b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with patient.connect() as connection:
        for _ in range(2):
            connection.sendall(b"POST /up HTTP/1.1\r\nContent-Length: 3\r\n" + offer + b"\r\nabc")
            assert read_answer(connection).endswith(b"/up abc")
        connection.sendall(b"POST /none HTTP/1.1\r\nContent-Length: 0\r\n" + offer + b"\r\n")
        assert read_answer(connection).endswith(b"/none ")
        connection.sendall(
            b"POST /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + offer + b"\r\n1\r\nx\r\n0\r\n\r\n"
        )
        assert read_answer(connection).endswith(b"/chunks x")
        connection.sendall(b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + END)
        assert read_all(connection).endswith(b"/ws ")


@pytest.mark.parametrize(("target", "host"), [
    (b"http://evil.example/headers", b"evil.example"), (b"http://evil.example:81/headers", b"evil.example:81"),
    (b"http://[::1]:81/headers", b"[::1]:81"),
])  # fmt: skip
def test_the_authority_of_an_absolute_target_is_the_host(patient, target, host):
    answer = patient.ask(b"GET " + target + b" HTTP/1.1\r\n" + END)
    assert b'["host", "%b"]' % host in answer
    assert answer.count(b'"host"') == 1


def test_a_client_that_reads_nothing_is_cut_off(peer):
    with peer.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        connection.recv(1)
        until(lambda: not peer.held)


def test_a_client_that_reads_slowly_gets_its_answer(peer):
    with peer.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(b"GET /big HTTP/1.1\r\n" + END)
        got = 0
        while part := connection.recv(200_000):
            got += len(part)
            time.sleep(0.01)
        assert got > len(BIG)


def test_above_the_limit_of_connections_only_liveness_is_answered(peer, monkeypatch):
    monkeypatch.setattr(http_protocol, "most_connections", lambda: 5)
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 30)
    held = [peer.connect() for _ in range(5)]
    try:
        until(lambda: len(peer.held) == 5)
        answer = peer.ask(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        assert b"MAX_CONNECTIONS = 5" in answer
        assert peer.alive()
        many = [peer.connect() for _ in range(http_protocol.SURPLUS)]
        for _ in range(3):
            assert peer.alive()
        assert read_all(many[0]).startswith(b"HTTP/1.1 503 ")
        for connection in many:
            connection.close()
    finally:
        for connection in held:
            connection.close()
    deadline = time.monotonic() + 10
    while not peer.ask(b"GET /x HTTP/1.1\r\n" + END).startswith(b"HTTP/1.1 200 "):
        assert time.monotonic() < deadline


def test_thousands_of_idle_and_half_sent_requests_refuse_nobody(patient):
    held = [patient.connect() for _ in range(1100)]
    try:
        for number, connection in enumerate(held):
            connection.sendall(
                (b"", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1")[number % 3]
            )
        started = time.monotonic()
        for _ in range(20):
            assert patient.alive()
        assert time.monotonic() - started < 10
    finally:
        for connection in held:
            connection.close()
