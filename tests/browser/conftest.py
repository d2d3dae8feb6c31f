import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.gateway import Gateway
from tests.support.scripted_model import ScriptedModel

# A container has no user namespace for Chromium's sandbox. The tests visit our own pages only, some by name.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP *.example 127.0.0.1"]
PASSWORD, VIEWER = "correct horse battery", "only looking around"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's Chromium; without one this skips at home and fails in CI.

    Each test has a context of its own. It is closed after these tests, because Playwright runs an event loop and other
    tests have their own.
    """
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    """A Messages API that answers each query with itself, unless a test scripts it."""
    with ScriptedModel(echo=True) as model:
        yield model


@pytest.fixture(scope="module")
def gateway(model, tmp_path_factory) -> Iterator[Gateway]:
    """A gateway of one slot with a dashboard."""
    variables = {
        "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1", "ADMIN_ENABLED": "true",
        "ADMIN_PASSWORD": PASSWORD, "ADMIN_VIEWER_PASSWORD": VIEWER, "CLAUDE_MAX_RETRIES": "1",
        "WEBHOOK_RETRY_SCHEDULE": "600", "ALLOWED_HOSTS": "gateway.example", "CLAUDE_TOOLS": "Bash",
        "USAGE_TAG": "team",
    }  # fmt: skip
    with Gateway(tmp_path_factory.mktemp("gateway"), **variables) as gateway:
        yield gateway


@pytest.fixture
def visit(browser, gateway):
    """Open the dashboard, logged in; an error in the browser's console fails the test."""
    contexts = []
    complaints: list[str] = []

    def visit(path: str = "", *, password: str = PASSWORD, width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page: Page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if "Policy" in line.text else None)
        page.goto(f"{gateway.url}/admin#/{path}")
        page.fill("#username", "admin")
        page.fill("#password", password)
        page.click("button[type=submit]")
        page.wait_for_selector("section")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []
