"""Azimuthal average: reduces frames to curves while they are taken, as small-angle beamlines do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.detectors import Exposure, Image
from devices.quantity import Quantity
from devices.scenes.spheres import Camera, Filling

SAMPLE, BUFFER, DARK = 0, 1, 2
"""What a frame is; the numbers are ours, NXsas has none."""
BINS = 100
"""Points of a curve."""
GUINIER = 1.3
"""Guinier's law holds for q · Rg below it (Guinier and Fournet, 1955, for compact bodies)."""

FloatArray = NDArray[np.float64]


class AzimuthalAverage(Device):
    """Averages all frames since it was staged, subtracts dark and buffer, and puts the curve on an absolute scale.

    Its arrays, in one reading: ``NAME_q`` (1/nm), ``NAME_I`` and ``NAME_Idev`` (1/cm), shape (100,), and ``NAME_mask``,
    1 for a pixel that was left out, shaped as a frame.

    Parameters
    ----------
    image
        What the camera would be given: each of its frames is passed on and remembered.
    camera, filling
        Geometry and sample at a frame, called for each.
    kind
        What a frame is: SAMPLE, BUFFER or DARK.
    """

    frames_averaged = Cpt(Quantity, value=0, writable=False)
    guinier_rg = Cpt(Quantity, value=0.0, units="nm", precision=3, writable=False, kind=Kind.hinted)
    guinier_sigma_rg = Cpt(Quantity, value=0.0, units="nm", precision=3, writable=False)
    guinier_i0 = Cpt(Quantity, value=0.0, units="1/cm", precision=2, writable=False)
    guinier_start = Cpt(Quantity, value=0, writable=False)
    guinier_end = Cpt(Quantity, value=0, writable=False)
    """First and last point of the curve in Guinier's region, counted from 0."""
    guinier_points = Cpt(Quantity, value=0, writable=False)

    def __init__(
        self,
        *args: Any,
        image: Image,
        camera: Callable[[], Camera],
        filling: Callable[[], Filling],
        kind_of_frame: Callable[[], int],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._image = image
        self._camera = camera
        self._filling = filling
        self._kind_of_frame = kind_of_frame
        self._clear()

    def _clear(self) -> None:
        shape = self._camera().shape
        self._sums = {kind: np.zeros(shape) for kind in (SAMPLE, BUFFER, DARK)}
        self._frames = dict.fromkeys(self._sums, 0)
        self._light = dict.fromkeys(self._sums, 0.0)
        self._arrays: dict[str, NDArray[Any]] = {
            "q": np.zeros(BINS),
            "I": np.zeros(BINS),
            "Idev": np.zeros(BINS),
            "mask": np.zeros(shape, dtype=np.int32),
        }
        self._taken = time.time()

    def image(self, exposure: Exposure) -> NDArray[np.uint16]:
        """A frame for the camera, remembered."""
        frame, filling, kind = self._image(exposure), self._filling(), self._kind_of_frame()
        self._sums[kind] += frame
        self._frames[kind] += 1
        # Photons times cm: what a cross section is to be multiplied by.
        self._light[kind] += filling.photons * filling.transmission * filling.thickness * 0.1 * exposure.time
        return frame

    def stage(self) -> list[Any]:
        self._clear()
        return super().stage()

    def trigger(self) -> Status:
        """Reduce what was seen; it fails if a kind of frame is missing."""
        status = Status(self)
        try:
            self._reduce()
        except ValueError as error:
            status.set_exception(error)
        else:
            status.set_finished()
        return status

    def _reduce(self) -> None:
        missing = [
            word for kind, word in ((SAMPLE, "sample"), (BUFFER, "buffer"), (DARK, "dark")) if not self._frames[kind]
        ]
        if missing:
            raise ValueError(f"{self.name}: no frames of {', '.join(missing)} to reduce")
        camera = self._camera()
        q, hidden, angle = camera.q(), camera.hidden(), camera.solid_angle()
        edges = _edges(camera, q)
        bins = np.where(hidden, -1, np.digitize(q, edges) - 1)
        inside = (bins >= 0) & (bins < BINS)
        place = bins[inside]
        pixels = np.bincount(place, minlength=BINS)
        dark = self._sums[DARK] / self._frames[DARK]
        curve, variance = np.zeros(BINS), np.zeros(BINS)
        for kind, sign in ((SAMPLE, 1), (BUFFER, -1)):
            counts = (self._sums[kind] - self._frames[kind] * dark)[inside]
            light = np.bincount(place, angle[inside], BINS) * self._light[kind]
            summed = np.bincount(place, counts, BINS)
            curve += sign * summed / light
            # Poisson's variance; one count at least, so that an empty bin is not taken for an exact one.
            variance += np.maximum(summed, 1) / light**2
        self._arrays = {
            "q": np.bincount(place, q[inside], BINS) / pixels,
            "I": curve,
            "Idev": np.sqrt(variance),
            "mask": hidden.astype(np.int32),
        }
        self._taken = time.time()
        self.frames_averaged.put(self._frames[SAMPLE], force=True)
        self._fit_guinier()

    def _fit_guinier(self) -> None:
        """A straight line through ln I over q², as far as Guinier's law holds."""
        q, curve, deviation = (self._arrays[name] for name in ("q", "I", "Idev"))
        last = 8
        for _ in range(20):
            weights = curve[:last] / deviation[:last]
            (slope, intercept), covariance = np.polyfit(
                q[:last] ** 2, np.log(curve[:last]), 1, w=weights, cov="unscaled"
            )
            rg = float(np.sqrt(max(-3 * slope, 1e-6)))
            found = max(int((q * rg < GUINIER).sum()), 4)
            if found == last:
                break
            last = found
        self.guinier_rg.put(rg, force=True)
        self.guinier_sigma_rg.put(float(1.5 * np.sqrt(covariance[0, 0]) / rg), force=True)
        self.guinier_i0.put(float(np.exp(intercept)), force=True)
        self.guinier_start.put(0, force=True)
        self.guinier_end.put(last - 1, force=True)
        self.guinier_points.put(last, force=True)

    def describe(self) -> dict[str, Any]:
        """The arrays beside the numbers."""
        described = super().describe()
        units = {"q": "1/nm", "I": "1/cm", "Idev": "1/cm", "mask": None}
        for name, array in self._arrays.items():
            described[f"{self.name}_{name}"] = {
                "source": f"SIM:{self.name}_{name}",
                "dtype": "array",
                "dtype_numpy": array.dtype.str,
                "shape": list(array.shape),
                **({"units": units[name]} if units[name] else {}),
            }
        return described

    def read(self) -> dict[str, Any]:
        """The last reduction."""
        arrays = {
            f"{self.name}_{name}": {"value": array, "timestamp": self._taken} for name, array in self._arrays.items()
        }
        return {**super().read(), **arrays}


def _edges(camera: Camera, q: FloatArray) -> FloatArray:
    """Limits of the bins: from the edge of the beam stop to the last circle that the detector holds as a whole."""
    clear = q[~camera.hidden()]
    rows, columns = camera.shape
    x, y = camera.centre
    reach = min(x, y, columns * camera.pixel - x, rows * camera.pixel - y)
    last = 4 * np.pi / (camera.wavelength / 10) * np.sin(np.arctan2(reach, camera.distance) / 2)
    first = 4 * np.pi / (camera.wavelength / 10) * np.sin(np.arctan2(camera.beam_stop, camera.distance) / 2)
    return np.linspace(max(first, float(clear.min())), last, BINS + 1)
