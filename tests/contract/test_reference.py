"""The reference and the troubleshooting page cover everything that the code has."""

import re
from pathlib import Path
from typing import get_args

from local.api_reference import REFERENCE, reference, request_codes
from shared.api.vocabulary import ErrorCode

ROOT = Path(__file__).parents[2]
TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def codes_in(section: str) -> set[str]:
    """Return the codes that the first column of a section's table names."""
    table = TROUBLESHOOTING.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`(\w+)`", row)} - {"code"}


def test_the_committed_reference_is_the_generated_one():
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "run `make openapi`"


def test_each_error_code_of_a_request_has_a_remedy():
    """Catches a code that an operator cannot look up."""
    assert codes_in("Errors of requests") == set(request_codes())


def test_each_error_code_of_a_job_has_a_remedy():
    assert codes_in("Errors of jobs") == set(get_args(ErrorCode))


def test_each_link_between_documents_resolves():
    """Catches a link to a page or a heading that was renamed."""
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            page = document if not path else (document.parent / path)
            assert page.exists(), f"{document.name}: {target}"
            if anchor and page.suffix == ".md":
                assert anchor in anchors(page), f"{document.name}: {target}"


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}
