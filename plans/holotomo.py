"""Holo-tomography: one tomography a plane, at four places of the sample along the beam."""

from __future__ import annotations

import math
import uuid
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg

from plans.parameters import Parameters
from plans.tomo import TomoBeamline, checked_angles, tomo_scan

MOST_PLANES = 4
"""ESRF's group HOLO has indices for four."""


class HoloBeamline(TomoBeamline, Protocol):
    """What a beamline must have beside what a tomography needs."""

    @property
    def sx(self) -> Any:
        """The sample along the beam, mm."""

    @property
    def geometry(self) -> Any:
        """``at(sx)`` tells distances (mm) and pixel size (μm) for a position of sx."""


def holotomo_scan(
    beamline: HoloBeamline,
    *,
    planes: Sequence[float] = (60.0, 62.5, 72.0, 96.0),
    projections: int = 200,
    scan_range: float = 180.0,
    start_angle: float = 0.0,
    ref_on: int = 100,
    darks: int = 10,
    flats: int = 10,
    z_step: float = -0.3,
    exposure_time: float | None = None,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, list[str]]:
    """Take a tomography at each place of the sample along the beam; a run a plane, all of one dataset.

    The first plane should be the one with the smallest pixels: its pixel size is that of the group HOLO. Each start
    document tells of all planes, and has the same ``dataset_uid``. In the end sx goes back to where it was. If a plane
    is aborted, those before it are complete.

    Parameters
    ----------
    planes
        Positions of sx, mm.
    z_step
        How far the sample goes up for flats, mm; with its sign.
    md
        Metadata of every start document; overrides what the plan says itself.

    The others are those of :func:`plans.tomo.tomo_scan`, for each plane.

    Returns
    -------
    The runs' uids, a plane each.

    Raises
    ------
    ValueError
        Before anything moves, with all that is wrong with the planes, or with the other parameters.
    """
    wanted = {
        "projections": projections,
        "scan_range": scan_range,
        "start_angle": start_angle,
        "ref_on": ref_on,
        "darks": darks,
        "flats": flats,
        "y_step": 0.0,
        "z_step": z_step,
        "exposure_time": exposure_time,
    }
    _check(beamline, planes)
    checked_angles(beamline, **wanted)
    metadata = {
        "plan_name": "holotomo_scan",
        "plan_args": {**wanted, "planes": [float(plane) for plane in planes]},
        "technique": "holotomo",
        "dataset_uid": str(uuid.uuid4()),
        **_distances([beamline.geometry.at(plane) for plane in planes]),
        **_indices(len(planes), projections=projections, ref_on=ref_on, darks=darks, flats=flats),
    }
    home = beamline.sx.position

    def take_planes() -> Generator[Msg, Any, list[str]]:
        uids = []
        for number, plane in enumerate(planes, 1):
            yield from bps.mv(beamline.sx, float(plane))
            of_plane = {**metadata, "holo_plane": number, **(md or {})}
            uids.append((yield from tomo_scan(beamline, **wanted, md=of_plane)))
        return uids

    return (yield from bpp.finalize_wrapper(take_planes(), bps.mv(beamline.sx, home)))


def _distances(places: Sequence[Any]) -> dict[str, Any]:
    """Number, distances and pixel size of the planes, under the names and in the units of ESRF's definition."""
    source_sample = [place.source_sample for place in places]
    sample_detector = [place.sample_detector for place in places]
    return {
        "HOLO_N": len(places),
        "HOLO_source_sample_distances": source_sample,
        "HOLO_sample_detector_distances": sample_detector,
        "HOLO_pixel_size": places[0].pixel_size * 1e3,
        # Deprecated, but asked for by programs of their time.
        "HOLO_pixelSize": places[0].pixel_size,
        "HOLO_holoSourceSampleDistances": _text(source_sample),
        "HOLO_holoSampleDetectorDistances": _text(sample_detector),
    }


def _text(values: Sequence[float]) -> str:
    """Numbers as ESRF's definition wants a list in a text."""
    return " ".join(f"{value:.12g}" for value in values)


def _indices(planes: int, *, projections: int, ref_on: int, darks: int, flats: int) -> dict[str, int]:
    """First and last dark, projection and reference of each plane, in the order in which a tomography takes them."""
    groups = math.ceil(projections / ref_on)
    frames = darks + (groups + 1) * flats + projections
    found = {"HOLO_dark_num_start": 0, "HOLO_dark_num_end": darks - 1} if darks else {}
    for number in range(1, planes + 1):
        found[f"HOLO_im{number:02d}_num_start"] = darks + flats
        found[f"HOLO_im{number:02d}_num_end"] = frames - flats - 1
        if flats:
            found[f"HOLO_ref{number:02d}_num_start"] = darks
            found[f"HOLO_ref{number:02d}_num_end"] = frames - 1
    return found


def _check(beamline: HoloBeamline, planes: Sequence[float]) -> None:
    """Raise one ValueError with every fault of the planes."""
    asked = Parameters("holotomo_scan")
    asked.real(**{f"plane {number}": plane for number, plane in enumerate(planes, 1)})
    if not 1 <= len(planes) <= MOST_PLANES:
        asked.faults.append(f"planes: give one to {MOST_PLANES}, not {len(planes)}")
    if len(set(planes)) < len(planes):
        asked.faults.append("planes: one is given twice")
    asked.settle()
    asked.refused(beamline.sx, *planes)
    asked.settle()
