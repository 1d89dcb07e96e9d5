"""Detectors that write files of their own, with a real RunEngine: the pixels are read back through plain h5py."""

import shutil
import subprocess

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from ophyd.sim import SynSignalWithRegistry
from ophyd.sim import hw as make_hardware

from devices.detectors import FrameCamera
from nexus_callbacks import NexusWriter, validate
from nexus_callbacks.frames.relink import relink
from tests.nexus_callbacks.frames.test_formats import edf_text
from tests.opened import only_file


@pytest.fixture
def writer(RE, tmp_path):
    writer = NexusWriter(tmp_path / "scan")
    RE.subscribe(writer)
    return writer


@pytest.fixture
def motor():
    return make_hardware().motor


def camera(folder, taken, **options):
    """ophyd's simulated camera: a file an image. Every image is another one, and kept in ``taken``."""
    folder.mkdir(exist_ok=True)

    def image():
        taken.append((np.arange(30).reshape(5, 6) + 100 * len(taken)).astype("u2"))
        return taken[-1]

    image_device = SynSignalWithRegistry(func=image, name="img", save_path=str(folder), **options)
    taken.clear()  # ophyd takes one to know its shape
    return image_device


def save_edf(path, image):
    with open(path, "wb") as file:  # noqa: PTH123  # ophyd gives a text
        file.write(edf_text(image))


class Edf(SynSignalWithRegistry):
    """Announces its files as a detector with a template does."""

    def stage(self):
        super().stage()
        _, resource = self._asset_docs_cache[-1]
        kwargs = {"template": f"{self._file_stem}_%d.edf"}
        resource.update(spec="EDF_SEQ", resource_path="", resource_kwargs=kwargs)


def test_numpy_files_of_ophyds_camera_are_shown_without_a_copy(RE, writer, motor, tmp_path):
    taken = []
    img = camera(tmp_path / "det", taken)
    RE(bp.scan([img], motor, 0, 1, 4))
    path = only_file(writer)
    with h5py.File(path) as file:
        data = file["entry/measurement/img"]
        assert len(data.external) == 4
        np.testing.assert_array_equal(data[()], taken)
        plot = file["entry"][file["entry"].attrs["default"]]
        np.testing.assert_array_equal(plot["img"], taken)
        assert list(plot.attrs["axes"]) == ["motor", ".", "."]
    report = validate(path)
    assert report.valid, [str(f) for f in report.errors]


def test_edf_files_of_a_camera(RE, writer, tmp_path):
    taken = []
    (tmp_path / "det").mkdir()

    def image():
        taken.append((np.arange(30).reshape(5, 6) + len(taken)).astype("u2"))
        return taken[-1]

    img = Edf(func=image, name="img", save_path=str(tmp_path / "det"), save_func=save_edf, save_ext="edf")
    taken.clear()
    RE(bp.count([img], num=3))
    with h5py.File(only_file(writer)) as file:
        np.testing.assert_array_equal(file["entry/measurement/img"], taken)
        assert file["entry/measurement/img"].external


def test_a_point_that_is_repeated_has_its_last_image(RE, writer, motor, tmp_path):
    from bluesky import plan_stubs as bps
    from bluesky.utils import RunEngineInterrupted

    taken = []
    img = camera(tmp_path / "det", taken)

    def plan():
        yield from bps.stage(img)
        yield from bps.open_run()
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([img])
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([img])
        if len(taken) == 2:
            yield from bps.pause()
        yield from bps.trigger_and_read([img])
        yield from bps.close_run()
        yield from bps.unstage(img)

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    RE.resume()
    with h5py.File(only_file(writer)) as file:
        assert len(taken) == 4
        np.testing.assert_array_equal(file["entry/measurement/img"], [taken[0], taken[2], taken[3]])


def test_a_moved_experiment_is_mended_by_relink(RE, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    writer = NexusWriter(here / "scan")
    RE.subscribe(writer)
    taken = []
    RE(bp.count([camera(here / "det", taken)], num=3))
    path = there / only_file(writer).relative_to(here)  # Waits until the file is complete.
    shutil.move(here, there)
    (found,) = relink(path)
    assert (found.path, found.how) == ("/entry/measurement/img", "external raw storage")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/measurement/img"], taken)
        plot = file["entry"][file["entry"].attrs["default"]]
        np.testing.assert_array_equal(plot["img"], taken)


def test_relink_leaves_a_good_file_as_good_as_it_was(RE, writer, motor, tmp_path):
    cam = FrameCamera(
        name="cam", directory=tmp_path / "det", image=lambda exposure: np.full(exposure.shape, 7, "u2"), shape=(4, 5)
    )
    RE(bp.scan([cam], motor, 0, 1, 3))
    path = only_file(writer)
    assert [each.how for each in relink(path)] == ["external link"]
    report = validate(path)
    assert report.valid, [str(f) for f in report.errors]
    with h5py.File(path) as file:
        assert file["entry/measurement/cam_image"].shape == (3, 4, 5)


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="the HDF5 tools are not installed")
def test_hdf5s_own_tools_read_raw_storage_and_gaps(RE, writer, tmp_path):
    taken = []
    img = camera(tmp_path / "det", taken)
    RE(bp.count([img], num=3))
    path = only_file(writer)
    next((tmp_path / "det").glob("*_1.npy")).unlink()
    relink(path)
    dump = subprocess.run(
        ["h5dump", "-d", "/entry/measurement/img", path], capture_output=True, text=True, check=True
    ).stdout
    assert "(0,0,0): 0, 1, 2" in dump
    assert "(1,0,0): 65535" in dump
    assert "(2,0,0): 200, 201" in dump
