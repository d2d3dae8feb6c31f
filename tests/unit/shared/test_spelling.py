"""Typing errors of queries are corrected, and nothing else is changed."""

import pytest

from shared.mcp.fitted import fitted
from shared.mcp.spelling import Spelling, hashes, words_in

COUNTS = {"weather": 90, "whether": 100, "meeting": 40, "firm": 60, "from": 20, "page": 9, "pages": 3}
SPELLING = Spelling(COUNTS, hashes([*COUNTS, "rare", "ete"]))


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("the waether in Oslo", "the weather in Oslo"),
        ("weathr", "weather"),
        ("weatther", "weather"),
        ("Meetign at 9?", "meeting at 9?"),
        ("whaether", "whether"),
        # Swapped letters are likelier than a wrong one, even where the other word is more common.
        ("form", "from"),
    ],
)
def test_an_unknown_word_becomes_the_likeliest_known_one(text, corrected):
    assert SPELLING.corrected(text) == corrected


@pytest.mark.parametrize(
    "text",
    [
        "", "a whether rare été ETE", "my Waether", "waether.com", "a_waether", "@waether", "#waether", "fix/waether",
        "wea", "paged", "pagess", "meetin", "weather" * 20, "\ufdfa" * 20, "12345", "東京都庁", "\ud800",
    ],
)  # fmt: skip
def test_known_words_names_other_endings_and_other_scripts_stay(text):
    """Catches a correction that replaces a right word."""
    assert SPELLING.corrected(text) == text


def test_words_of_the_servers_stay():
    assert SPELLING.corrected("open the waether", frozenset({"waether"})) == "open the waether"


def test_words_are_compared_in_lower_case_and_without_accents():
    assert words_in("L'Été à Oslo, 2 fois") == {"l", "ete", "a", "oslo", "fois"}


def test_the_model_in_the_tree_corrects_common_errors():
    corrected = fitted().spelling.corrected
    assert corrected("wirte the forcast into my spredsheet") == "write the forecast into my spreadsheet"
    assert corrected("Welche Termine habe ich am Montag?") == "Welche Termine habe ich am Montag?"
