"""No document repeats itself: a union merge keeps both versions of a changed line."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# docs/api.md is generated: an error status can have several codes.
DOCUMENTS = [path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")) if path.name != "api.md"]
# Two versions of a sentence share a run of words; two sentences of one page do not share one as long as this.
RUN_OF_WORDS = 9


def without_code(document: Path) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def repeated(entries: list[str]) -> list[str]:
    return sorted({entry for entry in entries if entries.count(entry) > 1})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_table_has_two_rows_for_one_thing(document):
    """Catches a row that a merge left beside its new version."""
    for table in re.findall(r"(?:^\|.*\n)+", without_code(document), re.MULTILINE):
        assert repeated([re.split(r"(?<!\\)\|", line)[1].strip() for line in table.splitlines()]) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_document_says_a_thing_twice(document):
    """Catches a paragraph or an entry that a merge left beside its new version."""
    lines = (line for line in without_code(document).splitlines() if not line.startswith(("|", "#", "<!--")))
    words = " ".join(lines).split()
    runs = [" ".join(words[start : start + RUN_OF_WORDS]) for start in range(len(words) - RUN_OF_WORDS + 1)]
    assert len(runs) == len(set(runs)), repeated(runs)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_section_has_a_heading_twice(document):
    """Catches a heading that a merge added beside the one that was there."""
    for section in re.split(r"^(?=## )", without_code(document), flags=re.MULTILINE):
        assert repeated(re.findall(r"^#+ .+$", section, re.MULTILINE)) == []
