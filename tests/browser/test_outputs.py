"""What a run has left, on the page of its job: artifacts, inert previews of images, and the patch."""

import base64

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import VIEWER
from tests.integration.test_job_files import PNG
from tests.support.scripted_replies import Text, ToolUse

HOSTILE = "<script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"
COMMAND = f"""
mkdir outputs && echo {base64.b64encode(PNG).decode()} | base64 -d >outputs/dot.png
echo '{base64.b64encode(HOSTILE.encode()).decode()}' | base64 -d >'outputs/<b>x<b>.html'
ln -s /etc outputs/link
echo {base64.b64encode(f"new {HOSTILE}".encode()).decode()} | base64 -d >a.txt
"""


@pytest.fixture(scope="module")
def job(gateway, model):
    model.script(ToolUse("Bash", {"command": COMMAND}), Text("done"))
    job = gateway.ask("leave files", tools=["Bash"], files=[{"path": "a.txt", "text": "old\n"}])
    assert job["state"] == "completed", job
    return job["jobId"]


def test_an_image_is_previewed_and_a_file_downloaded(visit, gateway, job):
    page = visit(f"jobs/{job}", password=VIEWER)
    expect(page.get_by_text("Omitted: 1 not_regular")).to_be_visible()
    page.get_by_role("button", name="Preview dot.png").click()
    image = page.get_by_role("img", name="Preview of dot.png")
    expect(image).to_be_visible()
    page.wait_for_function("document.querySelector('.preview img').naturalWidth === 1")
    with page.expect_download() as got:
        page.get_by_role("button", name="Download <b>x<b>.html").click()
    assert got.value.path().read_bytes() == HOSTILE.encode()
    assert page.evaluate("window.broken") is None
    expect(page.get_by_role("button", name="Preview <b>x<b>.html")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_added_and_removed_lines_of_a_patch_are_highlighted(visit, gateway, job, scheme):
    page = visit(f"jobs/{job}", scheme=scheme, width=390)
    expect(page.get_by_text("1 files, 1 lines added, 1 removed")).to_be_visible()
    page.get_by_role("button", name="Show the patch").click()
    expect(page.locator(".patch .added")).to_contain_text("+new <script>window.broken = 1</script>")
    expect(page.locator(".patch .removed")).to_contain_text("-old")
    assert page.evaluate("window.broken") is None
    assert page.locator("main script, main img").count() == 0
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with page.expect_download() as got:
        page.get_by_role("button", name="Download the patch").click()
    assert got.value.suggested_filename == "changes.patch"


def test_a_download_needs_the_login_and_a_file_of_the_job(gateway, job):
    """Catches a token for any file that somebody names, and one that works without the dashboard's login."""
    file_id = gateway.job(job)["result"]["artifacts"][0]["fileId"]
    place = f"{gateway.url}/admin/api/jobs/{job}/downloads"
    assert gateway.client.post(place, json={"fileId": file_id}).status_code == 401
    login = ("admin", VIEWER)
    made = gateway.client.post(place, json={"fileId": file_id}, auth=login)
    assert made.status_code == 200
    assert gateway.client.get(made.json()["path"]).status_code == 200
    for other in ("x", "", "01a00000-0000-7000-8000-000000000000"):
        assert gateway.client.post(place, json={"fileId": other}, auth=login).status_code in {404, 422}
    for token in ("x", "%00", made.json()["path"].rpartition("/")[2][:-1]):
        assert gateway.client.get(f"/api/downloads/{token}").status_code == 404
