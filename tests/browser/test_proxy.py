"""The dashboard and the docs behind a real nginx: with TLS and with a path prefix, configured or not."""

import os
from collections.abc import Iterator

import pytest
import trustme
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD
from tests.support.gateway import Gateway
from tests.support.nginx import FORWARD, PROGRAM, Nginx
from tests.support.ports import free_port

HOST = "gateway.example"


@pytest.fixture(scope="module")
def prefixed(model, tmp_path_factory) -> Iterator[Gateway]:
    """A gateway that trusts the proxy and knows its prefix."""
    variables = {
        "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1", "ADMIN_ENABLED": "true",
        "ADMIN_PASSWORD": PASSWORD, "TRUSTED_PROXIES": "127.0.0.1", "ROOT_PATH": "/gateway",
        "ALLOWED_HOSTS": HOST,
    }  # fmt: skip
    with Gateway(tmp_path_factory.mktemp("prefixed"), **variables) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def proxy(gateway, prefixed, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The URL of each variant of the proxy's configuration, by name."""
    if PROGRAM is None:
        if os.environ.get("CI"):
            pytest.fail("nginx is not installed")
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    certificate = trustme.CA().issue_cert(HOST)
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "pem")
    tls = f"ssl_certificate {folder}/pem; ssl_certificate_key {folder}/pem;"
    ways = {
        # name: scheme, location, directives
        "removed": ("https", "/gateway/", f"proxy_pass {prefixed.url}/; {FORWARD}"),
        "kept": ("https", "/gateway/", f"proxy_pass {prefixed.url}; {FORWARD}"),
        # The defaults of nginx: `Host` is the gateway's own address.
        "bare": ("https", "/", f"proxy_pass {gateway.url};"),
        "untold prefix": ("https", "/gateway/", f"proxy_pass {gateway.url}/;"),
        "plain": ("http", "/", f"proxy_pass {gateway.url}; {FORWARD}"),
    }
    servers, urls = "", {}
    for name, (scheme, location, action) in ways.items():
        port = free_port()
        listen = f"listen 127.0.0.1:{port} ssl; {tls}" if scheme == "https" else f"listen 127.0.0.1:{port};"
        servers += f"server {{ {listen} location {location} {{ {action} }} }}\n"
        urls[name] = f"{scheme}://{HOST}:{port}{location.rstrip('/')}"
    with Nginx(folder, servers, port):
        yield urls


@pytest.fixture
def page(browser):
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.set_default_timeout(10_000)
    yield page
    context.close()


def log_in(page, url):
    page.goto(f"{url}/admin")
    page.fill("#username", "admin")
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")


@pytest.mark.parametrize("way", ["removed", "kept", "bare"])
def test_a_login_behind_a_proxy_is_kept_and_changes_things(page, proxy, way):
    log_in(page, proxy[way])
    expect(page.get_by_role("heading", name="Over time")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Over time")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    page.click("#ask-yes")
    expect(page.get_by_role("alert")).to_contain_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#notes")).to_contain_text("Jobs start again")
    [cookie] = page.context.cookies(f"{proxy[way]}/admin")
    prefix = "" if way == "bare" else "/gateway"
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == (f"{prefix}/admin", True, True)
    assert cookie["sameSite"] == "Strict"
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert page.context.cookies(f"{proxy[way]}/admin") == []


@pytest.mark.parametrize("way", ["removed", "kept", "bare"])
def test_the_docs_work_under_a_prefix(page, proxy, way):
    page.goto(f"{proxy[way]}/docs")
    operation = page.locator("details.operation", has_text="/health/live").first
    operation.locator("summary").first.click()
    operation.get_by_role("button", name="Send").click()
    expect(operation.get_by_text("200 ", exact=False).last).to_be_visible()
    assert page.locator("a", has_text="openapi.json").evaluate("one => one.href") == f"{proxy[way]}/openapi.json"


@pytest.mark.parametrize("way", ["removed", "kept", "bare"])
def test_the_start_page_works_under_a_prefix(page, proxy, way):
    page.goto(f"{proxy[way]}/")
    page.fill("#query", f"under a prefix, {way}")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#state")).to_contain_text("Completed")
    expect(page.locator("#answer")).to_have_text(f"under a prefix, {way}")
    page.get_by_role("link", name="Dashboard").click()
    expect(page.get_by_label("Password")).to_be_visible()


def test_over_plain_http_the_page_says_that_a_login_needs_https(page, proxy):
    page.goto(f"{proxy['plain']}/admin")
    expect(page.get_by_role("alert")).to_contain_text("over HTTPS")
    expect(page.get_by_role("button", name="Log in")).to_be_disabled()
    # The gateway does not accept it either.
    answer = page.evaluate(
        """async (password) => {
          const body = JSON.stringify({ username: "admin", password });
          const headers = { "content-type": "application/json" };
          const answer = await fetch("/admin/login", { method: "POST", headers, body });
          return [answer.status, (await answer.json()).detail];
        }""",
        PASSWORD,
    )
    assert answer[0] == 403
    assert "HTTPS" in answer[1]


def test_a_dropped_cookie_is_reported_with_its_fix(page, proxy):
    log_in(page, proxy["untold prefix"])
    expect(page.get_by_role("alert")).to_contain_text("ROOT_PATH")
