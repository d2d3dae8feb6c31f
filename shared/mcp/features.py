"""What the router sees of a text beside its meaning: words, parts of words for typos, and how the text begins."""

import re

from shared.mcp.words import without_accents, words

_PART = 4
_BEGINNING = 3
_WORD = re.compile(r"[^\W_]+")
# Weights of a part of a word and of a beginning, compared with a word.
PART, BEGINNING = "part", "beginning"

# Questions for knowledge in general, in the languages of the catalog.
_GENERAL = re.compile(
    r"""^\W*(?:(?:please|can\ you|could\ you|hey|hi)\W+)*(?:
    explain\s+(?:to\s+me\s+)?(?:what|the\s+(?:concept|difference|idea|pros|plot)|how\s+(?:an?|the|do|does)\b)
    |(?:what(?:'s|\s+is|\s+are)|whats)?\s*(?:the\s+)?differences?\s+between\b
    |what\s+does\s+\S+\s+(?:mean|stand)|define\b|(?:the\s+)?pros\s+and\s+cons|(?:the\s+)?history\s+of
    |is\s+it\s+(?:rude|ok|okay|normal|bad|good|healthy|legal)\s+to
    |write\s+(?:me\s+)?(?:an?\s+)?(?:short\s+|long\s+)?(?:poem|haiku|essay|story|song|limerick|joke|regex|function
        |script|unit\s+test|cover\s+letter|speech)
    |(?:who|when)\s+(?:invented|discovered|was\s+the\s+first)
    |what\s+makes\b|(?:what\s+is|what's|whats|is)\s+an?\b(?!\s+(?:nice|good)\b)|how\s+(?:do|does)\b(?!\s+(?:i|we)\s+get\b)|why\s+do\b
    |what(?:'s|\s+is)\s+the\s+(?:point|purpose|meaning)\b|is\s+it\s+(?:better|worth)\b|should\b
    |how\s+many\s+\w+\s+(?:are\s+)?(?:there\s+)?in\s+an?\b|is\s+\w+\s+(?:bad|good|healthy|harmful)\b
    |give\s+me\s+(?:\w+\s+)?(?:ideas|names|tips|examples|arguments|reasons)
    |wie\s+funktionier\w+|was\s+(?:bedeutet|macht|unterscheidet|spricht)
    |comment\s+(?:fonctionne|marche|expliquer|dire)|c.mo\s+funciona\w*|qu.\s+(?:significa|diferencia)|como\s+funciona\w*
    |come\s+funziona\w*|cos'.|hoe\s+werk\w+
    |was\s+ist\s+(?:der\s+unterschied|eine?\b)|erkl.r\w*\s+(?:mir\s+)?(?:was|den|die|das|wie)\b
    |quelle\s+est\s+la\s+diff.rence|c'est\s+quoi|qu'est-ce\s+qu'une?\b|explique(?:-moi|z-moi)?\s+(?:la|le|les|ce)\b
    |cu.l\s+es\s+la\s+diferencia|qu.\s+es\s+una?\b|expl.came
    )|\bin\s+general\W*$""",
    re.IGNORECASE | re.VERBOSE,
)


def is_general(text: str) -> bool:
    """Return whether a query asks for an explanation or a piece of writing, whatever its subject."""
    return _GENERAL.search(text) is not None


def words_of(text: str) -> list[str]:
    """Return the words of a text without accents."""
    return words(without_accents(text))


def features(text: str) -> frozenset[tuple[str, str]]:
    """Return the features of a text, each with its kind: an empty string for a word."""
    found = set(words_of(text))
    parts = {
        f"^{word}$"[start : start + _PART]
        for word in found
        if len(word) > _PART and not word.startswith("<")
        for start in range(len(word) + 3 - _PART)
    }
    first = _WORD.findall(text.lower())[:_BEGINNING]
    beginnings = {" ".join(first[:count]) for count in range(1, len(first) + 1)}
    return frozenset(
        [("", word) for word in found] + [(PART, part) for part in parts] + [(BEGINNING, one) for one in beginnings]
    )
