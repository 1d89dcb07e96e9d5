"""What is measured before and after every scan, with any plan: the beam weakens with the machine current."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
from bluesky.utils import Msg
from numpy.typing import NDArray

from devices.beamlines.id16a import Beamline, simulated_id16a
from devices.shutter import CLOSED, OPEN
from plans.demos.acquire import acquire
from plans.demos.canvas import canvas
from plans.demos.demo import Demo, DemoResult, Progress

METADATA = {"proposal": "ma2210", "beamline": "id16a", "sample": "empty_beam", "dataset": "watch"}
"""What a session at the beamline sets in ``RE.md``."""

POINTS = 40
STEP = 90.0
"""Seconds of the simulated clock from one look at the machine current to the next: hours pass in a moment."""


def watch(beamline: Beamline) -> Generator[Msg, Any, Any]:
    """Count the beam behind the sample's place, which is empty; bluesky's own ``count``, with no metadata of ours."""

    def counting() -> Generator[Msg, Any, Any]:
        yield from bps.mv(beamline.shutter, OPEN)
        return (yield from bp.count([beamline.it, beamline.ring.current], POINTS))

    return (yield from bpp.finalize_wrapper(counting(), bps.mv(beamline.shutter, CLOSED)))


def run(directory: Path, profile: Path | None, seed: int, progress: Progress) -> DemoResult:
    """Watch the beam for a while and write it below `directory`: dataset file, master file.

    Raises
    ------
    FaultError
        The profile is faulty or the directory cannot be written; nothing was measured.
    """
    return acquire(
        "measurement",
        partial(simulated_id16a, seed=seed, clock=itertools.count(0.0, STEP).__next__),
        watch,
        directory=directory,
        profile=profile,
        metadata=METADATA,
        progress=progress,
        truth=lambda beamline: beamline.ring.lifetime.get(),
    )


@dataclass(frozen=True)
class Drift:
    """What changed from before the scan to after it."""

    values: dict[str, tuple[float, float, str]]
    """Name → before, after, units."""
    flux_per_current: float
    """By how much the flux changed for each change of the machine current; 1 if it follows it."""
    columns: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Machine current (mA) and counts behind the sample, row by row."""

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        told = [f"{name}: {a:.5g} {unit} before, {b:.5g} {unit} after" for name, (a, b, unit) in self.values.items()]
        return [*told, f"the flux follows the machine current: {self.flux_per_current:.3f} of its change"]


def analyse(dataset_file: Path, picture: Path | None, truth: float) -> Drift:
    """Read what was measured before and after from `dataset_file` alone; `truth`, the ring's lifetime, is not used."""
    del truth
    with h5py.File(dataset_file, "r", locking=False) as file:
        measurement = file[file.attrs["default"]]["measurement"]
        before, after = measurement["initial"], measurement["final"]
        names = [name for name in ("SR_Current", "i0", "iC", "energy", "vacuum") if name in before and name in after]
        values = {
            name: (_number(before[name]), _number(after[name]), str(after[name].attrs.get("units", "")))
            for name in names
        }
        # The device's own reading: SR_Current comes by Tango, which need not be installed.
        current = _number(after["ring_current"]) / _number(before["ring_current"])
        columns = measurement["ring_current"][()], measurement["it_counts"][()].astype(float)
    flux = values["i0"]
    found = Drift(values, float(np.log(flux[1] / flux[0]) / np.log(current)), columns)
    if picture is not None:
        _draw(picture, found)
    return found


def _number(dataset: h5py.Dataset) -> float:
    """The value, or the first of several gauges."""
    return float(np.ravel(dataset[()])[0])


def _draw(path: Path, found: Drift) -> None:
    with canvas(path, 1, 2, width=10.5, height=4.4) as (figure, (left, right)):
        names = list(found.values)
        left.barh(names, [after / before for before, after, _ in found.values.values()], color="tab:blue")
        left.axvline(1, color="black", linewidth=0.8)
        for row, (before, after, unit) in enumerate(found.values.values()):
            left.text(0.02, row, f"{before:.5g} → {after:.5g} {unit}", va="center", color="white")
        left.set(title="measurement/final over measurement/initial", xlim=(0, 1.2))
        current, counts = found.columns
        right.plot(current, counts, ".")
        right.set(title="counts behind an empty place", xlabel="machine current (mA)", ylabel="counts")
        right.invert_xaxis()
        figure.suptitle("Before and after the scan, gathered without the scientist's doing")


DEMO = Demo(
    technique="measurement",
    title="What is measured before and after every scan, at a simulated ID16A",
    run=run,
    analyse=analyse,
)
