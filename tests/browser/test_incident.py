"""A scripted incident: the person on call reads each cause on the overview."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from local.embedded_redis import find_server
from tests.browser.conftest import PASSWORD
from tests.support.gateway import Gateway
from tests.support.redis_server import RedisServer
from tests.support.scripted_replies import Error
from tests.support.worker import Worker

# ms from the moment at which something is wrong.
WITHIN = 10_000


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RedisServer]:
    with RedisServer(find_server(), tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(model, server, tmp_path_factory) -> Iterator[Gateway]:
    """A gateway of two slots whose callers have keys."""
    variables = {
        "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "2", "ADMIN_ENABLED": "true",
        "ADMIN_PASSWORD": PASSWORD, "AUTH_ENABLED": "true", "REDIS_URL": server.url, "CACHE_TTL": "0",
    }  # fmt: skip
    with Gateway(tmp_path_factory.mktemp("gateway"), **variables) as gateway:
        yield gateway


def key_of(gateway, name):
    answer = gateway.client.post("/admin/api/callers", json={"name": name}, auth=("admin", PASSWORD))
    return {"X-API-Key": answer.json()["key"]}


def test_each_cause_of_an_incident_is_named_on_the_overview(visit, gateway, model, script, server, tmp_path):
    """Catches a cause that an operator has to look for on other pages."""
    page = visit()
    causes = page.locator(".causes")
    expect(causes).to_contain_text("Nothing is wrong")

    def named(*texts):
        for text in texts:
            expect(causes).to_contain_text(text, timeout=WITHIN)

    with Worker(tmp_path, server.url, ANTHROPIC_BASE_URL=model.url) as worker:
        gateway.until(
            lambda: gateway.client.get("/health").json(), lambda seen: (seen["workers"], seen["slots"]) == (2, 4)
        )
        gateway.client.headers.update(key_of(gateway, "reports"))
        gateway.ask("a webhook that nobody receives", webhookUrl="http://127.0.0.1:9/hook")
        named("The webhook host 127.0.0.1:9 fails")

        script(lambda body: Error(529, "overloaded_error"))
        before = len(model.requests)
        gateway.submit("overloaded")
        # The CLI takes its time to start; then Claude is overloaded.
        model.wait_for_requests(before + 1, 60)
        named("Claude is overloaded: 1 of 1 running jobs waits for it")

        gateway.client.headers.update(key_of(gateway, "nightly"))
        for number in range(30):
            gateway.submit(f"one of many {number}")
        named("The caller nightly floods the queue")

        worker.process.kill()
        named("has not reported for")
    named("Claude is overloaded", "The caller nightly", "The webhook host")
    expect(causes.locator("li")).to_have_count(4)
    for link in causes.locator("li a").all():
        page.goto(f"{gateway.url}/admin{link.get_attribute('href')}")
        page.wait_for_selector("main section")
        page.goto(f"{gateway.url}/admin#/")
