"""The comparison of files, on which much is built, sees every kind of change."""

import h5py
import numpy as np
import pytest

from tests.comparison import differences


@pytest.fixture
def some_file(tmp_path):
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file.attrs["a"] = 1
        file["g/x"] = np.arange(3)
        file["g/x"].attrs["units"] = "mm"
        file["text"] = "µ"
        file["soft"] = h5py.SoftLink("/g/x")
        file["nan"] = np.nan
        file["far"] = h5py.ExternalLink("other.h5", "/x")
    return tmp_path / "one.h5"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda f: f.attrs.create("a", 1, dtype="i4"), "/@a"),
        (lambda f: f.attrs.create("a", [1]), "/@a"),
        (lambda f: f["g/x"].attrs.create("units", "m"), "/g/x@units"),
        (lambda f: f["g"].attrs.create("more", 1), "/g@more"),
        (lambda f: f["g/x"].__setitem__(1, 7), "/g/x"),
        (lambda f: f["text"].__setitem__((), "u"), "/text"),
        (lambda f: f.__setitem__("more", 1), "/more"),
        (lambda f: f.__delitem__("nan"), "/nan"),
        (lambda f: (f.__delitem__("nan"), f.__setitem__("nan", np.float32(np.nan))), "/nan"),
        (lambda f: (f.__delitem__("soft"), f.__setitem__("soft", h5py.SoftLink("/g"))), "/soft"),
        (lambda f: (f.__delitem__("soft"), f.__setitem__("soft", f["g/x"])), "/soft"),
        (lambda f: (f.__delitem__("far"), f.__setitem__("far", h5py.ExternalLink("o.h5", "/x"))), "/far"),
    ],
)
def test_the_comparison_sees_every_change(some_file, tmp_path, change, where):
    other = tmp_path / "other.h5"
    other.write_bytes(some_file.read_bytes())
    assert differences(some_file, other) == []
    with h5py.File(other, "r+") as file:
        change(file)
    assert [line.partition(":")[0] for line in differences(some_file, other)][:1] == [where]
