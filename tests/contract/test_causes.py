"""The causes that the overview names are those of the documents."""

import re
from pathlib import Path

from functions.admin import causes

ROOT = Path(__file__).parents[2]
TEXT = Path(causes.__file__).read_text()


def anchors(document):
    """Return the anchors of a document's headings, as GitHub writes them."""
    titles = re.findall(r"^#+ (.+)$", (ROOT / document).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_each_cause_names_a_section_that_exists():
    """Catches a heading that was renamed."""
    guides = set(re.findall(r'"(docs/[\w.]+)#([\w-]+)"', TEXT))
    assert len(guides) >= 5
    assert [guide for guide in sorted(guides) if guide[1] not in anchors(guide[0])] == []


def test_each_cause_is_in_the_table_of_operations():
    """Catches a cause that an operator does not find in the documents, and one that nothing names."""
    codes = set(re.findall(r'Cause\("(\w+)"', TEXT)) | {code for code, _ in causes._WRITES.values()} | {"redis_refuses"}
    codes |= {f"claude_{code}" for code in causes._WAITS}
    section = (ROOT / "docs/operations.md").read_text().partition("## What the overview names")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)} - {"code"}
    assert listed == codes
