"""Master: one file of links, atomic, for several sessions."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import h5py
import pytest

from nexus_callbacks.files.master import MasterError, add_dataset


def make_dataset(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_group("entry").attrs["NX_class"] = "NXentry"
    return path


def test_links_are_relative_and_lead_into_the_dataset(tmp_path):
    dataset = make_dataset(tmp_path / "a" / "b.h5")
    assert add_dataset(tmp_path / "m.h5", dataset, {"creator": "test"}) == "entry_0001"
    with h5py.File(tmp_path / "m.h5") as file:
        assert file.get("entry_0001", getlink=True).filename == "a/b.h5"
        assert file["entry_0001"].attrs["NX_class"] == "NXentry"
        assert (file.attrs["NX_class"], file.attrs["default"]) == ("NXroot", "entry_0001")


def test_a_dataset_is_linked_once(tmp_path):
    dataset = make_dataset(tmp_path / "a.h5")
    assert [add_dataset(tmp_path / "m.h5", dataset, {}) for _ in range(2)] == ["entry_0001"] * 2
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix) == [".m.h5.lock", "a.h5", "m.h5"]


def test_a_master_that_is_no_hdf5_is_left_alone(tmp_path):
    dataset = make_dataset(tmp_path / "a.h5")
    (tmp_path / "m.h5").write_text("notes of mine")
    with pytest.raises(MasterError, match="m.h5"):
        add_dataset(tmp_path / "m.h5", dataset, {})
    assert (tmp_path / "m.h5").read_text() == "notes of mine"
    assert not list(tmp_path.glob("*.tmp"))


def _add_some(task):
    master, folder, name = task
    for number in range(5):
        add_dataset(master, make_dataset(folder / f"{name}{number}.h5"), {})
    return os.getpid()


def test_several_sessions_lose_nothing(tmp_path):
    tasks = [(tmp_path / "m.h5", tmp_path, name) for name in "abcd"]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(_add_some, tasks))
    with h5py.File(tmp_path / "m.h5") as file:
        assert list(file) == [f"entry_{n:04d}" for n in range(1, 21)]
        assert len({file.get(name, getlink=True).filename for name in file}) == 20
