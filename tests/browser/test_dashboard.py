"""The dashboard as the person on call uses it, in a real Chromium."""

import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, VIEWER
from tests.support.receiver import Receiver
from tests.support.scripted_replies import Error, Hang, Text

HOSTILE = (
    "<script>window.broken = 1</script><img src=x onerror='window.broken = 2'>{{7*7}}"
    "<a href='javascript:window.broken = 3'>x</a>\x1b]0;owned\x07\x1b[2J \u202egnp.exe"
)

# The pages, and what each shows once it is there.
PAGES = {"": ".slots", "jobs": "tbody", "usage": "tbody", "audit": "tbody"}


@pytest.fixture
def running(gateway, script):
    """A job that runs until the test ends it, so that the only slot is busy."""
    go = threading.Event()
    script(lambda body: Hang(until=go))
    job = gateway.submit("keeps the slot busy", cache={"mode": "bypass"})
    gateway.until(lambda: gateway.job(job)["state"], lambda state: state == "active")
    yield job
    go.set()
    gateway.finished(job)


def say_yes(page):
    page.click("#ask-yes")


def sees_message(page, text):
    expect(page.locator("#notes")).to_contain_text(text)


def test_a_wrong_password_is_reported_and_a_right_one_logs_in(browser, gateway):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{gateway.url}/admin")
    page.fill("#username", "admin")
    page.fill("#password", "wrong and long enough")
    page.press("#password", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("Invalid name or password")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    expect(page.get_by_role("heading", name="Over time")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Password")).to_be_visible()
    context.close()


def test_the_overview_updates_without_reloading(visit, gateway, running):
    page = visit()
    expect(page.locator(".slots tbody a")).to_have_attribute("href", f"#/jobs/{running}")
    waiting = page.locator(".tile", has_text="waiting").first.locator("dd")
    before = int(waiting.inner_text())
    job = gateway.submit("one more")
    expect(waiting).to_have_text(str(before + 1))
    gateway.client.delete(f"/api/query/{job}")
    expect(waiting).to_have_text(str(before))


def test_the_queue_is_paused_and_resumed(visit, gateway):
    page = visit()
    page.get_by_role("button", name="Pause").click()
    page.click("#ask-no")
    assert gateway.client.get("/health").json()["reason"] is None
    page.get_by_role("button", name="Pause").click()
    say_yes(page)
    expect(page.get_by_role("alert")).to_contain_text("paused")
    assert gateway.client.get("/health").json()["reason"] == "paused"
    page.get_by_role("button", name="Resume").click()
    sees_message(page, "Jobs start again")
    assert gateway.client.get("/health").json()["reason"] is None


def test_a_waiting_job_is_raised_cancelled_and_deleted(visit, gateway, running):
    job = gateway.submit("to be cancelled")
    page = visit(f"jobs/{job}")
    page.select_option("#priority", "high")
    sees_message(page, "The priority is now high")
    assert gateway.job(job)["priority"] == "high"
    page.get_by_role("button", name="Cancel", exact=True).last.click()
    say_yes(page)
    expect(page.locator(".state").first).to_have_text("cancelled")
    page.get_by_role("button", name="Delete").click()
    say_yes(page)
    expect(page.get_by_text("Job not found")).to_be_visible()
    assert gateway.client.get(f"/api/query/{job}").status_code == 404


def test_a_failed_job_is_retried(visit, gateway, script):
    script(lambda body: Error(404, "not_found_error"))
    job = gateway.submit("fails at first")
    assert gateway.finished(job)["error"]["code"] == "model_not_found"
    script(lambda body: Text("now it is well"))
    page = visit(f"jobs/{job}")
    page.get_by_role("button", name="Retry").click()
    say_yes(page)
    expect(page.locator(".state").first).to_have_text("completed")
    expect(page.get_by_label("Answer")).to_have_text("now it is well")


def test_a_page_of_a_job_shows_what_claude_answered(visit, gateway, script):
    """Catches a page that shows the end of a job, and not the overload that it waited for."""
    answers = iter([Error(529, "overloaded_error", "too much today", {"request-id": "req_1"})])
    script(lambda body: next(answers, Text("at last")))
    job = gateway.submit("patience")
    assert gateway.finished(job)["state"] == "completed"
    page = visit(f"jobs/{job}")
    request = page.locator(".timeline .request")
    expect(request).to_contain_text("Claude responded 529 overloaded_error")
    expect(request).to_contain_text("too much today req_1")


def test_jobs_are_listed_by_page(visit, gateway, running):
    jobs = [gateway.submit(f"page {number}", priority="low") for number in range(60)]
    page = visit("jobs")
    page.get_by_label("State").select_option("waiting")
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Older").click()
    expect(page.locator("tbody tr")).to_have_count(10)
    for job in jobs:
        gateway.client.delete(f"/api/query/{job}")


def test_hostile_text_stays_text_and_can_be_expanded(visit, gateway, script):
    script(lambda body: Text(HOSTILE + "y" * 600))
    job = gateway.ask(HOSTILE + "x" * 600, metadata={"<b>k</b>": HOSTILE})["jobId"]
    page = visit(f"jobs/{job}")
    for label in ("Query", "Answer"):
        block = page.get_by_label(label, exact=True)
        expect(block).to_contain_text("<script>window.broken = 1</script>")
        expect(block).to_contain_text("\\u001b]0;owned\\u0007\\u001b[2J \\u202egnp.exe")
        assert len(block.inner_text()) == 400
    page.get_by_role("button", name="Show all").first.click()
    assert page.get_by_label("Query", exact=True).inner_text().endswith("x" * 600)
    page.goto(f"{gateway.url}/admin#/jobs")
    expect(page.locator("tbody tr").first).to_be_visible()
    assert page.evaluate("window.broken") is None
    assert page.locator("main script, main img").count() == 0


def test_one_cached_answer_and_the_whole_cache_are_cleared(visit, gateway):
    job = gateway.ask("cache me")["jobId"]
    page = visit(f"jobs/{job}")
    page.get_by_role("button", name="Delete the cached answer").click()
    say_yes(page)
    sees_message(page, "deleted")
    again = gateway.ask("cache me")["jobId"]
    assert again != job
    page.goto(f"{gateway.url}/admin#/system")
    page.get_by_role("button", name="Clear the cache").click()
    say_yes(page)
    sees_message(page, "The cache is empty")
    assert gateway.submit("cache me") not in {job, again}


def test_webhooks_are_shown_and_resent_and_a_host_is_resumed(visit, gateway):
    with Receiver(lambda hook: (500, {})) as receiver:
        job = gateway.ask("tell", webhookUrl=f"{receiver.url}/hook")["jobId"]
        page = visit(f"jobs/{job}")
        expect(page.get_by_text("answered 500")).to_be_visible()
        page.goto(f"{gateway.url}/admin#/webhooks")
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text("No host is failing.")).to_be_visible()
        receiver.reply = lambda hook: (204, {})
        page.goto(f"{gateway.url}/admin#/jobs/{job}")
        page.get_by_role("button", name="Send webhooks again").click()
        expect(page.locator(".timeline .delivery").last).to_contain_text("204")


def test_a_viewer_sees_no_button_that_changes_anything(visit, gateway):
    job = gateway.ask("look at me")["jobId"]
    page = visit(password=VIEWER)
    for path, there in {**PAGES, f"jobs/{job}": "pre"}.items():
        page.goto(f"{gateway.url}/admin#/{path}")
        page.wait_for_selector(there)
        assert set(page.locator("main button").all_inner_texts()) <= {"Apply", "Older"}, path


def test_everything_can_be_done_by_keyboard(visit, gateway):
    page = visit()
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ask-no")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    page.get_by_role("link", name="Jobs").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_dashboard_is_accessible_and_does_not_overflow(visit, gateway, width, scheme):
    job = gateway.ask(f"{width} {scheme} " * 100, webhookUrl="http://127.0.0.1:9/hook")["jobId"]
    page = visit(width=width, scheme=scheme)
    for path, there in {**PAGES, f"jobs/{job}": "pre"}.items():
        page.goto(f"{gateway.url}/admin#/{path}")
        page.wait_for_selector(there)
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]
        assert serious == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_the_page_sends_no_request_to_another_host(visit, gateway):
    page = visit()
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.reload()
    page.wait_for_selector(".tiles")
    assert requested
    assert [url for url in requested if not url.startswith(f"{gateway.url}/admin")] == []


def test_a_key_is_created_limited_replaced_and_revoked(visit, gateway):
    page = visit("callers")
    page.get_by_role("button", name="Create a key").click()
    page.get_by_label("Name of the caller").fill("reports")
    for scope in ("submit", "read", "decide"):
        page.get_by_role("checkbox", name=scope, exact=True).uncheck()
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("scopes")
    for scope in ("read", "admin-read"):
        page.get_by_role("checkbox", name=scope, exact=True).check()
    page.get_by_role("button", name="Create", exact=True).click()
    shown = page.get_by_role("dialog", name="Key of reports")
    key = shown.locator("code").first.inner_text()
    assert key.startswith("cgk_")
    shown.get_by_role("button", name="Done").click()
    expect(page.get_by_text(key)).to_have_count(0)

    row = page.get_by_role("row", name="reports")
    expect(row).to_contain_text("admin-read, read")
    row.get_by_role("button", name="Policy").click()
    page.get_by_label("Limits as JSON").fill('{"maxWaiting": 0}')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("maxWaiting")
    page.get_by_label("Limits as JSON").fill('{"maxWaiting": 7}')
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text('{"maxWaiting":7}')

    row.get_by_role("button", name="Rotate").click()
    page.get_by_label("Hours").fill("0")
    page.get_by_role("button", name="Replace").click()
    shown = page.get_by_role("dialog", name="New key of reports")
    assert shown.locator("code").inner_text() != key
    shown.get_by_role("button", name="Done").click()
    row.get_by_role("button", name="Revoke").click()
    say_yes(page)
    expect(row).to_have_count(0)


def test_usage_is_added_up_and_exported(visit, gateway):
    gateway.ask("costs something", metadata={"team": HOSTILE[:60]})
    page = visit("usage")
    expect(page.get_by_role("cell", name="anonymous")).to_be_visible()
    page.get_by_label("By").select_option("model")
    expect(page.get_by_role("columnheader", name="Model")).to_be_visible()
    page.get_by_label("By").select_option("tag")
    expect(page.get_by_role("cell", name=HOSTILE[:60])).to_be_visible()
    assert page.evaluate("window.broken") is None
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    exported = Path(download.value.path()).read_text()
    assert exported.startswith("tag,jobs,costUsd")
    assert HOSTILE[:60] in exported


def test_the_audit_list_shows_who_did_what(visit, gateway):
    page = visit("audit")
    expect(page.get_by_role("cell", name="login").first).to_be_visible()
    gateway.client.post("/admin/api/queue/resume", auth=("admin", PASSWORD))
    row = page.get_by_role("row").nth(1)
    expect(row).to_contain_text("resume")
    expect(row).to_contain_text("admin")


def test_a_credential_is_shared_with_another_caller(visit, gateway):
    made = gateway.client.post("/admin/api/callers", json={"name": "user"}, auth=("admin", PASSWORD)).json()["id"]
    gateway.client.put("/api/credentials/tickets", json={"kind": "header", "value": "s3cret"})
    page = visit("callers")
    row = page.get_by_role("row", name="tickets")
    expect(row).to_contain_text("never")
    row.get_by_role("button", name="Share").click()
    page.get_by_label("Ids of other callers").fill("nobody")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("no other caller")
    page.get_by_label("Ids of other callers").fill(made)
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text(made)
    gateway.client.delete(f"/admin/api/callers/{made}", auth=("admin", PASSWORD))
    gateway.client.delete("/api/credentials/tickets")
