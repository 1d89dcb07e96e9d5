"""Canvas: a figure that becomes a PNG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def new_figure(width: float, height: float) -> Any:
    """An empty figure of matplotlib's; sizes in inches of 100 pixels.

    Raises
    ------
    ImportError
        matplotlib is not installed; the message names the extra that brings it.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  it comes with an extra
    except ImportError as error:
        raise ImportError('the picture needs matplotlib: pip install "nexus-callbacks[demo]"') from error
    return Figure(figsize=(width, height), dpi=100, layout="constrained")


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
