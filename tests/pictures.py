"""`make pictures`: take the pictures of README from a running gateway with a scripted model."""

import itertools
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from local.messages_api import JsonObject
from tests.support.gateway import Gateway
from tests.support.scripted_model import ScriptedModel
from tests.support.scripted_replies import Error, Reply, Text, ToolUse

IMAGES = Path(__file__).parents[1] / "docs/images"
PASSWORD, LARGEST = "correct horse battery", 150_000
ANSWER = "The build fails because tests/report.py imports a name that was renamed. Rename it there too."
QUERIES = (
    "Summarize the tickets of this morning in three sentences",
    "Which of our invoices from October are not paid yet?",
    "Translate the release notes of 4.2 into German",
    "Write a query that finds customers without an order since May",
    "Classify this message: complaint, question or praise",
    "Find out why the nightly build fails, and suggest a fix",
)


def reply(body: JsonObject) -> Reply | list[Reply]:
    """Use two tools for the last query, refuse one, and answer the others."""
    text = str(body["messages"])
    if "German" in text:
        return Error(404, "not_found_error")
    if "nightly build" not in text:
        return Text("Two customers cannot log in, one asks for an invoice, and a delivery is late.")
    calls = text.count("tool_result")
    if calls < len(COMMANDS):
        return ToolUse("Bash", {"command": COMMANDS[calls]})
    return Text(ANSWER)


COMMANDS = ("echo 'ImportError: cannot import name total_of'; sleep 0.6", "sleep 1.2; echo '1 passed in 0.41s'")


def work(gateway: Gateway) -> str:
    """Submit jobs, and return the last, which has steps."""
    teams, priorities = itertools.cycle(("support", "billing", "platform")), itertools.cycle(("normal", "high", "low"))
    for number in range(24):
        options = {"priority": next(priorities), "cache": {"mode": "bypass"}}
        query = QUERIES[number % (len(QUERIES) - 1)]
        gateway.finished(gateway.submit(query, metadata={"team": next(teams)}, **options))
    return str(gateway.ask(QUERIES[-1], tools=["Bash"], metadata={"team": "platform"})["jobId"])


def login(page: Page, gateway: Gateway) -> None:
    """Log in to the dashboard."""
    page.goto(f"{gateway.url}/admin")
    page.fill("#username", "admin")
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector("section")


def main() -> None:
    """Take each picture, and fail if one is large."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("Chromium is not installed")
    with ScriptedModel() as model, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        model.reply = reply
        variables = {
            "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "ADMIN_ENABLED": "true",
            "ADMIN_PASSWORD": PASSWORD, "CLAUDE_TOOLS": "Bash", "QUEUE_CONCURRENCY": "4", "CLAUDE_MAX_RETRIES": "1",
        }  # fmt: skip
        with Gateway(Path(folder), **variables) as gateway:
            job = work(gateway)
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            pages = {
                "overview-light-1280": ("", ".slots"), "jobs-dark-1280": ("jobs", "tbody"),
                "job-light-1280": (f"jobs/{job}", ".timeline"),
                "playground-dark-1280": (f"playground?job={job}", "form"),
                "job-dark-390": (f"jobs/{job}", ".timeline"), "jobs-light-390": ("jobs", "tbody"),
            }  # fmt: skip
            for name, (path, there) in pages.items():
                _, scheme, width = name.split("-")
                size = {"width": int(width), "height": 720 if name.startswith("jobs") else 960}
                page = browser.new_context(viewport=size, color_scheme=scheme).new_page()  # type: ignore[arg-type]
                login(page, gateway)
                page.goto(f"{gateway.url}/admin#/{path}")
                page.wait_for_selector(there)
                if path.startswith("playground"):
                    page.get_by_role("button", name="Show as curl and Python").click()
                place = IMAGES / f"{name}.png"
                page.screenshot(path=place)
                print(f"{place.stat().st_size:7} bytes  {place.name}")
                if place.stat().st_size > LARGEST:
                    sys.exit(f"{place.name} is larger than {LARGEST} bytes")
            browser.close()


if __name__ == "__main__":
    main()
