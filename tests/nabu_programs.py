"""ESRF's own programs on a file of ours: tomoscan and nabu read and flat-field it, nabu filters and projects it back.

nabu's complete program wants a GPU for its last step but one (filtering, by pyvkfft, which has no wheels). So its parts
are called one by one: all of them are nabu's, filtering on the CPU, back-projection by OpenCL, which pocl runs there.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scan:
    """What nabu finds in one entry."""

    dataset: Any
    """nabu's own object."""
    normalised: np.ndarray
    """Projections over flats, by nabu, shape (projections, rows, columns)."""
    angles: np.ndarray
    """rad."""

    @property
    def scanner(self) -> Any:
        """tomoscan's object."""
        return self.dataset.dataset_scanner


def read(path: Path, entry: str) -> Scan:
    """Read an NXtomo entry with nabu, flat-field corrected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of deprecations among ESRF's packages.
        from nabu.preproc.flatfield import FlatField
        from nabu.resources.dataset_analyzer import analyze_dataset

        dataset = analyze_dataset(str(path), extra_options={"hdf5_entry": entry})
        radios = np.array(dataset.get_reader().load_data(), dtype=np.float32)
        flats, darks = dataset.get_reduced_flats(), dataset.get_reduced_darks()
        indices = sorted(dataset.projections)
        FlatField(radios.shape, flats, darks, radios_indices=indices, interpolation="linear").normalize_radios(radios)
        return Scan(dataset, radios, np.asarray(dataset.rotation_angles))


def slice_of(sinogram: np.ndarray, angles: np.ndarray, pixel_cm: float, axis: float) -> np.ndarray:
    """A slice by nabu's filtered back-projection, 1/cm, shape (columns, columns)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nabu.reconstruction.fbp_opencl import OpenCLBackprojector
        from nabu.reconstruction.filtering import SinoFilter

        sinogram = np.ascontiguousarray(sinogram, dtype=np.float32)
        filtered = SinoFilter(
            sinogram.shape, filter_name="ramlak", padding_mode="edges", extra_options={"pixel_size_cm": pixel_cm}
        ).filter_sino(sinogram)
        back = OpenCLBackprojector(
            sinogram.shape, angles=angles, rot_center=axis, filter_name="none",
            extra_options={"use_textures": False}, backend_options={"device_type": "cpu"},
        )  # fmt: skip
        return np.asarray(back.fbp(np.ascontiguousarray(filtered, dtype=np.float32)))
