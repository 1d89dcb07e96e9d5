"""ESRF's own programs open the tomography and find what was simulated: tomoscan, nxtomo, nabu."""

import warnings

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from devices.beamlines.id16a import simulated_id16a
from nexus_callbacks import NexusWriter
from plans.demos.tomo import METADATA
from plans.profile_folders import profile_folder
from plans.tomo import tomo_scan
from tests import nabu_programs


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """One tomography: (dataset file, phantom)."""
    folder = tmp_path_factory.mktemp("experiment")
    beamline = simulated_id16a(folder / "ma2210" / "id16a" / "detectors", seed=7)
    engine = RunEngine({**METADATA, "dataset": "tomo_0001"})
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    with NexusWriter(folder, profile=profile_folder("id16a")) as writer:
        engine.subscribe(writer)
        (uid,) = engine(tomo_scan(beamline, projections=120, ref_on=60, darks=4, flats=5))
        return writer.files[uid], beamline.phantom


@pytest.fixture(scope="module")
def read(scanned):
    return nabu_programs.read(scanned[0], "entry")


def test_tomoscan_finds_the_geometry(read):
    scanner = read.scanner
    assert scanner.energy == pytest.approx(17.05)
    assert scanner.sample_x_pixel_size == pytest.approx(50e-9)
    assert scanner.sample_detector_distance == pytest.approx(1.18)
    assert scanner.propagation_distance == pytest.approx(1.18 / 60)
    assert scanner.field_of_view.value == "Full"
    assert (scanner.dim_1, scanner.dim_2) == (128, 128)
    assert (len(scanner.projections), len(scanner.flats), len(scanner.darks)) == (120, 15, 4)
    assert [int(key) for key in scanner.image_key[:10]] == [2] * 4 + [1] * 5 + [0]
    assert scanner.machine_current == pytest.approx(np.full(139, 0.198), abs=0.001), "A"


def test_nxtomo_loads_the_entry(scanned):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of deprecations among ESRF's packages.
        from nxtomo.application.nxtomo import NXtomo

        loaded = NXtomo().load(str(scanned[0]), "entry")
    assert loaded.instrument.beam.incident_energy.to("keV").magnitude == pytest.approx(17.05)
    assert loaded.sample.x_pixel_size.to("nm").magnitude == pytest.approx(50)
    assert loaded.sample.name == "Fe_Au_350N_RT1"
    assert len(loaded.sample.rotation_angle) == 139
    assert loaded.instrument.detector.count_time.to("s").magnitude == pytest.approx([0.1] * 139)


def test_nabu_reconstructs_the_phantom(scanned, read):
    row = 50
    pixel = read.dataset.pixel_size * 1e-3  # μm → mm
    sinogram = -np.log(read.normalised[:, row])
    found = nabu_programs.slice_of(sinogram, read.angles, pixel / 10, axis=63.5) / 10
    truth = scanned[1].section((63.5 - row) * pixel, pixel)

    edge = np.arange(128) - 63.5
    seen = np.hypot(edge[:, None], edge[None, :]) < 62
    measured, expected = found[::-1][seen], truth[seen]  # nabu's y runs downwards.
    assert np.corrcoef(measured, expected)[0, 1] > 0.95
    assert measured @ expected / (expected @ expected) == pytest.approx(1, abs=0.05), "1/mm, as it was simulated"
