"""The overview's charts, and the pages beside those of jobs, in a real Chromium."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, VIEWER
from tests.integration.test_mcp_reading import FORECAST, PROGRAM
from tests.support.gateway import Gateway
from tests.support.receiver import Receiver
from tests.support.scripted_replies import Error, Text, ToolUse

QUICK = Path(__file__).parents[1] / "support" / "quick_mcp_server.py"
HOSTILE = "<img src=x onerror='window.broken = 1'>"
NIGHTLY = {"name": HOSTILE, "cron": "30 3 * * *", "timezone": "Europe/Rome", "query": {"query": "Summarize the day"}}
# The pages, and what each shows once it is there.
PAGES = {
    "": ".chart", "batches": "h2", "sessions": "h2", "callers": "h2", "webhooks": "h2", "mcp": "tbody",
    "system": "tbody", "schedules": "h2",
}  # fmt: skip


COUNT_SHIFTS = """() => {
  window.moved = 0;
  const add = (list) => list.getEntries().forEach((one) => { if (!one.hadRecentInput) moved += one.value; });
  new PerformanceObserver(add).observe({ type: "layout-shift" });
}"""


@pytest.fixture(scope="module")
def gateway(model, tmp_path_factory) -> Iterator[Gateway]:
    """A gateway of one slot with a dashboard and an MCP server."""
    folder = tmp_path_factory.mktemp("gateway")
    weather = {
        "command": sys.executable, "args": ["-c", PROGRAM, str(folder / "starts"), json.dumps(FORECAST)],
        "routing": {"description": "Weather", "examples": ["Will it rain in Rome?"], "keywords": ["forecast"]},
    }  # fmt: skip
    picnic = {"command": "python", "args": ["-S", str(QUICK)], "routing": {"keywords": ["the picnic list"]}}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"weather": weather, "picnic": picnic}}))
    variables = {
        "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1", "ADMIN_ENABLED": "true",
        "ADMIN_PASSWORD": PASSWORD, "ADMIN_VIEWER_PASSWORD": VIEWER, "CLAUDE_MAX_RETRIES": "1", "MCP_ENABLED": "true",
        "MCP_LEARN": "true",
        "WEBHOOK_RETRY_SCHEDULE": "600",
    }  # fmt: skip
    with Gateway(folder, **variables) as gateway:
        yield gateway


def show(page, gateway, path):
    page.goto(f"{gateway.url}/admin#/{path}")
    page.wait_for_selector(f"main {PAGES[path]}")


@pytest.fixture(scope="module")
def visited(browser, gateway):
    """One page for all tests that only look."""
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.goto(f"{gateway.url}/admin")
        page.fill("#username", "admin")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_selector("section")
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        yield page
    assert faults == []


def test_a_chart_shows_its_values_on_hover_and_by_key(visit, gateway, script):
    """Catches a value that only a mouse can read, and one that a refresh takes away."""
    gateway.ask("counted")
    script(lambda body: Error(404, "not_found_error"))
    gateway.ask("fails")
    page = visit()
    chart = page.locator(".chart", has_text="Ended jobs")
    readout = chart.locator("output")
    expect(readout).to_contain_text("1 completed, 1 failed, 0 cancelled")
    expect(chart.locator(".y span")).to_have_count(3)
    expect(chart.locator(".x span")).to_have_count(3)
    chart.locator("svg").hover(position={"x": 5, "y": 50})
    expect(readout).to_contain_text("0 completed, 0 failed, 0 cancelled")
    page.mouse.move(0, 0)
    expect(readout).not_to_contain_text(":")
    slider = chart.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(readout).to_contain_text(":")
    moment = readout.inner_text()
    with page.expect_response(lambda answer: "/overview" in answer.url):
        pass
    expect(slider).to_be_focused()
    assert readout.inner_text().partition(":")[0] == moment.partition(":")[0]


def test_a_longer_span_is_kept_in_the_address(visit, gateway):
    page = visit()
    page.get_by_label("Time").select_option("7d")
    expect(page.locator(".chart rect.completed").first).to_be_attached()
    assert page.url.endswith("#/?span=7d")
    page.reload()
    expect(page.get_by_label("Time")).to_have_value("7d")


def test_a_refresh_keeps_the_focus_and_moves_nothing(visit, gateway):
    """Catches a page whose elements are replaced every two seconds, and parts that jump while numbers change."""
    page = visit()
    page.evaluate(COUNT_SHIFTS)
    button = page.get_by_role("button", name="Pause")
    button.focus()
    for number in range(2):
        gateway.ask(f"live {number}")
        with page.expect_response(lambda answer: "/overview" in answer.url):
            pass
    expect(button).to_be_focused()
    assert page.evaluate("moved") < 0.1


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_pages_are_accessible_and_do_not_overflow(visit, gateway, width, scheme):
    gateway.client.post("/api/batches", json={"queries": [{"query": f"{width}"}], "webhookUrl": "http://127.0.0.1:9/x"})
    gateway.ask("keep", session=True)
    page = visit(width=width, scheme=scheme)
    for path in PAGES:
        show(page, gateway, path)
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]
        assert serious == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.parametrize(
    ("place", "heading"),
    [
        ("jobs/%", "Page not found"), ("schedules/%E0%A4", "Page not found"), ("nothing", "Page not found"),
        ("constructor", "Page not found"), ("batches/1", "Page not found"), ("jobs/a/b", "Job"),
        ("jobs/%3Cb%3E", "Job"), ("schedules/none", "Schedule"), ("jobs/?state=failed", "Jobs"),
        ("?span=%", re.compile("wrong|Wrong")),
        ("playground?job=%", "Playground"), ("jobs?cursor=x", "Jobs"), ("audit?cursor=x", "This page cannot be shown"),
        ("batches?cursor=x", "This page cannot be shown"), ("sessions?cursor=%", "This page cannot be shown"),
    ],
)  # fmt: skip
def test_every_address_shows_a_page_or_says_that_there_is_none(visited, gateway, place, heading):
    """Catches an empty page, and one of another address."""
    visited.goto(f"{gateway.url}/admin#/{place}")
    expect(visited.locator("main h2").first).to_have_text(heading)


def test_the_title_names_the_page_and_the_skip_link_stays_on_it(visited, gateway):
    """Catches a link to the content that leads to the overview, and tabs that nobody can tell apart."""
    show(visited, gateway, "callers")
    expect(visited).to_have_title("Callers | Claude API Gateway")
    visited.locator(".skip").press("Enter")
    expect(visited.locator("main")).to_be_focused()
    expect(visited.get_by_role("heading", name="Callers")).to_be_visible()


def test_text_that_nobody_sees_is_shown_as_escapes(visited, gateway):
    """Catches instructions in invisible characters, which an operator would allow or repeat."""
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "hi")
    query = f"seen {hidden}\u200b\u2028\u061c\u202e\ufeff end \U0001f469\u200d\U0001f467"
    visited.goto(f"{gateway.url}/admin#/jobs/{gateway.ask(query)['jobId']}")
    shown = "seen \\ue0068\\ue0069\\u200b\\u2028\\u061c\\u202e\\ufeff end \U0001f469\u200d\U0001f467"
    expect(visited.get_by_label("Query", exact=True)).to_have_text(shown)


def test_a_viewer_changes_nothing_on_these_pages(visit, gateway):
    gateway.client.post("/api/schedules", json=NIGHTLY)
    page = visit(password=VIEWER)
    for path in PAGES:
        show(page, gateway, path)
        assert set(page.locator("main button").all_inner_texts()) <= {"Try", "Older"}, path


def test_batches_and_sessions_are_listed(visit, gateway):
    answer = gateway.client.post("/api/batches", json={"queries": [{"query": "one"}, {"query": "two"}]}).json()
    gateway.until(
        lambda: gateway.client.get(f"/api/batches/{answer['batchId']}").json()["state"], lambda state: state == "ended"
    )
    session = gateway.ask("remember me", session=True)["result"]["sessionId"]
    page = visit("batches")
    row = page.get_by_role("row", name=answer["batchId"])
    expect(row).to_contain_text("2 of 2, 2 completed")
    expect(row).to_contain_text("ended")
    page.get_by_role("link", name="Sessions").click()
    expect(page.get_by_role("row", name=session)).to_contain_text("anonymous")


def test_failed_webhooks_are_delivered_again_from_the_page(visit, gateway):
    with Receiver(lambda hook: (500, {})) as receiver:
        gateway.ask("missed", webhookUrl=f"{receiver.url}/hook", cache={"mode": "bypass"})
        page = visit("webhooks")
        host = receiver.url.removeprefix("http://")
        expect(page.get_by_role("row", name=host)).to_be_visible()
        receiver.reply = lambda hook: (204, {})
        page.get_by_label("Host").fill(host)
        page.get_by_role("button", name="Deliver again").click()
        page.click("#ask-yes")
        expect(page.locator("#notes")).to_contain_text("1 events are delivered again")
        expect(page.get_by_role("row", name=host)).to_have_count(0)
        gateway.until(lambda: len(receiver.hooks), lambda count: count == 2)


def test_a_trial_names_the_server_of_a_query_and_why(visit, gateway):
    page = visit("mcp")
    expect(page.get_by_role("row", name="weather")).to_contain_text("3 tools", timeout=30_000)
    page.get_by_text("3 tools").click()
    expect(page.get_by_text("get_forecast")).to_be_visible()
    page.get_by_label("Query").fill("Show me the forecast for Rome")
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_text("This query gets weather.")).to_be_visible()
    result = page.locator(".result").get_by_role("row", name="weather")
    expect(result).to_contain_text("forecast")
    expect(result).to_contain_text("chosen")
    page.get_by_label("Query").fill("Write a haiku about the sea")
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_text("This query gets no server.")).to_be_visible()


def test_what_was_learned_is_shown_and_deleted(visit, gateway, script):
    """Catches a count that the page does not show, and a button that deletes nothing."""
    # What other tests ask may be routed as well.
    httpx.delete(f"{gateway.url}/admin/api/mcp/learned", auth=("admin", PASSWORD)).raise_for_status()
    script(lambda body: Text("dry") if len(body["messages"]) > 2 else ToolUse("mcp__picnic__environment", {}))
    assert gateway.ask("What is on the picnic list?")["mcpServers"] == ["picnic"]
    page = visit("mcp")
    row = page.get_by_role("row", name="picnic")
    expect(row).to_contain_text("1 of 1 jobs", timeout=30_000)
    page.get_by_role("button", name="Forget what was learned").click()
    page.click("#ask-yes")
    expect(page.locator("#notes")).to_contain_text("What was learned is deleted")
    expect(row).to_contain_text("0 of 0 jobs")


def test_settings_show_their_source_and_hide_secrets(visit, gateway):
    page = visit("system")
    expect(page.get_by_role("row", name="QUEUE_CONCURRENCY")).to_contain_text("environment")
    expect(page.get_by_role("row", name="RESULT_TTL")).to_contain_text("default")
    expect(page.get_by_role("row", name="ADMIN_PASSWORD")).to_contain_text("********")
    expect(page.get_by_text(PASSWORD)).to_have_count(0)


def test_a_schedule_is_paused_resumed_and_deleted(visit, gateway):
    """Catches a name that becomes markup, and an action that the page does not carry out."""
    for one in gateway.client.get("/api/schedules").json()["schedules"]:
        gateway.client.delete(f"/api/schedules/{one['scheduleId']}")
    made = gateway.client.post("/api/schedules", json=NIGHTLY).json()["scheduleId"]

    def paused():
        return gateway.client.get(f"/api/schedules/{made}").json()["paused"]

    page = visit("schedules")
    row = page.get_by_role("row", name="30 3 * * * Europe/Rome")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    assert paused() == "requested"
    row.get_by_role("link", name=HOSTILE).click()
    expect(page.get_by_label("Query")).to_contain_text("Summarize the day")
    expect(page.get_by_text("No due time has come yet.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert paused() is None
    page.get_by_role("button", name="Delete").click()
    page.click("#ask-yes")
    expect(page.get_by_text("Schedule not found")).to_be_visible()
    page.get_by_role("link", name="Schedules").click()
    expect(page.get_by_text("No caller has a schedule.")).to_be_visible()
    assert page.evaluate("window.broken") is None
