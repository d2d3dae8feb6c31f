"""The start page, served by uvicorn and by the Lambda emulator."""

import re

import pytest


@pytest.mark.parametrize(
    ("variables", "shown", "hidden"),
    [
        ({"AUTH_ENABLED": "true"}, ["key"], ["admin", "metrics", "nokey"]),
        ({"AUTH_ENABLED": "false"}, ["nokey"], ["admin", "metrics", "key"]),
        ({"ADMIN_ENABLED": "true", "ADMIN_PASSWORD": "twelve characters", "METRICS_ENABLED": "true"},
         ["admin", "metrics"], []),
    ],
)  # fmt: skip
async def test_the_page_shows_the_features_of_the_deployment(connect, variables, shown, hidden):
    """Catches a link to a disabled feature, and a needless field for a key."""
    client = await connect(**variables)
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    marks = {
        "admin": r'href="admin" (hidden)?>', "metrics": r'href="metrics" (hidden)?>',
        "key": r'<div class="field" (hidden)?>', "nokey": r'<p class="hint" (hidden)?>This gateway requires no',
    }  # fmt: skip
    found = {name: re.findall(mark, page.text) == [""] for name, mark in marks.items()}
    assert [name for name in shown if not found[name]] == []
    assert [name for name in hidden if found[name]] == []


async def test_the_page_runs_nothing_inline_and_loads_nothing_from_elsewhere(connect):
    """Catches inline scripts, styles and handlers, which the policy would block in a browser."""
    client = await connect()
    page = await client.get("/")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|https?://", page.text) == []
    for name in re.findall(r'(?:src|href)="(start/[^"]+)"', page.text):
        assert (await client.get(f"/{name}")).status_code == 200
    scripts = [(await client.get(f"/start/{name}.js")).text for name in ("start", "follow", "gateway", "words", "dom")]
    for name in re.findall(r'from "\./([^"]+)"', "".join(scripts)):
        assert (await client.get(f"/start/{name}")).headers["content-type"].startswith("text/javascript")


async def test_under_a_known_prefix_the_urls_have_it(connect):
    """Catches relative URLs, which a prefix without a trailing slash would break."""
    client = await connect(ROOT_PATH="/gateway")
    for path in ("/gateway", "/gateway/"):
        page = await client.get(path)
        assert 'src="/gateway/start/start.js"' in page.text
    assert (await client.get("/gateway/start/start.js")).status_code == 200


@pytest.mark.parametrize("name", ["x", "..%2fstart.py", "templates", "start.html", "%00", "start.js%00"])
async def test_no_other_file_is_served(connect, name):
    client = await connect()
    answer = await client.get(f"/start/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
