"""How well the MCP servers fit a query."""

from typing import NamedTuple

# The reasons of a server that every query gets.
ALWAYS = ("always",)


class Score(NamedTuple):
    """The score of a server, 0 to 1; `reasons` explain it, the strongest first.

    It is `sure` if a keyword or a whole example matched, and not only words.
    """

    server: str
    score: float
    reasons: tuple[str, ...]
    sure: bool
