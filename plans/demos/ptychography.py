"""Ptychography: probe and object from the frames of a scan, by the extended ptychographical iterative engine (ePIE).

Maiden and Rodenburg, Ultramicroscopy 109 (2009) 1256. A small implementation to show that a file holds what is needed;
programs made for it (PtyPy, PyNX, cdtools) do more. Everything is read below ``/entry_1`` under CXI's names, as two
of them do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.complex128]

PROBE_AFTER = 3
"""Iterations in which the object alone is changed."""
LIT = 0.3
"""The object is looked at where it was lit by this share of the brightest part, all frames together."""
PLANCK_C = 1.986445857e-25
"""Planck's constant times the speed of light, J m (CODATA 2018)."""


@dataclass(frozen=True)
class Scan:
    """What a CXI file holds of a ptychographic scan, in SI units."""

    frames: NDArray[np.float64]
    """Counts, shape (n, ny, nx)."""
    translation: NDArray[np.float64]
    """Place of the sample for each frame: x, y, z, m."""
    wavelength: float
    distance: float
    pixel: float
    focus: float
    """Where the beam is smallest, m along the beam from the sample; negative is upstream."""

    @property
    def object_pixel(self) -> float:
        """Size of the object's pixels, m."""
        return self.wavelength * self.distance / (self.frames.shape[-1] * self.pixel)

    @property
    def corners(self) -> NDArray[np.float64]:
        """Row and column of the object where each frame's window begins, in pixels, with their fractions.

        CXI's x runs against the columns, y against the rows, and the beam moves against the sample.
        """
        steps = self.translation[:, 1::-1] / self.object_pixel
        return np.asarray(steps - steps.min(axis=0))


def read_scan(path: Path) -> Scan:
    """Read a scan as programs for CXI files do.

    Raises
    ------
    KeyError
        Something that they need is not there.
    """
    with h5py.File(path, "r") as file:
        instrument = cast(h5py.Group, file["/entry_1/instrument_1"])

        def number(name: str) -> float:
            return float(cast(h5py.Dataset, instrument[name])[()])

        data = cast(h5py.Dataset, file["/entry_1/data_1/data"])
        translation = cast(h5py.Dataset, file["/entry_1/sample_1/geometry_1/translation"])
        return Scan(
            frames=data[()].astype(np.float64),
            translation=translation[()],
            wavelength=PLANCK_C / number("source_1/energy"),
            distance=number("detector_1/distance"),
            pixel=number("detector_1/x_pixel_size"),
            focus=number("beam_1/distance"),
        )


@dataclass(frozen=True)
class Solution:
    """Probe and object."""

    probe: Wave
    object: Wave
    seen: NDArray[np.bool_]
    """Where the object was well lit."""
    errors: tuple[float, ...]
    """Of each iteration: difference of amplitudes, relative to the measured ones."""


def reconstruct(scan: Scan, iterations: int = 40, seed: int = 0) -> Solution:
    """Probe and object of a scan, the probe where the windows of the object's pixels begin."""
    rng = np.random.default_rng(seed)
    count, size = scan.frames.shape[0], scan.frames.shape[-1]
    amplitudes = np.fft.ifftshift(np.sqrt(scan.frames), axes=(1, 2))
    corners = np.rint(scan.corners).astype(int)
    ramps = _ramps(scan.corners - corners, size)
    found = np.ones(tuple(corners.max(axis=0) + size), dtype=complex)
    probe = first_probe(scan)
    errors = []
    for iteration in range(iterations):
        difference = 0.0
        for j in rng.permutation(count):
            row, column = corners[j]
            here = np.s_[row : row + size, column : column + size]
            window = found[here].copy()
            light = np.fft.ifft2(np.fft.fft2(probe) * ramps[j])
            exit_wave = light * window
            far = np.fft.fft2(exit_wave, norm="ortho")
            strength = np.abs(far)
            difference += float(np.sum((strength - amplitudes[j]) ** 2))
            change = np.fft.ifft2(far * (amplitudes[j] / (strength + 1e-9)), norm="ortho") - exit_wave
            found[here] += change * light.conj() / np.max(np.abs(light) ** 2)
            if iteration >= PROBE_AFTER:
                light = light + change * window.conj() / np.max(np.abs(window) ** 2)
                probe = np.fft.ifft2(np.fft.fft2(light) * ramps[j].conj())
        errors.append(float(np.sqrt(difference / np.sum(scan.frames))))
    intensity = np.zeros(found.shape)
    for row, column in corners:
        intensity[row : row + size, column : column + size] += np.abs(probe) ** 2
    return Solution(probe, found, intensity > LIT * intensity.max(), tuple(errors))


def _ramps(shifts: NDArray[np.float64], size: int) -> Wave:
    """Factors in Fourier space which shift by parts of a pixel, shape (n, size, size)."""
    frequency = np.fft.fftfreq(size)
    down, right = (np.exp(-2j * np.pi * shifts[:, i, None] * frequency) for i in (0, 1))
    return np.asarray(down[:, :, None] * right[:, None, :])


def first_probe(scan: Scan) -> Wave:
    """The mirrors' image, as the typical frame shows it, brought from the detector to the sample beyond the focus."""
    size = scan.frames.shape[-1]
    place = np.arange(size)
    centred = []
    for frame in scan.frames:
        middle = [float(place @ frame.sum(axis=1 - axis)) / frame.sum() for axis in (0, 1)]
        centred.append(np.roll(frame, [size // 2 - round(m) for m in middle], axis=(0, 1)))
    image = np.median(centred, axis=0)
    frequency = (place - size // 2) / (size * scan.object_pixel)
    bent = np.exp(1j * np.pi * scan.wavelength * scan.focus * frequency**2)
    pupil = np.sqrt(image) * np.outer(bent, bent)
    probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil)))
    return np.asarray(probe * np.sqrt(scan.frames.sum(axis=(1, 2)).max() / np.sum(np.abs(probe) ** 2)))


def compared(solution: Solution, truth: Wave) -> tuple[float, Wave]:
    """How much of the true object was found, 0 to 1, and the found one without what ptychography cannot tell.

    The object is known but for a factor, a shift by which the probe shifts the other way, and a ramp of the phase that
    the probe takes up. They are taken from the comparison.
    """
    seen = solution.seen
    best: tuple[float, Any] = (0.0, solution.object)
    rows, columns = np.indices(truth.shape)
    for down in range(-3, 4):
        for right in range(-3, 4):
            moved = np.roll(solution.object, (down, right), axis=(0, 1))
            mask = seen & np.roll(seen, (down, right), axis=(0, 1))
            ratio = np.where(mask, moved.conj() * truth, 0)
            spectrum = np.abs(np.fft.fft2(ratio, s=tuple(4 * n for n in truth.shape)))
            peak = np.unravel_index(np.argmax(spectrum), spectrum.shape)
            norm = np.sqrt(np.sum(np.abs(moved[mask]) ** 2) * np.sum(np.abs(truth[mask]) ** 2))
            score = float(spectrum[peak] / norm)
            if score > best[0]:
                ramp = np.exp(2j * np.pi * (peak[0] * rows / spectrum.shape[0] + peak[1] * columns / spectrum.shape[1]))
                turned = moved * ramp
                factor = np.vdot(turned[mask], truth[mask]) / np.vdot(turned[mask], turned[mask])
                best = score, turned * factor
    return best
