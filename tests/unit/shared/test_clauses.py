"""A query is divided where a second wish may begin."""

import pytest

from shared.mcp.clauses import clauses


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (
            "find the invite in my mail and put it on my calendar",
            ["find the invite in my mail", "put it on my calendar"],
        ),
        ("Lies die Datei notes.txt, poste sie dann in #team", ["Lies die Datei notes.txt", "poste sie dann in #team"]),
        ("cherche le prix puis envoie un mail à Léa", ["cherche le prix", "envoie un mail à Léa"]),
        ("read the log\nopen a ticket about it", ["read the log", "open a ticket about it"]),
    ],
)
def test_each_wish_is_a_clause(query, found):
    assert clauses(query) == found


@pytest.mark.parametrize(
    "query", ["", "what is the weather in Oslo", "salt and pepper", " who wrote this ", "1, 2, 3, 4"]
)
def test_a_query_of_one_wish_has_no_clauses(query):
    """Catches a score for the parts of a name, which are like anything."""
    assert clauses(query) == []


def test_the_number_of_clauses_is_bounded():
    """Catches a list of a hundred lines that is scored a hundred times."""
    assert len(clauses("open the next file, " * 100)) == 6
