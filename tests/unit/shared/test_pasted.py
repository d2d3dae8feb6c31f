"""A text that is pasted into a query to be worked on says nothing about the wish."""

import pytest

from shared.mcp.pasted import wish

TEXT = "The channel for announcements was open for an hour. Ola thinks that the calendar is wrong."


@pytest.mark.parametrize(
    "beginning",
    [
        "shorten this to two sentences: ", "Please translate into French:\n", "Kürze auf die Hälfte: ",
        "can you proofread this paragraph: ", "résume en une phrase : ", "Correct the grammar, nothing else: ",
        "Put this in #general, but polish it first: ", "traduci in inglese:\n\n",
    ],
)  # fmt: skip
def test_what_is_wanted_stands_before_the_text(beginning):
    assert wish(beginning + TEXT).strip() == beginning.strip()


@pytest.mark.parametrize(
    "query",
    [
        "", "translate", "summarize: short", f"Which of these is in my calendar: {TEXT}", f"{TEXT} Shorten it.",
        "make a ticket: crash", f"write a mail to Ola, as follows. {TEXT}", "shorten the retention to 3 days",
    ],
)  # fmt: skip
def test_another_query_counts_as_a_whole(query):
    assert wish(query) == query


def test_a_long_query_takes_no_long_time():
    """Catches a pattern whose time grows with the square of the text."""
    assert wish("translate " + "a " * 200_000) == "translate " + "a " * 200_000
