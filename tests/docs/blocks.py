"""Reads the code blocks of the documents."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = {"sh", "python"}
# A block of a list item is indented.
_BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^\n]+?) -->\n+)?^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block; `reason` says why a test cannot run it."""

    kind: str
    text: str
    reason: str | None


def blocks_of(document: Path) -> list[Block]:
    """Return the blocks of a document that are shell or Python."""
    found = (
        Block(block["kind"], textwrap.dedent(block["text"]), block["reason"])
        for block in _BLOCK.finditer(document.read_text(encoding="utf-8"))
    )
    return [block for block in found if block.kind in RUN]
