"""Where a claimed job comes from, for the spans of its trace."""

from typing import NamedTuple


class Origin(NamedTuple):
    """Where a claimed job comes from: the trace context of its submission, as text, and times in ms.

    `round` is how often the job has run to its end before, `began` when the present round did; `since` is when the job
    began to wait for this claim, 0 if it did not, `claimed` the time of the claim, and `paused` that of the pause which
    this claim ends, 0 for none.
    """

    trace: str = ""
    round: int = 0
    began: int = 0
    since: int = 0
    claimed: int = 0
    paused: int = 0
