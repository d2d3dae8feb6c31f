"""The timeline on the page of a job."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import VIEWER
from tests.support.scripted_replies import Text, ToolUse

HOSTILE = "<img src=x onerror='window.broken = 1'>"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_steps_are_a_timeline_and_their_text_is_no_markup(visit, gateway, model, scheme):
    """Catches an output that runs in the operator's browser, and a step that the page leaves out."""
    command = f'echo "{HOSTILE}"'
    model.script(ToolUse("Bash", {"command": command}), ToolUse("Bash", {"command": "exit 3"}), Text("done"))
    job = gateway.ask(f"steps {scheme}", tools=["Bash"])
    assert job["steps"] == 2, job
    page = visit(f"jobs/{job['jobId']}", password=VIEWER, scheme=scheme, width=390)
    expect(page.locator(".steps li")).to_have_count(2)
    expect(page.locator(".steps li").first).to_contain_text(HOSTILE)
    expect(page.locator(".steps .state.failed")).to_have_count(1)
    expect(page.locator(".steps rect")).to_have_count(2)
    assert page.evaluate("window.broken") is None
    assert page.locator("main img").count() == 0
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
