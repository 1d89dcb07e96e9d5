"""Diffraction: a crystal monochromator, a photon-counting detector, and what is known of the sample's lattice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component as Cpt
from ophyd import Device, Kind

from devices.detectors import FrameCamera
from devices.optics import HC
from devices.quantity import Derived, Quantity

SILICON_111 = 3.13560114
"""Spacing of the planes 111 of silicon at room temperature, Å (CODATA 2018, from d220)."""


class CrystalMonochromator(Device):
    """A double crystal monochromator of Si 111; energy in **eV**."""

    energy = Cpt(Quantity, value=12700.0, units="eV", precision=1, limits=(6000.0, 80000.0), kind=Kind.hinted)
    wavelength = Cpt(Derived, compute=lambda mono: HC / mono.energy.get(), units="angstrom", precision=5)
    bragg = Cpt(
        Derived,
        compute=lambda mono: math.degrees(math.asin(mono.wavelength.get() / (2 * SILICON_111))),
        units="deg",
        precision=4,
    )
    d_spacing = Cpt(Quantity, value=SILICON_111, units="angstrom", precision=5, writable=False, kind=Kind.config)
    reflection = Cpt(Quantity, value="1 1 1", writable=False, kind=Kind.config)
    crystal = Cpt(Quantity, value="Si", writable=False, kind=Kind.config)
    bandwidth = Cpt(Quantity, value=1.4e-4, precision=6, writable=False, kind=Kind.config)
    wavelength_spread = Cpt(
        Derived,
        compute=lambda mono: mono.bandwidth.get() * mono.wavelength.get(),
        units="angstrom",
        precision=6,
    )


class PhotonCounter(FrameCamera):
    """A hybrid pixel detector: counts photons, reads out in no time, writes its own file as the other cameras do.

    Parameters
    ----------
    centre
        Where the beam meets it, mm from the corner of its first pixel: along the rows, along the columns.
    """

    readout_time = Cpt(Quantity, value=1.0e-5, units="s", precision=6, writable=False, kind=Kind.config)
    model = Cpt(Quantity, value="EIGER2-like, simulated", writable=False, kind=Kind.config)
    manufacturer = Cpt(Quantity, value="simulated", writable=False, kind=Kind.config)
    temperature = Cpt(Quantity, value=22.5, units="degC", precision=1, writable=False, kind=Kind.config)
    saturation = Cpt(Quantity, value=65533, writable=False, kind=Kind.config)
    sensor_material = Cpt(Quantity, value="Si", writable=False, kind=Kind.config)
    sensor_thickness = Cpt(Quantity, value=450.0, units="um", precision=1, writable=False, kind=Kind.config)
    threshold_energy = Cpt(Quantity, value=6350.0, units="eV", precision=1, limits=(2700.0, 40000.0), kind=Kind.config)
    beam_center_x = Cpt(Quantity, value=0.0, units="mm", precision=4, kind=Kind.config)
    beam_center_y = Cpt(Quantity, value=0.0, units="mm", precision=4, kind=Kind.config)
    frame_shape = Cpt(Quantity, value=np.zeros(2, dtype=int), kind=Kind.config)
    template = Cpt(Derived, compute=lambda c: f"{c.name}_####.h5", value="", kind=Kind.config)

    def __init__(self, *args: Any, centre: tuple[float, float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.beam_center_x.put(centre[0])
        self.beam_center_y.put(centre[1])
        self.frame_shape.put(np.array(self.shape))


class FocusedBeam(Device):
    """The beam at the sample: full widths at half maximum."""

    width = Cpt(Quantity, value=0.05, units="mm", precision=4, kind=Kind.hinted)
    height = Cpt(Quantity, value=0.03, units="mm", precision=4, kind=Kind.hinted)
    size = Cpt(Quantity, value=np.zeros(2), units="mm")
    """Width and height."""

    def __init__(self, *args: Any, width: float, height: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.width.put(width)
        self.height.put(height)
        self.size.put(np.array([width, height]))


class CrystalRecord(Device):
    """What is known of a sample's lattice and of how it is mounted, as a diffractometer's software keeps it.

    Parameters
    ----------
    cell
        a, b, c (Å), α, β, γ (deg).
    orientation, ub
        U and UB of Busing and Levy (1967), in NeXus's laboratory frame with all axes at 0; UB in 1/Å, without 2π.
    reflections
        Reflections that the matrix was made of, shape (n, 3).
    angles
        Angles of the sample's axes at which they were found, deg, shape (n, axes).
    """

    unit_cell = Cpt(Quantity, value=np.zeros(6))
    lengths = Cpt(Quantity, value=np.zeros(3), units="angstrom", precision=4)
    angles = Cpt(Quantity, value=np.zeros(3), units="deg", precision=4)
    volume = Cpt(Quantity, value=0.0, units="angstrom**3", precision=2)
    orientation = Cpt(Quantity, value=np.eye(3))
    ub_matrix = Cpt(Quantity, value=np.eye(3), units="1/angstrom")
    space_group = Cpt(Quantity, value="P 1")
    crystal_system = Cpt(Quantity, value="triclinic")
    reflections_hkl = Cpt(Quantity, value=np.zeros((1, 3)))
    reflections_angles = Cpt(Quantity, value=np.zeros((1, 3)), units="deg")

    def __init__(
        self,
        *args: Any,
        cell: tuple[float, ...],
        volume: float,
        orientation: NDArray[np.float64],
        ub: NDArray[np.float64],
        space_group: str,
        crystal_system: str,
        reflections: NDArray[np.float64],
        angles: NDArray[np.float64],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.unit_cell.put(np.array(cell))
        self.lengths.put(np.array(cell[:3]))
        self.angles.put(np.array(cell[3:]))
        self.volume.put(volume)
        self.orientation.put(orientation)
        self.ub_matrix.put(ub)
        self.space_group.put(space_group)
        self.crystal_system.put(crystal_system)
        self.reflections_hkl.put(reflections)
        self.reflections_angles.put(angles)
