"""The body of a request of git: its exact end, and the refs of a push."""

import asyncio

import pytest

from functions.worker.relay.egress import EgressError
from functions.worker.relay.git_body import body_of, check_push

OLD, NEW, NONE = b"1" * 40, b"2" * 40, b"0" * 40


def reader(data):
    found = asyncio.StreamReader()
    found.feed_data(data)
    found.feed_eof()
    return found


async def read(data, **headers):
    stream = reader(data)
    pieces = [
        piece async for piece in body_of(stream, {name.replace("_", "-"): text for name, text in headers.items()})
    ]
    return b"".join(pieces), await stream.read()


async def test_a_body_ends_where_its_head_says():
    """Catches a second request that is sent to the server as a part of the first."""
    assert await read(b"abcGET /", content_length="3") == (b"abc", b"GET /")
    assert await read(b"GET /") == (b"", b"GET /")
    chunks = b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\nGET /"
    assert await read(chunks, transfer_encoding="chunked") == (b"abcd", b"GET /")


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"ab", {"content_length": "3"}),
        (b"abc", {"content_length": "-1"}),
        (b"abc", {"content_length": "3, 3"}),
        (b"abc", {"content_length": "+3"}),
        (b"0\r\n\r\n", {"content_length": "3", "transfer_encoding": "chunked"}),
        (b"0\r\n\r\n", {"transfer_encoding": "chunked, gzip"}),
        (b"x\r\n", {"transfer_encoding": "chunked"}),
        (b"-1\r\n", {"transfer_encoding": "chunked"}),
        (b"3\nabc\n0\n\n", {"transfer_encoding": "chunked"}),
        (b"3\r\nabcd\r\n", {"transfer_encoding": "chunked"}),
        (b"0\r\nX: y\r\n\r\n", {"transfer_encoding": "chunked"}),
        (b"fffffffff\r\n", {"transfer_encoding": "chunked"}),
    ],
)
async def test_a_malformed_body_is_refused(data, headers):
    with pytest.raises(EgressError):
        await read(data, **headers)


def line(text):
    return b"%04x%b" % (len(text) + 4, text)


def update(ref, new=NEW, old=OLD):
    return line(old + b" " + new + b" " + ref + b"\0 report-status agent=git/2")


async def pushed(*pieces, branch="work"):
    async def body():
        for piece in pieces:
            yield piece

    return b"".join([piece async for piece in check_push(body(), branch)])


@pytest.mark.parametrize(
    "body",
    [
        update(b"refs/heads/work") + b"0000PACK",
        line(b"shallow " + OLD) + update(b"refs/heads/work", old=NONE) + b"0000PACK",
        b"0000",
    ],
)
async def test_a_push_of_the_branch_passes_whole(body):
    assert await pushed(body) == body
    assert await pushed(*(body[at : at + 1] for at in range(len(body)))) == body


@pytest.mark.parametrize(
    "body",
    [
        update(b"refs/heads/main") + b"0000",
        update(b"refs/heads/work2") + b"0000",
        update(b"refs/tags/work") + b"0000",
        update(b"refs/heads/work", new=NONE) + b"0000",
        update(b"refs/heads/work") + update(b"refs/heads/main") + b"0000",
        update(b"refs/heads/work") + update(b"refs/heads/work") + b"0000",
        line(b"push-cert\0 x") + b"0000",
        line(b"shallow " + OLD) * 400 + b"0000",
        update(b"refs/heads/work"),
        b"",
        b"zzzz",
        b"0003",
        b"0001",
        b"ffff" + b"x" * 70_000,
    ],
)
async def test_any_other_push_is_refused(body):
    with pytest.raises(EgressError):
        await pushed(body)
