"""The text of an answer in numbered pieces, so that each is published once and in order."""


class TextPieces:
    """Collects the text that the model writes, and divides it into pieces.

    A piece keeps its number until `confirm`. The store ignores a number that it has already published, so that a piece
    can be sent again when the reply to it was lost.
    """

    def __init__(self) -> None:
        self._pending = ""
        self._number = 0
        self._unconfirmed = ""

    def add(self, text: str) -> None:
        """Append text that the model wrote."""
        self._pending += text

    @property
    def is_empty(self) -> bool:
        """Whether everything has been published."""
        return not self._pending and not self._unconfirmed

    def next(self, *, last: bool = False) -> tuple[int, str]:
        """Return the number and the text of the piece to publish; the text is empty when there is nothing new.

        Half a surrogate pair at the end is kept back until its other half arrives, except in the `last` piece.
        """
        if not self._unconfirmed:
            self._number += 1
            self._unconfirmed, self._pending = _split(self._pending, last=last)
        return self._number, self._unconfirmed

    def confirm(self) -> None:
        """Note that the store has published the piece."""
        self._unconfirmed = ""


def _split(text: str, *, last: bool) -> tuple[str, str]:
    """Return text that UTF-8 can encode, lone surrogates replaced, and the half pair that is kept back."""
    cut = len(text) - 1 if text and not last and "\ud800" <= text[-1] <= "\udbff" else len(text)
    return text[:cut].encode("utf-16", "surrogatepass").decode("utf-16", "replace"), text[cut:]
