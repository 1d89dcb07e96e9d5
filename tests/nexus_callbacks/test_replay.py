"""Replay: recordings in every form that other packages write, and damaged ones."""

import gzip
import io
import json
import pickle
import sys
import tracemalloc

import event_model
import h5py
import msgpack
import msgpack_numpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nexus_callbacks.cli import app
from nexus_callbacks.faults import FaultError
from nexus_callbacks.replay import documents_of, replay

replay_module = sys.modules["nexus_callbacks.replay"]  # The package has the function of that name.


def a_run(points=3, **metadata):
    """Documents of a small run."""
    run = event_model.compose_run(metadata=metadata)
    keys = {"x": {"dtype": "number", "shape": [], "source": "sim"}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    yield "start", run.start_doc
    yield "descriptor", stream.descriptor_doc
    for i in range(points):
        yield "event", stream.compose_event(data={"x": i / 2}, timestamps={"x": 1.7e9 + i})
    yield "stop", run.compose_stop()


def plain(documents):
    return json.loads(json.dumps(list(documents), cls=event_model.NumpyEncoder))


def as_lines(items):
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def as_objects(items):
    return [{"name": name, "doc": doc} for name, doc in items]


def as_msgpack(items):
    return b"".join(msgpack.packb(i, default=msgpack_numpy.encode, use_bin_type=True) for i in items)


FORMS = {
    "lines of lists, as suitcase-jsonl": as_lines,
    "lines of objects": lambda items: as_lines(as_objects(items)),
    "json-seq, as Tiled": lambda items: b"".join(b"\x1e" + as_lines([item]) for item in as_objects(items)),
    "lines with a mark and blank ones": lambda items: b"\xef\xbb\xbf\r\n" + as_lines(items).replace(b"\n", b"\r\n\n"),
    "an array of lists": lambda items: json.dumps(items).encode(),
    "an array of objects": lambda items: json.dumps(as_objects(items)).encode(),
    "an array, indented": lambda items: b"\n " + json.dumps(as_objects(items), indent=2).encode() + b"\n\n",
    "MessagePack, as suitcase-msgpack": as_msgpack,
    "MessagePack of objects": lambda items: as_msgpack(as_objects(items)),
}
AWKWARD = 'brackets ]}{[ "quoted" \\ and \\" ends with \\'


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_a_recording_is_read_in_every_form(tmp_path, form, packed):
    items = plain(a_run(note=AWKWARD, nested={"µ": [AWKWARD, {"]": "["}]}))
    content = FORMS[form](items)
    (tmp_path / "docs").write_bytes(gzip.compress(content, mtime=0) if packed else content)
    assert [list(item) for item in documents_of(tmp_path / "docs")] == items


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_where_blocks_end_does_not_matter(monkeypatch, block):
    monkeypatch.setattr(replay_module, "BLOCK", block)
    items = plain(a_run(note=AWKWARD))
    stream = io.BytesIO(json.dumps(items, indent=1).encode())
    assert [json.loads(text) for _, text in replay_module._elements(stream, "docs", 10**6)] == items


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=40)
@given(
    items=st.lists(st.dictionaries(st.text(), JSON), max_size=5),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_elements_of_any_array_are_found_with_their_lines(items, indent, ascii_only):
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = list(replay_module._elements(io.BytesIO(text), "docs", 10**6))
    assert [json.loads(element) for _, element in found] == items
    lines = text.split(b"\n")
    for line, element in found:
        assert element.split(b"\n")[0] in lines[line - 1]


def test_msgpack_keeps_numpys_types_and_runs_nothing(tmp_path):
    values = {
        "frame": np.arange(6, dtype=">u2").reshape(2, 3),
        "flags": np.array([True, False]),
        "one": np.float32(1.5),
        "text": np.array(["a", "µ"]),
        "rows": np.array([(1, 2.0)], dtype=[("n", "<i4"), ("v", "<f8")]),
        "empty": np.zeros((0, 3)),
        "wave": 1 + 2j,
    }
    (tmp_path / "docs").write_bytes(as_msgpack([("event", {"data": values})]))
    ((_, event),) = documents_of(tmp_path / "docs")
    for name, value in values.items():
        found = event["data"][name]
        assert np.asarray(found).dtype == np.asarray(value).dtype, name
        np.testing.assert_array_equal(found, value)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a recording was executed",))


def test_pickled_objects_are_refused(tmp_path):
    item = {b"nd": True, b"type": "|O", b"kind": b"O", b"shape": (1,), b"data": pickle.dumps(Bomb())}
    (tmp_path / "docs").write_bytes(msgpack.packb(("event", {"data": {"x": item}})))
    with pytest.raises(FaultError, match=r"docs: at byte 0: .*could run code"):
        list(documents_of(tmp_path / "docs"))


def read(path, **options):
    """Documents, and the fault that ended them."""
    found = []
    try:
        for item in documents_of(path, **options):
            found.append(item)
    except FaultError as error:
        return found, error
    return found, None


START = b'["start", {"uid": "u", "time": 1.0}]\n'
PACKED = msgpack.packb(("start", {"uid": "u"}))


@pytest.mark.parametrize(
    ("content", "good", "words"),
    [
        (b"", 0, "docs: there is no document in it"),
        (b" \n\n", 0, "docs: there is no document in it"),
        (b"name,doc\nstart,1\n", 0, "docs: it is neither JSON nor MessagePack"),
        (b"\x89HDF\r\n\x1a\n", 0, "docs: it is neither JSON nor MessagePack"),
        (START + b'["event", {"uid"', 1, "docs, line 2: no JSON document: Expecting ':'"),
        (START + b"\n" + START[:-2] + b"\n", 1, "docs, line 3: no JSON document"),
        (START + b'["event", 3]\n', 1, "docs, line 2: expected [name, document]"),
        (START + b'{"name": "event"}\n', 1, "docs, line 2: expected [name, document] or"),
        (START + b'["a", {"\xff": 1}]\n', 1, "docs, line 2: no JSON document: 'utf-8'"),
        (START + b'["a", {"n": ' + b"9" * 5000 + b"}]", 1, "docs, line 2: no JSON document: Exceeds"),
        (START + b'["a", ' + b"[" * 40_000, 1, "docs, line 2: no JSON document"),
        (START + b"x" * 10**5, 1, "docs, line 2: a document of more than 50000 bytes"),
        (b"[\n" + START + b",\n" + START, 2, "docs, line 5: the recording is cut off"),
        (b"[\n" + START + b',["a', 1, "docs, line 3: the recording is cut off"),
        (b"[\n" + START + b"]\n[]", 1, "docs, line 4: there is more after the end"),
        (b"[\n" + START + b"] 7", 1, "docs, line 3: expected a document, got '7'"),
        (b"[\n" + START + b', 7, "a"]', 1, "docs, line 3: expected a document, got '7"),
        (b"[\n" + START + b", {]]", 1, "docs, line 3: no JSON document"),
        (b"[\n" + START + b', {"a":\n\n7 7}]', 1, "docs, line 5: no JSON document"),
        (b"[\n" + START + b", {" + b" " * 10**6, 1, "docs, line 3: a document of more than 50000 bytes"),
        (b"[\n" + START + b", {}]", 1, "docs, line 3: expected [name, document]"),
        (b"[[[[[[[[]]]]]]]]", 0, "docs, line 1: expected [name, document]"),
        (PACKED + PACKED[:-3], 1, f"docs: at byte {len(PACKED)}: the recording is cut off"),
        (PACKED + b"\xc1" + PACKED, 1, f"docs: at byte {len(PACKED)}: no MessagePack document"),
        (PACKED + b"\x07", 1, f"docs: at byte {len(PACKED)}: expected [name, document]"),
        (PACKED + b"\xdd\xff\xff\xff\xff", 1, f"docs: at byte {len(PACKED)}: no MessagePack document"),
        (PACKED + b"\x91" * 10**5, 1, f"docs: at byte {len(PACKED)}: no MessagePack document"),
        (PACKED + b"\x92\xa1a\xc6\x00\x0f\x00\x00" + b"x" * 10**6, 1, f"docs: at byte {len(PACKED)}: "),
        (PACKED + msgpack.packb(["a", {b"nd": True, b"type": "<f8", b"data": b"1"}]), 1, "at byte"),
        (PACKED + msgpack.packb(["a", {b"nd": False}]), 1, "an array without type or data"),
        (PACKED + msgpack.packb(["a", {b"complex": True}]), 1, "at byte"),
        (PACKED + msgpack.packb(["a", {b"nd": True, b"type": [["a", "x"]], b"data": b""}]), 1, "could run code"),
        (PACKED + msgpack.packb(["a", {b"nd": True, b"type": "<f8", b"shape": 5, b"data": b""}]), 1, "at byte"),
        (gzip.compress(START, mtime=0)[:-6], 1, "docs: after 1 documents: the gzip data is damaged or cut off"),
        (gzip.compress(START, mtime=0) + b"\x1f\x8b\x08junk", 1, "docs: after 1 documents: the gzip data is damaged"),
        (gzip.compress(START + b"0" * 10**7, mtime=0), 1, "docs, line 2: a document of more than 50000 bytes"),
    ],
)
def test_damage_is_told_with_its_place_after_what_is_good(tmp_path, monkeypatch, content, good, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").write_bytes(content)
    found, error = read("docs", longest=50_000)
    assert words in str(error)
    assert len(found) == good


@pytest.mark.parametrize("form", ["lines of lists, as suitcase-jsonl", "an array, indented", *list(FORMS)[-2:]])
def test_random_damage_is_a_fault_or_documents_but_never_anything_else(tmp_path, form):
    content = FORMS[form](plain(a_run()))
    random = np.random.default_rng(3)
    path = tmp_path / "docs"
    for _ in range(300):
        damaged = bytearray(content)
        for at in random.integers(0, len(content), 3):
            damaged[at] = random.integers(0, 256)
        path.write_bytes(damaged[: random.integers(1, len(content))])
        found, error = read(path)
        assert all(isinstance(name, str) and isinstance(document, dict) for name, document in found)
        assert error is None or error.faults[0].place.source == str(path)


@pytest.mark.parametrize("path", ["nowhere", ".", "a\0b"])
def test_a_recording_that_cannot_be_opened_is_a_fault(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FaultError, match="it cannot be read"):
        list(documents_of(path))


@pytest.mark.parametrize("form", FORMS)
def test_only_one_document_is_held_in_memory(tmp_path, form):
    items = [("event", {"data": "x" * 100_000, "seq_num": n}) for n in range(150)]
    content = FORMS[form]([list(i) for i in items])
    (tmp_path / "docs").write_bytes(content)
    tracemalloc.start()
    try:
        assert sum(1 for _ in documents_of(tmp_path / "docs")) == 150
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(content) / 5


# -- files ---------------------------------------------------------------------------------------------------------


def state_of(path):
    with h5py.File(path) as file:
        return file.attrs["state"], file.attrs.get("state_reason", "")


def values_of(path):
    with h5py.File(path) as file:
        return file["entry/measurement/x"][:].tolist()


def test_runs_of_one_recording_that_interleave_each_have_their_file(tmp_path):
    runs = [list(a_run(points)) for points in (2, 3, 4)]
    mixed = []
    while any(runs):
        mixed += [run.pop(0) for run in runs if run]
    files = replay(mixed, tmp_path)
    assert sorted(values_of(path)[-1] for path in files.values()) == [0.5, 1.0, 1.5]
    assert {state_of(path)[0] for path in files.values()} == {"complete"}


def test_a_run_without_a_stop_document_ends_as_incomplete_with_the_reason(tmp_path):
    *documents, _ = a_run()
    (path,) = replay(documents, tmp_path).values()
    state, reason = state_of(path)
    assert state == "incomplete"
    assert "before the run stopped" in reason
    assert values_of(path) == [0.0, 0.5, 1.0]


def test_a_recording_that_is_cut_off_gives_what_stands_before(tmp_path):
    lines = as_lines(a_run())
    (tmp_path / "docs").write_bytes(lines[:-30])
    with pytest.raises(FaultError, match="line 6"):
        replay(documents_of(tmp_path / "docs"), tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.h5")
    assert state_of(path)[0] == "incomplete"
    assert values_of(path) == [0.0, 0.5, 1.0]


def test_existing_files_are_left_alone(tmp_path):
    documents = list(a_run())
    (first,) = replay(documents, tmp_path).values()
    before = first.read_bytes()
    (second,) = replay(documents, tmp_path).values()
    assert second != first
    assert first.read_bytes() == before
    assert values_of(second) == values_of(first)


def test_a_refused_run_costs_itself_only(tmp_path):
    nameless = [(name, {**doc, "time": "soon"} if name == "start" else doc) for name, doc in a_run()]
    good = list(a_run())
    with pytest.raises(FaultError) as caught:
        replay([*nameless, *good, *good], tmp_path)
    refused, twice = caught.value.faults
    assert str(nameless[0][1]["uid"]) in str(refused) + str(twice)
    assert "its start document comes twice (replay each run once)" in str(refused) + str(twice)
    (path,) = tmp_path.glob("*.h5")
    assert values_of(path) == [0.0, 0.5, 1.0]


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def run():
    return CliRunner().invoke


def test_the_command_tells_the_files_of_all_recordings(run, tmp_path):
    uids = set()
    for name in ("a", "b"):
        documents = plain(a_run())
        uids.add(documents[0][1]["uid"])
        (tmp_path / name).write_bytes(as_lines(documents))
    done = run(app, ["replay", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert set(told["files"]) == uids
    assert told["masters"] == told["incomplete"] == {}
    assert told["faults"] == []
    assert all(values_of(path) == [0.0, 0.5, 1.0] for path in told["files"].values())


def test_the_command_ends_with_1_for_a_damaged_recording_and_writes_the_others(run, tmp_path):
    (tmp_path / "bad").write_bytes(as_lines(a_run())[:-30])
    (tmp_path / "good").write_bytes(as_lines(a_run()))
    done = run(app, ["replay", str(tmp_path / "bad"), str(tmp_path / "good"), "-o", str(tmp_path), "--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert len(told["files"]) == 2
    (reason,) = told["incomplete"].values()
    assert "before the run stopped" in reason
    assert "line 6: no JSON document" in told["faults"][0]
    assert "line 6: no JSON document" in done.stderr


def test_the_command_ends_with_1_where_there_is_no_run(run, tmp_path):
    (tmp_path / "docs").write_bytes(b'["event", {"descriptor": "d"}]\n')
    done = run(app, ["replay", str(tmp_path / "docs"), "-o", str(tmp_path)])
    assert done.exit_code == 1
    assert "nothing was written" in done.output


def test_the_command_ends_with_2_for_wrong_use(run, tmp_path):
    (tmp_path / "docs").write_bytes(as_lines(a_run()))
    (tmp_path / "profile.yml").write_text("beamlin: id16a\n")
    docs, out = str(tmp_path / "docs"), str(tmp_path / "out")
    assert run(app, ["replay"]).exit_code == 2
    assert run(app, ["replay", str(tmp_path / "nowhere"), "-o", out]).exit_code == 2
    assert run(app, ["replay", docs, "-o", str(tmp_path / "docs" / "out")]).exit_code == 2
    done = run(app, ["replay", docs, "-o", out, "--profile", str(tmp_path / "profile.yml")])
    assert done.exit_code == 2
    assert "profile.yml, line 1" in done.stderr
    assert not (tmp_path / "out").exists()


# -- recordings that are not as they should be ---------------------------------------------------------------------


def without(name, key):
    """A change: the first document of a kind lacks a key."""

    def change(items):
        next(doc for kind, doc in items if kind == name).pop(key)

    return change


def with_value(name, key, value):
    def change(items):
        next(doc for kind, doc in items if kind == name)[key] = value

    return change


def swapped(first, second):
    def change(items):
        items[first], items[second] = items[second], items[first]

    return change


def in_a_page(**columns):
    """A change: the events stand in a page, of which some columns are others."""

    def change(items):
        page = plain([("event_page", event_model.pack_event_page(*(doc for name, doc in items if name == "event")))])
        page[0][1].update(columns)
        items[2:5] = page

    return change


def numbered_from(*numbers):
    def change(items):
        for (_, doc), number in zip(items[2:5], numbers, strict=True):
            doc["seq_num"] = number

    return change


DEEP = json.loads("[" * 500 + "]" * 500)
GOOD = {  # What only looks odd: change → rows of its file.
    "extra keys": (lambda items: [doc.update(extra={"a": [None]}) for _, doc in items], 3),
    "an unknown kind": (lambda items: items.insert(2, ["fnord", {"a": 1}]), 3),
    "seq_nums from 0": (numbered_from(0, 1, 2), 3),
    "seq_nums with gaps": (numbered_from(10, 20, 30), 3),
    "NaN": (lambda items: items[3][1]["data"].update(x=float("nan")), 3),
    "a long text": (with_value("start", "sample", "µ" * 10**6), 3),
    "deep": (with_value("start", "deep", DEEP), 3),
    "a deep reading": (lambda items: items[3][1]["data"].update(x=DEEP), 3),
    "a huge integer": (lambda items: items[3][1]["data"].update(x=10**400), 3),
    "events without uids": (without("event", "uid"), 3),
    "events without timestamps": (without("event", "timestamps"), 3),
    "no configuration": (without("descriptor", "configuration"), 3),
    "a time that never was": (with_value("stop", "time", float("inf")), 3),
    "a second stop": (lambda items: items.append(items[-1]), 3),
}
BAD = {  # Change → (files beside the good run's, words).
    "no start": (lambda items: items.pop(0), [], "3 of kind 'event' belong to no run"),
    "no descriptor": (lambda items: items.pop(1), ["complete"], "3 of kind 'event' belong to no run"),
    "an event first": (swapped(1, 2), ["complete"], "1 of kind 'event' belong to no run"),
    "the stop in between": (lambda items: items.insert(2, items.pop()), ["complete"], "3 of kind 'event'"),
    "no stop": (lambda items: items.pop(), ["incomplete"], "closed before the run stopped"),
    "a second start": (lambda items: items.insert(2, items[0]), ["complete"], "comes twice"),
    "an event without data": (without("event", "data"), ["incomplete"], "KeyError: 'data'"),
    "an event without a number": (without("event", "seq_num"), ["incomplete"], "KeyError: 'seq_num'"),
    "an event without a stream": (without("event", "descriptor"), ["complete"], "1 of kind 'event'"),
    "an event of a list": (with_value("event", "descriptor", []), ["complete"], "1 of kind 'event'"),
    "data that is a text": (with_value("event", "data", "x"), ["incomplete"], "kind 'event' could not be written"),
    "a page that is too long": (in_a_page(seq_num=[1, 2]), ["incomplete"], "kind 'event_page' could not be written"),
    "a start without a uid": (without("start", "uid"), [], "no 'uid'"),
    "a start whose uid is a list": (with_value("start", "uid", []), [], "is no text"),
    "a start without a time": (without("start", "time"), [], "no 'time'"),
    "no document": (lambda items: items.append(["event", [1, 2]]), ["complete"], "expected [name, document]"),
}


def hostile(tmp_path, change):
    """A recording of a good run of two points, and one that a change spoils."""
    items = plain(a_run(3))
    change(items)
    path = tmp_path / "docs.json"
    path.write_text(json.dumps([*plain(a_run(2)), *items]))
    done = CliRunner().invoke(app, ["replay", str(path), "-o", str(tmp_path / "files"), "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    told = json.loads(done.stdout)
    states = []
    for written in told["files"].values():
        with h5py.File(written) as file:
            column = file.get("entry/measurement/x")
            states.append((str(file.attrs["state"]), len(column) if column is not None else 0))
    assert states[0] == ("complete", 2), "the good run"
    return done.exit_code, states[1:], " ".join([*told["faults"], *told["incomplete"].values()])


@pytest.mark.parametrize("what", GOOD)
def test_what_only_looks_odd_is_complete(tmp_path, what):
    change, rows = GOOD[what]
    assert hostile(tmp_path, change) == (0, [("complete", rows)], "")


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_right_is_told_and_harms_nothing_else(tmp_path, what):
    change, expected, words = BAD[what]
    code, states, told = hostile(tmp_path, change)
    assert code == 1
    assert [state for state, _ in states] == expected
    assert words in told


def test_documents_of_a_refused_run_are_left_out_and_not_told_one_by_one(tmp_path):
    """One without a uid costs no other run; one that comes twice is told once."""
    nameless, first, good = plain(a_run()), plain(a_run(2)), plain(a_run(4))
    del nameless[0][1]["uid"]
    documents = [*nameless[:1], *first, *first, *good]
    with pytest.raises(FaultError) as refusal:
        replay(documents, tmp_path)
    told = sorted(fault.message.split(": ")[1] for fault in refusal.value.faults)
    assert told == ["its start document comes twice", "no 'uid'"]
    rows = []
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            rows.append((str(file.attrs["state"]), len(file["entry/measurement/x"])))
    assert sorted(rows) == [("complete", 2), ("complete", 4)]
