"""Readings: what the rows of a run have told; a run answers this for its layout's ``finish``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class Readings(Protocol):
    """What the rows of a run have told; the run answers this for the layout's ``finish``."""

    def count(self, stream: str) -> int:
        """Number of rows of a stream."""

    def first(self, stream: str) -> Mapping[str, Any]:
        """First row of a stream, empty if there is none."""

    def last(self, stream: str) -> Mapping[str, Any]:
        """Last row of a stream, empty if there is none."""

    def column(self, stream: str, key: str) -> np.ndarray[Any, Any]:
        """A whole column in the order of acquisition; ValueError or KeyError if there is none."""

    def elapsed(self, stream: str) -> np.ndarray[Any, Any]:
        """Time of each row in s since the start."""

    def length(self, stream: str, key: str) -> int:
        """Number of rows whose frames a detector told of."""

    def descriptors(self, stream: str) -> Sequence[tuple[int, int]]:
        """From which row on which descriptor of a stream holds, if it has several: (row, number from 1 on)."""

    def stack(self, stream: str, key: str, path: str) -> tuple[tuple[int, ...], str, int] | None:
        """Shape (frames, *frame*) and numpy's type of the frames that are linked at a path, and frames a row.

        None if they are not there, not as many as the rows want, or if nobody told their type.
        """

    def written(self, stream: str, key: str) -> tuple[str, tuple[int, ...]] | None:
        """Kind (numpy's ``dtype.kind``, O for text) and shape of a row of the key's column in ``measurement``.

        None if there is none, because no row came, HDF5 refused it or the frames could not be linked.
        """
