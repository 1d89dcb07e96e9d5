"""Small-angle scattering of silica spheres at a simulated ID02."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from devices.beamlines.id02 import simulated_id02
from devices.scenes.spheres import Spheres
from plans.demos.acquire import Experiment
from plans.demos.canvas import canvas
from plans.demos.demo import Demo
from plans.saxs import saxs_scan

METADATA = {
    "proposal": "sc4111",
    "beamline": "id02",
    "sample": "silica_20nm",
    "dataset": "saxs",
    "Sample_description": "spheres of amorphous silica in water, 0.4 % of the volume",
    "Sample_chemical_formula": "Si O2",
    "Sample_support": "quartz capillary",
    "Sample_situation": "air",
    "Sample_temperature_env": "thermostat at 20 °C",
    "SAXS_acronym": "SiO2",
    "SAXS_code": "silica",
    "SAXS_comments": "calibration of the radius",
}
"""What a session at the beamline sets in ``RE.md``."""

FIRST_MINIMUM = 4.493409457909064
"""First zero of the form factor amplitude of a sphere: tan x = x."""


@dataclass(frozen=True)
class Curve:
    """What the curve in the file says of the spheres."""

    minimum: float
    """Where the curve has its first minimum, 1/nm."""
    true_minimum: float
    """Where the simulated cross section has it, 1/nm."""
    gyration: float
    """Radius of gyration by Guinier's law, nm, as the beamline's reduction found it."""
    true_gyration: float
    """nm."""
    scale: float
    """Measured intensity over the cross section that was simulated, the median of all points."""

    @property
    def radius(self) -> float:
        """Of the spheres, nm, from the minimum; their spread makes it 1 % too small."""
        return FIRST_MINIMUM / self.minimum

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        return [
            f"first minimum of the curve at {self.minimum:.4f} 1/nm, simulated {self.true_minimum:.4f} 1/nm: "
            f"spheres of radius {self.radius:.1f} nm",
            f"Guinier's law: radius of gyration {self.gyration:.2f} nm, simulated {self.true_gyration:.2f} nm; "
            f"intensities {self.scale:.3f} of the simulated cross section",
        ]


def first_minimum(q: NDArray[np.float64], intensity: NDArray[np.float64], radius: float) -> float:
    """Where the first minimum of a curve lies, in the units of `q`, near where spheres of `radius` have it.

    The vertex of a parabola through the logarithms of the points around it.
    """
    expected = FIRST_MINIMUM / radius
    near = np.flatnonzero((np.abs(q / expected - 1) < 0.2) & (intensity > 0))
    lowest = near[np.argmin(intensity[near])]
    around = near[np.abs(q[near] - q[lowest]) < 0.12 * expected]
    a, b, _ = np.polyfit(q[around], np.log(intensity[around]), 2)
    return float(-b / (2 * a))


def analyse(dataset_file: Path, picture: Path | None, truth: Spheres) -> Curve:
    """Find the spheres in the curve of `dataset_file`; the truth says near where their minimum is to be sought."""
    with h5py.File(dataset_file) as file:
        entry = file["entry"]
        curve = entry["reduced/sasdata"]
        q, intensity, deviation = (curve[name][()] for name in ("Q", "I", "Idev"))
        gyration = float(np.asarray(entry["SAXS/guinier_rg"].asstr()[()]).ravel()[0])
        frames, kind = entry["instrument/detector/data"], entry["instrument/detector/frame_type"][()]
        frame = frames[int(np.flatnonzero(kind == 0)[0])]
    expected = truth.cross_section(q)
    found = Curve(
        minimum=first_minimum(q, intensity, truth.radius),
        true_minimum=first_minimum(q, expected, truth.radius),
        gyration=gyration,
        true_gyration=truth.gyration,
        scale=float(np.median(intensity / expected)),
    )
    if picture is not None:
        _draw(picture, frame, (q, intensity, deviation, expected), found)
    return found


def _draw(
    path: Path,
    frame: NDArray[np.uint16],
    curve: tuple[NDArray[np.float64], ...],
    found: Curve,
) -> None:
    q, intensity, deviation, expected = curve
    with canvas(path, 1, 2, width=11.5, height=5.2) as (figure, (left, right)):
        shown = left.imshow(np.log10(frame.astype(float) + 1), cmap="viridis")
        left.set(title="a frame of the sample", xlabel="column", ylabel="row")
        figure.colorbar(shown, ax=left, label="log10(counts + 1)", shrink=0.85)
        right.errorbar(q, intensity, deviation, fmt=".", markersize=4, linewidth=0.8, label="measured")
        right.plot(q, expected, color="black", linewidth=1, label="simulated spheres")
        right.axvline(found.minimum, color="tab:orange", linewidth=1, label=f"first minimum: {found.minimum:.4f} 1/nm")
        right.set(title="reduced curve", xlabel="q (1/nm)", ylabel="cross section (1/cm)", yscale="log")
        right.legend()
        figure.suptitle(f"Read from the NeXus file: spheres of radius {found.radius:.1f} nm")


DEMO = Demo(
    technique="saxs",
    title="Small-angle scattering of silica spheres at a simulated ID02",
    run=Experiment("saxs", simulated_id02, saxs_scan, METADATA, attrgetter("spheres")),
    analyse=analyse,
)
