"""What a run publishes, text and steps, in numbered pieces, so that each is published once and in order."""

from typing import Literal

from shared.store.jobs.steps import Entry

# Characters of a piece: Redis serves nobody else while it writes one.
_LARGEST = 262_144


class Pieces:
    """Collects the text and the steps of a run in their order, and divides them into pieces.

    A piece keeps its number until `confirm`. The store ignores a number that it has already published, so that a piece
    can be sent again when the reply to it was lost.
    """

    def __init__(self) -> None:
        self._pending: list[Entry] = []
        self._number = 0
        self._unconfirmed: list[Entry] = []

    def add(self, text: str) -> None:
        """Append text that the model wrote."""
        if self._pending and self._pending[-1].kind == "delta":
            text = self._pending.pop().data + text
        self._pending.append(Entry("delta", "", text))

    def add_step(self, kind: Literal["step", "end"], step_id: str, data: str) -> None:
        """Append the beginning or the end of a step."""
        self._pending.append(Entry(kind, step_id, data))

    def count_step(self) -> None:
        """Append a step that is only counted."""
        number = 1
        if self._pending and self._pending[-1].kind == "count":
            number += int(self._pending.pop().data)
        self._pending.append(Entry("count", "", str(number)))

    @property
    def is_empty(self) -> bool:
        """Whether everything has been published."""
        return not self._pending and not self._unconfirmed

    def next(self, *, last: bool = False) -> tuple[int, list[Entry]]:
        """Return the number and the entries of the piece to publish; no entries when there is nothing new.

        Half a surrogate pair at the end is kept back until its other half arrives, except in the `last` piece.
        """
        if not self._unconfirmed:
            self._number += 1
            self._unconfirmed = self._take(last=last)
        return self._number, self._unconfirmed

    def confirm(self) -> None:
        """Note that the store has published the piece."""
        self._unconfirmed = []

    def _take(self, *, last: bool) -> list[Entry]:
        taken: list[Entry] = []
        size = count = 0
        for entry in self._pending:
            size += len(entry.data)
            if count and size > _LARGEST:
                break
            count += 1
            is_end = count == len(self._pending)
            if entry.kind == "delta":
                text, rest = _split(entry.data, last=last or not is_end)
                taken += [Entry("delta", "", text)] if text else []
                if rest:
                    self._pending[count - 1] = Entry("delta", "", rest)
                    count -= 1
            else:
                taken.append(entry)
        del self._pending[:count]
        return taken


def _split(text: str, *, last: bool) -> tuple[str, str]:
    """Return text that UTF-8 can encode, lone surrogates replaced, and the half pair that is kept back."""
    cut = len(text) - 1 if text and not last and "\ud800" <= text[-1] <= "\udbff" else len(text)
    return text[:cut].encode("utf-16", "surrogatepass").decode("utf-16", "replace"), text[cut:]
