"""The small-angle demo, and what pyFAI and SasView's reader find in its file."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import silx.io
import silx.io.nxdata
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from sasdata.dataloader.loader import Loader

from plans.demos.saxs import DEMO, first_minimum


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return DEMO.run(tmp_path_factory.mktemp("saxs"), None, 7, lambda done, of: None)


def number(field, units):
    assert field.attrs["units"] == units
    return float(field[()])


def test_the_files_are_valid(complaints):
    assert complaints == []


def test_pyfai_integrates_the_rings_to_their_q(result, entry):
    """It knows nothing but the file."""
    detector = entry["instrument/detector"]
    kind, frames = detector["frame_type"][()], detector["data"][()].astype(float)
    integrator = AzimuthalIntegrator(
        dist=number(detector["distance"], "m"),
        poni1=number(detector["beam_center_y"], "m"),
        poni2=number(detector["beam_center_x"], "m"),
        wavelength=number(entry["instrument/monochromator/wavelength"], "Å") * 1e-10,
        detector=Detector(
            number(detector["y_pixel_size"], "m"), number(detector["x_pixel_size"], "m"), max_shape=frames.shape[1:]
        ),
    )
    image = frames[kind == 0].mean(axis=0) - frames[kind == 1].mean(axis=0)
    found = integrator.integrate1d(image, 120, unit="q_nm^-1", mask=detector["pixel_mask"][()])

    spheres = result.truth
    q = np.linspace(found.radial.min(), found.radial.max(), 400)
    true = first_minimum(q, spheres.cross_section(q), spheres.radius)
    assert first_minimum(found.radial, found.intensity, spheres.radius) == pytest.approx(true, rel=0.01)
    inside = (found.radial > 0.04) & (found.radial < 0.2)
    ratio = found.intensity[inside] / spheres.cross_section(found.radial[inside])
    assert np.ptp(ratio) < 0.1 * ratio.mean(), "one factor between counts and cross section"


def test_sasview_reads_the_reduced_curve(result):
    (curve,) = Loader().load(str(result.dataset_file))

    assert curve.errors == []
    assert curve.title == entry_title(result)
    assert (curve._xunit, curve._yunit) == ("A^{-1}", "cm^{-1}"), "its own units, to which it converts"
    np.testing.assert_allclose(curve.y, result.truth.cross_section(curve.x * 10), rtol=0.25)
    np.testing.assert_allclose(np.median(curve.y / result.truth.cross_section(curve.x * 10)), 1, rtol=0.01)
    assert (curve.dy > 0).all()
    assert curve.sample.transmission == pytest.approx(0.653, abs=0.001)
    assert curve.source.wavelength == pytest.approx(0.99506, abs=1e-5)


def entry_title(result):
    with h5py.File(result.dataset_file) as file:
        return file["entry/title"].asstr()[()]


def test_the_curve_is_that_of_the_spheres(result, tmp_path):
    curve = DEMO.analyse(result.dataset_file, tmp_path / "saxs.png", result.truth)

    assert curve.minimum == pytest.approx(curve.true_minimum, rel=0.005)
    assert curve.radius == pytest.approx(result.truth.radius, rel=0.02)
    assert curve.gyration == pytest.approx(curve.true_gyration, rel=0.04)
    assert curve.scale == pytest.approx(1, abs=0.02)
    assert (tmp_path / "saxs.png").read_bytes().startswith(b"\x89PNG")
    assert len(curve.findings) == 2


def test_the_default_plot_is_the_reduced_curve(result):
    with silx.io.open(str(result.dataset_file)) as file:
        plot = silx.io.nxdata.get_default(file)
        assert (plot.signal_dataset_name, plot.title) == ("I", "saxs_0001")
        assert plot.axes_dataset_names == ["Q"]


def test_the_entry_is_nxsas_and_its_curve_nxcansas(entry):
    assert entry["definition"].asstr()[()] == "NXsas"
    assert entry["reduced/definition"].asstr()[()] == "NXcanSAS"
    assert entry["reduced"].attrs["canSAS_class"] == "SASentry"
    data = entry["reduced/sasdata"]
    assert (data.attrs["signal"], list(data.attrs["axes"]), data["I"].attrs["uncertainties"]) == ("I", ["Q"], "Idev")
    assert data["Q"].shape == data["I"].shape == data["Idev"].shape == (100,)
    assert entry["control/integral"][()] == entry["control/data"][()].sum() > 0
    assert entry["control/mode"].asstr()[()] == "timer"
    np.testing.assert_array_equal(np.bincount(entry["data/frame_type"][()]), [20, 10, 5])


def test_what_the_beamline_knows_of_esrfs_saxs_group_is_there(result, entry):
    known = dict(entry["SAXS"].items())
    assert len(known) >= 30
    assert float(known["guinier_rg"].asstr()[()]) > 10
    currents = [float(current) for current in known["diode_currents"].asstr()[()].split()]
    assert currents == pytest.approx(entry["measurement/changer_diode"][()])
    assert entry["measurement/changer_diode"].attrs["units"] == "A"
    assert max(currents[:5]) == 0 < min(currents[5:]) < 1e-3, "dark, then the beam"
    (frames,) = Path(known["directory"].asstr()[()]).glob(known["prefix"].asstr()[()] + "*")
    assert frames in result.raw_files
    coverage = json.loads(entry["nexus_callbacks/coverage/data"][()])
    assert coverage["filled"] > 150
    assert coverage["missing_mandatory"] == []
