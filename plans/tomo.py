"""A tomography scan, step by step: darks, flats every `ref_on` projections, projections, final flats."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.utils import Msg
from numpy.typing import NDArray

from devices.shutter import CLOSED, OPEN
from plans.beamline import HasRing, HasShutter
from plans.parameters import Parameters

PROJECTION, FLAT, DARK = 0, 1, 2
"""What a frame is, as NXtomo's ``image_key`` counts (NXDL v2026.01)."""

MOST_FRAMES = 100_000
"""A scan of more frames than this is taken for a slip of the finger."""


class TomoBeamline(HasShutter, HasRing, Protocol):
    """What a beamline must have to be scanned; :class:`devices.beamlines.id16a.Beamline` is one.

    All members are devices in bluesky's sense: `srot`, `sy` and `shutter` can be set, `camera` triggered and staged.
    """

    @property
    def srot(self) -> Any:
        """Rotation of the sample, deg."""

    @property
    def sy(self) -> Any:
        """The sample across the beam, mm."""

    @property
    def sz(self) -> Any:
        """The sample up, mm."""

    @property
    def camera(self) -> Any:
        """Camera with a settable ``exposure_time`` (s) and a data key for its frames, ``image_key``."""

    @property
    def image_key(self) -> Any:
        """A soft signal that says what a frame is."""

    @property
    def count_time(self) -> Any:
        """A signal that says how long a frame was exposed, s."""


def tomo_scan(
    beamline: TomoBeamline,
    *,
    projections: int = 200,
    scan_range: float = 180.0,
    start_angle: float = 0.0,
    ref_on: int = 100,
    darks: int = 10,
    flats: int = 10,
    y_step: float = -0.3,
    z_step: float = 0.0,
    exposure_time: float | None = None,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Scan a sample; one run with all frames in its stream ``primary``.

    The order is darks (shutter closed), flats, `ref_on` projections, flats, `ref_on` projections, …, flats. The last
    angle is one step short of `start_angle` + `scan_range`. For flats the sample goes out by `y_step` and `z_step`
    and comes back to where it was; the rotation stays where the next projection is taken. Whatever happens, the
    shutter is closed and the sample back in at the end (only ``RE.halt()`` skips that, as it skips everything).

    Each event has the frame and its exposure time (s), ``srot`` (deg), ``sy`` and ``sz`` (mm),
    ``image_key`` and the machine current (mA). The camera is unstaged, and so its file complete, before the run ends.

    Parameters
    ----------
    projections
        How many, evenly spread.
    scan_range, start_angle
        deg.
    ref_on
        Flats are taken before the first projection and after every `ref_on` projections.
    darks, flats
        Frames of the dark group, and of each group of flats.
    y_step, z_step
        How far the sample goes out for flats, across and up, mm; with their signs. One of them may be 0.
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
    angles = checked_angles(
        beamline,
        projections=projections,
        scan_range=scan_range,
        start_angle=start_angle,
        ref_on=ref_on,
        darks=darks,
        flats=flats,
        y_step=y_step,
        z_step=z_step,
        exposure_time=exposure_time,
    )
    camera, srot, sy, sz = beamline.camera, beamline.srot, beamline.sy, beamline.sz
    groups = [angles[first : first + ref_on] for first in range(0, projections, ref_on)]
    frames = darks + (len(groups) + 1) * flats + projections
    home = (sy.position, sz.position)
    out = [(motor, at, step) for motor, at, step in zip((sy, sz), home, (y_step, z_step), strict=True) if step]
    if exposure_time is not None:
        yield from bps.abs_set(camera.exposure_time, float(exposure_time), wait=True)

    metadata: dict[str, Any] = {
        "plan_name": "tomo_scan",
        "plan_args": {
            "projections": projections,
            "scan_range": scan_range,
            "start_angle": start_angle,
            "ref_on": ref_on,
            "darks": darks,
            "flats": flats,
            "y_step": y_step,
            "z_step": z_step,
            "exposure_time": exposure_time,
        },
        "technique": "tomo",
        "purpose": "measurement",
        "detectors": [camera.name],
        "motors": [srot.name],
        "num_points": frames,
        "hints": {"dimensions": [[[srot.name], "primary"]]},
        **_esrf_variables(
            projections=projections,
            scan_range=scan_range,
            start_angle=start_angle,
            ref_on=ref_on,
            darks=darks,
            flats=flats,
            y_step=y_step,
            z_step=z_step,
        ),
        **(md or {}),
    }

    def frame() -> Generator[Msg, Any, None]:
        yield from bps.trigger_and_read(
            [camera, beamline.count_time, srot, sy, sz, beamline.image_key, beamline.ring.current]
        )

    def series(key: int, count: int) -> Generator[Msg, Any, None]:
        yield from bps.mv(beamline.image_key, key)
        for _ in range(count):
            yield from bps.checkpoint()
            yield from frame()

    def take_darks() -> Generator[Msg, Any, None]:
        yield from bps.mv(beamline.shutter, CLOSED)
        yield from series(DARK, darks)

    def take_flats() -> Generator[Msg, Any, None]:
        yield from bps.mv(*(part for motor, at, step in out for part in (motor, at + step)))
        yield from series(FLAT, flats)
        yield from go_in()

    def go_in() -> Generator[Msg, Any, None]:
        yield from bps.mv(*(part for motor, at, _ in out for part in (motor, at)))

    def take_projections(group: NDArray[np.float64]) -> Generator[Msg, Any, None]:
        yield from bps.mv(beamline.image_key, PROJECTION)
        for angle in group:
            yield from bps.checkpoint()
            yield from bps.mv(srot, float(angle))
            yield from frame()

    @bpp.stage_decorator([camera])
    def staged() -> Generator[Msg, Any, None]:
        yield from bps.mv(srot, float(angles[0]))
        yield from take_darks()
        yield from bps.mv(beamline.shutter, OPEN)
        for group in groups:
            yield from bps.mv(srot, float(group[0]))
            yield from take_flats()
            yield from take_projections(group)
        yield from take_flats()

    def make_safe() -> Generator[Msg, Any, None]:
        # The sample goes back in even if the shutter fails.
        yield from bpp.finalize_wrapper(bps.mv(beamline.shutter, CLOSED), go_in())

    # The camera is staged within the run, so that its file is closed when the run's end is told.
    return (yield from bpp.run_wrapper(bpp.finalize_wrapper(staged(), make_safe), md=metadata))


def _esrf_variables(
    *,
    projections: int,
    scan_range: float,
    start_angle: float,
    ref_on: int,
    darks: int,
    flats: int,
    y_step: float,
    z_step: float,
) -> dict[str, Any]:
    """What the plan knows, under the names and in the units of ESRF's definition (icat-esrf-definitions 3.8.0)."""
    return {
        "scanType": "step_by_step",
        "TOMO_scanning_mode": "step",
        "TOMO_images_per_step": 1,
        "TOMO_interlaced": 0,
        "TOMO_nested": 0,
        "TOMO_shift_turns": 0,
        "TOMO_save_separate_dark_image": 0,
        "TOMO_live_correction": 0,
        "TOMO_images_at_end_as_quali": 0,
        "TOMO_mono_tune_on_ref": 0,
        "TOMO_mono_tune_on_start": 0,
        "TOMO_xStages": 1,
        "TOMO_yStages": 1,
        "TOMO_zStages": 1,
        "TOMOAcquisition_scan_type": "STEP",
        "TOMOAcquisition_type": "full",
        "TOMOAcquisition_half_acquisition": False,
        "TOMOAcquisition_proj_n": projections,
        "TOMOAcquisition_flat_n": flats,
        "TOMOAcquisition_dark_n": darks,
        "TOMOAcquisition_flat_on": ref_on,
        "TOMOAcquisition_y_step": y_step,
        "TOMOAcquisition_z_step": z_step,
        "TOMOAcquisition_start_angle": start_angle,
        "TOMOAcquisition_scan_range": scan_range,
        "TOMOAcquisition_read_srcur": True,
        "TOMOAcquisition_beam_check": False,
        "TOMOAcquisition_no_images_at_end": True,
        "TOMOAcquisition_no_flat_at_end": False,
        "TOMOAcquisition_n_subtomo": 1,
    }


def checked_angles(beamline: TomoBeamline, **given: Any) -> NDArray[np.float64]:
    """The angles of the projections, deg; raises one ValueError with every fault of the parameters."""
    asked = Parameters("tomo_scan")
    asked.whole(1, **{name: given[name] for name in ("projections", "ref_on")})
    asked.whole(0, **{name: given[name] for name in ("darks", "flats")})
    optional = () if given["exposure_time"] is None else ("exposure_time",)
    asked.real(**{name: given[name] for name in ("scan_range", "start_angle", "y_step", "z_step", *optional)})
    if given["scan_range"] == 0:
        asked.faults.append("scan_range must not be 0")
    if given["y_step"] == given["z_step"] == 0:
        asked.faults.append("y_step and z_step must not both be 0")
    asked.settle()

    projections, ref_on = given["projections"], given["ref_on"]
    frames = given["darks"] + (math.ceil(projections / ref_on) + 1) * given["flats"] + projections
    if frames > MOST_FRAMES:
        # Said before the angles are made: a slip of the finger must not fill the memory.
        raise ValueError(f"tomo_scan: {frames} frames are more than {MOST_FRAMES}")
    angles: NDArray[np.float64] = (
        given["start_angle"] + np.arange(projections, dtype=float) * given["scan_range"] / projections
    )
    asked.refused(beamline.srot, float(angles[0]), float(angles[-1]))
    if given["flats"]:
        asked.refused(beamline.sy, beamline.sy.position + given["y_step"])
        asked.refused(beamline.sz, beamline.sz.position + given["z_step"])
    if given["exposure_time"] is not None:
        asked.refused(beamline.camera.exposure_time, given["exposure_time"])
    asked.settle()
    return angles
