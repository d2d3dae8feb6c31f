"""The list of jobs: read, searched, filtered, saved by its URL, and changed many at once."""

import threading

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import VIEWER
from tests.support.scripted_replies import Error, Hang, Text

HOSTILE = "<img src=x onerror='window.broken = 1'>\u202egnp"


@pytest.fixture(scope="module")
def jobs(gateway, model):
    """Two jobs that have failed, one that has completed, one that runs, and two that wait."""
    before, go = model.reply, threading.Event()
    model.reply = lambda body: Error(404, "not_found_error")
    failed = [gateway.submit(f"fails {number}", metadata={"team": HOSTILE[:20]}) for number in range(2)]
    for job in failed:
        gateway.finished(job)
    model.reply = lambda body: Text("done")
    done = gateway.ask(HOSTILE, metadata={"team": "b"})["jobId"]
    model.reply = lambda body: Hang(until=go)
    running = gateway.submit("runs")
    gateway.until(lambda: gateway.job(running)["state"], lambda state: state == "active")
    waiting = [gateway.submit(f"waits {number}", metadata={"wave": "x"}) for number in range(2)]
    yield {"failed": failed, "done": done, "running": running, "waiting": waiting}
    go.set()
    model.reply = before


def rows(page):
    return page.locator("tbody tr")


def test_a_row_has_the_query_and_its_text_is_no_markup(visit, gateway, jobs):
    page = visit("jobs", password=VIEWER)
    row = rows(page).filter(has_text=jobs["done"])
    expect(row).to_contain_text("<img src=x onerror='window.broken = 1'>\\u202egnp")
    expect(row).to_contain_text("completed")
    expect(rows(page).filter(has_text=jobs["running"]).locator(".elapsed")).to_be_visible()
    expect(page.locator("main input[type=checkbox]")).to_have_count(0)
    assert page.evaluate("window.broken") is None
    assert page.locator("main img").count() == 0


def test_filters_are_in_the_url_and_any_id_is_found(visit, gateway, jobs):
    page = visit("jobs")
    page.get_by_label("State").select_option("failed")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Metadata").fill(f"team={HOSTILE[:20]}")
    page.get_by_text("More filters").click()
    page.get_by_label("Error code").fill("model_not_found")
    page.get_by_role("button", name="Apply").click()
    expect(rows(page)).to_have_count(2)
    page.reload()
    expect(page.get_by_label("Error code")).to_have_value("model_not_found")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Submitted until").fill("2020-01-01T00:00:00")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("No jobs match")).to_be_visible()
    page.goto(f"{gateway.url}/admin#/jobs?createdSince=yesterday")
    expect(page.get_by_text("createdSince")).to_be_visible()
    page.goto(f"{gateway.url}/admin#/jobs")
    request = gateway.job(jobs["waiting"][0])["requestId"]
    for text in (jobs["waiting"][0], f"resp_{jobs['waiting'][0]}", request):
        page.get_by_label("Id", exact=True).fill(text)
        page.keyboard.press("Enter")
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text(jobs["waiting"][0])


def test_jobs_of_a_filter_are_counted_cancelled_retried_and_deleted(visit, gateway, jobs):
    page = visit("jobs?metadata=wave%3Dx")
    expect(rows(page)).to_have_count(2)
    # Another job matches after the count, and stays as it is.
    page.get_by_role("button", name="Cancel", exact=True).first.click()
    expect(page.locator("#ask-title")).to_have_text("Cancel 2 jobs?")
    expect(page.locator("#ask-text")).to_contain_text("All jobs with metadata wave=x")
    late = gateway.submit("late", metadata={"wave": "x"})
    page.click("#ask-yes")
    expect(page.locator("#notes")).to_contain_text("2 of 2 jobs are cancelled")
    assert [gateway.job(job)["state"] for job in [*jobs["waiting"], late]] == ["cancelled", "cancelled", "waiting"]
    expect(rows(page)).to_have_count(3)
    rows(page).filter(has_text=jobs["waiting"][0]).get_by_role("checkbox").check()
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#ask-title")).to_have_text("Retry 1 job?")
    page.click("#ask-yes")
    expect(page.locator("#notes")).to_contain_text("1 of 1 job is queued again")
    assert gateway.job(jobs["waiting"][0])["state"] == "waiting"
    # One changes between the count and the action: the notice says so.
    for job in jobs["waiting"]:
        gateway.client.delete(f"/api/query/{job}")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#ask-title")).to_have_text("Delete 2 jobs?")
    login = ("admin", "correct horse battery")
    gateway.client.delete(f"/admin/api/jobs/{jobs['waiting'][0]}", auth=login)
    page.click("#ask-yes")
    expect(page.locator("#notes")).to_contain_text("1 of 2 jobs are deleted; since the count: 1 no longer matched")
    gateway.client.delete(f"/api/query/{late}")


def test_a_selection_stays_with_its_job_when_rows_move(visit, gateway, jobs):
    """Catches a box that is shown at the same place for another job."""
    page = visit("jobs")
    box = rows(page).filter(has_text=jobs["done"]).get_by_role("checkbox")
    box.check()
    new = gateway.submit("on top")
    expect(rows(page).first).to_contain_text(new)
    expect(box).to_be_checked()
    expect(page.locator("tbody input:checked")).to_have_count(1)
    gateway.client.delete(f"/api/query/{new}")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_the_list_is_accessible_and_does_not_move_while_live(visit, gateway, jobs, width, scheme):
    page = visit("jobs", width=width, scheme=scheme)
    expect(rows(page).first).to_be_visible()
    page.get_by_text("More filters").click()
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate(
        "window.shift = 0; new PerformanceObserver((list) => { for (const one of list.getEntries()) window.shift += "
        "one.value; }).observe({ type: 'layout-shift' })"
    )
    with page.expect_response("**/admin/api/jobs?*"):
        pass
    with page.expect_response("**/admin/api/jobs?*"):
        pass
    assert page.evaluate("window.shift") < 0.02
