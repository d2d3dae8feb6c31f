"""What finished jobs show of MCP servers, as the router weighs it."""

from shared.mcp.config import Server
from shared.mcp.learned import PAIRS, Learned, pairs_of
from shared.mcp.router import Router

NAMES = ("sky", "till")


def counts(*jobs):
    """Return the counts of jobs: a query, and for each server that it was offered whether it used it."""
    found = {name: bytearray(2 * PAIRS) for name in NAMES}
    for query, servers in jobs:
        for name, used in servers.items():
            for pair in (0, *pairs_of(query)):
                found[name][2 * pair] += 1
                found[name][2 * pair + 1] += used
    return {name: [some.decode()] for name, some in found.items()}


HISTORY = [("Is the picnic on?", {"sky": True, "till": False})] * 6 + [("Refund Ida", {"sky": False, "till": True})] * 6


def test_a_used_server_gains_and_an_unused_one_loses():
    learned = Learned(counts(*HISTORY))
    uses = learned.uses("move the picnic to Sunday")
    assert uses["sky"].value > 0.2
    assert uses["till"].value < -0.3
    assert uses["sky"].reason == 'used in 6 of 6 queries with "picnic"'
    assert uses["till"].reason == 'used in 0 of 6 queries with "picnic"'


def test_nothing_is_learned_of_other_words():
    learned = Learned(counts(*HISTORY))
    assert learned.uses("pourquoi pas") == {}
    assert Learned({}).uses("picnic") == {}


def test_no_amount_of_use_exceeds_the_bound():
    """Catches counts that outweigh everything else, however many jobs a caller sends."""
    few, many = Learned(counts(*HISTORY)), Learned(counts(*(HISTORY * 10)))
    for learned in (few, many):
        assert all(-1 <= use.value <= 1 for use in learned.uses("picnic picnic refund Ida Sunday").values())


def test_counts_of_two_periods_are_added_and_short_ones_are_read():
    [whole] = counts(*HISTORY)["sky"]
    learned = Learned({"sky": [whole, whole], "till": [whole[:2]]})
    assert learned.uses("picnic")["sky"].reason == 'used in 12 of 12 queries with "picnic"'


def test_a_query_has_a_bounded_number_of_pairs():
    long = " ".join(f"word{number}" for number in range(500))
    assert 0 < len(pairs_of(long)) <= 32
    assert all(1 <= pair < PAIRS for pair in pairs_of(long))
    assert pairs_of("") == {}


def test_the_router_of_words_weighs_use_and_says_so():
    router = Router({name: Server(command="x") for name in NAMES})
    query = "is the picnic on tomorrow"
    before = {score.server: score.score for score in router.choose(query)[1]}
    router.learned = Learned(counts(*HISTORY))
    after = {score.server: score for score in router.choose(query)[1]}
    assert after["sky"].score > before["sky"]
    assert after["till"].score < before["till"]
    assert 'used in 6 of 6 queries with "picnic"' in after["sky"].reasons
