"""The log lines of one turn of the event loop are written together, and none is lost."""

import asyncio
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading

import pytest

from local.turn_lines import one_write_a_turn
from shared import logs
from shared.configuration.settings import CommonSettings

log = logging.getLogger("test.turn_lines")


class Stream(io.StringIO):
    def __init__(self, handler):
        super().__init__()
        self.handler = handler
        self.writes = []

    def write(self, text):
        self.writes.append([json.loads(line)["event"] for line in text.splitlines()])
        return len(text)


@pytest.fixture
def stream():
    """Write the lines of the root logger to a stream that notes each write."""
    root, before = logging.getLogger(), (list(logging.getLogger().handlers), logging.getLogger().level)
    handler = logs.configure(CommonSettings())
    handler.setStream(found := Stream(handler))
    yield found
    root.handlers[:], root.level = before


async def test_the_lines_of_a_turn_are_one_write(stream):
    with one_write_a_turn(stream.handler):
        logs.event(log, "one")
        logs.event(log, "two")
        assert stream.writes == []
        await asyncio.sleep(0)
        logs.event(log, "three")
        await asyncio.sleep(0)
    assert stream.writes == [["one", "two"], ["three"]]


async def test_a_warning_is_written_at_once_after_what_waits(stream):
    with one_write_a_turn(stream.handler):
        logs.event(log, "one")
        logs.event(log, "failed", logging.WARNING)
        assert stream.writes == [["one", "failed"]]


async def test_a_line_of_another_thread_is_written_at_once(stream):
    with one_write_a_turn(stream.handler):
        thread = threading.Thread(target=logs.event, args=(log, "elsewhere"))
        thread.start()
        thread.join()
        assert stream.writes == [["elsewhere"]]


async def test_the_last_lines_are_written_at_the_end(stream):
    with one_write_a_turn(stream.handler):
        logs.event(log, "one")
    logs.event(log, "after")
    assert stream.writes == [["one"], ["after"]]
    await asyncio.sleep(0)
    assert stream.writes == [["one"], ["after"]]


async def test_a_line_that_cannot_be_written_fails_no_caller(stream, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def full(_text):
        raise OSError(28, "No space left on device")

    with one_write_a_turn(stream.handler):
        stream.write = full
        logs.event(log, "one", logging.WARNING)
        del stream.write
        logs.event(log, "two", logging.WARNING)
    assert stream.writes == [["two"]]


ENDING = """
import asyncio, logging, os, signal, sys
from local.turn_lines import one_write_a_turn
from shared import logs
from shared.configuration.settings import CommonSettings

async def main():
    with one_write_a_turn(logs.configure(CommonSettings())):
        logs.event(logging.getLogger("t"), "last")
        {end}

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["sys.exit(1)", "raise ValueError", "signal.raise_signal(signal.SIGINT)"])
def test_the_lines_of_a_process_that_ends_are_written(end):
    ended = subprocess.run(
        [sys.executable, "-c", ENDING.format(end=end)], env=os.environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode in {1, -signal.SIGINT}
    assert json.loads(ended.stderr.splitlines()[0])["event"] == "last"
