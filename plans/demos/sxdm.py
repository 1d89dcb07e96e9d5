"""Nano-diffraction: strain and tilt of the grains of a gold film at a simulated ID13."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from devices.scenes.nanobeam import Nanobeam
from plans.demos.canvas import canvas
from plans.demos.demo import Demo
from plans.demos.maps import FloatArray, Map, correlation, map_of_film, read_map


@dataclass(frozen=True)
class Setting:
    """Where the detector stands, as the file says."""

    two_theta: float
    """At the beam centre, rad."""
    distance: float
    """m."""
    pixel: float
    """m."""
    centre: tuple[float, float]
    """Row and column of the beam centre."""


@dataclass(frozen=True)
class StrainMaps:
    """How strain and tilt compare with what was simulated, where the beam met one grain alone."""

    strain: float
    """Correlation with the truth."""
    tilt: float
    """Correlation with the truth."""
    strain_error: float
    """Standard deviation of the difference."""
    tilt_error: float
    """Standard deviation of the difference, rad."""

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        return [
            f"strain from the peak's position: correlation with the truth {self.strain:.3f}, "
            f"off by {self.strain_error * 1e6:.0f}·10⁻⁶ (within grains)",
            f"tilt from the peak's position: correlation with the truth {self.tilt:.3f}, "
            f"off by {self.tilt_error * 1e6:.0f} μrad (within grains)",
        ]


def read_setting(file: h5py.File) -> Setting:
    """The geometry in the entry's detector."""
    detector = file["/entry/instrument/detector"]
    pixel = float(detector["x_pixel_size"][()])
    row, column = (float(detector[f"beam_center_{a}"][()]) / pixel for a in "yx")
    two_theta = np.deg2rad(float(detector["polar_angle"][()]))
    return Setting(two_theta, float(detector["distance"][()]), pixel, (row, column))


def strain_and_tilt(frames: NDArray[np.uint16], setting: Setting) -> tuple[FloatArray, FloatArray]:
    """Strain along the diffraction vector, and tilt (rad), from the centre of mass of each frame's peak.

    By Bragg's law Δ2θ = -2 ε tan θ; the tilt turns the beam sideways by 2 sin θ of it. Rows run down, columns along -x.
    """
    rows, columns = np.indices(frames.shape[-2:])
    counts = frames.astype(float)
    total = counts.sum(axis=(-2, -1))
    down = (counts * rows).sum(axis=(-2, -1)) / total - setting.centre[0]
    right = (counts * columns).sum(axis=(-2, -1)) / total - setting.centre[1]
    angle = setting.pixel / setting.distance
    theta = setting.two_theta / 2
    return down * angle / (2 * np.tan(theta)), -right * angle / (2 * np.sin(theta))


def analyse(dataset_file: Path, picture: Path | None, truth: Nanobeam) -> StrainMaps:
    """Map strain and tilt from the frames on the grid, from `dataset_file` alone."""
    with h5py.File(dataset_file, "r") as file:
        frames = read_map(file, "/entry/data_eiger_image")
        setting = read_setting(file)
    strain, tilt = strain_and_tilt(frames.signal, setting)
    x, y = frames.places
    grains = truth.film.grain(x, y)
    true_strain, true_tilt = truth.film.strains[grains], truth.film.tilts[grains]
    around = [truth.film.grain(x + dx, y + dy) == grains for dx in (-0.25, 0, 0.25) for dy in (-0.25, 0, 0.25)]
    alone = np.all(around, axis=0)
    if picture is not None:
        draw(picture, frames, (strain, tilt), (true_strain, true_tilt))
    return StrainMaps(
        strain=correlation(strain[alone], true_strain[alone]),
        tilt=correlation(tilt[alone], true_tilt[alone]),
        strain_error=float(np.std(strain[alone] - true_strain[alone])),
        tilt_error=float(np.std(tilt[alone] - true_tilt[alone])),
    )


def draw(path: Path, frames: Map, found: tuple[FloatArray, FloatArray], true: tuple[FloatArray, FloatArray]) -> None:
    """Write a PNG: two frames, and the maps of strain and tilt beside the true ones."""
    lines, points = frames.signal.shape[:2]
    scales = ((1e4, "strain (10⁻⁴)", 6.5), (1e3, "tilt (mrad)", 0.75))
    with canvas(path, 2, 3, width=13.5, height=8.2) as (figure, panels):
        for row, (line, point) in enumerate(((lines // 4, points // 4), (lines - 2, points - 3))):
            shown = panels[row, 0].imshow(np.log1p(frames.signal[line, point]), cmap="magma")
            place = f"({frames.across[point]:.1f}, {frames.up[line]:.1f}) μm"
            panels[row, 0].set(title=f"frame at {place}", xlabel="column", ylabel="row")
            figure.colorbar(shown, ax=panels[row, 0], label="log(1 + counts)", shrink=0.8)
        for row, (values, truth, (scale, label, limit)) in enumerate(zip(found, true, scales, strict=True)):
            for panel, what, title in ((panels[row, 1], values, "from the frames"), (panels[row, 2], truth, "truth")):
                shown = panel.imshow(
                    what * scale, origin="lower", extent=frames.extent, cmap="coolwarm", vmin=-limit, vmax=limit
                )
                panel.set(title=f"{label.partition(' ')[0]}, {title}", xlabel="nnp2 (μm)", ylabel="nnp3 (μm)")
                figure.colorbar(shown, ax=panel, label=label, shrink=0.8)


DEMO = Demo(
    technique="sxdm",
    title="Nano-diffraction: strain and tilt of the grains of a gold film at a simulated ID13",
    run=map_of_film(("sxdm",), shape=(24, 24), step=0.2),
    analyse=analyse,
)
