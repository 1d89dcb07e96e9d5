"""Monochromator: a pair of silicon crystals. (The multilayer is one of the ``optics``.)"""

from __future__ import annotations

import math

from ophyd import Component as Cpt
from ophyd import Device, Kind

from devices.optics import HC
from devices.quantity import Derived, Quantity

SILICON_111 = 5.431020511 / math.sqrt(3)
"""Spacing of the planes 111 of silicon in a vacuum at 22.5 °C, Å (lattice parameter: CODATA 2018)."""


class CrystalMonochromator(Device):
    """Two parallel crystals of Si 111; the energy is in **eV**."""

    energy = Cpt(Quantity, value=12_000.0, units="eV", precision=2, limits=(6_000.0, 80_000.0), kind=Kind.hinted)
    wavelength = Cpt(Derived, compute=lambda mono: HC / mono.energy.get(), units="angstrom", precision=6)
    bragg = Cpt(
        Derived,
        compute=lambda mono: math.degrees(math.asin(mono.wavelength.get() / (2 * SILICON_111))),
        units="deg",
        precision=5,
    )
    crystal = Cpt(Quantity, value="Si", writable=False, kind=Kind.config)
    reflection = Cpt(Quantity, value="1 1 1", writable=False, kind=Kind.config)
    d_spacing = Cpt(Quantity, value=SILICON_111, units="angstrom", precision=6, writable=False, kind=Kind.config)
    bandwidth = Cpt(Quantity, value=1.4e-4, precision=6, writable=False, kind=Kind.config)
    wavelength_spread = Cpt(
        Derived,
        compute=lambda mono: mono.bandwidth.get() * mono.wavelength.get(),
        units="angstrom",
        precision=7,
    )
