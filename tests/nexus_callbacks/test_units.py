import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_callbacks import units
from nexus_callbacks.beamline import conversions
from nexus_callbacks.definitions.definition import Group
from nexus_callbacks.units import UnitFault, compatible, conversion, known


def test_every_unit_of_the_real_definition_is_known(esrf: Group) -> None:
    names = {field.units for _, field in esrf.fields() if field.units}
    assert len(names) == 34
    assert [name for name in sorted(names) if not known(name)] == []


@pytest.mark.parametrize(
    ("spelling", "means"),
    [
        ("\u00b5m", "\u03bcm"),
        ("um", "\u03bcm"),
        ("micron", "\u03bcm"),
        ("microns", "\u03bcm"),
        ("\u212b", "\u00c5"),  # the angstrom sign and the letter
        ("C", "°C"),
        ("degC", "°C"),
        ("deg C", "°C"),
        ("degrees", "deg"),
        ("°", "deg"),
        ("counts", "ct"),
        ("cts/s", "1/s"),
        ("e-", "electron"),
        ("s⁻¹", "Hz"),
        ("mBar", "mbar"),
        ("Torr", "torr"),
        ("years", "a"),
        ("MM", "mm"),
    ],
)
def test_spellings_of_beamlines_mean_the_same(spelling: str, means: str) -> None:
    assert conversion(spelling, means).identity


@pytest.mark.parametrize(
    ("here", "value", "there", "expected"),
    [
        ("eV", 17050, "keV", 17.05),
        ("mm", 3, "m", 0.003),
        ("mbar", 2, "Pa", 200.0),
        ("°C", 20, "K", 293.15),
        ("K", 293.15, "°C", 20.0),
        ("degF", 212, "degC", 100.0),
        ("deg", 180, "rad", math.pi),
        ("Å", 1, "nm", 0.1),
        ("Å²", 1, "nm^2", 0.01),
        ("nm·rad", 1, "m*rad", 1e-9),
        ("Gy/mA/s", 1, "Gy/A/s", 1000.0),
        ("electrons/Å²", 1, "electrons/nm²", 100.0),
        ("%", 50, "dimensionless", 0.5),
        ("1/s", 5, "Hz", 5),
        ("rpm", 1, "deg/s", 6.0),
        ("a", 1, "day", 365.25),
    ],
)
def test_values_are_converted(here: str, value: float, there: str, expected: float) -> None:
    assert conversion(here, there)(value) == pytest.approx(expected, rel=1e-14)


def test_a_decimal_step_gives_the_nearest_float() -> None:
    # 17050 * 0.001 is 17.050000000000001.
    assert conversion("eV", "keV")(17050) == 17.05
    assert conversion("mm", "m")(0.3) == 0.0003


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("deg", "mm"),
        ("deg", "%"),  # To pint both are without dimension.
        ("counts", "deg"),
        ("photons/s", "1/s"),
        ("electrons", "photons"),
        ("pixel", "mm"),
        ("", "mm"),
        ("mm", "parsnip"),
        ("parsnip", "parsnip"),
    ],
)
def test_other_kinds_and_unknown_units_are_refused(here: str, there: str) -> None:
    assert not compatible(here, there)
    with pytest.raises(UnitFault, match=r"does not convert to|unknown unit"):
        conversion(here, there)


@pytest.mark.parametrize(
    "text",
    ["9**9**9**9", "9^9^9", "(9**9)**9", "m**(99**99)", "2**(999*999*999)", "9⁹⁹⁹⁹", "((9**99)**99)**99", "1" * 4000,
     "__import__('os')", "m;s", "mm(", "10000", "\0", "{x}", "m**999"],
)  # fmt: skip
def test_odd_texts_are_no_units(text: str) -> None:
    assert not known(text)


@given(st.text(alphabet="0123456789*/^()m s.-+eV°²·%", max_size=20))
def test_no_text_breaks_the_parser(text: str) -> None:
    assert known(text) in (True, False)


def test_arrays_keep_their_shape() -> None:
    to_metres = conversion("mm", "m")
    found = to_metres(np.array([[1, 2], [3, 4]]))
    assert (found.dtype, found.tolist()) == (np.dtype(float), [[0.001, 0.002], [0.003, 0.004]])
    assert to_metres(np.array([1, 2], np.float32)).dtype == np.float32
    assert to_metres([1000, 2000]).tolist() == [1, 2]
    whole = np.array([1, 2])
    assert conversion("mm", "mm")(whole) is whole


@given(st.floats(-1e6, 1e6), st.sampled_from([("mm", "μm"), ("°C", "K"), ("eV", "J"), ("deg", "mrad")]))
def test_there_and_back(value: float, pair: tuple[str, str]) -> None:
    here, there = pair
    assert conversion(there, here)(conversion(here, there)(value)) == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_pint_is_loaded_only_when_a_unit_is_asked_for() -> None:
    program = (
        "import sys; from nexus_callbacks import units; before = 'pint' in sys.modules;"
        "units.known('mm'); print(before, 'pint' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("count", [1, None, 3], 2),
        ("min", [2, None, math.nan, 1], 1),
        ("max", np.array([2.5, math.nan]), 2.5),
        ("mean", [1, 2, None, 3], 2.0),
        ("join", ["srot", 1.5, 0.1, 3], "srot 1.5 0.1 3"),
        ("first", ["a", "b"], "a"),
        ("last", np.array([1, 2]), 2),
    ],
)
def test_conversions_make_one_value_of_many(name: str, values: list[object], expected: object) -> None:
    assert conversions.apply(name, values) == expected


@pytest.mark.parametrize(
    ("name", "values", "fault"),
    [
        ("median", [1], "unknown conversion 'median'"),
        ("mean", [], "no values"),
        ("max", [None, math.nan], "no values"),
        ("min", ["a", 1], "expected numbers, got 'a'"),
        ("mean", [True], "expected numbers, got True"),
        ("join", [], "no values"),
        ("count", [], "no values"),
        ("first", [], "no values"),
    ],
)
def test_conversions_refuse_what_they_cannot_use(name: str, values: list[object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        conversions.apply(name, values)


def test_the_set_of_conversions_is_closed() -> None:
    assert set(conversions.NAMES) == {
        *["list", "join", "count", "min", "max", "mean", "first", "last", "difference", "lookup"]
    }
    assert units.conversion("mm", "m") is units.conversion("mm", "m")
