"""A rotation scan of a crystal: one frame after the other, while the spindle turns without a gap."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg

from devices.shutter import CLOSED, OPEN
from plans.beamline import HasRing, HasShutter
from plans.parameters import Parameters

MOST_FRAMES = 100_000
"""A scan of more frames than this is taken for a slip of the finger."""


class RotationBeamline(HasShutter, HasRing, Protocol):
    """What a beamline must have to turn a crystal; :class:`devices.beamlines.id30.Beamline` is one."""

    @property
    def omega(self) -> Any:
        """The spindle, deg."""

    @property
    def oscillation(self) -> Any:
        """By how much the spindle turns during each frame, deg."""

    @property
    def detector(self) -> Any:
        """Detector with a settable ``exposure_time`` and a ``frame_time`` (s)."""


def rotation_scan(
    beamline: RotationBeamline,
    *,
    frames: int = 40,
    start_angle: float = 0.0,
    oscillation: float = 0.5,
    exposure_time: float | None = None,
    technique: str = "mx",
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Turn a crystal; one run with all frames in its stream ``primary``.

    Each event has the frame, the spindle's angle as its exposure began (deg) and the machine current (mA). Whatever
    happens, the shutter is closed at the end. The detector is unstaged, and so its file complete, before the run ends.

    Parameters
    ----------
    frames
        How many.
    start_angle
        Where the first one begins, deg.
    oscillation
        By how much the spindle turns during each, deg.
    exposure_time
        s; None leaves the detector's.
    technique
        ``mx``, or what else a beamline's profile has for rotation data.
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
    _check(beamline, frames, start_angle, oscillation, exposure_time)
    detector, omega = beamline.detector, beamline.omega
    if exposure_time is not None:
        yield from bps.abs_set(detector.exposure_time, float(exposure_time), wait=True)
    yield from bps.mv(beamline.oscillation, float(oscillation))
    seconds = frames * detector.frame_time.get()
    metadata: dict[str, Any] = {
        "plan_name": "rotation_scan",
        "plan_args": {
            "frames": frames,
            "start_angle": start_angle,
            "oscillation": oscillation,
            "exposure_time": exposure_time,
        },
        "technique": technique,
        "purpose": "measurement",
        "detectors": [detector.name],
        "motors": [omega.name],
        "num_points": frames,
        "hints": {"dimensions": [[[omega.name], "primary"]]},
        # A number, as bluesky's own times: the file has it in the time zone of the profile.
        "end_time_estimated": time.time() + seconds,
        "scanType": "continuous",
        **(_mx_variables(frames, start_angle, oscillation) if technique == "mx" else {}),
        **(md or {}),
    }

    @bpp.stage_decorator([detector])
    def staged() -> Generator[Msg, Any, None]:
        yield from bps.mv(omega, float(start_angle))
        yield from bps.mv(beamline.shutter, OPEN)
        for frame in range(frames):
            yield from bps.checkpoint()
            yield from bps.mv(omega, start_angle + frame * oscillation)
            yield from bps.trigger_and_read([detector, omega, beamline.ring.current])

    def close() -> Generator[Msg, Any, None]:
        yield from bps.mv(beamline.shutter, CLOSED)

    # The detector is staged within the run, so that its file is closed when the run's end is told.
    return (yield from bpp.run_wrapper(bpp.finalize_wrapper(staged(), close), md=metadata))


def _mx_variables(frames: int, start_angle: float, oscillation: float) -> dict[str, Any]:
    """What the plan knows, under the names and in the units of ESRF's definition (icat-esrf-definitions 3.8.0)."""
    return {
        "MX_scanType": "OSC",
        "MX_numberOfImages": frames,
        "MX_startImageNumber": 1,
        "MX_oscillationStart": start_angle,
        "MX_oscillationRange": oscillation,
        "MX_oscillationOverlap": 0.0,
        "MX_axis_start": start_angle,
        "MX_axis_end": start_angle + frames * oscillation,
        "MX_axis_range": frames * oscillation,
    }


def _check(
    beamline: RotationBeamline, frames: Any, start_angle: Any, oscillation: Any, exposure_time: float | None
) -> None:
    asked = Parameters("rotation_scan")
    asked.whole(1, frames=frames)
    if not asked.faults and frames > MOST_FRAMES:
        asked.faults.append(f"{frames} frames are more than {MOST_FRAMES}")
    asked.real(start_angle=start_angle, oscillation=oscillation)
    if not asked.faults:
        asked.refused(beamline.oscillation, oscillation)
        asked.refused(beamline.omega, start_angle, start_angle + (frames - 1) * oscillation)
    if exposure_time is not None:
        asked.refused(beamline.detector.exposure_time, exposure_time)
    asked.settle()
