"""Detectors: a camera that writes its frames itself, as detectors do, and one that counts photons.

Documents say where the frames are (``stream_resource``, ``stream_datum``); the frames themselves never pass through
the RunEngine.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
from event_model import compose_stream_resource
from numpy.typing import NDArray
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.quantity import Derived, Quantity

DATASET = "/entry/data/data"
"""Where a camera's file holds its frames, as the EIGER's and ESRF's LIMA's files do."""


@dataclass(frozen=True)
class Exposure:
    """What a camera asks of the scene when it is triggered."""

    time: float
    """Exposure time, s."""
    shape: tuple[int, int]
    """Rows and columns of the frame."""


Image = Callable[[Exposure], NDArray[np.uint16]]
"""Makes one frame, shaped as the exposure says."""


class FrameCamera(Device):
    """A camera with a file of its own: one a ``stage()``, numbered, never written over, closed at ``unstage()``.

    The file is ``{directory}/{name}_{NNNN}.h5`` with the frames in ``/entry/data/data``, shape (n, ny, nx), one
    chunk a frame. It is flushed after every frame. One ``stage()`` serves one run.

    Parameters
    ----------
    directory
        Made if it is not there. A function is asked at each ``stage()``, for a folder that follows the experiment.
    image
        Called at every trigger for the frame.
    shape
        Rows and columns of a frame.
    pixel
        Size of a pixel, μm, binning included.
    """

    exposure_time = Cpt(Quantity, value=0.1, units="s", precision=4, limits=(0.001, 60.0), kind=Kind.config)
    readout_time = Cpt(Quantity, value=0.02, units="s", precision=4, writable=False, kind=Kind.config)
    frame_time = Cpt(
        Derived, compute=lambda c: c.exposure_time.get() + c.readout_time.get(), units="s", kind=Kind.config
    )
    accumulations = Cpt(Quantity, value=1, writable=False, kind=Kind.config)
    x_pixels = Cpt(Derived, compute=lambda c: c.shape[1], value=0, kind=Kind.config)
    y_pixels = Cpt(Derived, compute=lambda c: c.shape[0], value=0, kind=Kind.config)
    x_pixel_size = Cpt(Derived, compute=lambda c: c.pixel, units="um", precision=2, kind=Kind.config)
    y_pixel_size = Cpt(Derived, compute=lambda c: c.pixel, units="um", precision=2, kind=Kind.config)
    binning = Cpt(Quantity, value=1, writable=False, kind=Kind.config)
    bit_depth = Cpt(Quantity, value=16, writable=False, kind=Kind.config)
    saturation = Cpt(Quantity, value=65535, writable=False, kind=Kind.config)
    flip_horizontal = Cpt(Quantity, value=False, writable=False, kind=Kind.config)
    flip_vertical = Cpt(Quantity, value=False, writable=False, kind=Kind.config)
    acquisition_mode = Cpt(Quantity, value="SINGLE", writable=False, kind=Kind.config)
    model = Cpt(Quantity, value="FReLoN", writable=False, kind=Kind.config)
    manufacturer = Cpt(Quantity, value="ESRF", writable=False, kind=Kind.config)
    temperature = Cpt(Quantity, value=-19.8, units="degC", precision=1, writable=False, kind=Kind.config)
    folder = Cpt(Derived, compute=lambda c: str(c.files[-1].parent) if c.files else "", value="", kind=Kind.config)
    """Where its last file is; empty if it has written none."""
    file_prefix = Cpt(Derived, compute=lambda c: f"{c.name}_", value="", kind=Kind.config)
    """What the names of its files begin with."""
    mean = Cpt(Quantity, value=0.0, precision=2, writable=False, kind=Kind.hinted)
    """Mean of the last frame in counts, a pure number."""

    def __init__(
        self,
        *args: Any,
        directory: Path | str | Callable[[], Path],
        image: Image,
        shape: tuple[int, int] = (128, 128),
        pixel: float = 24.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._directory = directory
        self.shape = shape
        self.pixel = pixel
        self.files: list[Path] = []
        """Every file that this camera has written, in order."""
        self._image = image
        self._file: h5py.File | None = None
        self._frames: h5py.Dataset | None = None
        self._documents: deque[tuple[str, dict[str, Any]]] = deque()
        self._resource = ""
        self._described = 0

    @property
    def directory(self) -> Path:
        """Where the next file goes."""
        found = self._directory() if callable(self._directory) else self._directory
        return Path(found).absolute()

    @property
    def image_key(self) -> str:
        """Data key of the frames: the camera's name and ``_image``."""
        return f"{self.name}_image"

    def stage(self) -> list[Any]:
        """Open the next file. What fails here leaves the camera unstaged."""
        staged = super().stage()
        try:
            self._open()
        except Exception:
            super().unstage()
            raise
        return staged

    def _open(self) -> None:
        directory = self.directory
        directory.mkdir(parents=True, exist_ok=True)
        numbers = [int(p.stem[-4:]) for p in directory.glob(f"{self.name}_*.h5") if p.stem[-4:].isdigit()]
        number = max(numbers, default=0) + 1
        while True:
            path = directory / f"{self.name}_{number:04d}.h5"
            try:
                # Reserving by name first: h5py's mode "x" asks and creates in two steps.
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            except FileExistsError:
                number += 1
                continue
            break
        self._file = h5py.File(path, "w")
        self._file.attrs["default"] = "entry"
        entry = self._file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "data"})
        self._frames = data.create_dataset(
            "data", shape=(0, *self.shape), maxshape=(None, *self.shape), chunks=(1, *self.shape), dtype="<u2"
        )
        self._frames.attrs["interpretation"] = "image"
        self._file.flush()
        self.files.append(path)
        self._documents.clear()
        self._described = 0
        bundle = compose_stream_resource(
            data_key=self.image_key,
            mimetype="application/x-hdf5",
            uri=f"file://localhost{quote(str(path))}",
            parameters={"dataset": DATASET, "chunk_shape": [1, *self.shape]},
        )
        resource = bundle.stream_resource_doc
        self._resource = resource["uid"]
        self._documents.append(("stream_resource", dict(resource)))

    def unstage(self) -> list[Any]:
        """Close the file. A camera that is not staged is left alone."""
        if self._file is not None:
            self._file.close()
            self._file = self._frames = None
        return super().unstage()

    def trigger(self) -> Status:
        """Take one frame and write it."""
        if self._file is None or self._frames is None:
            raise RuntimeError(f"{self.name} is not staged: it has no file to write its frame to")
        frame = self._image(Exposure(self.exposure_time.get(), self.shape))
        if frame.shape != self.shape:
            raise ValueError(f"{self.name}: the frame has the shape {frame.shape}, expected {self.shape}")
        index = self._frames.shape[0]
        self._frames.resize(index + 1, axis=0)
        self._frames[index] = frame
        self._file.flush()
        self.mean.put(float(frame.mean()), force=True)
        status = Status(self)
        status.set_finished()
        return status

    def describe(self) -> dict[str, Any]:
        """The frames, which are elsewhere, and the mean of each."""
        described = super().describe()
        described[self.image_key] = {
            "source": f"SIM:{self.image_key}",
            "dtype": "array",
            "dtype_numpy": "<u2",
            "shape": [1, *self.shape],
            "external": "STREAM:",
        }
        return described

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents for the last frame, if it has not been told yet.

        After a pause bluesky triggers again before it reads: the file then holds a frame that belongs to no event.
        Only the frame of the event is told, its index says which.
        """
        while self._documents:
            yield self._documents.popleft()
        frames = 0 if self._frames is None else self._frames.shape[0]
        if frames > self._described:
            self._described = frames
            # The RunEngine fills in descriptor and seq_nums.
            yield (
                "stream_datum",
                {
                    "uid": f"{self._resource}/{frames - 1}",
                    "stream_resource": self._resource,
                    "descriptor": "",
                    "indices": {"start": frames - 1, "stop": frames},
                    "seq_nums": {"start": 0, "stop": 0},
                },
            )


class PhotonCounter(FrameCamera):
    """A hybrid pixel detector: counts photons, reads out in no time, writes its own file as the other cameras do.

    Parameters
    ----------
    centre
        Where the beam meets it, mm from the corner of its first pixel: along the rows, along the columns.
    """

    readout_time = Cpt(Quantity, value=1.0e-5, units="s", precision=6, writable=False, kind=Kind.config)
    model = Cpt(Quantity, value="EIGER2-like, simulated", writable=False, kind=Kind.config)
    manufacturer = Cpt(Quantity, value="simulated", writable=False, kind=Kind.config)
    temperature = Cpt(Quantity, value=22.5, units="degC", precision=1, writable=False, kind=Kind.config)
    saturation = Cpt(Quantity, value=65533, writable=False, kind=Kind.config)
    sensor_material = Cpt(Quantity, value="Si", writable=False, kind=Kind.config)
    sensor_thickness = Cpt(Quantity, value=450.0, units="um", precision=1, writable=False, kind=Kind.config)
    threshold_energy = Cpt(Quantity, value=6350.0, units="eV", precision=1, limits=(2700.0, 40000.0), kind=Kind.config)
    beam_center_x = Cpt(Quantity, value=0.0, units="mm", precision=4, kind=Kind.config)
    beam_center_y = Cpt(Quantity, value=0.0, units="mm", precision=4, kind=Kind.config)
    frame_shape = Cpt(Quantity, value=np.zeros(2, dtype=int), kind=Kind.config)
    template = Cpt(Derived, compute=lambda c: f"{c.name}_####.h5", value="", kind=Kind.config)

    def __init__(self, *args: Any, centre: tuple[float, float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.beam_center_x.put(centre[0])
        self.beam_center_y.put(centre[1])
        self.frame_shape.put(np.array(self.shape))
