"""The progress of a run, estimated from the length of its answer."""

import math

_STARTED, _ANSWERED = 10, 90
# The length of an answer is unknown while the model writes: at this many characters progress is two thirds of the way.
_TYPICAL_ANSWER = 1500


class Progress:
    """Estimates how far a run is: 10 percent when it starts, towards 90 while the model writes."""

    def __init__(self) -> None:
        self._characters = 0

    def add(self, text: str) -> None:
        """Count text that the model wrote."""
        self._characters += len(text)

    @property
    def percent(self) -> int:
        """The estimate; it never decreases."""
        return _STARTED + int((_ANSWERED - _STARTED) * (1 - math.exp(-self._characters / _TYPICAL_ANSWER)))
