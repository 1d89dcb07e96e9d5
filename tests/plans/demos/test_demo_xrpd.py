"""The powder demo, and what other programs find in its file: silx the peaks, pyFAI's tables where they should be."""

import numpy as np
import pytest
import silx.io
from pyFAI.calibrant import get_calibrant
from silx.math.fit.peaks import peak_search

from plans.demos.xrpd import DEMO, index


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return DEMO.run(tmp_path_factory.mktemp("xrpd"), None, 7, lambda done, of: None)


def test_the_files_are_valid(complaints):
    assert complaints == []


def test_silx_finds_the_peaks_where_pyfai_has_them(result):
    """silx opens the default plot and finds its peaks; NIST's spacings are in pyFAI, the wavelength in the file."""
    with silx.io.open(str(result.dataset_file)) as file:
        plot = file["entry/data"]
        angles, counts = plot["polar_angle"][()], plot["data"][()].astype(float)
        wavelength = file["entry/instrument/crystal/wavelength"][()] * 1e-10
    places = angles[[int(at) for at in peak_search(counts, fwhm=3, sensitivity=12.0)]]

    calibrant = get_calibrant("LaB6_SRM660c")
    calibrant.wavelength = wavelength
    expected = np.degrees(calibrant.get_2th())
    expected = expected[(expected > angles[0]) & (expected < angles[-1])]
    assert len(expected) == 6
    for angle in expected:
        assert np.abs(places - angle).min() < 0.004, f"a line at {angle:.4f}°"
    height = np.array([counts[np.abs(angles - angle).argmin()] for angle in expected])
    strong = [places[np.abs(places - angle).argmin()] for angle in expected]
    others = [place for place in places if place not in strong]
    assert all(counts[np.searchsorted(angles, place)] < 0.2 * height.max() for place in others), "no line but these"


def test_the_pattern_has_nists_lattice_parameter(result, tmp_path):
    found = DEMO.analyse(result.dataset_file, tmp_path / "xrpd.png", result.truth)

    assert found.lattice == pytest.approx(4.156826, abs=1e-4)
    assert found.indices.tolist() == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "xrpd.png").read_bytes().startswith(b"\x89PNG")
    assert "4.156826" in found.findings[1]


def test_noise_alone_is_no_pattern():
    angles = np.linspace(5, 10, 1000)
    with pytest.raises(ValueError, match="lines stand out"):
        index(angles, np.random.default_rng(1).poisson(100, 1000).astype(float), 0.4, 4.156826)


def test_the_entry_is_nxmonopd(entry):
    assert entry["definition"].asstr()[()] == "NXmonopd"
    detector = entry["instrument/detector"]
    assert detector["data"].shape == detector["polar_angle"].shape == (1286,)
    assert detector["data"].dtype.kind == "i"
    assert detector["polar_angle"].attrs["units"] == "deg"
    assert entry["sample/rotation_angle"][()] == 0.0
    assert entry["instrument/crystal/wavelength"][()] == pytest.approx(0.39995, abs=1e-5)
    assert entry["control/integral"][()] == entry["control/data"][()].sum() > 0


def test_esrfs_group_has_what_the_beamline_knows(entry):
    group = entry["HTXRPD"]
    assert {name: (float(group[name][()]), group[name].attrs["units"]) for name in group} == {
        "energy": (31.0, "keV"),
        "exposureTime": (0.5, "s"),
        "distance": (950.0, "mm"),
    }, "nothing vibrates this sample: sampleVibration is absent"
