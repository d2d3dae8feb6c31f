"""Standard input is appended to a query, and never blocks it forever."""

import os
import socket
import sys

import pytest

from local import standard_input
from local.client import CommandError
from local.standard_input import query_text


@pytest.fixture
def stdin(monkeypatch):
    """Use a descriptor as standard input."""
    opened = []

    def stdin(descriptor):
        opened.append(os.fdopen(descriptor, encoding="utf-8"))
        monkeypatch.setattr(sys, "stdin", opened[-1])

    yield stdin
    for stream in opened:
        stream.close()


@pytest.fixture
def pipe(stdin):
    """Use a pipe as standard input, and return its write end."""
    reading, writing = os.pipe()
    stdin(reading)
    with os.fdopen(writing, "wb", buffering=0) as end:
        yield end


def test_a_pipe_is_appended_unchanged_after_an_empty_line(pipe):
    pipe.write("ä\r\n line\n".encode())
    pipe.close()
    assert query_text("Explain:", append=None) == "Explain:\n\nä\r\n line\n"


def test_a_file_is_appended_from_its_current_position(stdin, tmp_path):
    (tmp_path / "input").write_text("one")
    stdin(os.open(tmp_path / "input", os.O_RDONLY))
    assert query_text("q", append=None) == "q\n\none"


def test_a_socket_is_appended_like_a_pipe(stdin):
    ours, theirs = socket.socketpair()
    with theirs:
        stdin(ours.detach())
        theirs.sendall(b"one")
        theirs.shutdown(socket.SHUT_WR)
        assert query_text("q", append=None) == "q\n\none"


@pytest.mark.parametrize("path", [os.devnull, "/dev/zero"])
def test_a_device_is_not_read(stdin, path):
    stdin(os.open(path, os.O_RDONLY))
    assert query_text("q", append=None) == "q"


def test_an_empty_pipe_adds_nothing(pipe):
    pipe.close()
    assert query_text("q", append=None) == "q"


def test_a_pipe_that_stays_open_is_abandoned_and_named(pipe, monkeypatch, capsys):
    monkeypatch.setattr(standard_input, "FIRST_BYTE_WITHIN", 0.05)
    assert query_text("q", append=None) == "q"
    assert "no data on standard input within 0.05 s" in capsys.readouterr().err


def test_a_pipe_is_not_read_when_disabled(pipe, capsys):
    pipe.write(b"more")
    assert query_text("q", append=False) == "q"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("append", [None, True])
def test_without_standard_input_only_the_query_is_sent(monkeypatch, append):
    monkeypatch.setattr(sys, "stdin", None)
    assert query_text("q", append=append) == "q"
    with pytest.raises(CommandError, match="standard input is closed"):
        query_text("-", append=append)


def test_endless_input_is_refused(pipe, monkeypatch):
    monkeypatch.setattr(standard_input, "MOST_BYTES", 10)
    pipe.write(b"x" * 11)
    with pytest.raises(CommandError, match="exceeds 10 bytes"):
        query_text("-", append=None)
