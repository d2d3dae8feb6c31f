"""Limits on the cost of schemas; slow schemas of one caller do not delay another's."""

import asyncio
import json
import os
import time
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.api.errors import Unavailable
from shared.json_schema import checking
from shared.json_schema.process import MEMORY, TOO_COSTLY, WITHIN, Checker
from shared.json_schema.schema import MAX_BYTES, Problem, problem_in
from tests.unit.shared.test_schema import nested

WIDE = "[a-\uffff]"
SLOW: dict[str, dict[str, Any]] = {
    "a pattern": {"pattern": WIDE * 800},
    "many patterns": {"type": "object", "properties": {f"p{n}": {"pattern": WIDE * 100} for n in range(20)}},
    "names of patterns": {"patternProperties": {f"{n}{WIDE * 100}": {} for n in range(20)}},
    "nested too": {"items": {"anyOf": [{"pattern": f"{n}{WIDE * 200}"} for n in range(9)]}},
    "references": {"$defs": {"a": {}}, "anyOf": [{"$ref": "#/$defs/a"}] * 2000},
    "branches": {"allOf": [{}] * 25_000},
}
LARGE = {"type": "object", "properties": {f"f{number}": {"type": "string"} for number in range(300)}}


@pytest.fixture(autouse=True)
def _no_process_is_left():
    checking._cache.clear()
    yield
    checking.close()


def until():
    return asyncio.get_running_loop().time() + 15


async def ask(schema, caller="a", by=None):
    return await checking.problem_of(schema, caller=caller, until=by or until())


@pytest.mark.parametrize("kind", SLOW)
async def test_a_slow_schema_is_refused_within_its_bound(kind):
    checker = Checker()  # started before, so that only the bound is measured
    checking._idle.append(checker)
    assert not checking.is_ordinary(json.dumps(SLOW[kind]))
    started = time.monotonic()
    found = await ask(SLOW[kind])
    assert time.monotonic() - started < WITHIN + 2
    if found is not None:  # on a fast machine some of them finish in time
        assert (found, checker.alive) == (TOO_COSTLY, False)


async def test_a_pattern_that_is_too_long_is_refused_with_its_place():
    found = await ask({"properties": {"a/b": {"items": {"pattern": "x" * 4097}}}})
    assert found == Problem("should have at most 4096 characters in a pattern", "/properties/a~1b/items/pattern")
    found = await ask({"patternProperties": {"x" * 4097: {}}})
    assert found is not None
    assert found.place == "/patternProperties"


async def test_a_property_named_pattern_is_no_pattern():
    assert await ask({"properties": {"pattern": {"const": {"pattern": "x" * 5000}}}}) is None


async def test_a_schema_that_is_too_long_is_not_sent_to_a_process():
    found = await ask({"description": "x" * MAX_BYTES})
    assert found is not None
    assert str(MAX_BYTES) in found.message
    assert not checking._idle


async def test_the_process_has_limited_memory_and_no_environment(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    await ask(LARGE)
    [checker] = checking._idle
    process = psutil.Process(checker.pid)
    assert process.rlimit(psutil.RLIMIT_AS) == (MEMORY, MEMORY)
    assert "ANTHROPIC_API_KEY" not in process.environ()
    assert process.rlimit(psutil.RLIMIT_CPU)[0] > 0


async def test_one_process_checks_many_schemas_and_is_replaced_if_killed():
    assert await ask(LARGE) is None
    [first] = checking._idle
    assert await ask({**LARGE, "title": "second"}) is None
    assert [first] == checking._idle
    os.kill(first.pid, 9)
    psutil.wait_procs([psutil.Process(first.pid)], timeout=5)
    assert await ask({**LARGE, "title": "third"}) is None
    assert first not in checking._idle


async def test_a_large_schema_gets_the_same_result_as_in_process():
    for schema in (LARGE, {**LARGE, "required": [5]}, {**LARGE, "$ref": "#/no"}, {"anyOf": [nested(170)] * 3}):
        assert await ask(schema) == problem_in(json.dumps(schema))


async def test_the_process_ends_when_its_input_ends():
    checker = Checker()
    assert checker._process.stdin is not None
    checker._process.stdin.close()
    assert checker._process.wait(10) == 0
    assert checker._process.stdout is not None
    checker._process.stdout.close()


async def test_a_slow_schema_does_not_delay_an_ordinary_one_or_another_caller():
    checking._idle.extend([Checker(), Checker()])
    slow = [asyncio.create_task(ask({**SLOW["branches"], "title": str(n)}, "slow")) for n in range(4)]
    await asyncio.sleep(0)
    started = time.monotonic()
    assert await ask({"type": "object"}, "slow") is None
    assert await ask(LARGE, "other") is None
    assert time.monotonic() - started < WITHIN
    assert not slow[-1].done()
    await asyncio.gather(*slow)


async def test_a_request_without_a_free_process_gets_retry_after():
    turns = checking._turns.setdefault(asyncio.get_running_loop(), checking._Turns())
    for _ in range(checking.PROCESSES):
        await turns.free.acquire()
    with pytest.raises(Unavailable) as refused:
        await ask(LARGE, by=asyncio.get_running_loop().time() + 0.05)
    assert refused.value.headers
    for _ in range(checking.PROCESSES):
        turns.free.release()
    assert await ask(LARGE) is None


async def test_a_disconnected_client_releases_its_process():
    task = asyncio.create_task(ask(LARGE))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await ask({**LARGE, "title": "next"}) is None


async def test_an_accepted_schema_is_remembered_and_a_slow_one_is_not(monkeypatch):
    assert await ask(LARGE) is None
    monkeypatch.setattr(checking, "_check", lambda text: TOO_COSTLY)
    assert await ask(LARGE) is None
    other = {**LARGE, "title": "other"}
    assert await ask(other) == TOO_COSTLY
    monkeypatch.undo()
    assert await ask(other) is None


async def test_the_number_of_remembered_schemas_is_bounded(monkeypatch):
    monkeypatch.setattr(checking, "_CACHE_SIZE", 3)
    for number in range(9):
        await ask({"title": str(number)})
    assert len(checking._cache) == 3


async def test_schemas_of_one_request_share_a_bound():
    found = await ask({"title": "late"}, by=asyncio.get_running_loop().time() - 1)
    assert found is not None
    assert "too long to check" in found.message


NAMES = st.text("ab[^\\dx]\u0100", max_size=9)
PARTS = st.recursive(
    st.sampled_from([{}, True, {"type": "string"}, {"$ref": "#"}, {"pattern": "[^a]" * 50}, {"enum": list(range(99))}]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=60).map(lambda parts: {"anyOf": parts}),
        st.dictionaries(NAMES, inner, max_size=30).map(lambda n: {"patternProperties": n}),
        inner.map(lambda part: {"items": part}),
    ),
    max_leaves=200,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(PARTS)
def test_an_ordinary_schema_is_checked_quickly(schema):
    text = json.dumps(schema if isinstance(schema, dict) else {"not": schema}, separators=(",", ":"))
    if checking.is_ordinary(text):
        started = time.thread_time()
        problem_in(text)
        assert time.thread_time() - started < 1
