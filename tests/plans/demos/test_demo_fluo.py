"""The fluorescence demo, on a smaller map, and what PyMca reads and fits in its file."""

import h5py
import numpy as np
import pytest
import silx.io
import silx.io.nxdata

from plans.demos.fluo import DEMO
from plans.demos.maps import correlation, map_of_film, read_map
from tests.plans.demos import pymca


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    experiment = map_of_film(("fluo",), shape=(16, 18), step=0.25)
    return experiment(tmp_path_factory.mktemp("fluo"), None, 7, lambda done, of: None)


def test_the_file_is_a_valid_nxfluo(complaints, entry):
    assert complaints == []
    assert entry["definition"][()] == b"NXfluo"
    assert entry["technique_pid"][()] == b"https://w3id.org/PaN/ESRFET#S-XRF"


def test_the_spectra_have_their_channels_last_and_calibrated(entry):
    data, energy = entry["data/data"], entry["data/energy"]
    assert data.shape == (288, 1024)
    assert data.attrs["interpretation"] == "spectrum"
    assert energy.attrs["units"] == "keV"
    np.testing.assert_allclose(energy[:3], [0.02, 0.035, 0.05])


@pytest.mark.parametrize("group", ["data", "data_xrf_spectrum"])
def test_silx_draws_them_over_their_energies(result, group):
    with silx.io.open(str(result.dataset_file)) as file:
        plot = silx.io.nxdata.NXdata(file["entry"][group])
        assert plot.is_valid, plot.issues
        assert plot.interpretation == "spectrum"
        assert plot.axes_names[-1] == "energy (keV)"
        np.testing.assert_allclose(plot.axes[-1][:3], [0.02, 0.035, 0.05])
        assert plot.title


def test_the_default_plot_is_the_maps_of_the_lines(result):
    with silx.io.open(str(result.dataset_file)) as file:
        plot = silx.io.nxdata.get_default(file)
        assert (plot.signal_name, plot.signal.shape) == ("xrf_Ca", (16, 18))
        assert {"xrf_Fe", "xrf_Cu", "xrf_Au"} <= set(plot.auxiliary_signals_names)
        assert plot.axes_dataset_names == ["nnp3", "nnp2"]
        assert plot.title == "map_scan 1: xrf_Ca"


def test_pymca_reads_the_map_and_finds_the_lines_energies(result):
    """It knows nothing but the file and the elements."""
    stack = pymca.read(result.dataset_file, "/data_xrf_spectrum/xrf_spectrum", "/data/energy")
    assert stack.data.shape == (16, 18, 1024)
    energy = stack.x[0]

    found, config = pymca.fit(stack.data.sum(axis=(0, 1)), 13.0)
    # Channel → energy by PyMca's tables, and by the file.
    of_lines = found["Zero"] + found["Gain"] * np.array([245, 426, 535])
    np.testing.assert_allclose(of_lines, energy[[245, 426, 535]], atol=0.003)
    assert 0.06 < found["Noise"] < 0.1

    maps = pymca.element_maps(stack.data, config)
    with h5py.File(result.dataset_file) as file:
        x, y = read_map(file, "/entry/data_xrf_spectrum").places
    for element, least in {"Ca": 0.99, "Fe": 0.99, "Cu": 0.99, "Au": 0.9}.items():
        true = np.vectorize(lambda x, y, element=element: result.truth.density(element, x, y))(x, y)
        assert correlation(maps[element], true) > least, element


def test_pymca_also_reads_the_spectra_in_the_order_of_acquisition(result):
    flat = pymca.read(result.dataset_file, "/data/data", "/data/energy")
    assert flat.data.shape == (1, 288, 1024)


def test_the_demo_finds_what_was_simulated(result, tmp_path):
    analysis = DEMO.analyse(result.dataset_file, tmp_path / "fluo.png", result.truth)

    assert analysis.lines["Fe"] == pytest.approx(6.400, abs=0.006)
    assert analysis.lines["Au"] == pytest.approx(9.71, abs=0.01)
    assert min(analysis.correlations.values()) > 0.95
    assert (tmp_path / "fluo.png").read_bytes().startswith(b"\x89PNG")


def test_esrfs_group_tells_of_the_map(entry):
    group = entry["FLUO"]
    assert (group["scanDim_1"][()], group["scanDim_2"][()]) == (18, 16)
    assert group["scanAxis_1"][()] == b"nnp2"
    assert group["scanRange_1"][()] == pytest.approx(4.25)
    assert group["scanRange_1"].attrs["units"] == "μm"
    # One value for the whole map, of a column.
    assert group["i0"][()] == pytest.approx(entry["control/data"][()].mean())
    assert group["measurement/it_start"][()] == entry["measurement/diodes_it_flux"][0]
    assert group["measurement/it_end"][()] == entry["measurement/diodes_it_flux"][-1]
    assert "SXDM" not in entry
    assert "PTYCHO" not in entry
