import io
import json
import signal
from collections import deque

import httpx
import pytest

from local.ask import Question, ask
from local.job_command import JobCommand
from shared.api.models import Status

URL = "http://127.0.0.1:3000"
JOB = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"
QUEUED = httpx.codes.ACCEPTED, {"requestId": "r", "status": "queued", "jobId": JOB}


def status(state, **fields):
    return 200, {"jobId": JOB, "requestId": "r", "state": state, "progress": 10, "result": None, "error": None} | fields


def completed(response):
    return status("completed", progress=100, result={"response": response, "format": "text"})


def problem(code, title, detail, *errors):
    fields = [{"pointer": pointer, "message": message} for pointer, message in errors]
    return code, {"title": title, "status": code, "detail": detail, "code": "x", "errors": fields}


AWAY = problem(503, "The gateway cannot do this now", "The store does not answer; try again")
REASON = "The gateway cannot do this now: The store does not answer; try again"
ID = f"The job's id is {JOB}.\n"
WRONG = problem(422, "Not valid", "query: blank", ("/query", "blank"), ("", "odd"))
FAILED = status("failed", error={"code": "overloaded", "message": "Busy\x1b[2J", "retryable": True})


class Stream(io.TextIOWrapper):
    """A standard stream that is a terminal or not."""

    def __init__(self, content=b"", *, terminal=False):
        self.content = io.BytesIO(content)
        super().__init__(self.content, encoding="utf-8", newline="")
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    @property
    def written(self):
        self.flush()
        return self.content.getvalue().decode()


class Desk:
    """A gateway with prepared answers in turn (the last one forever), and the `ask` command.

    An answer is `(status, body)` or `(status, body, headers)`; an exception is raised instead of one.
    """

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.requests = []
        self.pauses = []
        self.now = 0.0
        self.terminal()

    def terminal(self, *, out=False, err=False):
        self.out, self.err = Stream(terminal=out), Stream(terminal=err)
        # Otherwise the progress would read the terminal of the test run.
        self.monkeypatch.setenv("TERM", "xterm")
        self.monkeypatch.setenv("COLUMNS", "100")

    def ask(self, *answers, query="What is 2+2?", **options):
        waiting = deque(answers)
        # Not in the fixture: pytest's capture replaces it between that and the test.
        self.monkeypatch.setattr("sys.stdout", self.out)
        self.monkeypatch.setattr("sys.stderr", self.err)

        def answer(request):
            self.requests.append(request)
            found = waiting.popleft() if len(waiting) > 1 else waiting[0]
            if isinstance(found, BaseException):
                raise found
            if callable(found):
                found = found()
            code, body, *headers = found
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return httpx.Response(code, content=content, headers=headers[0] if headers else None)

        def sleep(seconds):
            assert len(self.requests) < 500, "it never stops asking"
            self.pauses.append(seconds)
            self.now += seconds

        url, key = options.pop("url", URL), options.pop("api_key", None)
        gateway = JobCommand(url, key, transport=httpx.MockTransport(answer))
        question = Question(query, options.pop("fields", {}), options.pop("append", False))
        return ask(question, gateway, **options, sleep=sleep, clock=lambda: self.now)


@pytest.fixture
def desk(monkeypatch):
    return Desk(monkeypatch)


def test_a_pipe_gets_only_the_answer(desk):
    assert desk.ask(QUEUED, status("waiting"), status("active"), completed("4")) == 0
    assert desk.out.written == "4\n"
    assert desk.err.written == ""


def test_the_query_is_sent_as_typed(desk):
    desk.ask(QUEUED, completed("4"), query=" --version\r\n@/etc/hosts ä\t")
    submit, poll = desk.requests
    assert (submit.method, submit.url.path) == ("POST", "/api/query")
    assert json.loads(submit.content) == {"query": " --version\r\n@/etc/hosts ä\t"}
    assert (poll.method, poll.url.path) == ("GET", f"/api/query/{JOB}")
    assert "Authorization" not in submit.headers


@pytest.fixture
def standard_input(monkeypatch, tmp_path):
    """Use a file of some bytes as standard input."""
    opened = []

    def standard_input(content):
        file = tmp_path / "input"
        file.write_bytes(content)
        opened.append(file.open())
        monkeypatch.setattr("sys.stdin", opened[-1])

    yield standard_input
    for stream in opened:
        stream.close()


def test_a_dash_reads_standard_input_unchanged(desk, standard_input):
    standard_input("ä\r\n2+2\n".encode())
    assert desk.ask(QUEUED, completed("4"), query="-") == 0
    assert json.loads(desk.requests[0].content) == {"query": "ä\r\n2+2\n"}


def test_input_that_is_not_utf8_is_refused_before_anything_is_sent(desk, standard_input):
    standard_input(b"\xff")
    assert desk.ask(QUEUED, query="-") == 2
    assert desk.ask(QUEUED, query="\udcff") == 2
    standard_input(b"\xff")
    assert desk.ask(QUEUED, append=True) == 2
    assert desk.err.written == "standard input is not UTF-8\nthe query is not UTF-8\nstandard input is not UTF-8\n"
    assert desk.requests == []


@pytest.mark.parametrize(
    ("answer", "code"), [(completed("\x1b\x9b\ud83d ä\n"), 0), (FAILED, 1)], ids=["completed", "failed"]
)
def test_json_is_the_whole_status_body_and_safe_to_print(desk, answer, code):
    assert desk.ask(QUEUED, answer, as_json=True) == code
    assert json.loads(desk.out.written) == answer[1]
    assert not set(desk.out.written) & {"\x1b", "\x9b"}


def test_polling_starts_fast_and_slows_to_once_a_second(desk):
    desk.ask((*QUEUED, {"Retry-After": "1"}), *[status("active")] * 9, completed("4"))
    assert desk.pauses[0] == 0.1
    assert desk.pauses == sorted(desk.pauses)
    assert desk.pauses[-1] == 1


def test_retry_after_of_a_status_is_honored(desk):
    desk.ask(QUEUED, (*status("waiting"), {"Retry-After": "7"}), completed("4"))
    assert desk.pauses == [0.1, 7]


def test_a_retry_after_that_is_a_date_keeps_the_usual_pace(desk):
    desk.ask(QUEUED, (*status("waiting"), {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), completed("4"))
    assert desk.pauses[1] < 1


TROUBLES = {
    "redis away": (*AWAY, {"Retry-After": "2"}),
    "proxy": (502, b"<html>bad gateway</html>"),
    "refused": httpx.ConnectError("refused"),
    "reset": httpx.ReadError("reset by peer"),
    "disconnected": httpx.RemoteProtocolError("disconnected"),
    "timeout": httpx.ReadTimeout("slow"),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_transient_error_while_polling_is_retried_silently(desk, trouble):
    assert desk.ask(QUEUED, trouble, trouble, completed("4")) == 0
    assert desk.out.written == "4\n"
    assert desk.err.written == ""


@pytest.mark.parametrize("hint", ["0", "4", "3600"])
def test_thirty_seconds_of_errors_end_the_polling_with_the_job_id(desk, hint):
    assert desk.ask(QUEUED, (*AWAY, {"Retry-After": hint})) == 2
    assert 30 <= desk.now < 31
    assert desk.err.written == f"{REASON}\n{ID}"


def test_errors_far_apart_each_get_thirty_seconds(desk):
    trouble, fine = (*AWAY, {"Retry-After": "20"}), status("active")
    assert desk.ask(QUEUED, trouble, fine, trouble, fine, trouble, completed("4")) == 0


STRANGERS = {
    "html 404": [(404, b"<html>")],
    "html 200": [(200, b"<html>")],
    "redirect": [(301, b"", {"Location": "https://elsewhere.test/"})],
    "list": [(200, ["a list"])],
    "no job id": [(202, {"id": 7})],
    "no state": [QUEUED, (200, {})],
}


@pytest.mark.parametrize("answers", STRANGERS.values(), ids=STRANGERS)
def test_a_server_that_is_no_gateway_is_reported(desk, answers):
    assert desk.ask(*answers) == 2
    assert "which a gateway does not return" in desk.err.written


BAD_URLS = ["localhost:3000", "http://[::1", "ftp://host", "http://name:secret@host"]
BAD_OPTIONS = [{"timeout": 0}, {"timeout": float("nan")}, {"api_key": "a\nb"}, {"api_key": "schlüssel"}]


@pytest.mark.parametrize("wrong", [*({"url": url} for url in BAD_URLS), *BAD_OPTIONS], ids=str)
def test_an_invalid_option_is_reported_and_nothing_is_sent(desk, wrong):
    assert desk.ask(QUEUED, completed("4"), **wrong) == 2
    assert desk.err.written.startswith("--")
    assert "secret" not in desk.err.written
    assert desk.requests == []


def test_the_timeout_ends_the_polling_and_names_the_job(desk):
    assert desk.ask(QUEUED, status("active"), timeout=2.5) == 2
    assert desk.now == pytest.approx(2.5)
    assert desk.err.written == f"stopped following after 2.5 s; the job continues\n{ID}"


def test_a_terminal_shows_progress_on_standard_error_only(desk):
    desk.terminal(out=True, err=True)
    assert desk.ask(QUEUED, status("waiting", queuePosition=3), completed("4")) == 0
    assert desk.out.written == "4\n"
    assert "completed" in desk.err.written
    assert "100%" in desk.err.written


def test_a_state_cannot_carry_an_escape_to_the_terminal(desk):
    desk.terminal(out=True, err=True)
    desk.ask(QUEUED, status("\x1b]0;owned\x07[red]"), KeyboardInterrupt())
    assert "\x1b]0;" not in desk.err.written


def test_progress_is_shown_only_on_a_terminal(desk):
    for out, err in ((True, False), (False, True)):
        desk.terminal(out=out, err=err)
        assert desk.ask(QUEUED, status("active"), completed("4")) == 0
        assert desk.out.written == "4\n"
        assert ("completed" in desk.err.written) is err


NEXT = f"Follow it: claude-gateway jobs follow {JOB}\nCancel it: claude-gateway jobs cancel {JOB}\n"
# The gateway's answers, the exit status, and standard error.
ENDS = {
    "failed": ([QUEUED, FAILED], 1, f"overloaded: Busy\\u001b[2J\n{ID}"),
    "cancelled": ([QUEUED, status("cancelled")], 1, f"the job was cancelled\n{ID}"),
    "no answer": ([QUEUED, status("completed", result={})], 2, f"the job is completed, but has no answer\n{ID}"),
    "gone": ([QUEUED, problem(404, "Not found", "No such job")], 2, f"Not found: No such job\n{ID}"),
    "never submitted twice": ([(*AWAY, {"Retry-After": "1"})], 2, f"{REASON}\n"),
    "no gateway": ([httpx.ConnectError("refused")], 2, f"no gateway responds at {URL}: start one with `make run`\n"),
    "wrong": ([WRONG], 2, "Not valid: query: blank\n  body: odd\n"),
    "ctrl-c": ([QUEUED, status("active"), KeyboardInterrupt()], 130, f"interrupted: job {JOB} continues\n{NEXT}"),
    "ctrl-c before the job": ([KeyboardInterrupt()], 130, "interrupted: no job is known to have been created\n"),
}


@pytest.mark.parametrize(("answers", "code", "message"), ENDS.values(), ids=ENDS)
def test_every_failure_has_its_exit_status_and_message(desk, answers, code, message):
    assert desk.ask(*answers) == code
    assert desk.err.written == message
    assert desk.out.written == ""
    assert len(desk.requests) == len(answers), "it asked again what was answered"


def test_a_wrong_certificate_is_reported(desk):
    assert desk.ask(httpx.ConnectError("self-signed certificate"), url="https://gateway.test") == 2
    assert desk.err.written == "no gateway responds at https://gateway.test: self-signed certificate\n"


def test_the_key_and_the_path_of_the_url_are_used_for_every_request(desk):
    desk.ask(QUEUED, completed("4"), api_key="k-1", url="http://gateway.test/claude/")
    assert [request.headers["Authorization"] for request in desk.requests] == ["Bearer k-1"] * 2
    assert [request.url.path for request in desk.requests] == ["/claude/api/query", f"/claude/api/query/{JOB}"]


CACHED = 200, {"requestId": "r", "status": "cached", "jobId": JOB, "result": {"response": "4"}}
JOINED = 202, QUEUED[1] | {"status": "duplicate"}


@pytest.mark.parametrize("answers", [[CACHED], [JOINED, completed("4")]], ids=["cached", "joined"])
def test_a_joined_answer_is_printed_like_any_other(desk, answers):
    assert desk.ask(*answers) == 0
    assert desk.out.written == "4\n"
    assert len(desk.requests) == len(answers)


HOSTILE = "\x1b]0;owned\x07\x9b2J\x7f\roh\n\tä\r\n"
SPELLED_OUT = "\\u001b]0;owned\\u0007\\u009b2J\\u007f\\u000doh\n\tä\n"
PRINTED = [
    (False, HOSTILE, HOSTILE),
    (True, HOSTILE, SPELLED_OUT),
    (False, "\ud83d!", "?!\n"),
    (True, "\ud83d!", "\\ud83d!\n"),
]


@pytest.mark.parametrize(("terminal", "response", "printed"), PRINTED)
def test_control_characters_are_escaped_on_a_terminal_only(desk, terminal, response, printed):
    desk.terminal(out=terminal)
    assert desk.ask(QUEUED, completed(response)) == 0
    assert desk.out.written == printed


def test_json_of_a_failure_is_the_only_output(desk):
    assert desk.ask(QUEUED, FAILED, as_json=True) == 1
    assert json.loads(desk.out.written) == FAILED[1]
    assert desk.err.written == ""


PRODUCER = status("completed", progress=100, requestId="other", metadata={"of": "another"}, result={"response": "4"})


def test_json_of_a_cached_answer_is_the_status_of_its_job(desk):
    assert desk.ask(CACHED, PRODUCER, as_json=True) == 0
    assert json.loads(desk.out.written) == PRODUCER[1] | {"requestId": "r", "metadata": {}}
    assert [request.method for request in desk.requests] == ["POST", "GET"]


GONE = problem(404, "Not found", "There is no such job")


def test_json_of_a_cached_answer_outlives_its_job(desk):
    gone = (GONE[0], GONE[1] | {"code": "not_found"})
    assert desk.ask(CACHED, gone, as_json=True) == 0
    body = json.loads(desk.out.written)
    assert Status.model_validate_json(json.dumps(body | {"result": None})).request_id == "r"
    assert set(body) == {field.alias or name for name, field in Status.model_fields.items()} - {"mcp"}
    assert (body["jobId"], body["state"], body["result"]) == (JOB, "completed", {"response": "4"})


def test_json_of_a_joined_query_names_its_own_submission(desk):
    joined = 202, QUEUED[1] | {"status": "duplicate", "requestId": "mine"}
    assert desk.ask(joined, PRODUCER, as_json=True) == 0
    assert json.loads(desk.out.written)["requestId"] == "mine"


def test_a_new_session_is_named_on_standard_error(desk):
    begun = completed("4")[1] | {"result": {"response": "4", "sessionId": "s-1"}}
    assert desk.ask(QUEUED, (200, begun), fields={"session": True}) == 0
    assert (desk.out.written, desk.err.written) == ("4\n", "Continue with --session s-1\n")


@pytest.mark.parametrize("fields", [{"model": "\udcff"}, {"outputSchema": {"const": float("nan")}}], ids=str)
def test_text_that_json_cannot_encode_is_refused_before_sending(desk, fields):
    assert desk.ask(QUEUED, fields=fields) == 2
    assert desk.err.written.startswith("the request cannot be written as JSON")
    assert desk.requests == []


def test_json_after_a_timeout_is_the_last_status(desk):
    assert desk.ask(QUEUED, status("active"), timeout=2.5, as_json=True) == 2
    assert json.loads(desk.out.written) == status("active")[1]
    assert desk.err.written.startswith("stopped following after 2.5 s")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_during_submission_waits_for_the_job_id(desk, number, code):
    def interrupted():
        signal.raise_signal(number)
        return QUEUED

    assert desk.ask(interrupted, status("active")) == code
    assert desk.err.written == f"interrupted: job {JOB} continues\n{NEXT}"
    assert len(desk.requests) == 1


def test_a_second_interrupt_during_submission_ends_it_at_once(desk):
    def interrupted():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return QUEUED

    assert desk.ask(interrupted) == 130
    assert desk.err.written == "interrupted: no job is known to have been created\n"
