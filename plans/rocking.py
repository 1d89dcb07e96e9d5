"""A rocking scan: a crystal turns through its reflection, a frame at each angle."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.utils import Msg

from devices.shutter import CLOSED, OPEN
from plans.beamline import HasCamera, HasMonitor, HasShutter
from plans.parameters import Parameters


class RockingBeamline(HasCamera, HasMonitor, HasShutter, Protocol):
    """What a beamline must have to be scanned; :class:`devices.beamlines.id01.Beamline` is one.

    All members are devices in bluesky's sense.
    """

    @property
    def eta(self) -> Any:
        """Angle of incidence, deg."""


def rocking_scan(
    beamline: RockingBeamline,
    *,
    width: float = 0.08,
    points: int = 41,
    exposure_time: float | None = None,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Turn the crystal about where it stands; one run with all frames in its stream ``primary``.

    Each event has the frame, ``eta`` (deg) and the monitor's counts. Whatever happens, the shutter is closed and the
    crystal back where it was at the end. The camera is unstaged, and so its file complete, before the run ends.

    Parameters
    ----------
    width
        Of the scan, deg: from half of it below to half of it above the present angle.
    points
        Frames; 2 at least.
    exposure_time
        s; None leaves the camera's.
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
    camera, monitor, eta = beamline.camera, beamline.monitor, beamline.eta
    seconds = camera.exposure_time.get() if exposure_time is None else exposure_time
    home = eta.position
    asked = Parameters("rocking_scan")
    asked.whole(2, points=points)
    asked.real(width=width, exposure_time=seconds)
    if not asked.faults:
        if width <= 0:
            asked.faults.append(f"width must be above 0, not {width}")
        asked.refused(eta, home - width / 2, home + width / 2)
        asked.refused(camera.exposure_time, seconds)
    asked.settle()
    angles = home + np.linspace(-width / 2, width / 2, points)
    metadata: dict[str, Any] = {
        "plan_name": "rocking_scan",
        "plan_args": {"width": width, "points": points, "exposure_time": exposure_time},
        "technique": "fullfield",
        "purpose": "measurement",
        "detectors": [camera.name, monitor.name],
        "motors": [eta.name],
        "num_points": points,
        "hints": {"dimensions": [[[eta.name], "primary"]]},
        "scanType": "step_by_step",
        "rotation_angle_step": width / (points - 1),
        **(md or {}),
    }

    @bpp.stage_decorator([camera, monitor])
    def staged() -> Generator[Msg, Any, None]:
        yield from bps.mv(eta, float(angles[0]))
        yield from bps.mv(beamline.shutter, OPEN)
        for angle in angles:
            yield from bps.checkpoint()
            yield from bps.mv(eta, float(angle))
            yield from bps.trigger_and_read([camera, monitor, eta])

    def make_safe() -> Generator[Msg, Any, None]:
        # The crystal goes back even if the shutter fails.
        yield from bpp.finalize_wrapper(bps.mv(beamline.shutter, CLOSED), bps.mv(eta, home))

    # Before the run, so that the descriptors have the new times.
    yield from bps.mv(camera.exposure_time, float(seconds), monitor.exposure_time, float(seconds))
    # The camera is staged within the run, so that its file is closed when the run's end is told.
    return (yield from bpp.run_wrapper(bpp.finalize_wrapper(staged(), make_safe), md=metadata))
