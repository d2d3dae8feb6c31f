"""The router on labeled queries; docs/mcp.md has the results."""

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mcp.config import Routing, Server, read
from shared.mcp.keywords import Keyword
from shared.mcp.router import _URL, Router
from shared.mcp.words import words
from tests.benchmarks.routing import judged, labeled, servers_with

DATA = Path(__file__).parents[2] / "data"
NEAR_MISSES = [
    "The rest of the story",
    "select a good restaurant",
    "Please update my CV",
    "class reunion speech",
    "Summarise the path to success",
]


def labelled(name):
    """Read queries with the servers that each should go to."""
    lines = (line.split("\t") for line in (DATA / name).read_text(encoding="utf-8").splitlines())
    return [(frozenset(servers.split(",")) - {"none"}, query) for servers, query in lines]


@pytest.fixture(scope="module")
def router():
    return Router(read(DATA / "routing_servers.json", os.environ, expand=False))


@pytest.mark.parametrize("half", ["development", "kept"])
def test_routing_has_a_high_precision_and_recall(router, half):
    queries = labelled(f"routing_{half}.tsv")
    assert len(queries) >= 100
    assert sum(not wanted for wanted, _ in queries) >= len(queries) / 3
    chosen = [(wanted, set(router.choose(query)[0])) for wanted, query in queries]
    right = sum(len(wanted & got) for wanted, got in chosen)
    assert right / sum(len(got) for _, got in chosen) >= 0.92
    assert right / sum(len(wanted) for wanted, _ in chosen) >= 0.92


def test_an_entry_without_routing_is_routed_by_words_of_its_kind():
    """Catches a Lambda function that routes nothing without examples."""
    precision, recall, none = judged(Router(*servers_with(0)).choose, labeled("mcp_development.tsv"))
    assert (precision >= 0.85, recall >= 0.70, none <= 0.08) == (True, True, True), (precision, recall, none)


@pytest.mark.parametrize("query", NEAR_MISSES)
def test_near_misses_are_not_routed(router, query):
    assert router.choose(query)[0] == []


def test_a_pattern_needs_a_name_before_its_ending():
    """Catches "*.md" in "open .md", which names no file."""
    found = [Keyword("*.md").is_in(query, query) for query in ("open .md", "open notes.md", "open .mdx")]
    assert found == [False, True, False]


def test_a_decision_is_explained_and_deterministic(router):
    servers, scores = router.choose("Who reviewed pull request 482?")
    assert servers == ["github"]
    assert scores[0].reasons[0] == 'keyword "pull request"'
    assert 'like "Summarise pull request 7"' in scores[0].reasons
    assert router.choose("Who reviewed pull request 482?") == (servers, scores)


def test_a_query_equal_to_an_example_is_routed_to_its_server():
    router = Router({"moon": Server(command="m", routing=Routing(examples=("How full is the moon tonight?",)))})
    assert router.choose("how full is the Moon tonight")[0] == ["moon"]


def test_an_always_on_server_is_added_to_the_best():
    servers = {
        "log": Server(command="l", routing=Routing(always=True)),
        "moon": Server(command="m", routing=Routing(keywords=("phase of the moon",))),
    }
    assert set(Router(servers).choose("the phase of the moon, please")[0]) == {"log", "moon"}
    assert Router(servers).choose("something else")[0] == ["log"]


def test_a_server_without_routing_is_chosen_by_its_name():
    router = Router({"plain": Server(command="p")})
    assert (router.choose("plain")[0], router.choose("something else")[0]) == (["plain"], [])


def test_only_both_ends_of_a_long_query_decide(router):
    filler = "lorem ipsum " * 20_000
    assert router.choose(f"{filler} what time is it in Tokyo? {filler}")[0] == []
    assert router.choose(f"{filler} What time is it in Tokyo?")[0] == ["time"]


def test_a_keyword_is_found_in_any_case_of_any_alphabet():
    router = Router({"one": Server(command="x", routing=Routing(keywords=("github", "größe")))})
    for query in ("GITHUB", "GİTHUB", "Größe", "GRÖSSE or GRÖßE"):
        assert router.choose(query)[1][0].sure, query


@pytest.mark.parametrize("query", ["a" * 2000, "a-" * 1000, "_" * 2000, "www." * 500, "a.b-" * 500, "a'" * 1000])
def test_no_query_makes_matching_slow(query):
    for text in ("*a*a*b", "a*a*a*a*a*zz", "*a*a*a*a*a* b"):
        started = time.thread_time()
        Keyword(text)._pattern.search(query)
        words(query)
        _URL.sub("", query)
        assert time.thread_time() - started < 2, text


@given(st.text("ab ,", max_size=9), st.text("ab* ", min_size=1, max_size=6).filter(lambda text: text.strip(" *")))
def test_a_keyword_with_wildcards_matches_at_every_position(query, text):
    body = re.escape(text).replace(r"\*", r"[^\s,;]+").replace(r"\ ", r"\s+")
    before = r"(?<!\w)" if text[0].isalnum() else ""
    after = r"(?:s|es)?(?!\w)" if text[-1].isalnum() else ""
    assert bool(Keyword(text)._pattern.search(query)) == bool(re.search(before + body + after, query))
