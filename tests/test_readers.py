"""The readers that look at every file of the tests see what is wrong with one."""

import h5py
import numpy as np
import pytest

from nexus_callbacks.replay import replay
from tests import readers
from tests.nexus_callbacks.test_replay import a_run


@pytest.fixture
def written(tmp_path):
    (path,) = replay(a_run(), tmp_path).values()
    return path


def test_h5dump_reads_the_tests_files():
    if readers.h5dump_program() is None:
        pytest.skip("h5dump is not installed (Debian and Ubuntu: apt install hdf5-tools): it read no file of the tests")


def test_a_good_file_is_read_by_all(written, tmp_path):
    (tmp_path / "text.txt").write_text("")
    assert [path for path, _ in readers.files_below(tmp_path)] == [str(written)]
    assert readers.state(written) == "complete"
    assert readers.complaints(written) == []


def longer_axis(file):
    del file["entry/data/elapsed_time"]
    file["entry/data/elapsed_time"] = np.arange(7.0)


def no_signal(file):
    file["entry/data"].attrs["signal"] = "nothing"


def wrong_class(file):
    file["entry/data"].attrs["NX_class"] = "NXcollection"


@pytest.mark.parametrize(
    ("change", "told_by"),
    [
        (longer_axis, {"ours", "nexusformat", "silx_viewer", "plain_h5py"}),
        (no_signal, {"ours", "nexusformat", "silx_viewer", "plain_h5py"}),
        (wrong_class, {"plain_h5py"}),
    ],
)
@pytest.mark.unreadable("it is spoilt")
def test_a_spoilt_plot_is_told(written, change, told_by):
    with h5py.File(written, "r+") as file:
        change(file)
    told = {said.split(": ")[1] for said in readers.complaints(written)}
    assert told_by <= told


@pytest.mark.unreadable("it is spoilt")
def test_bytes_that_hdf5_does_not_know_are_told_by_h5dump(written):
    if readers.h5dump_program() is None:
        pytest.skip("h5dump is not installed")
    content = bytearray(written.read_bytes())
    at = content.find(b"OHDR") if b"OHDR" in content else content.find(b"SNOD")
    content[at : at + 4] = b"XXXX"
    written.write_bytes(content)
    assert list(readers.h5dump(written))


def test_files_of_one_form_differ_in_values_only(written, tmp_path):
    (again,) = replay(a_run(), tmp_path / "again").values()
    (longer,) = replay(a_run(points=4), tmp_path / "longer").values()
    assert readers.form(again) == readers.form(written) != readers.form(longer)


def test_files_of_others_are_left_alone(tmp_path):
    with h5py.File(tmp_path / "detector.h5", "w") as file:
        file["data"] = 1
    (tmp_path / "text.h5").write_text("no HDF5")
    assert [readers.state(tmp_path / name) for name in ("detector.h5", "text.h5")] == [None, None]
