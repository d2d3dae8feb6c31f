"""The interactive documentation in a real Chromium."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD


@pytest.fixture
def page(browser, gateway):
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{gateway.url}/docs")
    expect(page.locator("main section").first).to_be_visible()
    yield page
    context.close()
    assert not complaints


def opened(page, method, path):
    """Open an operation, and return the form that sends it."""
    operation = page.locator("details.operation", has=page.locator(f"[aria-label='Try {method} {path}']"))
    operation.locator("summary").first.click()
    return operation.get_by_role("form")


def test_queries_come_first_and_admin_last(page):
    sections = page.locator("main section")
    assert sections.first.get_attribute("aria-label") == "queries"
    assert sections.last.get_attribute("aria-label") == "admin"
    first = sections.first.locator("summary").first
    expect(first).to_contain_text("POST")
    expect(first).to_contain_text("/api/query")


def test_admin_operations_take_basic_credentials(page):
    operation = opened(page, "GET", "/admin/api/stats")
    operation.get_by_role("button", name="Send").click()
    expect(operation.get_by_role("status")).to_contain_text("401")
    page.get_by_label("Admin name").fill("admin")
    page.get_by_label("Admin password").fill(PASSWORD)
    operation.get_by_role("button", name="Send").click()
    expect(operation.get_by_role("status")).to_contain_text("200")
    expect(operation).to_contain_text("$ADMIN_PASSWORD")
    expect(operation).not_to_contain_text(PASSWORD)


def test_other_operations_are_not_sent_the_admins_password(page):
    page.get_by_label("Admin password").fill(PASSWORD)
    sent = []
    page.on("request", lambda request: sent.append(request.headers.get("authorization")))
    operation = opened(page, "GET", "/api/usage")
    operation.get_by_role("button", name="Send").click()
    expect(operation.get_by_role("status")).to_contain_text("200")
    page.get_by_label("API key").fill("a-key")
    operation.get_by_role("button", name="Send").click()
    expect(operation).to_contain_text("$API_KEY")
    assert sent == [None, "Bearer a-key"]


def test_anyone_can_use_the_documentation(page):
    report = Axe().run(page)
    assert report.violations_count == 0, report.generate_report()
