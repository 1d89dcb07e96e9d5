"""Nano-fluorescence: a map of a gold film with iron, copper and calcium at a simulated ID13."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from devices.scenes.fluorescence import ELEMENTS
from devices.scenes.nanobeam import Nanobeam
from plans.demos.canvas import canvas
from plans.demos.demo import Demo
from plans.demos.maps import FloatArray, Map, correlation, map_of_film, read_map

WINDOW = 0.09
"""Half width of the window around an element's line, keV."""


@dataclass(frozen=True)
class ElementMaps:
    """What the spectra show."""

    lines: Mapping[str, float]
    """Element → energy at which its strongest line was found in the sum of all spectra, keV."""
    correlations: Mapping[str, float]
    """Element → correlation of its map with the true areal density."""
    spectra: int

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        found = ", ".join(f"{element} {energy:.3f} keV" for element, energy in self.lines.items())
        agree = ", ".join(f"{element} {value:.2f}" for element, value in self.correlations.items())
        return [f"lines in the sum of {self.spectra} spectra: {found}", f"element maps and truth correlate: {agree}"]


def analyse(dataset_file: Path, picture: Path | None, truth: Nanobeam) -> ElementMaps:
    """Find the lines in the sum spectrum and map each element, from `dataset_file` alone."""
    with h5py.File(dataset_file, "r") as file:
        spectra = read_map(file, "/entry/data_xrf_spectrum")
        energy = file["/entry/data/energy"][()]
    total = spectra.signal.sum(axis=(0, 1)).astype(float)
    lines, maps, true = {}, {}, {}
    x, y = spectra.places
    for symbol, element in ELEMENTS.items():
        expected = element.lines[0][1] * 1e-3
        lines[symbol] = peak(energy, total, expected)
        maps[symbol] = line_map(spectra, energy, expected)
        true[symbol] = np.array(
            [truth.density(symbol, *place) for place in zip(x.ravel(), y.ravel(), strict=True)]
        ).reshape(x.shape)
    correlations = {symbol: correlation(maps[symbol], true[symbol]) for symbol in maps}
    if picture is not None:
        draw(picture, spectra, energy, total, maps, true)
    return ElementMaps(lines, correlations, spectra.signal.shape[0] * spectra.signal.shape[1])


def peak(energy: FloatArray, counts: FloatArray, near: float) -> float:
    """Energy of the peak near an energy, keV: the middle of its upper half above a straight background."""
    window = np.abs(energy - near) < 2.5 * WINDOW
    e, c = energy[window], counts[window]
    c = c - np.interp(e, [e[0], e[-1]], [c[:3].mean(), c[-3:].mean()])
    top = int(np.argmax(c))
    first = last = top
    while first > 0 and c[first - 1] > c[top] / 2:
        first -= 1
    while last < len(c) - 1 and c[last + 1] > c[top] / 2:
        last += 1
    upper = slice(first, last + 1)
    return float(np.average(e[upper], weights=c[upper]))


def line_map(spectra: Map, energy: FloatArray, line: float) -> FloatArray:
    """Counts around a line at each point, less the background beside it."""
    inside = np.abs(energy - line) < WINDOW
    beside = (np.abs(energy - line) > 2 * WINDOW) & (np.abs(energy - line) < 2.5 * WINDOW)
    counts = spectra.signal
    return np.asarray(counts[..., inside].sum(-1) - counts[..., beside].mean(-1) * inside.sum(), dtype=float)


def draw(
    path: Path,
    spectra: Map,
    energy: FloatArray,
    total: FloatArray,
    maps: Mapping[str, FloatArray],
    true: Mapping[str, FloatArray],
) -> None:
    """Write a PNG: the sum spectrum with its lines, the maps, and the true areal densities below them."""
    with canvas(path, 3, len(maps), width=12.0, height=9.6) as (figure, panels):
        for panel in panels[0]:
            panel.remove()
        axes = figure.add_subplot(3, 1, 1)
        axes.semilogy(energy, np.maximum(total, 0.5), color="black", linewidth=0.8)
        for number, (symbol, element) in enumerate(ELEMENTS.items()):
            for name, line, _ in element.lines:
                axes.axvline(line * 1e-3, color=f"C{number}", linewidth=0.8, alpha=0.7)
                if name in ("Ka1", "La1"):
                    axes.text(line * 1e-3, total.max() * 1.5, f"{symbol} {name[:2]}", color=f"C{number}", ha="center")
        axes.set(xlabel="energy (keV)", ylabel="counts", ylim=(0.5, total.max() * 5), xlim=(energy[0], energy[-1]))
        axes.set_title("sum of all spectra, and the tabulated lines")
        for column, symbol in enumerate(maps):
            for row, (values, what, title) in enumerate(
                ((maps[symbol], "counts", "measured"), (true[symbol], "μg/cm²", "truth")), 1
            ):
                panel = panels[row, column]
                shown = panel.imshow(values, origin="lower", extent=spectra.extent, cmap="viridis")
                panel.set(title=f"{symbol}, {title}", xlabel="nnp2 (μm)", ylabel="nnp3 (μm)")
                figure.colorbar(shown, ax=panel, label=what, shrink=0.75)


DEMO = Demo(
    technique="fluo",
    title="Nano-fluorescence of a gold film with iron, copper and calcium at a simulated ID13",
    run=map_of_film(("fluo",), shape=(24, 24), step=0.2),
    analyse=analyse,
)
