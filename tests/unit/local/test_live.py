"""An answer on a terminal as it is written."""

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
