"""Microbeam radiation therapy: the sample goes through an array of microbeams, from one direction or from several."""

from __future__ import annotations

import math
import numbers
from collections.abc import Generator, Mapping
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.utils import Msg

from devices.shutter import CLOSED, OPEN
from plans.beamline import HasRing, HasShutter


class MrtBeamline(HasShutter, HasRing, Protocol):
    """What a beamline must have to irradiate; :class:`devices.beamlines.id17.Beamline` is one."""

    @property
    def gonioz(self) -> Any:
        """The sample up, mm, with a settable ``velocity`` (mm/s)."""

    @property
    def gonioy(self) -> Any:
        """The sample across the beam, mm."""

    @property
    def gonior(self) -> Any:
        """Rotation of the sample, deg."""

    @property
    def chambers(self) -> Any:
        """Ion chambers, set to 0 by ``clear()``."""

    @property
    def prescription(self) -> Any:
        """The planned ``dose`` (Gy), and the ``speed`` (mm/s) that gives it."""

    @property
    def film(self) -> Any:
        """Read once, when all is done."""

    @property
    def cross(self) -> Any:
        """A soft signal that counts the directions."""


def mrt_irradiation(
    beamline: MrtBeamline,
    *,
    dose: float = 400.0,
    z_start: float = -10.0,
    z_stop: float = 10.0,
    points: int = 21,
    ctc_n: int = 1,
    ctc_spacing: float = 200.0,
    cross_n: int = 2,
    cross_angle: float = 90.0,
    interlaced_offset: float = 0.0,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Irradiate a sample; one run.

    From each direction the sample goes `ctc_n` times from `z_start` to `z_stop`, each time `ctc_spacing` further
    across, so that microbeams come to lie between microbeams. The stream ``primary`` has `points` events a pass, with
    the counts of the ion chambers since the run's beginning; the stream ``film`` has the dose, once. The fast shutter
    is open within a pass only, and closed whatever happens (only ``RE.halt()`` skips that, as it skips everything).

    Parameters
    ----------
    dose
        In a microbeam where it enters the sample, Gy; with dose rate, machine current and beam height it makes the
        speed of the goniometer.
    z_start, z_stop
        mm.
    points
        Events of a pass, the first at `z_start`.
    ctc_n, ctc_spacing
        Passes from one direction, and how far they lie apart, μm.
    cross_n, cross_angle
        Directions, and the angle between them, deg.
    interlaced_offset
        How far the sample is moved across from one direction to the next, μm.
    md
        Metadata of the start document; overrides what the plan says itself.

    Returns
    -------
    The run's uid.

    Raises
    ------
    ValueError
        One, before anything moves, that names all that is wrong with the parameters.
    """
    given = {
        "dose": dose,
        "z_start": z_start,
        "z_stop": z_stop,
        "points": points,
        "ctc_n": ctc_n,
        "ctc_spacing": ctc_spacing,
        "cross_n": cross_n,
        "cross_angle": cross_angle,
        "interlaced_offset": interlaced_offset,
    }
    _check(beamline, given)
    gonioz, gonioy, gonior, shutter = beamline.gonioz, beamline.gonioy, beamline.gonior, beamline.shutter
    home, zero, rest = gonioy.position, gonior.position, gonioz.velocity.get()
    yield from bps.abs_set(beamline.prescription.dose, float(dose), wait=True)
    speed = beamline.prescription.speed.get()
    metadata: dict[str, Any] = {
        "plan_name": "mrt_irradiation",
        "plan_args": given,
        "technique": "mrt",
        "purpose": "measurement",
        "detectors": [beamline.chambers.name, beamline.film.name],
        "motors": [gonioz.name],
        "num_points": points * ctc_n * cross_n,
        "hints": {"dimensions": [[[gonioz.name], "primary"]]},
        "scanType": "continuous",
        "MRT_dose": float(dose),
        "MRT_ctcMot": gonioy.name,
        "MRT_ctcSpacing": float(ctc_spacing),
        "MRT_ctcN": ctc_n,
        "MRT_crossMot": gonior.name,
        "MRT_crossAngle": float(cross_angle),
        "MRT_crossN": cross_n,
        "MRT_intlcdMot": gonioy.name,
        "MRT_intlcdOff": float(interlaced_offset),
        "MRT_expoStart": float(z_start),
        "MRT_expoStop": float(z_stop),
        "MRT_expoSpeed": speed,
        **(md or {}),
    }
    readable = [gonioz, gonioy, gonior, beamline.cross, beamline.chambers, beamline.ring.current]
    heights = np.linspace(z_start, z_stop, points)

    def one_pass() -> Generator[Msg, Any, None]:
        yield from bps.mv(gonioz, float(heights[0]))
        yield from bps.mv(gonioz.velocity, speed)
        yield from bps.mv(shutter, OPEN)
        for height in heights:
            yield from bps.mv(gonioz, float(height))
            yield from bps.trigger_and_read(readable)
        yield from bps.mv(shutter, CLOSED)
        yield from bps.mv(gonioz.velocity, rest)

    def irradiate() -> Generator[Msg, Any, None]:
        yield from bps.mv(shutter, CLOSED)
        beamline.chambers.clear()
        for direction in range(cross_n):
            yield from bps.mv(beamline.cross, direction + 1, gonior, zero + direction * cross_angle)
            for shift in range(ctc_n):
                # No way back into a pass: what was irradiated stays irradiated.
                yield from bps.clear_checkpoint()
                across = (shift * ctc_spacing + direction * interlaced_offset) * 1e-3
                yield from bps.mv(gonioy, home + across)
                yield from one_pass()
        yield from bps.trigger_and_read([beamline.film], name="film")

    def make_safe() -> Generator[Msg, Any, None]:
        yield from bps.mv(shutter, CLOSED)
        yield from bps.mv(gonioz.velocity, rest, gonioy, home, gonior, zero, beamline.cross, 0)

    return (yield from bpp.run_wrapper(bpp.finalize_wrapper(irradiate(), make_safe), md=metadata))


def _check(beamline: MrtBeamline, given: Mapping[str, Any]) -> None:
    """Raise one ValueError with every fault of the parameters."""
    faults = []
    for name in ("points", "ctc_n", "cross_n"):
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < (2 if name == "points" else 1):
            faults.append(f"{name} must be a whole number, at least {2 if name == 'points' else 1}, not {value!r}")
    for name in ("dose", "z_start", "z_stop", "ctc_spacing", "cross_angle", "interlaced_offset"):
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            faults.append(f"{name} must be a finite number, not {value!r}")
    if not faults:
        if given["z_start"] == given["z_stop"]:
            faults.append("z_start and z_stop must differ")
        far = (given["ctc_n"] - 1) * given["ctc_spacing"] + (given["cross_n"] - 1) * given["interlaced_offset"]
        turned = beamline.gonior.position + (given["cross_n"] - 1) * given["cross_angle"]
        for device, value in (
            (beamline.gonioz, given["z_start"]),
            (beamline.gonioz, given["z_stop"]),
            (beamline.gonioy, beamline.gonioy.position + far * 1e-3),
            (beamline.gonior, turned),
            (beamline.prescription.dose, given["dose"]),
        ):
            try:
                device.check_value(value)
            except ValueError as error:
                faults.append(str(error))
    if faults:
        raise ValueError("mrt_irradiation: " + "; ".join(faults))
