"""A powder pattern: a detector goes round the sample, step by step."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.utils import Msg

from devices.shutter import CLOSED, OPEN
from plans.beamline import HasMonitor, HasShutter
from plans.parameters import Parameters

MOST_POINTS = 200_000
"""A scan of more points than this is taken for a slip of the finger."""


class PowderBeamline(HasMonitor, HasShutter, Protocol):
    """What a beamline must have to be scanned; :class:`devices.beamlines.id22.Beamline` is one.

    All members are devices in bluesky's sense.
    """

    @property
    def tth(self) -> Any:
        """The detector arm, deg."""

    @property
    def analyser(self) -> Any:
        """The counter on it; has a settable ``exposure_time`` (s)."""


def powder_scan(
    beamline: PowderBeamline,
    *,
    start: float = 5.0,
    stop: float = 14.0,
    step: float = 0.007,
    count_time: float | None = None,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Count at each angle from `start` to `stop`; one run with all points in its stream ``primary``.

    Each event has ``tth`` (deg), the analyser's counts and the monitor's. Whatever happens, the shutter is closed at
    the end; the arm stays where it is.

    Parameters
    ----------
    start, stop, step
        Two theta, deg; `stop` counts where a step ends on it.
    count_time
        s a point; None leaves the analyser's.
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
    analyser, monitor, tth = beamline.analyser, beamline.monitor, beamline.tth
    seconds = analyser.exposure_time.get() if count_time is None else count_time
    asked = Parameters("powder_scan")
    asked.real(start=start, stop=stop, step=step, count_time=seconds)
    if not asked.faults:
        if step <= 0 or stop <= start:
            asked.faults.append(
                f"from {start} to {stop} in steps of {step}: give a step above 0 and a stop above start"
            )
        elif (stop - start) / step > MOST_POINTS:
            asked.faults.append(f"{(stop - start) / step:.0f} points are more than {MOST_POINTS}")
        asked.refused(tth, start, stop)
        asked.refused(analyser.exposure_time, seconds)
    asked.settle()
    # The tolerance keeps a last point that rounding would lose.
    angles = start + step * np.arange(math.floor((stop - start) / step + 1e-6) + 1)
    metadata: dict[str, Any] = {
        "plan_name": "powder_scan",
        "plan_args": {"start": start, "stop": stop, "step": step, "count_time": count_time},
        "technique": "xrpd",
        "purpose": "measurement",
        "detectors": [analyser.name, monitor.name],
        "motors": [tth.name],
        "num_points": len(angles),
        "hints": {"dimensions": [[[tth.name], "primary"]]},
        "scanType": "step_by_step",
        **(md or {}),
    }

    @bpp.stage_decorator([analyser, monitor])
    def staged() -> Generator[Msg, Any, None]:
        yield from bps.mv(tth, float(angles[0]))
        yield from bps.mv(beamline.shutter, OPEN)
        for angle in angles:
            yield from bps.checkpoint()
            yield from bps.mv(tth, float(angle))
            yield from bps.trigger_and_read([analyser, monitor, tth])

    def close() -> Generator[Msg, Any, None]:
        yield from bps.mv(beamline.shutter, CLOSED)

    # Before the run, so that the descriptors have the new times.
    yield from bps.mv(analyser.exposure_time, float(seconds), monitor.exposure_time, float(seconds))
    return (yield from bpp.run_wrapper(bpp.finalize_wrapper(staged(), close), md=metadata))
