"""The router by meaning, on labeled queries over servers modeled on well-known ones; docs/mcp.md has the results."""

import pytest

from shared.mcp import kinds
from shared.mcp.config import Routing, Server
from shared.mcp.meaning import MeaningRouter
from shared.mcp.tools import MOST_TOOLS, Tool, listed, parse, plain_words, to_json
from tests.benchmarks.routing import judged, labeled, servers_with


@pytest.fixture(scope="module")
def without_examples():
    return MeaningRouter(*servers_with(0))


@pytest.fixture(scope="module")
def router():
    return MeaningRouter(*servers_with(5))


def test_tools_alone_route_most_queries(without_examples):
    precision, recall, none = judged(without_examples.choose, labeled("mcp_kept.tsv"))
    assert (precision >= 0.90, recall >= 0.90, none <= 0.08) == (True, True, True), (precision, recall, none)


def test_five_examples_route_most_queries(router):
    precision, recall, none = judged(router.choose, labeled("mcp_kept.tsv"))
    assert (precision >= 0.90, recall >= 0.92, none <= 0.08) == (True, True, True), (precision, recall, none)


def test_servers_that_no_other_set_has_are_routed():
    """Catches a change that fits the development set alone."""
    third = MeaningRouter(*servers_with(5, "mcp_third_servers.json"))
    precision, recall, none = judged(third.choose, labeled("mcp_third.tsv"))
    assert (precision >= 0.75, recall >= 0.74, none <= 0.2) == (True, True, True), (precision, recall, none)


def test_a_server_is_chosen_more_easily_among_fewer():
    """Catches a threshold that fits twelve servers, and misses what six should find."""
    servers, tools = servers_with(0)
    others = [name for name in servers if name != "weather"]
    scores = []
    for count in (0, 1, 5, 11, 19):
        names = ["weather", *others[:count]]
        few = MeaningRouter({name: servers[name] for name in names}, {name: tools[name] for name in names})
        scores.append(next(one.score for one in few.scores("is it nice there") if one.server == "weather"))
    assert scores[1] > scores[2] > scores[3] == pytest.approx(scores[4], abs=0.02), scores
    assert scores[0] == pytest.approx(scores[1], abs=0.02), scores


@pytest.mark.parametrize(
    ("query", "server"),
    [
        ("wird es morgen regnen", "weather"),
        ("¿cuándo es mi próxima reunión?", "calendar"),
        ("hows the wether this weekend", "weather"),
        ("lorem ipsum dolor sit amet " * 400 + " what is the weather in Oslo tomorrow?", "weather"),
        ("Will it rain in Oslo tomorrow? " + "lorem ipsum dolor sit amet " * 400, "weather"),
    ],
)
def test_other_languages_typos_and_long_texts_are_routed(without_examples, query, server):
    names = without_examples.choose(query)[0]
    assert (names[0], len(names) <= 2) == (server, True)


@pytest.mark.parametrize(
    "query", ["", " ", "?", "\0", "🌧️", "a" * 100_000, "١٢٣", "\ud800", "e\u0301" * 500, "*" * 5000]
)
def test_any_text_has_a_score_for_every_server(without_examples, query):
    """Catches a query that fails in the tokenizer, and so makes an answer with status 500."""
    names, scores = without_examples.choose(query)
    assert len(scores) == len(servers_with(0)[0])
    assert len(names) <= 3
    assert all(0 <= score.score <= 1 for score in scores)


@pytest.mark.parametrize(
    ("query", "servers"),
    [
        ("find the invite from the bank in my mail and put it on my calendar", {"email", "calendar"}),
        ("whats the nearest beach and is it sunny there tomorrow", {"maps", "weather"}),
    ],
)
def test_both_servers_of_two_wishes_are_chosen(without_examples, query, servers):
    """Catches a second wish that is lost because the first one is said more clearly."""
    names, scores = without_examples.choose(query)
    assert set(names) >= servers
    assert [score.server for score in scores][: len(names)] == names, "the chosen servers have the best scores"


@pytest.mark.parametrize("work", ["shorten this to two sentences", "Translate into French", "Correct the grammar"])
def test_a_pasted_text_chooses_no_server(router, work):
    text = "We talked for an hour about the channel, the pull request of Ola, and whether the calendar has a free slot."
    assert router.choose(f"{work}: {text}")[0] == []
    assert router.choose(f"Put this in the channel of the team: {text}")[0] == ["slack"]


@pytest.mark.parametrize("query", ["should I learn SQL", "how does a calendar work", "write me a poem about email"])
def test_a_question_about_a_subject_chooses_no_server(router, query):
    """Catches a keyword that decides for a question which needs no server."""
    assert router.choose(query)[0] == []


def test_two_servers_of_one_kind_are_both_chosen():
    tools = (Tool("get_forecast", "Get the weather forecast of a city", ("city",)),)
    servers = {"weather-eu": Server(command="a"), "weather-us": Server(command="b")}
    router = MeaningRouter(servers, dict.fromkeys(servers, tools))
    assert sorted(router.choose("do I need an umbrella?")[0]) == ["weather-eu", "weather-us"]


@pytest.mark.parametrize("query", ["do I need an umbrella?", "let us play a game of checkers", "write me a poem"])
def test_a_server_of_two_kinds_is_scored_by_the_one_that_fits(monkeypatch, query):
    """Catches a sum, by which a server gets fewer queries of a kind because it is of another one too."""
    of = {"one": {"weather"}, "two": {"chess and board games"}, "both": {"weather", "chess and board games"}}
    monkeypatch.setattr(kinds, "of", lambda name, *_: [kind for kind in kinds.catalog() if kind.name in of[name]])
    router = MeaningRouter({name: Server(command="x") for name in of})
    scores = {score.server: score.score for score in router.scores(query)}
    assert scores["both"] == pytest.approx(max(scores["one"], scores["two"]), abs=0.1)


def test_keywords_and_always_decide_for_servers_without_tools():
    servers = {
        "log": Server(command="l", routing=Routing(always=True)),
        "moon": Server(command="m", routing=Routing(keywords=("phase of the moon",))),
    }
    router = MeaningRouter(servers)
    names, scores = router.choose("the phase of the moon, please")
    assert set(names) == {"log", "moon"}
    assert {score.server: score.reasons[0] for score in scores} == {
        "log": "always", "moon": 'keyword "phase of the moon"',
    }  # fmt: skip
    assert router.choose("something else")[0] == ["log"]


def test_a_decision_is_explained_and_deterministic(router):
    names, scores = router.choose("Are there storm warnings for Texas, please?")
    assert names[0] == scores[0].server == "weather"
    assert 'word "storm"' in scores[0].reasons
    assert scores[0].reasons[-1] == 'like "Are there storm warnings for Texas?"'
    assert router.choose("Are there storm warnings for Texas, please?") == (names, scores)


def test_a_server_is_of_the_kind_that_its_tools_show():
    tools = (Tool("listOpenPullRequests", "List the open pull requests of a repository"),)
    assert [kind.name for kind in kinds.of("x", "", tools)] == ["code hosting"]
    assert [kind.name for kind in kinds.of("weather", "", ())] == ["weather"]
    assert kinds.of("x", "", (Tool("frobnicate", "Frobnicates"),)) == []


def test_a_server_borrows_only_kinds_that_fit_it_well():
    """Catches stays that receive queries for invoices, because their search has a price."""
    stays = Tool("search_stays", "Search hotels by location, dates and price", ("location", "checkin", "minPrice"))
    assert [kind.name for kind in kinds.of("hotels", "", (stays,))] == ["travel"]


def test_tools_are_kept_within_bounds():
    many = [{"name": f"t{number}", "inputSchema": 3} for number in range(MOST_TOOLS + 5)]
    tools = listed(["no tool", {"name": 1}, {"name": "half \ud800", "description": 2}, *many])
    assert len(tools) == MOST_TOOLS - 2
    assert parse(to_json(tools)) == tools
    assert plain_words("listOpenIssues_by-label") == "list open issues by label"


@pytest.mark.parametrize("name", ["the", "的", "_"])
def test_a_server_without_any_word_of_its_own_is_scored(name):
    """Catches a router that cannot be built, and so an API that routes nothing, for a name of function words."""
    names, scores = MeaningRouter({name: Server(command="x")}).choose("what is the time")
    assert (names, len(scores)) == ([], 1)
