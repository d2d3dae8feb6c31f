"""Keywords of an MCP server."""

import re

_ANY = r"[^\s,;]{1,200}?"


def _body(parts: list[str]) -> str:
    """Return the regular expression of a keyword from its parts between the `*`.

    Each part except the last matches atomically at its first place, because the next `*` can match the text up to any
    later place. With backtracking, a few `*` would take minutes for a query of one long word.
    """
    first, *rest = parts
    stretched = [f"{_ANY}{part}" for part in rest]
    return first + "".join(f"(?>{part})" for part in stretched[:-1]) + "".join(stretched[-1:])


class Keyword:
    """A keyword: matches whole words in any case, and their plural; `*` matches up to 200 characters except a space."""

    def __init__(self, text: str) -> None:
        self.text = text
        body = _body([re.escape(part).replace(r"\ ", r"\s+") for part in text.split("*")])
        before = r"(?<!\w)" if text[0].isalnum() else ""
        after = r"(?:s|es)?(?!\w)" if text[-1].isalnum() else ""
        self._pattern = re.compile(before + body + after, re.IGNORECASE)
        # For a fast check before the expression. Not beyond ASCII, where lower-casing does not cover all case folding.
        self._longest = max(re.split(r"[*\s]+", text.lower()), key=len) if text.isascii() else ""

    def is_in(self, query: str, lowered: str) -> bool:
        """Return whether a query contains the keyword; `lowered` is the query in lower case, for the fast check."""
        may_be = self._longest in lowered or not lowered.isascii()
        return may_be and self._pattern.search(query) is not None
