"""An answer on a terminal as it is written."""

import json

import httpx
import pytest

from local.client import Client, CommandError
from local.deadline import Deadline
from local.live import follow_live
from local.progress_display import ProgressDisplay

JOB = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"


def event(number, kind, data):
    return f"id: 1-{number}\nevent: {kind}\ndata: {data}\n\n"


HELLO = event(1, "delta", '{"text": "Hel"}'), event(2, "delta", '{"text": "lo\\u001b"}')
DONE = event(9, "done", '{"state": "completed", "result": {"response": "Hello\\u001b"}}')


@pytest.fixture
def follow():
    def follow(*answers):
        resumed_from, left = [], list(answers)

        def serve(request):
            resumed_from.append(request.headers.get("last-event-id"))
            answer = left.pop(0)
            if isinstance(answer, httpx.Response):
                return answer
            return httpx.Response(200, text="retry: 1000\n\n: still here\n\n" + answer)

        clock = iter(range(1000))
        with Client("http://127.0.0.1:3000", None, httpx.MockTransport(serve)) as client:
            deadline = Deadline(500, sleep=lambda _: None, clock=lambda: next(clock))
            body = follow_live(client, JOB, ProgressDisplay(lambda: client), deadline)
        return body, resumed_from

    return follow


def test_text_is_printed_as_it_arrives_with_control_characters_escaped(follow, capsys):
    body, _ = follow("".join(HELLO) + DONE)
    assert body["state"] == "completed"
    assert capsys.readouterr().out == "Hello\\u001b\n"


def test_a_stream_that_ends_early_is_resumed(follow, capsys):
    _, resumed_from = follow(HELLO[0], HELLO[1], DONE)
    assert resumed_from == [None, "1-1", "1-2"]
    assert capsys.readouterr().out == "Hello\\u001b\n"


def test_text_of_a_failed_attempt_is_labeled(follow, capsys):
    follow(HELLO[0] + event(3, "reset", "{}") + "".join(HELLO) + DONE)
    seen = capsys.readouterr()
    assert seen.out == "Hel\nHello\\u001b\n"
    assert "retrying" in seen.err


def test_the_answer_is_printed_last_when_other_text_was_written(follow, capsys):
    follow(
        event(1, "delta", '{"text": "Let me look."}')
        + event(9, "done", '{"state": "completed", "result": {"response": "Found it."}}')
    )
    assert capsys.readouterr().out == "Let me look.\nFound it.\n"


def test_an_unreachable_gateway_is_retried_and_a_refusal_is_not(follow, capsys):
    away = httpx.Response(503, json={"title": "away", "detail": "later"})
    assert follow(away, away, "".join(HELLO) + DONE)[0]["state"] == "completed"
    with pytest.raises(CommandError, match="no such job"):
        follow(httpx.Response(404, json={"title": "Not found", "detail": "There is no such job"}))
    capsys.readouterr()


def step(number, **fields):
    given = {"kind": "tool", "tool": "Bash", "input": {"command": "npm test"}, "parentId": None, "durationMs": 2140}
    return event(number, "step", json.dumps({**given, **fields}))


def test_a_step_is_a_line_on_standard_error(follow, capsys):
    """Catches a step among the answer, where a pipe would take it for a part of it."""
    started, ended = step(1, status="started", durationMs=None), step(2, status="completed")
    follow(started + ended + "".join(HELLO) + DONE)
    seen = capsys.readouterr()
    assert seen.out == "Hello\\u001b\n"
    assert seen.err == "● Bash npm test … 2.1 s\n"


@pytest.mark.parametrize(("fields", "line"), [
    ({"status": "failed"}, "● Bash npm test … failed, 2.1 s"),
    ({"status": "denied", "parentId": "t"}, "  ● Bash npm test … denied, 2.1 s"),
    ({"status": "completed", "input": {"a": 1}, "tool": "mcp__x__y"}, '● mcp__x__y {"a": 1} … 2.1 s'),
    ({"status": "completed", "input": {"command": "a\n\n  b\x1b[2J" + "c" * 100}}, None),
    ({"status": "completed", "input": None, "durationMs": None}, "● Bash …"),
    ({"status": "completed", "kind": "message", "input": {"text": "Use no mocks"}}, "● message Use no mocks"),
])  # fmt: skip
def test_a_line_says_how_a_step_ended(follow, capsys, fields, line):
    follow(step(1, **fields) + DONE)
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert len(shown) < 150
    assert line is None or shown == line + "\n"
