"""A small-angle scattering scan: darks, buffer, sample, and the curve that comes of them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg

from devices.azimuthal import BUFFER, DARK, SAMPLE
from devices.shutter import CLOSED, OPEN
from plans.beamline import HasCamera, HasMonitor, HasRing, HasShutter
from plans.parameters import Parameters

REDUCED = "reduced"
"""The stream of the curve."""


class SaxsBeamline(HasCamera, HasMonitor, HasShutter, HasRing, Protocol):
    """What a beamline must have to be scanned; :class:`devices.beamlines.id02.Beamline` is one.

    All members are devices in bluesky's sense.
    """

    @property
    def azimuthal(self) -> Any:
        """Reduces the camera's frames; triggered once at the end."""

    @property
    def changer(self) -> Any:
        """Has ``content``, which is set to ``sample`` or ``buffer``, and ``diode``, the current behind it."""

    @property
    def frame_type(self) -> Any:
        """A soft signal that says what a frame is."""


def saxs_scan(
    beamline: SaxsBeamline,
    *,
    frames: int = 20,
    buffers: int = 10,
    darks: int = 5,
    exposure_time: float | None = None,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Expose the buffer and then the sample; one run, with all frames in its stream ``primary``.

    The order is darks (shutter closed), buffer, sample. The curve of dark and buffer subtracted is the one event of the
    stream ``reduced``. Whatever happens, the shutter is closed at the end.

    Each event has the frame, ``frame_type`` (0 sample, 1 buffer, 2 dark), the monitor's counts, the current of the
    diode behind the sample (A) and the machine current (mA). The camera is unstaged, and so its file complete, before
    the run ends.

    Parameters
    ----------
    frames, buffers, darks
        Frames of each kind; 1 at least.
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
    camera, monitor = beamline.camera, beamline.monitor
    seconds = camera.exposure_time.get() if exposure_time is None else exposure_time
    asked = Parameters("saxs_scan")
    asked.whole(1, frames=frames, buffers=buffers, darks=darks)
    asked.real(exposure_time=seconds)
    if not asked.faults:
        asked.refused(camera.exposure_time, seconds)
    asked.settle()
    metadata: dict[str, Any] = {
        "plan_name": "saxs_scan",
        "plan_args": {"frames": frames, "buffers": buffers, "darks": darks, "exposure_time": exposure_time},
        "technique": "saxs",
        "purpose": "measurement",
        "detectors": [camera.name, monitor.name],
        "num_points": darks + buffers + frames,
        "hints": {"dimensions": [[["time"], "primary"]]},
        "scanType": "step_by_step",
        # ESRF's words for these (icat-esrf-definitions 3.8.0).
        "SAXS_numberFrames": frames,
        "SAXS_experiment_type": "sample changer",
        "SAXS_experimentType": "sample changer",
        "SAXS_sample_type": "sample",
        **(md or {}),
    }
    read = [camera, monitor, beamline.frame_type, beamline.changer.diode, beamline.ring.current]

    def series(kind: int, count: int) -> Generator[Msg, Any, None]:
        yield from bps.mv(beamline.frame_type, kind)
        for _ in range(count):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read(read)

    @bpp.stage_decorator([camera, monitor, beamline.azimuthal])
    def staged() -> Generator[Msg, Any, None]:
        yield from bps.mv(beamline.shutter, CLOSED, beamline.changer.content, "buffer")
        yield from series(DARK, darks)
        yield from bps.mv(beamline.shutter, OPEN)
        yield from series(BUFFER, buffers)
        yield from bps.mv(beamline.changer.content, "sample")
        yield from series(SAMPLE, frames)
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([beamline.azimuthal], name=REDUCED)

    def close() -> Generator[Msg, Any, None]:
        yield from bps.mv(beamline.shutter, CLOSED)

    # Before the run, so that the descriptors have the new times.
    yield from bps.mv(camera.exposure_time, float(seconds), monitor.exposure_time, float(seconds))

    # The camera is staged within the run, so that its file is closed when the run's end is told.
    return (yield from bpp.run_wrapper(bpp.finalize_wrapper(staged(), close), md=metadata))
