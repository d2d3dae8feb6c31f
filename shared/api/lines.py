"""JSON on one line, also for readers that end lines at more characters than CR and LF (Python's `splitlines`)."""

# NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR; JSON has these in strings only, where an escape means the same.
_SEPARATORS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def as_one_line(text: str) -> str:
    """Return JSON with every line separator of Unicode escaped."""
    return text if text.isascii() else text.translate(_SEPARATORS)
