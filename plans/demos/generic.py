"""A generic scan of three axes: a pinhole maps the beam behind the focus, at three distances."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
from bluesky.utils import Msg
from numpy.typing import NDArray

from devices.beamlines.id16a import Beamline, pinhole, simulated_id16a
from devices.shutter import CLOSED, OPEN
from nexus_callbacks.units import conversion
from plans.demos.acquire import acquire
from plans.demos.canvas import new_figure
from plans.demos.demo import Demo, DemoResult, Progress
from plans.generic import generic_scan

METADATA = {
    "proposal": "ma2210",
    "beamline": "id16a",
    "sample": "pinhole_10um",
    "dataset": "beam_map",
    "Sample_description": "hole of 10 μm in a foil of gold",
    "Sample_situation": "vacuum",
    "Sample_temperature_env": "room temperature",
}
"""What a session at the beamline sets in ``RE.md``."""


@dataclass(frozen=True)
class Truth:
    """How the simulated beam opens behind its focus."""

    horizontal: float
    """mrad."""
    vertical: float
    """mrad."""
    focus: float
    """Position of sx at the focus, mm."""


def map_of_the_beam(beamline: Beamline) -> Generator[Msg, Any, str]:
    """Map the beam at three distances, the shutter being open meanwhile."""
    counters = [beamline.it, beamline.ic, beamline.srot]
    axes = (beamline.sx, 20.0, 44.0, 3, beamline.sz, -0.14, 0.14, 15, beamline.sy, -0.28, 0.28, 21)

    def scan() -> Generator[Msg, Any, str]:
        yield from bps.mv(beamline.shutter, OPEN)
        return (yield from generic_scan(counters, *axes, dwell_time=0.01))

    return (yield from bpp.finalize_wrapper(scan(), bps.mv(beamline.shutter, CLOSED)))


def run(directory: Path, profile: Path | None, seed: int, progress: Progress) -> DemoResult:
    """Map the beam and write it below `directory`.

    Raises
    ------
    FaultError
        The profile is faulty or the directory cannot be written; nothing was scanned.
    """
    clock = itertools.count(0.0, 0.02).__next__
    return acquire(
        "generic",
        partial(simulated_id16a, seed=seed, clock=clock, sample=pinhole),
        map_of_the_beam,
        directory=directory,
        profile=profile,
        metadata=METADATA,
        progress=progress,
        truth=_truth,
    )


def _truth(beamline: Beamline) -> Truth:
    kb = beamline.kb
    focus = beamline.geometry.focus_position.get()
    return Truth(kb.divergence_horizontal.get(), kb.divergence_vertical.get(), focus)


@dataclass(frozen=True)
class BeamMap:
    """The default plot of the file: counts behind the hole over those before it, on the grid."""

    share: NDArray[np.float64]
    """Shape (distances, heights, places across), 1 at the highest point of each distance."""
    along: NDArray[np.float64]
    """Of sx, mm."""
    up: NDArray[np.float64]
    """mm."""
    across: NDArray[np.float64]
    """mm."""


@dataclass(frozen=True)
class Divergence:
    """How the beam opens, from its widths at each distance."""

    horizontal: float
    """mrad."""
    vertical: float
    """mrad."""
    focus: float
    """Where sx stands when the sample is in the focus, mm."""
    truth: Truth

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        true = self.truth
        return [
            f"the beam opens by {self.horizontal:.2f} × {self.vertical:.2f} mrad, horizontally × vertically "
            f"(simulated: {true.horizontal:.2f} × {true.vertical:.2f})",
            f"its focus is at sx = {self.focus:.2f} mm (simulated: {true.focus:.2f})",
        ]


def read_map(dataset_file: Path) -> BeamMap:
    """The map, from the signal and the axes of the file's default plot."""
    with h5py.File(dataset_file, "r") as file:
        entry = file[str(file.attrs["default"])]
        plot = entry[str(entry.attrs["default"])]
        axes = [plot[name] for name in plot.attrs["axes"]]
        along, up, across = (np.asarray(axis[()]) * conversion(str(axis.attrs["units"]), "mm")(1.0) for axis in axes)
        signals = [str(plot.attrs["signal"]), *plot.attrs["auxiliary_signals"]]
        share = plot[signals[0]][()] / plot[signals[1]][()]
    return BeamMap(share / share.max(axis=(1, 2), keepdims=True), along, up, across)


def width(places: NDArray[np.float64], profile: NDArray[np.float64]) -> float:
    """Width of the rectangle that is as high as the profile and has its area, in the unit of the places.

    For a rectangle with soft edges that is the width at half of its height, however coarse the steps.
    """
    return float(np.trapezoid(profile, places) / profile.max())


def analyse(dataset_file: Path, picture: Path | None, truth: Truth) -> Divergence:
    """Find from `dataset_file` alone how the beam opens, and where its focus is."""
    found = read_map(dataset_file)
    widths = [[width(found.across, m.sum(axis=0)), width(found.up, m.sum(axis=1))] for m in found.share]
    (slope_h, base_h), (slope_v, base_v) = (np.polyfit(found.along, w, 1) for w in np.transpose(widths))
    focus = float(np.mean([-base_h / slope_h, -base_v / slope_v]))
    divergence = Divergence(float(slope_h) * 1e3, float(slope_v) * 1e3, focus, truth)
    if picture is not None:
        _draw(picture, found, np.array(widths), divergence)
    return divergence


def _draw(path: Path, found: BeamMap, widths: NDArray[np.float64], divergence: Divergence) -> None:
    """Write a PNG: the map at each distance, and the widths over the distance."""
    figure = new_figure(12, 6.4)
    shape = figure.add_gridspec(2, len(found.along))
    extent = [1e3 * edge for edge in (found.across[0], found.across[-1], found.up[0], found.up[-1])]
    for i, (plane, along) in enumerate(zip(found.share, found.along, strict=True)):
        axes = figure.add_subplot(shape[0, i])
        axes.imshow(plane, origin="lower", extent=extent, cmap="inferno", vmin=0, vmax=1)
        axes.set(title=f"sx = {along:g} mm", xlabel="across (μm)", ylabel="up (μm)")
    axes = figure.add_subplot(shape[1, :])
    line = np.array([divergence.focus, found.along[-1]])
    for of_axis, slope, name in zip(
        widths.T, (divergence.horizontal, divergence.vertical), ("horizontally", "vertically"), strict=True
    ):
        (dots,) = axes.plot(found.along, of_axis * 1e3, "o", label=f"{name}: {slope:.2f} mrad")
        axes.plot(line, slope * (line - divergence.focus), "-", color=dots.get_color())
    axes.set(xlabel="sx (mm)", ylabel="width (μm)", title="behind the focus")
    axes.legend()
    figure.suptitle(f"A pinhole maps the beam: it opens from a focus at sx = {divergence.focus:.2f} mm")
    figure.savefig(path)


DEMO = Demo(
    technique="generic",
    title="A pinhole maps the beam behind the focus of a simulated ID16A, three axes step by step",
    run=run,
    analyse=analyse,
)
