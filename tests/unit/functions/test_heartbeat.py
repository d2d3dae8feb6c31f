"""A heartbeat publishes text once and in order, progress, and the cost when it changes."""

from functions.worker.jobs import heartbeat
from functions.worker.jobs.cost import CostReport
from functions.worker.jobs.text_pieces import TextPieces
from shared.store.callers.spending import Spend
from shared.store.jobs import claims
from shared.store.jobs.claims import Claim


def test_a_piece_keeps_its_number_until_it_is_confirmed():
    """Catches a piece that is published twice, or lost, when a reply is lost."""
    pieces = TextPieces()
    pieces.add("a")
    assert pieces.next() == (1, "a")
    pieces.add("b")
    assert pieces.next() == (1, "a")
    pieces.confirm()
    assert pieces.next() == (2, "b")
    pieces.confirm()
    assert pieces.is_empty


def test_half_a_surrogate_pair_waits_for_its_other_half():
    """Catches a replacement character in the middle of a streamed emoji."""
    pieces = TextPieces()
    pieces.add("x\ud83d")
    assert pieces.next() == (1, "x")
    pieces.confirm()
    assert not pieces.is_empty
    pieces.add("\ude00")
    assert pieces.next() == (2, "\U0001f600")


def test_the_last_piece_replaces_half_a_surrogate_pair():
    pieces = TextPieces()
    pieces.add("x\ud83d")
    assert pieces.next(last=True) == (1, "x\ufffd")


def test_a_cost_is_reported_when_it_has_changed():
    """Catches a cost that is sent with every heartbeat, or never again after a lost reply."""
    spends = [Spend("m", 0.5, input=1)]
    cost = CostReport(lambda: spends)
    first = cost.next()
    assert first
    assert cost.next() == first
    cost.confirm()
    assert cost.next() == ""
    spends.append(Spend("n", 0.1, input=2))
    assert cost.next() not in {"", first}


async def test_a_heartbeat_sends_the_cost_of_a_run_that_starts_later(monkeypatch):
    """Catches a cost that is read before the run exists."""
    sent = []

    async def renew(_client, _claim, progress, _piece, text, cost):
        sent.append((progress, text, cost))
        return len(sent) < 2

    monkeypatch.setattr(claims, "renew", renew)
    monkeypatch.setattr(heartbeat, "_RENEW_EVERY", 0.001)
    spends: list[Spend] = []
    keeper = heartbeat.Heartbeat(None, Claim("j", 1), lambda: spends)  # type: ignore[arg-type]
    spends.append(Spend("m", 0.5, input=1))
    keeper.add_text("hello" * 100)
    await keeper.run()
    assert [text for _, text, _ in sent] == ["hello" * 100, ""]
    assert ["0.5" in cost for _, _, cost in sent] == [True, False]
    assert sent[0][0] > 10
