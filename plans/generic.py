"""A generic scan: up to three axes, step by step or with the fastest axis in continuous motion."""

from __future__ import annotations

import logging
import math
import numbers
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.utils import Msg
from numpy.typing import NDArray

from plans.parameters import Parameters

MODES = {"step": "step_by_step", "continuous": "continuous"}
"""What may be typed, and what ESRF's ``scanType`` calls it (icat-esrf-definitions 3.8.0)."""
MOST_AXES = 3
"""The talk's group ``scan`` has axis1 to axis3."""
MOST_POINTS = 1_000_000
"""A scan of more points than this is taken for a slip of the finger."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScanAxis:
    """One axis of a scan, as it was asked for."""

    device: Any
    start: float
    stop: float
    points: int

    @property
    def positions(self) -> NDArray[np.float64]:
        """Evenly spread, both ends among them."""
        return np.linspace(self.start, self.stop, self.points)


def generic_scan(
    detectors: Iterable[Any],
    *axes: Any,
    dwell_time: float | None = None,
    mode: str = "step",
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Scan up to three axes; one run with a row a point in its stream ``primary``.

    The first axis is the slowest. In mode ``step`` each point is taken at rest. In mode ``continuous`` the last axis
    runs through each line at the speed that gives each point its dwell time, and comes back to its start for the next
    line; a point's position is where the axis was when the point was read.

    The start document has the talk's metadata (``scanAxis_1`` by ``motors``, ``scanRange_1``, ``dwellTime`` …).

    Parameters
    ----------
    detectors
        Read at every point. Those with an ``exposure_time`` count for the dwell time.
    axes
        ``axis, start, stop, points`` for each axis, in the axis' own units.
    dwell_time
        s. None leaves the detectors' own times, and says nothing of it in the file; ``continuous`` needs it.
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
    detectors = list(detectors)
    asked = _checked(detectors, axes, dwell_time, mode)
    counting = [detector for detector in detectors if hasattr(detector, "exposure_time")]
    if dwell_time is not None:
        for detector in counting:
            yield from bps.abs_set(detector.exposure_time, float(dwell_time), wait=True)

    devices = [axis.device for axis in asked]
    metadata: dict[str, Any] = {
        "plan_name": "generic_scan",
        "plan_args": {
            "detectors": [detector.name for detector in detectors],
            "axes": [[axis.device.name, axis.start, axis.stop, axis.points] for axis in asked],
            "dwell_time": dwell_time,
            "mode": mode,
        },
        "technique": "generic",
        "purpose": "measurement",
        "detectors": [detector.name for detector in detectors],
        "motors": [device.name for device in devices],
        "num_points": math.prod(axis.points for axis in asked),
        "shape": [axis.points for axis in asked],
        "extents": [[axis.start, axis.stop] for axis in asked],
        "snaking": [False] * len(asked),
        "hints": {"dimensions": [[_fields(device), "primary"] for device in devices], "gridding": "rectilinear"},
        **_talks_variables(asked, dwell_time, mode),
        **(md or {}),
    }
    read = [*detectors, *devices]

    def step_by_step() -> Generator[Msg, Any, None]:
        there: list[float | None] = [None] * len(asked)
        for point in np.ndindex(*(axis.points for axis in asked)):
            yield from bps.checkpoint()
            goal = [float(axis.positions[i]) for axis, i in zip(asked, point, strict=True)]
            moves = [(d, to) for d, to, at in zip(devices, goal, there, strict=True) if to != at]
            yield from bps.mv(*(part for move in moves for part in move))
            there = list(goal)
            yield from bps.trigger_and_read(read)

    def continuous() -> Generator[Msg, Any, None]:
        *outer, fast = asked
        for point in np.ndindex(*(axis.points for axis in outer)):
            yield from bps.checkpoint()
            for axis, i in zip(outer, point, strict=True):
                yield from bps.mv(axis.device, float(axis.positions[i]))
            yield from _line(fast, float(dwell_time or 0), read)

    # Staged within the run, so that detectors' files are closed when the run's end is told.
    taking = continuous() if mode == "continuous" else step_by_step()
    return (yield from bpp.run_wrapper(bpp.stage_wrapper(taking, detectors), md=metadata))


def _line(axis: ScanAxis, dwell_time: float, read: Sequence[Any]) -> Generator[Msg, Any, None]:
    """Run through one line, reading every `dwell_time` seconds; the axis has its own velocity again afterwards."""
    velocity = axis.device.velocity
    own = yield from bps.rd(velocity)

    def run() -> Generator[Msg, Any, None]:
        yield from bps.mv(axis.device, axis.start)
        yield from bps.mv(velocity, abs(axis.stop - axis.start) / ((axis.points - 1) * dwell_time))
        arrival = yield from bps.abs_set(axis.device, axis.stop, group="line")
        begin = time.monotonic()
        late = 0
        for i in range(axis.points):
            yield from bps.sleep(max(0.0, begin + i * dwell_time - time.monotonic()))
            late += i < axis.points - 1 and arrival.done
            yield from bps.trigger_and_read(read)
        yield from bps.wait("line")
        if late:
            _log.warning(
                "%s had arrived before %d of %d points were read; a longer dwell_time helps",
                axis.device.name, late, axis.points,
            )  # fmt: skip

    yield from bpp.finalize_wrapper(run(), bps.mv(velocity, own))


def _fields(device: Any) -> list[str]:
    return list(getattr(device, "hints", {}).get("fields") or [device.name])


def _talks_variables(axes: Sequence[ScanAxis], dwell_time: float | None, mode: str) -> dict[str, Any]:
    """What the plan knows, under the names of ``techniques/generic.xml``; what it does not know is left out."""
    found: dict[str, Any] = {"scanType": MODES[mode]}
    if dwell_time is not None:
        found["dwellTime"] = float(dwell_time)
    for number, axis in enumerate(axes, 1):
        found[f"scanStart_{number}"] = axis.start
        found[f"scanStop_{number}"] = axis.stop
        found[f"scanRange_{number}"] = abs(axis.stop - axis.start)
        unit = getattr(axis.device, "egu", None) or getattr(axis.device, "units", None)
        if isinstance(unit, str):
            found[f"scanUnit_{number}"] = unit
    return found


def _checked(detectors: Sequence[Any], axes: Sequence[Any], dwell_time: Any, mode: str) -> list[ScanAxis]:
    """The axes; raises one ValueError with every fault of the parameters."""
    asked = Parameters("generic_scan")
    found = _checked_axes(axes, asked)
    if not detectors:
        asked.faults.append("name at least one detector")
    if mode not in MODES:
        asked.faults.append(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if dwell_time is not None or mode == "continuous":
        if not _is_number(dwell_time) or dwell_time <= 0:
            asked.faults.append(f"dwell_time must be a number of seconds above 0, not {dwell_time!r}")
        elif not any(hasattr(detector, "exposure_time") for detector in detectors):
            asked.faults.append("no detector has an exposure_time to set the dwell_time on")
    if mode == "continuous" and found:
        fast = found[-1]
        if fast.points < 2 or fast.start == fast.stop:
            asked.faults.append(f"{fast.device.name}: a continuous line needs two points at two places, at the least")
        if not hasattr(fast.device, "velocity"):
            asked.faults.append(f"{fast.device.name} has no velocity to set: scan it in mode 'step'")
    asked.settle()
    return found


def _checked_axes(axes: Sequence[Any], asked: Parameters) -> list[ScanAxis]:
    """The axes that are good; what is wrong with the others is a fault."""
    groups = [axes[i : i + 4] for i in range(0, len(axes), 4)]
    if not 1 <= len(groups) <= MOST_AXES or len(axes) % 4:
        asked.faults.append(f"give axis, start, stop, points for one to {MOST_AXES} axes")
        return []
    found = []
    for device, start, stop, points in groups:
        name = getattr(device, "name", repr(device))
        before = len(asked.faults)
        asked.whole(1, **{f"{name}: points": points})
        asked.real(**{f"{name}: start": start, f"{name}: stop": stop})
        if len(asked.faults) == before:
            found.append(ScanAxis(device, float(start), float(stop), int(points)))
            if hasattr(device, "check_value"):
                asked.refused(device, start, stop)
    if len({id(axis.device) for axis in found}) < len(found):
        asked.faults.append("an axis is named twice")
    if math.prod(axis.points for axis in found) > MOST_POINTS:
        asked.faults.append(f"more than {MOST_POINTS} points")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
