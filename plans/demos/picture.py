"""Picture: what was measured and what came of it, beside the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plans.demos.canvas import new_figure
from plans.demos.reconstruction import Absorption

FloatArray = NDArray[np.float64]


def draw(
    path: Path,
    absorption: Absorption,
    row: int,
    *,
    reconstruction: FloatArray,
    truth: FloatArray,
    correlation: float,
) -> None:
    """Write a PNG: a projection, the sinogram of one row, that row's reconstruction and the truth.

    Parameters
    ----------
    row
        Detector row of the sinogram and of both planes.
    reconstruction, truth
        Absorption coefficients, 1/mm, [y, x].

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    micrometres = absorption.pixel * 1e3
    rows, columns = absorption.values.shape[1:]
    half_x, half_y = columns * micrometres / 2, rows * micrometres / 2
    turn = np.rad2deg(absorption.angles)
    height = ((rows - 1) / 2 - row) * micrometres

    figure = new_figure(10.5, 9.2)
    (top_left, top_right), (low_left, low_right) = figure.subplots(2, 2)

    shown = top_left.imshow(np.exp(-absorption.values[0]), cmap="gray", extent=(-half_x, half_x, -half_y, half_y))
    top_left.axhline(height, color="tab:orange", linewidth=1)
    top_left.set(title=f"projection at {turn[0]:.1f}°", xlabel="across (μm)", ylabel="up (μm)")
    figure.colorbar(shown, ax=top_left, label="transmission", shrink=0.85)

    shown = top_right.imshow(
        absorption.values[:, row, :],
        cmap="gray",
        aspect="auto",
        extent=(-half_x, half_x, turn[-1], turn[0]),
    )
    top_right.set(title=f"sinogram at height {height:.2f} μm", xlabel="across (μm)", ylabel="rotation angle (°)")
    figure.colorbar(shown, ax=top_right, label="absorption", shrink=0.85)

    # One scale for both, so that they can be compared by eye.
    low, high = min(0.0, float(truth.min())), float(truth.max())
    for axes, plane, title in ((low_left, reconstruction, "reconstruction"), (low_right, truth, "phantom")):
        shown = axes.imshow(
            plane, cmap="inferno", vmin=low, vmax=high, origin="lower", extent=(-half_x, half_x, -half_x, half_x)
        )
        axes.set(title=title, xlabel="x (μm)", ylabel="y (μm)")
        figure.colorbar(shown, ax=axes, label="absorption coefficient (1/mm)", shrink=0.85)

    figure.suptitle(f"Reconstructed from the NeXus file alone: correlation with the phantom {correlation:.3f}")
    figure.savefig(path)
