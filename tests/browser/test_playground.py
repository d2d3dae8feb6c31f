"""The playground: a form of every option, the answer as it is written, and commands that run."""

import json
import os
import subprocess
import sys
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from shared.api.requests import SubmitRequest
from tests.browser.conftest import PASSWORD
from tests.support.scripted_replies import Hang, Text, ToolUse

# Every character that a shell, Python or JSON treats as its own.
AWKWARD = 'it\'s "quoted" $HOME `id` \\ \\n\n<b>&amp;</b> %s {x} 😀 \u2028 !!'


def answer(page):
    return page.get_by_label("Answer", exact=True)


def submit(page):
    page.get_by_role("button", name="Submit", exact=True).click()


def test_the_form_has_every_option(visit, gateway):
    """Catches an option of the API that the playground does not offer."""
    page = visit("playground")
    page.get_by_text("More options").click()
    names = {field.alias for field in SubmitRequest.model_fields.values()}
    expect(page.get_by_label("timeoutMs")).to_be_visible()
    shown = page.locator("main form [name]").evaluate_all("all => all.map((one) => one.name)")
    assert set(shown) == names


def test_an_answer_is_shown_with_its_steps_and_cost(visit, gateway, model):
    page = visit("playground")
    model.script(ToolUse("Bash", {"command": "echo hi"}), Text("<b>bold</b> words"))
    page.get_by_label("query", exact=True).fill("use a tool")
    page.get_by_label("tools", exact=True).fill("Bash")
    submit(page)
    expect(answer(page)).to_have_text("<b>bold</b> words")
    expect(page.locator(".timeline .step")).to_contain_text("Bash")
    expect(page.get_by_text("Cost", exact=True)).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Completed")).to_be_visible()
    assert page.locator("main pre b").count() == 0


def test_an_error_is_shown_beside_the_form(visit, gateway):
    page = visit("playground")
    wrong = page.get_by_role("alert")
    submit(page)
    expect(wrong).to_contain_text("query")
    page.get_by_label("query", exact=True).fill("q")
    page.get_by_text("More options").click()
    page.get_by_label("metadata", exact=True).fill("{")
    submit(page)
    expect(wrong).to_contain_text("metadata is not valid JSON")
    page.get_by_label("metadata", exact=True).fill('{"a": 1}')
    submit(page)
    expect(wrong).to_contain_text("invalid_request")


def test_the_commands_run(visit, gateway, model):
    """Catches a command that a shell or Python reads otherwise than the form."""
    page = visit("playground")
    page.get_by_label("query", exact=True).fill(AWKWARD)
    page.get_by_text("More options").click()
    page.get_by_label("context", exact=True).fill(json.dumps({"it's": AWKWARD}))
    page.get_by_label("session", exact=True).check()  # never cached
    page.get_by_role("button", name="Show as curl and Python").click()
    shell = page.get_by_label("curl", exact=True).inner_text()
    python = page.get_by_label("Python", exact=True).inner_text()
    made = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=True)
    assert AWKWARD in json.loads(made.stdout)["result"]["response"]
    made = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, timeout=60, check=True)
    assert AWKWARD in made.stdout
    assert os.environ.get("HOME", "?") not in made.stdout


def test_a_job_is_submitted_again_with_changes(visit, gateway):
    job = gateway.ask(
        "what was it", metadata={"team": "a"}, priority="high", context={"x": [1]}, maxTurns=7, model="claude-other"
    )
    page = visit(f"jobs/{job['jobId']}")
    page.get_by_role("link", name="Submit again with changes").click()
    expect(page.get_by_label("query", exact=True)).to_have_value("what was it")
    page.get_by_text("More options").click()
    expect(page.get_by_label("maxTurns")).to_have_value("7")
    expect(page.get_by_label("model", exact=True)).to_have_value("claude-other")
    expect(page.get_by_label("priority")).to_have_value("high")
    assert json.loads(page.get_by_label("metadata", exact=True).input_value()) == {"team": "a"}
    page.get_by_label("query", exact=True).fill("what is it now")
    submit(page)
    expect(answer(page)).to_contain_text("what is it now")


def test_a_policy_limits_the_form(visit, gateway):
    policy = {"models": ["claude-sonnet-5"], "tools": ["Bash"], "maxPriority": "normal"}
    body = {"name": "limited", "policy": policy}
    made = gateway.client.post("/admin/api/callers", json=body, auth=("admin", PASSWORD)).json()
    page = visit("playground")
    page.get_by_label("query", exact=True).fill("kept while the key changes the form")
    page.get_by_label("API key").fill(made["key"])
    page.keyboard.press("Tab")
    expect(page.get_by_text("Submits as limited")).to_be_visible()
    options = page.get_by_label("model", exact=True).locator("option")
    expect(options).to_have_text(["default", "claude-sonnet-5"])
    expect(page.get_by_label("priority", exact=True).locator("option")).to_have_text(["default", "normal", "low"])
    expect(page.get_by_text("Allowed: Bash.")).to_be_visible()
    expect(page.get_by_label("query", exact=True)).to_have_value("kept while the key changes the form")
    page.get_by_role("button", name="Show as curl and Python").click()
    expect(page.get_by_label("curl", exact=True)).to_contain_text("Bearer $KEY")
    assert made["key"] not in page.locator("main").inner_text()
    gateway.client.delete(f"/admin/api/callers/{made['id']}", auth=("admin", PASSWORD))


def test_a_running_jobs_text_and_time_are_live(visit, gateway, script):
    """The job's page: what Claude writes is there while it writes."""
    go = threading.Event()
    replies = iter([[Text("the first words"), ToolUse("Bash", {"command": "true"})], Hang(until=go)])
    script(lambda body: next(replies))
    job = gateway.submit("write slowly", tools=["Bash"])
    page = visit(f"jobs/{job}")
    try:
        expect(page.get_by_label("Answer so far")).to_contain_text("the first")
        expect(page.locator(".elapsed").first).to_be_visible()
    finally:
        go.set()
    expect(answer(page)).to_contain_text("ok")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_the_playground_is_accessible(visit, gateway, width, scheme):
    page = visit("playground", width=width, scheme=scheme)
    page.get_by_text("More options").click()
    page.get_by_label("query", exact=True).fill("x" * 300)
    page.get_by_role("button", name="Show as curl and Python").click()
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
