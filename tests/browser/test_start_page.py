"""The start page as a new user sees it, in a real Chromium."""

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.test_dashboard import HOSTILE
from tests.support.gateway import Gateway
from tests.support.scripted_replies import Error, Hang, Text

UNIQUE = itertools.count()


@pytest.fixture(scope="module")
def guarded(model, tmp_path_factory) -> Iterator[Gateway]:
    """A gateway that needs keys, with neither dashboard nor metrics."""
    variables = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1",
                 "AUTH_ENABLED": "true"}  # fmt: skip
    with Gateway(tmp_path_factory.mktemp("guarded"), **variables) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Iterator[Gateway]:
    """A gateway without credentials."""
    with Gateway(tmp_path_factory.mktemp("demo"), QUEUE_CONCURRENCY="1") as gateway:
        yield gateway


@pytest.fixture
def start(browser):
    """Open a gateway's start page; an error in the browser's console fails the test."""
    contexts = []
    complaints: list[str] = []

    def start(gateway, *, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if "Policy" in line.text else None)
        page.goto(f"{gateway.url}/")
        expect(page.locator("#health")).not_to_be_empty()
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def send(page, query=None):
    page.fill("#query", query or f"query {next(UNIQUE)}")
    page.get_by_role("button", name="Send").click()


def state(page, text):
    expect(page.locator("#state")).to_contain_text(text)


def test_an_answer_is_shown_as_it_is_written(start, gateway, script):
    """Catches a page that shows nothing until the job has ended."""
    script(lambda body: Text([f"word{number} " for number in range(8)], delay_between=0.4))
    page = start(gateway)
    send(page)
    expect(page.locator("#answer")).to_contain_text("word0")
    state(page, "Claude is writing")
    assert "word7" not in page.locator("#answer").inner_text()
    state(page, "Completed")
    expect(page.locator("#answer")).to_have_text("".join(f"word{number} " for number in range(8)).rstrip())
    expect(page.locator("#facts")).to_contain_text("Cost")
    query = page.locator("#query").input_value()
    send(page, query)
    state(page, "from the cache")
    expect(page.locator("#answer")).to_contain_text("word7")


def test_a_paused_queue_is_shown_as_the_reason_for_waiting(start, gateway):
    """Catches a page that shows no reason while nothing can start."""
    admin = ("admin", "correct horse battery")
    gateway.client.post("/admin/api/queue/pause", auth=admin).raise_for_status()
    try:
        page = start(gateway)
        send(page)
        state(page, "Waiting: an operator has paused the queue")
        page.get_by_role("button", name="Cancel").click()
        state(page, "Cancelled")
    finally:
        gateway.client.post("/admin/api/queue/resume", auth=admin).raise_for_status()
    assert gateway.client.get("/api/query").json()["jobs"][0]["state"] == "cancelled"
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


def test_the_place_in_the_queue_is_shown(start, gateway, script):
    go = threading.Event()
    script(lambda body: Hang(until=go))
    jobs = [gateway.submit(f"holds the slot {next(UNIQUE)}", cache={"mode": "bypass"}) for _ in range(2)]
    page = start(gateway)
    send(page)
    state(page, "Waiting: 1 ahead of it")
    go.set()
    state(page, "Completed")
    for job in jobs:
        gateway.finished(job)


def test_a_failure_is_shown_in_words_with_its_code(start, gateway, script):
    script(lambda body: Error(404, "not_found_error"))
    page = start(gateway)
    send(page)
    state(page, "Failed")
    expect(page.get_by_role("alert")).to_contain_text("(model_not_found)")


def test_a_refused_query_is_shown_in_words_with_its_code(start, gateway):
    page = start(gateway)
    send(page, "x" * 300_000)
    expect(page.get_by_role("alert")).to_contain_text("(invalid_request)")


def test_a_lost_connection_is_resumed_after_the_last_event(start, gateway, script):
    """Catches an answer that is repeated or incomplete after a lost connection."""
    go = threading.Event()
    script(lambda body: Hang(until=go))
    page = start(gateway)
    last_ids = []
    beginning = "retry: 100\n\nid: 0-0\nevent: state\ndata: {}\n\n".format(
        '{"state":"waiting","progress":0}'
    ) + ": a comment\n\nid: 0-1\nevent: delta\ndata: {}\n\n".format(json.dumps({"text": "the beginning "}))

    def events(route):
        last_ids.append(route.request.headers.get("last-event-id"))
        if len(last_ids) == 1:
            route.fulfill(status=200, content_type="text/event-stream", body=beginning)
        elif len(last_ids) == 2:
            route.abort("connectionreset")
        elif len(last_ids) == 3:
            route.fulfill(status=503, content_type="text/html", body="<h1>Bad gateway</h1>")
        else:
            route.continue_()

    page.route("**/events", events)
    send(page)
    expect(page.locator("#answer")).to_have_text("the beginning")
    state(page, "reconnecting")
    go.set()
    state(page, "Completed")
    expect(page.locator("#answer")).to_have_text("ok")
    assert last_ids == [None, "0-1", "0-1", "0-1"]


def test_a_lost_submission_makes_one_job(start, gateway):
    """Catches a submission that is resent without its Idempotency-Key."""
    page = start(gateway)
    sent = []

    def submission(route):
        sent.append(route.request.headers["idempotency-key"])
        if len(sent) == 1:
            route.fetch()
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/api/query", submission)
    before = len(gateway.client.get("/api/query", params={"limit": 100}).json()["jobs"])
    send(page)
    state(page, "Completed")
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert len(gateway.client.get("/api/query", params={"limit": 100}).json()["jobs"]) == before + 1


def test_a_blank_query_is_refused_with_a_reason(start, gateway):
    page = start(gateway)
    send(page, "  \n ")
    assert page.locator("#query").evaluate("one => one.validationMessage") == "Enter a query."
    expect(page.locator("#outcome")).to_be_hidden()
    send(page)
    state(page, "Completed")


def test_hostile_text_is_shown_as_text(start, gateway, script):
    script(lambda body: Text(HOSTILE))
    page = start(gateway)
    send(page, HOSTILE)
    state(page, "Completed")
    expect(page.locator("#answer")).to_contain_text("<script>window.broken = 1</script>")
    expect(page.locator("#answer")).to_contain_text("\\u001b]0;owned\\u0007\\u001b[2J \\u202egnp.exe")
    assert page.evaluate("window.broken") is None
    assert page.locator("main script, main img").count() == 0


def test_a_key_field_is_shown_where_a_key_is_needed(start, guarded):
    """Catches a key that outlives the page in the browser's storage."""
    page = start(guarded)
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("(unauthorized)")
    expect(page.get_by_label("API key")).to_be_focused()
    made = subprocess.run(
        [Path(sys.executable).parent / "claude-gateway", "keys", "create", "page", "--json", "--data", guarded.data],
        env={"PATH": ""}, cwd=guarded.data, capture_output=True, text=True, check=True,
    )  # fmt: skip
    key = json.loads(made.stdout)["key"]
    page.get_by_label("API key").fill("k\u00e9y \u2026")
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("characters that no key has")
    page.get_by_label("API key").fill(key)
    send(page)
    state(page, "Completed")
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert key not in kept
    expect(page.get_by_role("link", name="Dashboard")).to_be_hidden()
    expect(page.get_by_role("link", name="Metrics")).to_be_hidden()
    expect(page.locator("#shell")).to_contain_text("Authorization: Bearer $KEY")


def test_without_keys_the_page_has_no_field_for_one(start, gateway):
    page = start(gateway)
    expect(page.get_by_label("API key")).to_be_hidden()
    expect(page.get_by_text("requires no API key")).to_be_visible()
    expect(page.get_by_role("link", name="Dashboard")).to_be_visible()
    assert page.get_by_role("link", name="API documentation").first.get_attribute("href") == "docs"


def test_answers_of_the_demo_model_are_labeled(start, demo, gateway):
    page = start(demo)
    expect(page.locator("#demo")).to_be_visible()
    send(page, "What is 6*7?")
    expect(page.locator("#answer")).to_contain_text("= 42")
    expect(start(gateway).locator("#demo")).to_be_hidden()


def test_a_query_is_sent_and_cancelled_by_keyboard(start, gateway, script):
    go = threading.Event()
    script(lambda body: Hang(until=go))
    page = start(gateway)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("#query").focus()
    page.keyboard.type(f"by keyboard {next(UNIQUE)}")
    page.keyboard.press("Control+Enter")
    state(page, "Running")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    state(page, "Cancelled")
    go.set()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_start_page_is_accessible_and_does_not_overflow(start, gateway, guarded, script, width, scheme):
    script(lambda body: Text("a long answer " + "x" * 500))
    for served in (gateway, guarded):
        page = start(served, width=width, scheme=scheme)
        send(page)
        expect(page.locator("#state")).to_have_text("Completed" if served is gateway else "Failed")
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_sends_no_request_to_another_host(start, gateway):
    page = start(gateway)
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.reload()
    send(page)
    state(page, "Completed")
    assert requested
    assert [url for url in requested if not url.startswith(f"{gateway.url}/")] == []
