"""Samples: what is known of a sample before it is measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component as Cpt
from ophyd import Device

from devices.quantity import Quantity


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
