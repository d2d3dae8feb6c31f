"""The cost of a running job, reported when it has changed."""

from collections.abc import Callable, Sequence

from shared.store.callers.spending import Spend, to_json


class CostReport:
    """Returns the cost that the store does not know yet, so that the cost of a lost run is counted."""

    def __init__(self, spends: Callable[[], Sequence[Spend]]) -> None:
        """Read the cost of the run so far from `spends`."""
        self._spends = spends
        self._reported = ""
        self._sent = ""

    def next(self) -> str:
        """Return the cost so far as JSON; empty when the store knows it."""
        self._sent = to_json(self._spends())
        return self._sent if self._sent != self._reported else ""

    def confirm(self) -> None:
        """Note that the store has the cost that `next` returned."""
        self._reported = self._sent
