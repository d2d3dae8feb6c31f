"""The clauses of a query, each of which may be for a server of its own: "read the file and post it in the channel"."""

import re

# What is between two wishes: the end of a sentence or a line, a comma, or a word that joins them, in five languages.
# Not "en", which joins in Dutch and is "in" elsewhere.
_BETWEEN = re.compile(
    r"(?<=[.;:!?])\s+|\n+|,\s+|\s+(?:and|then|after|before|und|et|puis|y|luego|e|poi)\s+",
    re.IGNORECASE,
)
_MOST, _WORDS = 6, 3  # the fewest words of a clause


def clauses(query: str) -> list[str]:
    """Return the clauses of a query that have three words or more, at most six; none where the query is one clause."""
    found = [part.strip() for part in _BETWEEN.split(query)]
    found = [part for part in found if len(part.split()) >= _WORDS]
    return [part for part in found if part != query.strip()][:_MOST]
