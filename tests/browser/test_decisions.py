"""A person decides: in the dashboard, whose list of paused jobs is the inbox, and on the page of a one-use URL."""

import socket

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, VIEWER
from tests.support.gateway import Gateway
from tests.support.receiver import Receiver
from tests.support.scripted_replies import Text, ToolUse
from tests.support.waiting import until

HOSTILE = "<img src=x onerror='window.broken = 1'>"
QUESTION = {
    "question": f"Which color? {HOSTILE}", "header": "Color", "multiSelect": False,
    "options": [{"label": f"Red {HOSTILE}", "description": "r"}, {"label": "Blue", "description": "b"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def gateway(model, tmp_path_factory):
    """A gateway whose one-use URLs lead to itself."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1", "ADMIN_ENABLED": "true",
        "ADMIN_PASSWORD": PASSWORD, "ADMIN_VIEWER_PASSWORD": VIEWER, "CLAUDE_MAX_RETRIES": "1", "CLAUDE_TOOLS": "Bash",
        "PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }  # fmt: skip
    with Gateway(tmp_path_factory.mktemp("gateway"), **variables) as gateway:
        yield gateway


def pause(gateway, model, *replies, **fields):
    """Submit a job whose first call waits, and return it."""
    model.script(*replies)
    fields = {"tools": ["Bash"], "approval": {"tools": ["Bash"]}, **fields}
    job = gateway.submit(f"decide {len(model.requests)}", **fields)
    return gateway.until(lambda: gateway.job(job), lambda now: now["state"] == "paused")


def bash(command):
    return ToolUse("Bash", {"command": command})


def last_request(model):
    return str(model.requests[-1].body["messages"])


def check(page):
    """The text of the call is no markup, and the page is accessible."""
    assert page.evaluate("window.broken") is None
    assert page.locator("main img").count() == 0
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_of_paused_jobs_is_an_inbox(visit, gateway, model, scheme):
    """Catches a call that an operator cannot find, see or allow."""
    job = pause(gateway, model, bash(f'echo "{HOSTILE}" made'), Text("done"))
    page = visit("jobs?state=paused", scheme=scheme, width=390)
    page.click(f"a[href='#/jobs/{job['jobId']}']")
    form = page.locator("section[aria-label=Decision]")
    expect(form).to_contain_text("Waits for a decision: Bash")
    expect(form).to_contain_text(HOSTILE)
    check(page)
    form.get_by_role("button", name="Allow").click()
    expect(page.locator("section[aria-label=Decision]")).to_have_count(0)
    assert gateway.finished(job["jobId"])["state"] == "completed"
    assert "made" in last_request(model)
    paused = page.locator(".timeline .pause")
    expect(paused).to_contain_text("Paused for a decision: Bash")
    expect(paused).to_contain_text("allowed by the admin")


def test_a_denial_in_the_dashboard_has_its_message(visit, gateway, model):
    job = pause(gateway, model, bash("echo never"), Text("done"))
    page = visit(f"jobs/{job['jobId']}")
    page.fill("#decision-message", "not today")
    page.get_by_role("button", name="Deny").click()
    assert gateway.finished(job["jobId"])["state"] == "completed"
    assert "not today" in last_request(model)


def test_a_question_is_answered_in_the_dashboard(visit, gateway, model):
    job = pause(gateway, model, ToolUse("AskUserQuestion", {"questions": [QUESTION]}), Text("done"), approval={})
    page = visit(f"jobs/{job['jobId']}")
    expect(page.locator("legend")).to_have_text(QUESTION["question"])
    check(page)
    page.get_by_label("Blue").check()
    page.get_by_role("button", name="Answer").click()
    assert gateway.finished(job["jobId"])["state"] == "completed"
    assert '="Blue"' in last_request(model)


def test_a_viewer_sees_the_call_and_no_form(visit, gateway, model):
    job = pause(gateway, model, bash("echo seen"))
    page = visit(f"jobs/{job['jobId']}", password=VIEWER)
    expect(page.locator("section[aria-label=Decision]")).to_contain_text("Bash")
    assert page.locator("section[aria-label=Decision] form").count() == 0
    gateway.client.delete(f"/api/query/{job['jobId']}")


def url_of(job, receiver):
    hooks = until(lambda: [one for one in receiver.hooks if job["jobId"] in one.body and "decisionUrl" in one.body])
    return hooks[0].event["decisionUrl"]


@pytest.mark.parametrize(("button", "title", "shown"), [("Allow", "Allowed", "made"), ("Deny", "Denied", "by hand")])
def test_the_one_use_page_decides_once(browser, gateway, model, receiver, button, title, shown):
    """Catches a page that needs a login or a script, and a link that works twice."""
    job = pause(gateway, model, bash(f'echo "{HOSTILE}" made'), Text("done"), webhookUrl=receiver.url)
    url = url_of(job, receiver)
    with browser.new_context(viewport={"width": 390, "height": 900}) as context:
        page, other = context.new_page(), context.new_page()
        for one in (page, other):
            one.goto(url)
        expect(page.locator("pre")).to_contain_text(HOSTILE.replace('"', '\\"'))
        check(page)
        page.fill("textarea", "by hand")
        page.get_by_role("button", name=button).click()
        expect(page.locator("h1")).to_have_text(title)
        other.get_by_role("button", name="Allow").click()
        expect(other.locator("h1")).to_have_text("This link is no longer valid")
        page.goto(url)
        expect(page.locator("h1")).to_have_text("This link is no longer valid")
    assert gateway.finished(job["jobId"])["state"] == "completed"
    assert shown in last_request(model)


def test_the_one_use_page_takes_answers(browser, gateway, model, receiver):
    call = ToolUse("AskUserQuestion", {"questions": [QUESTION]})
    job = pause(gateway, model, call, Text("done"), approval={}, webhookUrl=receiver.url)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(url_of(job, receiver))
        check(page)
        page.get_by_role("button", name="Answer", exact=True).click()
        expect(page.locator("[role=alert]")).to_be_visible()
        page.get_by_label("Another answer").fill("Green")
        page.get_by_role("button", name="Answer", exact=True).click()
        expect(page.locator("h1")).to_have_text("Allowed")
    assert gateway.finished(job["jobId"])["state"] == "completed"
    assert '="Green"' in last_request(model)


def test_the_one_use_page_ends_with_its_time(browser, gateway, model, receiver):
    approval = {"tools": ["Bash"], "timeoutMs": 1000}
    job = pause(gateway, model, bash("echo never"), Text("done"), approval=approval, webhookUrl=receiver.url)
    with browser.new_context() as context:
        page = context.new_page()
        gateway.finished(job["jobId"])
        page.goto(url_of(job, receiver))
        expect(page.locator("h1")).to_have_text("This link is no longer valid")
