"""Ptychography of a gold film near a Bragg peak at a simulated ID13."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from devices.scenes.nanobeam import Nanobeam
from plans.demos.canvas import canvas
from plans.demos.demo import Demo
from plans.demos.maps import map_of_film
from plans.demos.ptychography import Scan, Solution, Wave, compared, read_scan, reconstruct


@dataclass(frozen=True)
class Comparison:
    """How the object compares with what was scanned."""

    agreement: float
    """Of the object with the true one, amplitude and phase, 0 to 1."""
    probe: float
    """Of the probe with the true one, 0 to 1."""
    pixel: float
    """Of the object, nm."""
    error: float
    """Difference of measured and reconstructed amplitudes, relative."""

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        return [
            f"object and probe from /entry_1 of the file alone, pixels of {self.pixel:.1f} nm, "
            f"amplitudes differ by {100 * self.error:.1f} %",
            f"agreement with the truth: object {self.agreement:.3f}, probe {self.probe:.3f}",
        ]


def analyse(dataset_file: Path, picture: Path | None, truth: Nanobeam) -> Comparison:
    """Reconstruct object and probe from `dataset_file` alone and compare them with the truth."""
    scan = read_scan(dataset_file)
    solution = reconstruct(scan, iterations=20)
    true = true_object(truth, scan, solution.object.shape)
    agreement, turned = compared(solution, true)
    # What a ramp of the phase and a shift would change is not asked of the probe.
    overlap = np.fft.ifft2(np.fft.fft2(np.abs(solution.probe)) * np.fft.fft2(np.abs(truth.probe)).conj())
    norm = np.sqrt(np.sum(np.abs(solution.probe) ** 2) * np.sum(np.abs(truth.probe) ** 2))
    if picture is not None:
        draw(picture, scan, solution, turned, true, truth.probe)
    return Comparison(agreement, float(np.abs(overlap).max() / norm), scan.object_pixel * 1e9, solution.errors[-1])


def true_object(truth: Nanobeam, scan: Scan, shape: tuple[int, ...]) -> Wave:
    """The film where the pixels of the reconstructed object are."""
    first = scan.translation[:, 1::-1].min(axis=0) * 1e6
    pixel, middle = scan.object_pixel * 1e6, truth.optics.size // 2
    y, x = (-(start + (np.arange(count) - middle) * pixel) for start, count in zip(first, shape, strict=True))
    return truth.film.diffracted(x[None, :], y[:, None], truth.optics)


def draw(path: Path, scan: Scan, solution: Solution, turned: Wave, true: Wave, probe: Wave) -> None:
    """Write a PNG: a frame, the probes, and amplitude and phase of the object beside the truth."""
    rows, columns = (slice(v.min(), v.max() + 1) for v in np.nonzero(solution.seen))
    height, width = ((s.stop - s.start) * scan.object_pixel * 1e6 for s in (rows, columns))
    half = scan.frames.shape[-1] * scan.object_pixel * 5e5
    both = ((turned, solution.probe, "reconstructed"), (true, probe, "truth"))
    with canvas(path, 2, 3, width=13.0, height=8.6) as (figure, panels):
        for (of_object, of_probe, title), (left, middle, right) in zip(both, panels, strict=True):
            wave, area = of_object[rows, columns], (0, width, height, 0)
            shown = left.imshow(np.abs(wave), cmap="gray", vmin=0, vmax=1.1, extent=area)
            figure.colorbar(shown, ax=left, shrink=0.8)
            left.set(title=f"amplitude, {title}", xlabel="μm", ylabel="μm")
            shown = middle.imshow(np.angle(wave), cmap="twilight", vmin=-np.pi, vmax=np.pi, extent=area)
            figure.colorbar(shown, ax=middle, label="rad", shrink=0.8)
            middle.set(title=f"phase, {title}", xlabel="μm", ylabel="μm")
            size = np.abs(of_probe)
            right.imshow(size / size.max(), cmap="inferno", extent=(-half, half, half, -half))
            right.set(title=f"probe, {title}", xlabel="μm", ylabel="μm")
        figure.suptitle(f"From {len(scan.frames)} frames, read below /entry_1 of the file alone")


DEMO = Demo(
    technique="ptycho",
    title="Ptychography of the grains of a gold film at a simulated ID13",
    run=map_of_film(("ptycho",), shape=(24, 24), step=0.08),
    analyse=analyse,
)
