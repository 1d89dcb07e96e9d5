"""Formats and headers: which file holds a frame, and where in it the pixels stand."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from nexus_callbacks.frames import formats, headers
from nexus_callbacks.frames.formats import FORMATS, FrameRange, Series, file_name, numbered

FRAME = np.arange(12, dtype="<u2").reshape(3, 4)


def edf_text(data, **fields):
    """One image as the ESRF data format has it: a header padded to a multiple of 512 bytes, then the pixels."""
    kinds = {"u2": "UnsignedShort", "i4": "SignedInteger", "f4": "FloatValue"}
    order = {">": "HighByteFirst"}.get(data.dtype.str[0], "LowByteFirst")
    told = {"HeaderID": "EH:000001:000000:000000", "ByteOrder": order, "DataType": kinds[data.dtype.str[1:]]}
    told |= {f"Dim_{i}": n for i, n in enumerate(reversed(data.shape), 1)} | {"Size": data.nbytes} | fields
    head = "{\n" + "".join(f"{name} = {value} ;\n" for name, value in told.items())
    return (head + " " * (-(len(head) + 2) % 512) + "}\n").encode() + data.tobytes()


def tiff_bytes(pages, order="<", strips=1, gap=0, big=False):
    """Uncompressed TIFF pages in strips, with bytes between the strips if that is wanted."""
    word, entry = ("Q", "HHQ8s") if big else ("I", "HHI4s")
    out = bytearray({"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42))
    out += struct.pack(order + "HH", 8, 0) if big else b""
    pointer = len(out)
    out += struct.pack(order + word, 0)
    for page in pages:
        rows = np.array_split(page, strips)
        places = []
        for rows_of_strip in rows:
            places.append((len(out), rows_of_strip.nbytes))
            out += rows_of_strip.tobytes() + b"\0" * gap
        arrays = []
        for values in zip(*places, strict=True):
            arrays.append(len(out))
            out += struct.pack(f"{order}{strips}{word}", *values)
        kind = {"u": 1, "i": 2, "f": 3}[page.dtype.kind]
        tags = [(256, 3, 1, page.shape[1]), (257, 3, 1, page.shape[0]), (258, 3, 1, 8 * page.itemsize), (259, 3, 1, 1)]
        long = 16 if big else 4
        tags += [(273, long, strips, places[0][0] if strips == 1 else arrays[0])]
        tags += [(279, long, strips, places[0][1] if strips == 1 else arrays[1]), (339, 3, 1, kind)]
        struct.pack_into(order + word, out, pointer, len(out))
        out += struct.pack(order + ("Q" if big else "H"), len(tags))
        for tag, form, count, value in tags:
            size = 8 if big else 4
            inline = struct.pack(order + ("H" if form == 3 else word), value).ljust(size, b"\0")
            out += struct.pack(order + entry, tag, form, count, inline)
        pointer = len(out)
        out += struct.pack(order + word, 0)
    return bytes(out)


def pixels(path, stored):
    """The images read with nothing but the places that were found."""
    data = path.read_bytes()
    return [np.frombuffer(data[o : o + stored.size], stored.dtype).reshape(stored.shape) for o in stored.offsets]


# -- the table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", FORMATS)
def test_every_row_of_the_table_is_whole(spec):
    row = FORMATS[spec]
    assert (row.way == "raw") == (row.read is not None)
    assert (row.way == "none") == bool(row.reason)
    assert row.closed or row.files == "one" or row.way == "none", "numbered files are closed one by one"


@pytest.mark.parametrize(
    ("template", "filename", "number", "name"),
    [
        ("%s%s_%6.6d.tiff", "scan", 7, "scan_000007.tiff"),
        ("%s%s_%06d.tif", "scan", 7, "scan_000007.tif"),
        ("%s_%d.npy", "", 12, "_12.npy"),
        ("cam_{:05d}.tiff", "", 3, "cam_00003.tiff"),
        ("{}.tif", "", 3, "3.tif"),
        ("100%%_%3d.tif", "", 3, "100%_  3.tif"),
        ("{0.__class__}_%999999999d_{:999999999d}", "", 3, "{0.__class__}_%999999999d_{:999999999d}"),
    ],
)
def test_names_of_numbered_files(template, filename, number, name):
    assert file_name(template, filename, number) == name


def ranges(spec, parameters=None, per_row=1, path="/d", start=0, stop=3):
    return list(numbered(spec, path, None, parameters or {}, per_row).ranges(start, stop))


def test_one_file_for_all_frames():
    assert ranges("AD_HDF5", path="/d/a.h5", stop=9) == [FrameRange("/d/a.h5", "/entry/data/data", 0, 9)]


def test_a_file_a_row():
    assert ranges("NPY_SEQ", per_row=5, path="/d/stem", start=5, stop=15) == [
        FrameRange("/d/stem_1.npy", "", 0, 5),
        FrameRange("/d/stem_2.npy", "", 0, 5),
    ]


def test_area_detectors_files_are_numbered_through_the_points():
    parameters = {"template": "%s%s_%6.6d.tiff", "filename": "x", "frame_per_point": 2}
    assert [r.path for r in ranges("AD_TIFF", parameters, start=2, stop=4)] == ["/d/x_000002.tiff", "/d/x_000003.tiff"]


def test_files_of_several_frames_are_entered_in_the_middle():
    parameters = {"template": "x_{:03d}.tif", "chunk_shape": (4, 10, 10)}
    assert ranges("multipart/related;type=image/tiff", parameters, start=2, stop=9) == [
        FrameRange("/d/x_000.tif", "", 2, 4),
        FrameRange("/d/x_001.tif", "", 0, 4),
        FrameRange("/d/x_002.tif", "", 0, 1),
    ]


@pytest.mark.parametrize(
    ("path", "template", "files"),
    [
        ("/d/parts/", "%s%s_%3.3d.h5", ["/d/parts/x_000.h5", "/d/parts/x_001.h5", "/d/parts/x_002.h5"]),
        ("/d/parts", "x_{:d}.h5", ["/d/parts/x_0.h5", "/d/parts/x_1.h5", "/d/parts/x_2.h5"]),
        ("/d/one.h5", "%s%s_%3.3d.h5", ["/d/one.h5"]),
        ("/d/one", "%s%s.h5", ["/d/one"]),
        ("/d/one", "100%%.h5", ["/d/one"]),
        ("/d/one", None, ["/d/one"]),
    ],
)
def test_hdf5_in_parts_has_a_template_with_a_number_and_a_folder(path, template, files):
    parameters = {"template": template, "filename": "x", "chunk_shape": [1, 4, 4]}
    assert [each.path for each in ranges("AD_HDF5", parameters, path=path)] == files


def test_an_unknown_spec_is_hdf5_only_if_it_names_a_dataset():
    assert formats.format_of("PANDA", "/x").way == "link"
    assert "'PANDA' is unknown" in formats.format_of("PANDA").reason


@given(st.builds(Series, st.text(), st.sampled_from(sorted(FORMATS)), st.text(), st.text(), st.text(), st.integers(1)))
def test_a_series_survives_its_record(series):
    assert Series.from_dict(series.as_dict()) == series


@pytest.mark.parametrize("bad", [{}, {"path": 1, "spec": "x"}, {"path": "", "spec": "", "per_file": 0}])
def test_a_bad_record_is_refused(bad):
    with pytest.raises(ValueError, match="no series"):
        Series.from_dict(bad)


# -- headers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [FRAME, FRAME.astype(">f8"), np.float32(3), np.arange(24).reshape(2, 3, 4)], ids=str)
def test_npy(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    (found,) = pixels(tmp_path / "a.npy", headers.npy(tmp_path / "a.npy"))
    np.testing.assert_array_equal(found, array)


def test_a_stack_in_one_array_is_split_into_frames(tmp_path):
    stack = np.arange(24, dtype="i4").reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", stack)
    stored = headers.npy(tmp_path / "a.npy")
    np.testing.assert_array_equal(pixels(tmp_path / "a.npy", stored.split((3, 4))), stack)
    np.testing.assert_array_equal(pixels(tmp_path / "a.npy", stored.split(())), stack.ravel())
    assert stored.split((2, 2)) == stored


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4", ">f4"])
def test_edf(tmp_path, dtype):
    images = [(FRAME + i).astype(dtype) for i in range(3)]
    path = tmp_path / "a.edf"
    path.write_bytes(b"".join(edf_text(image) for image in images))
    stored = headers.edf(path)
    assert stored.dtype == dtype
    np.testing.assert_array_equal(pixels(path, stored), images)


def test_an_edf_header_that_is_not_padded(tmp_path):
    path = tmp_path / "a.edf"
    path.write_bytes(b"{\r\nByteOrder=LowByteFirst;DataType=UnsignedShort;Dim_1=4;Dim_2=3;\r\n}\r\n" + FRAME.tobytes())
    np.testing.assert_array_equal(pixels(path, headers.edf(path)), [FRAME])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("strips", [1, 3])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_tiff(tmp_path, order, strips, big, kind):
    images = [(FRAME + i).astype(order + kind) for i in range(2)]
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(images, order, strips, big=big))
    stored = headers.tiff(path)
    assert stored.dtype == order + kind
    np.testing.assert_array_equal(pixels(path, stored), images)


def test_a_tiff_of_another_program(tmp_path):
    Image.fromarray(FRAME).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif", headers.tiff(tmp_path / "a.tif")), [FRAME])
    with Image.open(tmp_path / "a.tif") as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)


def compressed_tiff(path):
    Image.fromarray(FRAME).save(path, format="TIFF", compression="tiff_lzw")


def objects(path):
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


BAD = {
    "empty": (headers.npy, lambda p: p.touch(), "no array"),
    "text": (headers.npy, lambda p: p.write_text("x" * 99), "no array"),
    "python objects": (headers.npy, objects, "of the type object"),
    "fortran": (headers.npy, lambda p: np.save(p, np.asfortranarray(FRAME)), "Fortran"),
    "structured": (headers.npy, lambda p: np.save(p, np.zeros(2, dtype="i4,f8")), "of the type"),
    "no images": (headers.npy, lambda p: np.save(p, np.zeros((0, 3))), "shape"),
    "empty edf": (headers.edf, lambda p: p.touch(), "no image"),
    "no edf": (headers.edf, lambda p: p.write_text("x" * 600), "no EDF header at byte 0"),
    "endless edf": (headers.edf, lambda p: p.write_text("{" + "x" * 600), "no end"),
    "packed edf": (headers.edf, lambda p: p.write_bytes(edf_text(FRAME, COMPRESSION="gzip")), "compressed"),
    "odd edf": (headers.edf, lambda p: p.write_bytes(edf_text(FRAME, DataType="Bit")), "'Bit'"),
    "edf of nonsense": (headers.edf, lambda p: p.write_bytes(edf_text(FRAME, Dim_1="-3")), "'-3'"),
    "edf of two shapes": (headers.edf, lambda p: p.write_bytes(edf_text(FRAME) + edf_text(FRAME[:2])), "differ"),
    "cut edf": (headers.edf, lambda p: p.write_bytes(edf_text(FRAME)[:-1]), "shorter"),
    "no tiff": (headers.tiff, lambda p: p.write_text("x" * 99), "no TIFF"),
    "empty tiff": (headers.tiff, lambda p: p.touch(), "no TIFF"),
    "cut tiff": (headers.tiff, lambda p: p.write_bytes(tiff_bytes([FRAME])[:-3]), "cut off"),
    "packed tiff": (headers.tiff, compressed_tiff, "compressed"),
    "scattered tiff": (headers.tiff, lambda p: p.write_bytes(tiff_bytes([FRAME], strips=3, gap=2)), "do not follow"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_shown_is_refused_with_its_reason(tmp_path, name):
    read, make, reason = BAD[name]
    path = tmp_path / "bad.npy"
    make(path)
    with pytest.raises(headers.HeaderError, match=reason):
        read(path)


GOOD = {"edf": edf_text(FRAME) * 2, "tiff": tiff_bytes([FRAME, FRAME], strips=3), "big": tiff_bytes([FRAME], big=True)}


@given(
    st.sampled_from(sorted(GOOD)), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6), st.integers(0)
)
def test_a_damaged_header_is_read_or_refused(tmp_path_factory, name, changes, cut):
    data = bytearray(GOOD[name])
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path_factory.getbasetemp() / f"damaged.{name}"
    path.write_bytes(data[: len(data) - cut % 40])
    try:
        stored = (headers.edf if name == "edf" else headers.tiff)(path)
    except headers.HeaderError:
        return
    assert max(stored.offsets) + stored.size <= path.stat().st_size
