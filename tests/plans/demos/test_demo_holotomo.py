"""The demo of a holo-tomography: phase and slice from the written file, by the demo and by ESRF's own programs."""

import warnings

import numpy as np
import pytest

from nexus_callbacks import coverage
from plans.demos.holotomo import DEMO, RETRIEVAL, read_planes
from tests import nabu_programs

PLANES = (60.0, 62.5, 72.0, 96.0)
FRAMES = 5 + 2 * 8 + 72
ENTRIES = ["entry", "entry_0002", "entry_0003", "entry_0004"]


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def result(tmp_path_factory, told):
    return DEMO.run(tmp_path_factory.mktemp("demo"), None, 7, lambda done, of: told.append((done, of)))


@pytest.fixture(scope="module")
def scans(result):
    return [nabu_programs.read(result.dataset_file, entry) for entry in ENTRIES]


def true_phase(result, plane, angle):
    rows, columns = plane.shape[1:]
    pixel = angle[1]
    t = (np.arange(columns) - (columns - 1) / 2) * pixel
    z = ((rows - 1) / 2 - np.arange(rows)) * pixel
    return -result.truth.refracting.absorbed(angle[0], t, z)


def test_the_planes_are_one_file(result, told):
    assert told == [(i, 4 * FRAMES) for i in range(1, 4 * FRAMES + 1)]
    assert [path.name for path in result.raw_files] == [f"frelon_{n:04d}.h5" for n in (1, 2, 3, 4)]
    planes = read_planes(result.dataset_file)
    assert [plane.values.shape for plane in planes] == [(72, 128, 128)] * 4
    assert [plane.pixel for plane in planes] == pytest.approx([150e-6, 156.25e-6, 180e-6, 240e-6])


def test_each_plane_is_an_nxtomo_of_its_own_geometry(file):
    assert list(file) == [*ENTRIES, "entry_dataset"]
    for name, sx in zip(ENTRIES, PLANES, strict=True):
        entry = file[name]
        assert entry.attrs["definition"] == "NXtomo"
        assert entry["title"][()] == b"150nm_holo_0001"
        assert entry["instrument/detector/data"].shape == (FRAMES, 128, 128)
        assert entry["instrument/detector/distance"][()] == pytest.approx((1200 - sx) * 1e-3)
        assert entry["sample/x_pixel_size"][()] == pytest.approx(3e-6 * sx / 1200)
        assert entry["sample/propagation_distance"][()] == pytest.approx(sx * (1200 - sx) / 1200 * 1e-3)
        up = entry["sample/y_translation"][()]
        flat = entry["instrument/detector/image_key"][()] == 1
        np.testing.assert_allclose(up, np.where(flat, -0.3e-3, 0), atol=1e-12)


def test_every_variable_of_holo_is_filled_and_the_one_that_esrf_forgot(file, esrf):
    asked = {node.name for path, node in esrf.fields() if path.startswith("HOLO/")}
    assert len(asked) == 24
    for name in (*ENTRIES, "entry_dataset"):
        holo = file[name]["HOLO"]
        assert set(holo) == asked | {"ref01NumStart"}
        assert holo["n"][()] == 4
        np.testing.assert_allclose(holo["source_sample_distances"], PLANES)
        np.testing.assert_allclose(holo["sample_detector_distances"], [1200 - sx for sx in PLANES])
        assert holo["sample_detector_distances"].attrs["units"] == "mm"
        assert (holo["pixel_size"][()], holo["pixel_size"].attrs["units"]) == (pytest.approx(150), "nm")
        assert holo["sourceSampleDistances"][()] == b"60 62.5 72 96"
    assert file["entry_0002/TOMO/acquisition/z_step"][()] == -0.3


def test_the_indices_point_at_what_they_say(file):
    for number, name in enumerate(ENTRIES, 1):
        key = file[name]["instrument/detector/image_key"][()]
        holo = {
            field: int(value[()]) for field, value in file[name]["HOLO"].items() if field.endswith(("Start", "End"))
        }
        for kind, code in ((f"im{number:02d}", 0), (f"ref{number:02d}", 1), ("dark", 2)):
            frames = np.flatnonzero(key == code)
            assert (holo[f"{kind}NumStart"], holo[f"{kind}NumEnd"]) == (frames[0], frames[-1])


def test_no_variable_of_the_technique_is_missing(result):
    found = coverage(result.dataset_file)
    for name in ENTRIES:
        absent = {o.variable: o.reason for o in found[name].outcomes if o.claimed and not o.filled}
        assert not [variable for variable in absent if variable.startswith("HOLO")]
        assert {"frames", "rotation_angle", "image_key"} & absent.keys() == set()


def test_phase_and_slice_are_what_was_simulated(result, tmp_path):
    found = DEMO.analyse(result.dataset_file, tmp_path / "holo.png", result.truth)

    assert found.planes == 4
    assert found.phase_correlation > 0.98
    assert found.phase_slope == pytest.approx(1, abs=0.1)
    assert found.slice_correlation > 0.95
    assert found.slice_slope == pytest.approx(1, abs=0.15)
    assert (tmp_path / "holo.png").read_bytes().startswith(b"\x89PNG")


def phase_by_nabu(scan, projections):
    """nabu's single-distance phase retrieval with the geometry that tomoscan found in the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nabu.preproc.ctf import CTFPhaseRetrieval, GeoPars

        geometry = GeoPars(
            z1_vh=None,  # A parallel beam, with the effective distance and the pixels of the sample's plane.
            z2=scan.scanner.propagation_distance,
            pix_size_det=scan.scanner.sample_x_pixel_size,
            wavelength=12.398419843e-10 / scan.scanner.energy,
        )
        retrieve = CTFPhaseRetrieval(
            projections.shape[1:], geometry, RETRIEVAL.delta_beta, lim1=1e-4, padding_mode="edge"
        )
        return np.stack([retrieve(np.array(projection)) for projection in projections])


def test_nabu_retrieves_the_phase_in_each_plane(result, scans):
    for scan in scans:
        phase = phase_by_nabu(scan, scan.normalised[:1])
        pixel = scan.scanner.sample_x_pixel_size * 1e3
        true = true_phase(result, phase, (scan.angles[0], pixel))
        assert np.corrcoef(phase[0].ravel(), true.ravel())[0, 1] > 0.97
        assert (phase[0] * true).sum() / (true**2).sum() == pytest.approx(1, abs=0.2)


def test_nabu_reconstructs_a_slice_of_the_phase(result, scans):
    scan, row = scans[0], 60
    sinogram = -phase_by_nabu(scan, scan.normalised)[:, row]
    pixel = scan.scanner.sample_x_pixel_size * 1e3  # mm
    found = nabu_programs.slice_of(sinogram, scan.angles, pixel / 10, axis=63.5) / 10
    true = result.truth.refracting.section((63.5 - row) * pixel, pixel)

    edge = np.arange(128) - 63.5
    seen = np.hypot(edge[:, None], edge[None, :]) < 62
    assert np.corrcoef(found[::-1][seen], true[seen])[0, 1] > 0.9
    other = result.truth.refracting.section((63.5 - 90) * pixel, pixel)
    assert np.corrcoef(found[::-1][seen], other[seen])[0, 1] < 0.9, "another slice is not what was found"
