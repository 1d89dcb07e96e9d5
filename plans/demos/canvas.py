"""Canvas: a figure that becomes a PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def canvas(path: Path, rows: int, columns: int, *, width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of matplotlib and its axes, written to `path` at the end; sizes in inches of 100 pixels.

    Raises
    ------
    ImportError
        matplotlib is not installed; the message names the extra that brings it.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  it comes with an extra
    except ImportError as error:
        raise ImportError('the picture needs matplotlib: pip install "nexus-callbacks[demo]"') from error
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    yield figure, figure.subplots(rows, columns)
    figure.savefig(path)
