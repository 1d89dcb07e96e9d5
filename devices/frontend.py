"""Front end: what the simulated diffraction and scattering beamlines have in common, from the ring to the shutter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from devices.optics import Attenuator, CrystalMonochromator, Slit
from devices.sensors import BeamMonitor, Hutch, PresetMonitor
from devices.shutter import Shutter
from devices.source import StorageRing, Undulator


@dataclass(frozen=True)
class FrontEnd:
    """Devices upstream of the sample, and the hutch."""

    ring: StorageRing
    undulator: Undulator
    mono: CrystalMonochromator
    attenuator: Attenuator
    primary_slit: Slit
    secondary_slit: Slit
    shutter: Shutter
    i0: BeamMonitor
    """Flux at the sample, photons/s."""
    monitor: PresetMonitor
    """Counts that flux during each exposure."""
    hutch: Hutch

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after a scan."""
        return [
            self.ring,
            self.undulator,
            self.mono,
            self.attenuator,
            self.primary_slit,
            self.secondary_slit,
            self.shutter,
            self.i0,
            self.hutch,
        ]

    def photons(self) -> float:
        """Photons per second on the sample now; 0 with the shutter closed."""
        return self.i0.flux_now() if self.shutter.is_open else 0.0


@dataclass(frozen=True)
class WithFrontEnd:
    """A beamline behind a front end: plans find its shutter, monitor and source at the beamline itself."""

    front: FrontEnd

    @property
    def shutter(self) -> Shutter:
        """The fast shutter."""
        return self.front.shutter

    @property
    def monitor(self) -> PresetMonitor:
        """Counts the beam during each exposure."""
        return self.front.monitor

    @property
    def ring(self) -> StorageRing:
        """The source."""
        return self.front.ring


def front_end(
    *,
    energy: float,
    undulator: tuple[str, float, float],
    flux: float,
    beam: tuple[float, float],
    foils: tuple[float, ...],
    attenuator_distance: float,
    clock: Callable[[], float],
    rng: np.random.Generator,
) -> FrontEnd:
    """A front end with its shutter closed.

    Parameters
    ----------
    energy
        Of the monochromator, eV.
    undulator
        Its label; gap and period, mm.
    flux
        Photons per second on the sample at 200 mA with nothing in the beam.
    beam
        Vertical and horizontal size of the beam that the secondary slits let through, mm.
    foils, attenuator_distance
        Thickness of the aluminium foils, mm, and the wheel's distance from the sample, m, negative upstream.
    clock
        Time for the machine current, s.
    rng
        Noise of monitor and hutch.
    """
    label, gap, period = undulator
    ring = StorageRing(name="ring", clock=clock)
    mono = CrystalMonochromator(name="mono")
    mono.energy.put(energy)
    attenuator = Attenuator(name="attenuator", mono=mono, foils=foils, distance=attenuator_distance)
    shutter = Shutter(name="shutter")
    i0 = BeamMonitor(name="i0", ring=ring, attenuators=(attenuator,))
    i0.full_flux.put(flux, force=True)
    vertical, horizontal = beam
    return FrontEnd(
        ring=ring,
        undulator=Undulator(name="undulator", label=label, gap=gap, period=period),
        mono=mono,
        attenuator=attenuator,
        primary_slit=Slit(name="primary_slit", vertical=1.0, horizontal=2.0),
        secondary_slit=Slit(name="secondary_slit", vertical=vertical, horizontal=horizontal),
        shutter=shutter,
        i0=i0,
        monitor=PresetMonitor(name="monitor", rate=lambda: i0.flux_now() if shutter.is_open else 0.0, rng=rng),
        hutch=Hutch(name="hutch", rng=rng),
    )
