"""A heartbeat publishes text once and in order, progress, and the cost when it changes."""

from functions.worker.jobs import heartbeat
from functions.worker.jobs.cost import CostReport
from functions.worker.jobs.pieces import Pieces
from shared.store.callers.spending import Spend
from shared.store.jobs import claims
from shared.store.jobs.claims import Claim, Renewal
from shared.store.jobs.steps import Entry, Message


def delta(text):
    return Entry("delta", "", text)


def test_a_piece_keeps_its_number_until_it_is_confirmed():
    """Catches a piece that is published twice, or lost, when a reply is lost."""
    pieces = Pieces()
    pieces.add("a")
    assert pieces.next() == (1, [delta("a")])
    pieces.add("b")
    assert pieces.next() == (1, [delta("a")])
    pieces.confirm()
    assert pieces.next() == (2, [delta("b")])
    pieces.confirm()
    assert pieces.is_empty


def test_half_a_surrogate_pair_waits_for_its_other_half():
    """Catches a replacement character in the middle of a streamed emoji."""
    pieces = Pieces()
    pieces.add("x\ud83d")
    assert pieces.next() == (1, [delta("x")])
    pieces.confirm()
    assert not pieces.is_empty
    pieces.add("\ude00")
    assert pieces.next() == (2, [delta("\U0001f600")])


def test_the_last_piece_replaces_half_a_surrogate_pair():
    pieces = Pieces()
    pieces.add("x\ud83d")
    assert pieces.next(last=True) == (1, [delta("x\ufffd")])


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

    async def renew(_client, _claim, progress, _piece, entries, cost, **_):
        sent.append((progress, entries, cost))
        return Renewal() if len(sent) < 2 else None

    monkeypatch.setattr(claims, "renew", renew)
    monkeypatch.setattr(heartbeat, "_RENEW_EVERY", 0.001)
    spends: list[Spend] = []
    keeper = heartbeat.Heartbeat(None, Claim("j", 1), lambda: spends)  # type: ignore[arg-type]
    spends.append(Spend("m", 0.5, input=1))
    keeper.add_text("hello" * 100)
    await keeper.run()
    assert [entries for _, entries, _ in sent] == [[delta("hello" * 100)], []]
    assert ["0.5" in cost for _, _, cost in sent] == [True, False]
    assert sent[0][0] > 10


def test_text_and_steps_keep_their_order():
    """Catches text that is published before or after the step beside it."""
    pieces = Pieces()
    pieces.add("Let me ")
    pieces.add("look.\ud83d")
    pieces.add_step("step", "t1", "{}")
    pieces.add_step("end", "t1", "{}")
    pieces.add("Done")
    number, entries = pieces.next()
    assert [(one.kind, one.data) for one in entries] == [
        ("delta", "Let me look.\ufffd"), ("step", "{}"), ("end", "{}"), ("delta", "Done"),
    ]  # fmt: skip
    assert (number, pieces.is_empty) == (1, False)
    pieces.confirm()
    assert pieces.is_empty


def test_a_piece_is_bounded_and_nothing_is_lost():
    """Catches a script that writes megabytes at once, and entries that are dropped behind a full piece."""
    pieces = Pieces()
    for number in range(200):
        pieces.add_step("step", f"t{number}", "x" * 8000)
    found = []
    while not pieces.is_empty:
        _, entries = pieces.next()
        assert sum(len(one.data) for one in entries) <= 262_144
        found += [one.step for one in entries]
        pieces.confirm()
    assert found == [f"t{number}" for number in range(200)]


def test_steps_beyond_the_limit_are_one_number():
    pieces = Pieces()
    for _ in range(1000):
        pieces.count_step()
    assert pieces.next() == (1, [Entry("count", "", "1000")])


async def test_a_message_reaches_a_run_that_begins_later(monkeypatch):
    """Catches a message that is fetched before the run can take it, and then forgotten."""
    message, counts = Message("m", "{}", "hi"), []

    async def renew(*_args, taken, **_):
        counts.append(taken)
        return Renewal([message] if not taken else [])

    monkeypatch.setattr(claims, "renew", renew)
    keeper = heartbeat.Heartbeat(None, Claim("j", 1), list)  # type: ignore[arg-type]
    await keeper.close()
    taken: list[Message] = []
    keeper.pass_messages_to(taken.extend)
    await keeper.close()
    assert (taken, counts) == ([message], [0, 1])
