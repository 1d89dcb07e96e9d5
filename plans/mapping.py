"""A map: a sample is moved through the beam over a grid, and every detector takes its data at each point."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg

from devices.shutter import CLOSED, OPEN
from plans.beamline import HasRing, HasShutter
from plans.parameters import Parameters

MOST_POINTS = 100_000
"""A map of more points than this is taken for a slip of the finger."""


class MappingBeamline(HasShutter, HasRing, Protocol):
    """What a beamline must have to be mapped; :class:`devices.beamlines.id13.Beamline` is one.

    All members are devices in bluesky's sense: motors can be set, detectors triggered and staged, and each of the
    detectors has a settable ``exposure_time`` (s).
    """

    @property
    def nnp2(self) -> Any:
        """Sample across the beam, μm: the fast axis."""

    @property
    def nnp3(self) -> Any:
        """Sample up, μm: the slow axis."""

    @property
    def theta(self) -> Any:
        """Incidence on the sample, deg."""

    @property
    def stage(self) -> Any:
        """Place of the sample as a vector, read with every point."""

    @property
    def detectors(self) -> Sequence[Any]:
        """What takes data at each point."""


def map_scan(
    beamline: MappingBeamline,
    *,
    shape: tuple[int, int] = (32, 32),
    step: float = 0.15,
    centre: tuple[float, float] = (0.0, 0.0),
    snake: bool = True,
    exposure_time: float = 0.05,
    techniques: Sequence[str] = ("fluo",),
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Map a sample point by point; one run with all points in its stream ``primary``.

    Lines run along `nnp2`, one above the other along `nnp3`. Each event has both motors (μm), the sample's place as a
    vector, the incidence (deg), what every detector gives, and the machine current (mA). The shutter is open during the
    map only; whatever happens, it is closed and the sample back where it was at the end (only ``RE.halt()`` skips
    that).

    Parameters
    ----------
    shape
        Lines, and points in a line.
    step
        Between lines and between points, μm.
    centre
        Of the map: `nnp2`, `nnp3`, μm.
    snake
        True: each second line runs backwards. False: every line runs forwards.
    exposure_time
        Of every detector, s.
    techniques
        Names for the start document; the first shapes the file's entry.
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
    _check(beamline, shape=shape, step=step, centre=centre, exposure_time=exposure_time, techniques=techniques)
    fast, slow, detectors = beamline.nnp2, beamline.nnp3, list(beamline.detectors)
    lines, points = shape
    across = [centre[0] + (i - (points - 1) / 2) * step for i in range(points)]
    up = [centre[1] + (i - (lines - 1) / 2) * step for i in range(lines)]
    home = fast.position, slow.position
    read = [*detectors, slow, fast, beamline.stage, beamline.theta, beamline.ring.current]
    metadata: dict[str, Any] = {
        "plan_name": "map_scan",
        "plan_args": {
            "shape": list(shape),
            "step": step,
            "centre": list(centre),
            "snake": snake,
            "exposure_time": exposure_time,
            "techniques": list(techniques),
        },
        "technique": list(techniques) if len(techniques) > 1 else techniques[0],
        "purpose": "measurement",
        "detectors": [detector.name for detector in detectors],
        "motors": [slow.name, fast.name],
        "num_points": lines * points,
        "shape": list(shape),
        "extents": [[up[0], up[-1]], [across[0], across[-1]]],
        "snaking": [False, snake],
        "plan_pattern": "outer_product",
        "hints": {"gridding": "rectilinear", "dimensions": [[[slow.name], "primary"], [[fast.name], "primary"]]},
        **_esrf_variables(techniques, fast.name, slow.name, shape, step, exposure_time),
        **(md or {}),
    }

    @bpp.stage_decorator(detectors)
    def staged() -> Generator[Msg, Any, None]:
        for detector in detectors:
            yield from bps.abs_set(detector.exposure_time, float(exposure_time), wait=True)
        yield from bps.mv(beamline.shutter, OPEN)
        for number, height in enumerate(up):
            for position in reversed(across) if snake and number % 2 else across:
                yield from bps.checkpoint()
                yield from bps.mv(slow, height, fast, position)
                yield from bps.trigger_and_read(read)

    def make_safe() -> Generator[Msg, Any, None]:
        # The sample goes back even if the shutter fails.
        yield from bpp.finalize_wrapper(bps.mv(beamline.shutter, CLOSED), bps.mv(fast, home[0], slow, home[1]))

    # The detectors are staged within the run, so that their files are closed when the run's end is told.
    return (yield from bpp.run_wrapper(bpp.finalize_wrapper(staged(), make_safe), md=metadata))


def _esrf_variables(
    techniques: Sequence[str], fast: str, slow: str, shape: tuple[int, int], step: float, exposure_time: float
) -> dict[str, Any]:
    """What the plan knows, under the names and in the units of ESRF's definition (icat-esrf-definitions 3.8.0).

    Only of the techniques of the run: a variable of another would make a group of what was not done. The first
    dimension is the fast one. A range is the way from the first to the last point.
    """
    lines, points = shape
    across, up = (points - 1) * step, (lines - 1) * step
    told: dict[str, dict[str, Any]] = {
        "fluo": {
            "FLUO_pixelSize": step,
            "FLUO_dwellTime": exposure_time,
            "FLUO_scanDim1": points,
            "FLUO_scanDim2": lines,
            "FLUO_scanRange1": across,
            "FLUO_scanRange2": up,
            "FLUO_scanAxis1": fast,
            "FLUO_scanAxis2": slow,
        },
        "ptycho": {
            "PTYCHO_propagation": "far",
            "PTYCHO_stepSize": step,
            "PTYCHO_countTime": exposure_time,
            "PTYCHO_refN": 0,
            "PTYCHO_darkN": 0,
            "PTYCHO_Axis1_name": fast,
            "PTYCHO_Axis1_range": across,
            "PTYCHO_Axis2_name": slow,
            "PTYCHO_Axis2_range": up,
        },
    }
    return {"scanType": "step_by_step"} | {k: v for name in techniques for k, v in told.get(name, {}).items()}


def _check(beamline: MappingBeamline, **given: Any) -> None:
    """Raise one ValueError with every fault of the parameters."""
    asked = Parameters("map_scan")
    shape, centre, techniques = given["shape"], given["centre"], given["techniques"]
    if isinstance(techniques, str) or not techniques or not all(isinstance(t, str) and t for t in techniques):
        asked.faults.append(f"techniques must be a sequence of names, not {techniques!r}")
    for name, value in (("shape", shape), ("centre", centre)):
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
            asked.faults.append(f"{name} must be two numbers, not {value!r}")
            asked.settle()
    asked.whole(1, lines=shape[0], points=shape[1])
    asked.real(step=given["step"], across=centre[0], up=centre[1], exposure_time=given["exposure_time"])
    if not asked.faults and math.prod(shape) > MOST_POINTS:
        asked.faults.append(f"{math.prod(shape)} points are more than {MOST_POINTS}")
    if not asked.faults and given["step"] <= 0:
        asked.faults.append(f"step must be above 0, not {given['step']}")
    if not asked.faults:
        for motor, at, count in ((beamline.nnp2, centre[0], shape[1]), (beamline.nnp3, centre[1], shape[0])):
            half = (count - 1) / 2 * given["step"]
            asked.refused(motor, at - half, at + half)
        for detector in beamline.detectors:
            asked.refused(detector.exposure_time, given["exposure_time"])
    asked.settle()
