"""Optics: what stands between the source and the sample, and between the scintillator and the camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device, Kind

from devices.quantity import Derived, Quantity
from devices.scenes.materials import ALUMINIUM, HC, Material

COATINGS = {1: ("W/B4C", 25.0), 2: ("Ni/B4C", 33.0)}
"""Stripe of the multilayer → coating and its period in Å. Illustrative of such mirrors, not of one in particular."""
SILICON_111 = 3.13560114
"""Spacing of the planes 111 of silicon at room temperature, Å (CODATA 2018, from d220)."""


class Multilayer(Device):
    """A double multilayer monochromator; its energy is that of the first Bragg order, in **eV**."""

    energy = Cpt(Quantity, value=17050.0, units="eV", precision=1, limits=(15000.0, 20000.0), kind=Kind.hinted)
    position_id = Cpt(Quantity, value=1, limits=(1, 2))
    coating = Cpt(Derived, compute=lambda mono: COATINGS[mono.position_id.get()][0], value="")
    period = Cpt(Derived, compute=lambda mono: COATINGS[mono.position_id.get()][1], units="angstrom", precision=2)
    wavelength = Cpt(Derived, compute=lambda mono: HC / mono.energy.get(), units="angstrom", precision=5)
    bragg = Cpt(
        Derived,
        compute=lambda mono: math.degrees(math.asin(mono.wavelength.get() / (2 * mono.period.get()))),
        units="deg",
        precision=4,
    )
    bandwidth = Cpt(Quantity, value=0.01, precision=4, writable=False, kind=Kind.config)
    wavelength_spread = Cpt(
        Derived,
        compute=lambda mono: mono.bandwidth.get() * mono.wavelength.get(),
        units="angstrom",
        precision=5,
    )


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


class Attenuator(Device):
    """A wheel of foils of one material; slot 0 is empty.

    Parameters
    ----------
    mono
        A monochromator, whose ``energy`` (eV) is that at which the foils attenuate.
    foils
        Thickness of each foil, mm, for the slots 1, 2, …
    distance
        From the sample along the beam, m; negative is upstream, as NeXus counts.
    """

    slot = Cpt(Quantity, value=0, limits=(0, 4))
    thickness = Cpt(Derived, compute=lambda wheel: wheel.thickness_now(), units="mm", precision=3)
    status = Cpt(Derived, compute=lambda wheel: wheel.status_now(), value="")
    transmission = Cpt(Derived, compute=lambda wheel: wheel.transmission_now(), precision=4)
    material = Cpt(Quantity, value="", writable=False, kind=Kind.config)
    distance = Cpt(Quantity, value=0.0, units="m", precision=2, writable=False, kind=Kind.config)

    def __init__(
        self,
        *args: Any,
        mono: Any,
        foils: tuple[float, ...],
        distance: float,
        material: Material = ALUMINIUM,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._mono = mono
        self._foils = foils
        self._of = material
        self.slot.range = (0, len(foils))
        self.material.put(material.formula, force=True)
        self.distance.put(distance, force=True)

    def thickness_now(self) -> float:
        """Thickness in the beam, mm; 0 if the wheel stands on its empty place."""
        slot = self.slot.get()
        return self._foils[slot - 1] if slot else 0.0

    def status_now(self) -> str:
        """``Out``, ``In1``, ``In2``…, the words that ESRF's definition uses."""
        slot = self.slot.get()
        return f"In{slot}" if slot else "Out"

    def transmission_now(self) -> float:
        """Share of the beam that passes, 0 to 1."""
        return self._of.transmission(self.thickness_now(), self._mono.energy.get())


class Slit(Device):
    """Four blades. Each blade's position is counted from the middle of the beam outwards, mm.

    ``up``, ``down``, ``front`` and ``back`` are ESRF's names; front is the side of the ring's outside.
    """

    up = Cpt(Quantity, value=0.5, units="mm", precision=4, limits=(-10.0, 10.0))
    down = Cpt(Quantity, value=0.5, units="mm", precision=4, limits=(-10.0, 10.0))
    front = Cpt(Quantity, value=0.5, units="mm", precision=4, limits=(-10.0, 10.0))
    back = Cpt(Quantity, value=0.5, units="mm", precision=4, limits=(-10.0, 10.0))
    vertical_gap = Cpt(Derived, compute=lambda s: s.up.get() + s.down.get(), units="mm", precision=4)
    vertical_offset = Cpt(Derived, compute=lambda s: (s.up.get() - s.down.get()) / 2, units="mm", precision=4)
    horizontal_gap = Cpt(Derived, compute=lambda s: s.front.get() + s.back.get(), units="mm", precision=4)
    horizontal_offset = Cpt(Derived, compute=lambda s: (s.front.get() - s.back.get()) / 2, units="mm", precision=4)

    def __init__(self, *args: Any, vertical: float, horizontal: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for blade in (self.up, self.down):
            blade.put(vertical / 2)
        for blade in (self.front, self.back):
            blade.put(horizontal / 2)


class KirkpatrickBaez(Device):
    """Two bent mirrors, one after the other, which focus vertically and horizontally into one spot."""

    vertical_angle = Cpt(Quantity, value=14.5, units="mrad", precision=4, limits=(0.0, 20.0))
    vertical_bend_up = Cpt(Quantity, value=12.310, units="um", precision=3, limits=(0.0, 50.0))
    vertical_bend_down = Cpt(Quantity, value=11.870, units="um", precision=3, limits=(0.0, 50.0))
    horizontal_angle = Cpt(Quantity, value=14.8, units="mrad", precision=4, limits=(0.0, 20.0))
    horizontal_bend_up = Cpt(Quantity, value=9.420, units="um", precision=3, limits=(0.0, 50.0))
    horizontal_bend_down = Cpt(Quantity, value=9.150, units="um", precision=3, limits=(0.0, 50.0))
    divergence_vertical = Cpt(Quantity, value=3.5, units="mrad", precision=2, writable=False, kind=Kind.config)
    divergence_horizontal = Cpt(Quantity, value=7.0, units="mrad", precision=2, writable=False, kind=Kind.config)


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


class ScintillatorOptics(Device):
    """The scintillator and the visible-light microscope that shows it to the camera."""

    magnification = Cpt(Quantity, value=8.0, precision=2, writable=False, kind=Kind.config)
    eye_piece = Cpt(Quantity, value=2.0, precision=1, writable=False, kind=Kind.config)
    lens = Cpt(Quantity, value="x4 objective, x2 eye-piece", writable=False, kind=Kind.config)
    type = Cpt(Quantity, value="microscope with an eye-piece", writable=False, kind=Kind.config)
    scintillator = Cpt(Quantity, value="LSO:Tb", writable=False, kind=Kind.config)
    thickness = Cpt(Quantity, value=23.0, units="um", precision=1, writable=False, kind=Kind.config)
    focus = Cpt(Quantity, value=1.204, units="mm", precision=4, limits=(0.0, 5.0))
    x = Cpt(Quantity, value=25.0, units="mm", precision=4, limits=(-50.0, 50.0))
    y = Cpt(Quantity, value=0.0, units="mm", precision=4, limits=(-50.0, 50.0))
    z = Cpt(Quantity, value=3.3, units="mm", precision=4, limits=(-50.0, 50.0))


@dataclass(frozen=True)
class Placement:
    """What one place of the sample along the beam makes of the picture."""

    source_sample: float
    """From the focus to the sample, mm."""
    sample_detector: float
    """From the sample to the scintillator, mm."""
    pixel_size: float
    """In the sample's plane, μm."""

    @property
    def magnification(self) -> float:
        """Of the sample's shadow on the scintillator."""
        return (self.source_sample + self.sample_detector) / self.source_sample

    @property
    def propagation(self) -> float:
        """Effective propagation distance, mm: that of a parallel beam with the same fringes."""
        return self.sample_detector / self.magnification


class Geometry(Device):
    """Where things stand along the beam, and what that makes of the picture.

    The mirrors' focus is a point source; the sample stands behind it and casts its magnified shadow on the
    scintillator. ``sx`` moves the sample along the beam, the focus is at ``sx = focus_position``.

    Parameters
    ----------
    sx
        Motor of the sample along the beam, mm.
    optics
        The microscope behind the scintillator.
    physical_pixel
        Size of a camera's pixel, μm, binning included.
    """

    focus_position = Cpt(Quantity, value=0.0, units="mm", precision=4, kind=Kind.config)
    focus_detector_distance = Cpt(Quantity, value=1200.0, units="mm", precision=3, kind=Kind.config)
    source_sample_distance = Cpt(Derived, compute=lambda g: g.now.source_sample, units="mm", precision=4)
    sample_detector_distance = Cpt(Derived, compute=lambda g: g.now.sample_detector, units="mm", precision=4)
    magnification = Cpt(Derived, compute=lambda g: g.now.magnification, precision=3)
    propagation_distance = Cpt(Derived, compute=lambda g: g.now.propagation, units="mm", precision=4)
    magnified_pixel = Cpt(
        Derived, compute=lambda g: g.physical_pixel / g.optics.magnification.get(), units="um", precision=4
    )
    pixel_size = Cpt(Derived, compute=lambda g: g.now.pixel_size, units="um", precision=6, kind=Kind.hinted)

    def __init__(self, *args: Any, sx: Any, optics: ScintillatorOptics, physical_pixel: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sx = sx
        self.optics = optics
        self.physical_pixel = physical_pixel

    @property
    def now(self) -> Placement:
        """With the sample where it is."""
        return self.at(self.sx.position)

    def at(self, sx: float) -> Placement:
        """With the sample at a position of sx, mm."""
        source_sample = sx - self.focus_position.get()
        focus_detector = self.focus_detector_distance.get()
        pixel = self.magnified_pixel.get() * source_sample / focus_detector
        return Placement(source_sample, focus_detector - source_sample, pixel)
