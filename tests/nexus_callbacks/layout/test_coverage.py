"""The coverage record: what is written is read, and what is damaged is told in one way."""

import json

import h5py
import numpy as np
import pytest

from nexus_callbacks.layout.coverage import NOTE, Coverage, Outcome, from_json, read

WHOLE = Coverage(
    (
        Outcome("a", ("sample/a", "sample/b"), mandatory=True, claimed=True, filled=True, origin="const"),
        Outcome("b", ("sample/c",), claimed=True, unit_from="mm", unit_to="m", reason="it did not come"),
    ),
    total=5,
)


def test_what_was_written_is_read():
    assert from_json(WHOLE.to_json()) == WHOLE


def test_what_a_later_release_may_add_is_left_out():
    content = json.loads(WHOLE.to_json())
    content["variables"]["a"]["colour"] = "blue"
    content["weather"] = "fine"
    assert from_json(json.dumps(content)) == WHOLE


DAMAGED = [
    "",
    "nul",
    "[]",
    "5",
    "{}",
    "[" * 100_000,
    "9" * 5000,
    '{"variables": {}}',
    '{"total": 1}',
    '{"variables": [], "total": 1}',
    '{"variables": {}, "total": "x"}',
    '{"variables": {}, "total": true}',
    '{"variables": {}, "total": -1}',
    '{"variables": {}, "total": 1e999}',
    '{"variables": {"a": 5}, "total": 1}',
    '{"variables": {"a": {"paths": 5}}, "total": 1}',
    '{"variables": {"a": {"paths": "ab"}}, "total": 1}',
    '{"variables": {"a": {"paths": [[1]]}}, "total": 1}',
    '{"variables": {"a": {"filled": "no"}}, "total": 1}',
    '{"variables": {"a": {"origin": 5}}, "total": 1}',
    '{"variables": {"a": {"unit_from": []}}, "total": 1}',
]


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:40])
def test_a_damaged_record_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"JSON|object|expected|no list|variables"):
        from_json(text)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file[f"entry/{NOTE}/data"] = WHOLE.to_json()
    return path


def put(path, value):
    with h5py.File(path, "r+") as file:
        note = file[f"entry/{NOTE}"]
        del note["data"]
        if value is None:
            h5py.h5d.create(note.id, b"data", h5py.h5t.UNIX_D64LE, h5py.h5s.create(h5py.h5s.SCALAR))
        else:
            note["data"] = value


def test_a_file_s_record_is_read_by_entry(path):
    assert read(path) == {"entry": WHOLE}


def test_entries_without_a_record_and_links_to_nowhere_are_passed_over(path):
    with h5py.File(path, "r+") as file:
        file.create_group("other")
        file["gone"] = h5py.SoftLink("/nowhere")
        file["missing"] = h5py.ExternalLink("missing.h5", "/entry")
        file["number"] = 5
    assert read(path) == {"entry": WHOLE}


@pytest.mark.parametrize(
    "value",
    ["{", 5, ["a", "b"], h5py.Empty("f"), np.bytes_(b"\xff{}"), None],
    ids=["no JSON", "a number", "two texts", "nothing", "not UTF-8", "H5T_TIME"],
)
def test_a_damaged_record_of_a_file_is_a_value_error_with_its_place(path, value):
    put(path, value)
    with pytest.raises(ValueError, match=f"scan.h5: /entry/{NOTE}/data: "):
        read(path)


def test_a_group_in_place_of_the_record_is_a_value_error(path):
    with h5py.File(path, "r+") as file:
        del file[f"entry/{NOTE}/data"]
        file.create_group(f"entry/{NOTE}/data")
    with pytest.raises(ValueError, match="is no text"):
        read(path)


@pytest.mark.parametrize("content", [None, b"", b"no HDF5 at all"])
def test_what_is_no_hdf5_is_an_os_error(tmp_path, content):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OSError, match="open file"):
        read(path)


def test_a_name_that_no_file_can_have_is_an_os_error():
    with pytest.raises(OSError, match="open"):
        read("x" * 5000)


def test_a_group_named_in_no_utf8_is_no_trouble(path):
    with h5py.File(path, "r+") as file:
        h5py.h5g.create(file.id, b"\xff")
    assert read(path) == {"entry": WHOLE}


@pytest.mark.parametrize("locking", [None, True, False])
def test_a_notebook_of_this_process_may_hold_the_file_open(path, locking):
    with h5py.File(path, locking=locking):
        assert read(path) == {"entry": WHOLE}
