"""Canvas: a figure that becomes a PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plans.demos.picture import new_figure


@contextmanager
def canvas(path: Path, rows: int, columns: int, *, width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes, written to `path` at the end; sizes in inches of 100 pixels.

    Raises
    ------
    ImportError
        matplotlib is not installed; the message names the extra that brings it.
    """
    figure = new_figure(width, height)
    yield figure, figure.subplots(rows, columns)
    figure.savefig(path)
