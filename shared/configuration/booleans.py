"""Parse true or false from text: the one list of words for settings, `mcp.json`, REDIS_URL and `make up`.

Pydantic accepts the same words for a boolean field; a test compares both. This module needs the standard library alone,
because `make up` runs without the project's packages.
"""

_WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("false", "0", "no", "off", "f", "n"), False),
}


def parse_boolean(text: str) -> bool | None:
    """Return the boolean that a text stands for, in upper or lower case; None for any other text."""
    return _WORDS.get(text.strip().lower())
