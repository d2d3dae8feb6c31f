"""Following a job: every event once and in order, however often the stream is cut."""

import asyncio
import json
import random
import threading
import time

import httpx
import psutil
import pytest

from local.client import Client
from tests.support.scripted_replies import Disconnect, Hang, Text
from tests.support.streams import Stream

WORDS = [f"word{number} é😀 " for number in range(300)]


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_MAX_RETRIES": "2"}


def text_of(stream):
    return "".join(json.loads(event.data)["text"] for event in stream.events if event.kind == "delta")


def test_a_stream_has_the_states_the_text_deltas_and_the_end(gateway, script):
    script(lambda _: Text(WORDS, delay_between=0.003))
    job = gateway.submit("follow me")
    stream = Stream(gateway.client, job).to_the_end()
    assert (stream.events[0].id, json.loads(stream.events[0].data)) == ("0-0", {"state": "waiting", "progress": 0})
    assert json.loads(stream.events[1].data) == {"state": "active", "progress": 10}
    assert text_of(stream) == "".join(WORDS)
    assert json.loads(stream.events[-1].data) == gateway.job(job)
    progress = [json.loads(event.data)["progress"] for event in stream.events if event.kind == "state"]
    assert progress == sorted(progress)
    # A few dozen deltas a second at most, however fast the model writes.
    assert 3 < sum(event.kind == "delta" for event in stream.events) < 150


def test_a_stream_resumed_fifty_times_equals_the_whole_one(gateway, script):
    script(lambda _: Text(WORDS, delay_between=0.003))
    job = gateway.submit("cut me")
    chance = random.Random(11)  # noqa: S311 -- no secret
    cut = Stream(gateway.client, job)
    while cut.answers < 50:
        cut.read(cut_after=chance.randrange(1, 400))
    cut.to_the_end()
    whole = Stream(gateway.client, job).to_the_end()
    assert cut.raw == whole.raw
    assert len({event.id for event in whole.events}) == len(whole.events)


@pytest.mark.once
def test_a_new_attempt_retracts_the_text_of_the_last(gateway, script):
    tries = []

    def reply(_):
        tries.append(1)
        return Disconnect(30, delay_between=0.02) if len(tries) == 1 else Text("second")

    script(reply)
    stream = Stream(gateway.client, gateway.submit("try again")).to_the_end()
    kinds = [event.kind for event in stream.events]
    assert kinds.count("reset") == 1
    assert "delta" in kinds[: kinds.index("reset")]
    states = [json.loads(event.data)["state"] for event in stream.events if event.kind == "state"]
    assert [state for at, state in enumerate(states) if at == 0 or states[at - 1] != state] == [
        "waiting", "active", "delayed", "waiting", "active",
    ]  # fmt: skip
    after = stream.events[kinds.index("reset") :]
    assert "".join(json.loads(event.data)["text"] for event in after if event.kind == "delta") == "second"


@pytest.mark.once
def test_a_stream_ends_when_its_job_is_cancelled(gateway, script):
    go = threading.Event()
    script(lambda _: Hang(go))
    job = gateway.submit("cancel me")
    stream = Stream(gateway.client, job)
    gateway.until(lambda: gateway.job(job)["state"], "active".__eq__)
    follower = threading.Thread(target=stream.to_the_end)
    follower.start()
    gateway.client.delete(f"/api/query/{job}")
    follower.join(10)
    go.set()
    assert json.loads(stream.events[-1].data)["state"] == "cancelled"


@pytest.mark.long
@pytest.mark.emulated
def test_in_lambda_a_stream_ends_within_a_second_of_its_first_event(gateway, script):
    go = threading.Event()
    script(lambda _: Hang(go))
    job = gateway.submit("slow")
    stream = Stream(gateway.client, job)
    before = time.monotonic()
    assert stream.read()
    assert time.monotonic() - before < 2
    threading.Timer(2, go.set).start()
    stream.to_the_end()
    assert stream.answers < 8
    assert stream.done


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_resuming_after_the_last_event_gets_nothing_more(gateway, script):
    script(lambda _: Text("done"))
    stream = Stream(gateway.client, gateway.submit("end")).to_the_end()
    assert not stream.read()
    assert stream.answers == 2
    assert stream.events[-1].kind == "done"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_the_last_event_id_can_be_a_query_parameter(gateway, script):
    script(lambda _: Text("done"))
    whole = Stream(gateway.client, gateway.submit("poly")).to_the_end()
    path = f"/api/query/{whole.job_id}/events"
    second, last = whole.events[1].id, whole.events[-1].id
    rest = gateway.client.get(path, params={"lastEventId": second})
    assert rest.headers["cache-control"] == "no-store, no-transform"
    assert f"id: {second}\n" not in rest.text
    assert f"id: {whole.events[2].id}\n" in rest.text
    assert gateway.client.get(path, params={"lastEventId": last}).status_code == 204
    # A browser repeats the original URL, and adds the header with the last event id.
    newer = gateway.client.get(path, params={"lastEventId": second}, headers={"Last-Event-ID": last})
    assert newer.status_code == 204
    assert gateway.client.get(path, params={"lastEventId": "x"}).status_code == 422
    assert gateway.client.get(path, params={"lastEventId": ""}).text == gateway.client.get(path).text


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_unicode_separators_do_not_end_a_line(gateway, script):
    text = "a\u2028b\u2029c\u0085d"
    script(lambda _: Text(text))
    job = gateway.submit(f"separate {text}", metadata={"note": text})
    stream = Stream(gateway.client, job).to_the_end()
    assert text_of(stream) == text
    raw = stream.raw.decode()
    assert len(raw.splitlines()) == raw.count("\n")
    assert json.loads(stream.events[-1].data)["metadata"] == {"note": text}
    with Client(gateway.url, None) as client:
        deltas = [data for _, kind, data in client.events(f"/api/query/{job}/events", None) if kind == "delta"]
    assert "".join(one["text"] for one in deltas) == text


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_a_head_request_for_a_stream_ends_at_once(gateway, script):
    go = threading.Event()
    script(lambda _: Hang(go))
    job = gateway.submit("head of me")
    head = gateway.client.head(f"/api/query/{job}/events", timeout=5)
    assert head.headers["content-type"].startswith("text/event-stream")
    go.set()


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.long
def test_a_stream_resumed_after_an_unknown_event_ends_with_the_job(gateway, script):
    go = threading.Event()
    script(lambda _: Hang(go))
    job = gateway.submit("a while")
    headers = {"Last-Event-ID": "999999999999999-0"}
    with gateway.client.stream("GET", f"/api/query/{job}/events", headers=headers, timeout=30) as answer:
        go.set()
        assert gateway.finished(job)["state"] == "completed"
        assert "event: done" not in "".join(answer.iter_text())


@pytest.mark.once
@pytest.mark.parametrize(("headers", "job", "status"), [
    ({"Last-Event-ID": "yesterday"}, None, 422),
    ({}, "01a00000-0000-7000-8000-000000000000", 404),
    ({}, "nothing", 404),
])  # fmt: skip
def test_a_job_that_cannot_be_followed_is_a_problem(gateway, script, headers, job, status):
    script(lambda _: Text("done"))
    job = job or gateway.ask("something")["jobId"]
    answer = gateway.client.get(f"/api/query/{job}/events", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def open_streams(address, job, count):
    """Follow a job by many raw connections; return once each has received the event that it runs."""
    streams = await asyncio.gather(*(asyncio.open_connection(*address) for _ in range(count)))
    for _, writer in streams:
        writer.write(f"GET /api/query/{job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    for reader, _ in streams:
        await asyncio.wait_for(reader.readuntil(b'"active"'), 30)
    return streams


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.long
async def test_five_hundred_streams_on_one_process_need_no_thread_each(gateway, script):
    go = threading.Event()
    script(lambda _: Hang(go))
    job = gateway.submit("everybody looks")
    gateway.until(lambda: gateway.job(job)["state"], "active".__eq__)
    url = httpx.URL(gateway.url)
    streams = await open_streams((url.host, url.port), job, 500)
    served = [psutil.Process(gateway.process.pid), *psutil.Process(gateway.process.pid).children(recursive=True)]
    assert max(process.num_threads() for process in served if "claude" not in process.name()) < 50
    go.set()
    for reader, writer in streams:
        await asyncio.wait_for(reader.readuntil(b"event: done"), 30)
        writer.close()
