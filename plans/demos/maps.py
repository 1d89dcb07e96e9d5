"""Maps: what the demos of the simulated ID13 have in common: one scan of a film, and the grid of a map in its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from devices.beamlines.id13 import simulated_id13
from plans.demos.acquire import Experiment
from plans.mapping import map_scan

METADATA = {
    "proposal": "ma2210",
    "beamline": "id13",
    "sample": "Au_film_2",
    "Sample_description": "gold film of grains with particles of iron, a strip of copper and a stain with calcium",
    "Sample_chemical_formula": "Au Fe Cu Ca",
    "Sample_support": "membrane",
    "Sample_situation": "air",
}
"""What a session at the beamline sets in ``RE.md``."""

FloatArray = NDArray[np.float64]


def map_of_film(techniques: Sequence[str], *, shape: tuple[int, int], step: float) -> Experiment:
    """A map of the film for some techniques; its truth is the beam on its sample.

    Parameters
    ----------
    shape, step
        Lines and points in each; from point to point, μm.
    """
    plan = partial(map_scan, shape=shape, step=step, techniques=techniques)
    metadata = {**METADATA, "dataset": f"map_{techniques[0]}"}
    return Experiment(techniques[0], simulated_id13, plan, metadata, attrgetter("nanobeam"))


@dataclass(frozen=True)
class Map:
    """A signal on the grid of a map, as an NXdata of the file has it."""

    signal: NDArray[Any]
    """Shape (lines, points, …)."""
    up: FloatArray
    """Of each line the sample's position, μm."""
    across: FloatArray
    """Of each point in a line the sample's position, μm."""

    @property
    def places(self) -> tuple[FloatArray, FloatArray]:
        """Where the beam met the sample, x and y of each point, μm: the sample moves, the beam stays."""
        x, y = np.meshgrid(-self.across, -self.up)
        return x, y

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Edges for a picture whose first line is at its bottom: left, right, bottom, top, μm."""
        dx, dy = (abs(float(v[1] - v[0])) / 2 for v in (self.across, self.up))
        return (
            float(self.across[0]) - dx,
            float(self.across[-1]) + dx,
            float(self.up[0]) - dy,
            float(self.up[-1]) + dy,
        )


def read_map(file: h5py.File, group: str) -> Map:
    """The map in an NXdata: its signal, and its first two axes in μm.

    Raises
    ------
    ValueError
        The axes of the grid have other units.
    """
    data = cast(h5py.Group, file[group])
    axes = [str(name) for name in data.attrs["axes"][:2]]
    for name in axes:
        if data[name].attrs["units"] not in ("um", "μm"):
            raise ValueError(f"{data.name}/{name}: expected μm, not {data[name].attrs['units']}")
    up, across = (np.asarray(data[name][()], dtype=float) for name in axes)
    return Map(data[str(data.attrs["signal"])][()], up, across)


def correlation(found: FloatArray, truth: FloatArray) -> float:
    """Pearson's correlation, −1 to 1."""
    return float(np.corrcoef(found.ravel(), truth.ravel())[0, 1])
