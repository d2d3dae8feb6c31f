"""The memory that a slot keeps after its runs is bounded."""

import sys

import pytest

from functions.worker.pool.slot_memory import SlotMemory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")


def test_a_slot_that_holds_much_is_too_large_until_it_lets_go():
    """Catches a slot that grows with each hostile run until the machine has no memory."""
    memory = SlotMemory()
    assert not memory.is_used_up()
    # Small pieces, as of a flood of messages: the allocator keeps their pages when they are freed.
    held = [bytearray(1000) for _ in range(350_000)]
    kept = held[::5_000]
    assert memory.is_used_up()
    del held
    assert not memory.is_used_up()
    assert kept
