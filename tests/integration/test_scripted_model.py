import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.real_cli import ask_real_cli
from tests.support.scripted_model import Disconnect, Empty, Error, Hang, ScriptedModel, Text, ToolUse


def post(model: ScriptedModel, query: str = "q", *, stream: bool = False) -> httpx.Response:
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": query}]}
    return httpx.post(f"{model.url}/v1/messages", json=body, timeout=10)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (529, "overloaded_error"),
        pytest.param(401, "authentication_error", marks=pytest.mark.slow),
        pytest.param(429, "rate_limit_error", marks=pytest.mark.slow),
        pytest.param(500, "api_error", marks=pytest.mark.slow),
    ],
)
def test_the_real_cli_reports_a_refusal_in_its_envelope(tmp_path, status, kind):
    with ScriptedModel(lambda _: Error(status, kind, headers={"retry-after": "1"})) as model:
        envelope = ask_real_cli("hello", model.url, tmp_path)
    assert (envelope["subtype"], envelope["is_error"]) == ("success", True)
    assert (envelope["terminal_reason"], envelope["api_error_status"]) == ("api_error", status)


def test_the_real_cli_gets_its_query_echoed_with_the_scripted_usage(tmp_path):
    with ScriptedModel(echo=True) as model:
        envelope = ask_real_cli("@/etc/hostname is <b>mine</b>", model.url, tmp_path, "--restricted")
        assert model.queries() == ["@/etc/hostname is <b>mine</b>"]
    assert envelope["result"] == "@/etc/hostname is <b>mine</b>"
    assert (envelope["usage"]["input_tokens"], envelope["usage"]["output_tokens"]) == (10, 5)


@pytest.mark.slow
@pytest.mark.long
def test_the_real_cli_repeats_the_request_after_an_empty_answer(tmp_path):
    with ScriptedModel() as model:
        model.script(Empty(), Text(["at ", "last"]))
        assert ask_real_cli("hello", model.url, tmp_path)["result"] == "at last"
        assert len(model.wait_for_requests(2)) == 2


@pytest.mark.slow
@pytest.mark.long
def test_the_real_cli_fails_when_every_stream_is_cut(tmp_path):
    with ScriptedModel(lambda _: Disconnect(after_chunks=2)) as model:
        envelope = ask_real_cli("hello", model.url, tmp_path)
    assert (envelope["is_error"], envelope["api_error_status"]) == (True, None)


def test_scripted_replies_are_used_in_order_before_the_function():
    with ScriptedModel(lambda _: Text("later")) as model:
        model.script([Text("first"), ToolUse("Read", {"path": "a"})], Text("second"))
        replies = [post(model).json()["content"] for _ in range(3)]
    assert [block["type"] for block in replies[0]] == ["text", "tool_use"]
    assert [content[0]["text"] for content in replies] == ["first", "second", "later"]


def test_concurrent_requests_each_get_their_own_answer():
    queries = [f"query {number}" for number in range(20)]
    with ScriptedModel(echo=True) as model, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda query: post(model, query).json()["content"][0]["text"], queries))
    assert answers == queries


def test_a_stream_is_cut_after_its_chunks_and_an_error_event_ends_one():
    with ScriptedModel() as model:
        model.script(Disconnect(after_chunks=2), Error(529, "overloaded_error", after_chunks=1))
        with pytest.raises(httpx.RemoteProtocolError):
            post(model, stream=True)
        broken_off = post(model, stream=True)
    assert broken_off.text.count("text_delta") == 1
    assert broken_off.text.rstrip().splitlines()[-2] == "event: error"


def test_a_hanging_request_is_answered_when_its_event_is_set():
    until = threading.Event()
    with ScriptedModel(lambda _: Hang(until)) as model, ThreadPoolExecutor(1) as pool:
        reply = pool.submit(post, model)
        model.wait_for_requests(1)
        assert not reply.done()
        until.set()
        assert reply.result(10).json()["content"][0]["text"] == "ok"


def test_closing_cuts_a_request_that_hangs_and_one_that_is_late():
    model = ScriptedModel(lambda body: Hang(threading.Event()) if body["stream"] else Text("x", delay_before=60))
    with ThreadPoolExecutor(2) as pool:
        with model:
            replies = [pool.submit(post, model, stream=stream) for stream in (True, False)]
            model.wait_for_requests(2)
        for reply in replies:
            reply.exception(timeout=5)  # answered or cut, but ended


def test_a_script_that_raises_and_an_unmet_wait_fail_the_test():
    def faulty(body):
        raise KeyError("no such thing")

    with pytest.raises(KeyError, match="no such thing"), ScriptedModel(faulty) as model:
        assert post(model).status_code == 500
    with ScriptedModel() as model, pytest.raises(AssertionError, match="0 of 1 requests"):
        model.wait_for_requests(1, timeout=0.01)
