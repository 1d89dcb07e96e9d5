"""Chains of positioners, as a profile types them and as they stand in the file."""

from textwrap import dedent

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import scan
from bluesky.preprocessors import SupplementalData

from devices.quantity import Quantity
from devices.stages import SimulatedMotor
from nexus_callbacks import NexusWriter, coverage, validate
from nexus_callbacks.beamline.bindings import Signals
from nexus_callbacks.faults import FaultError
from nexus_callbacks.recipes import Recipes

DEFINITION = """
    <group groupName="${entry}" NX_class="NXentry">
        <group groupName="sample" NX_class="NXsample"/>
        <group groupName="instrument" NX_class="NXinstrument">
            <group groupName="camera" NX_class="NXdetector">
                <group groupName="module" NX_class="NXdetector_module">
                    <fast_pixel_direction NAPItype="NX_FLOAT" units="m">${pixel}
                        <attribute name="transformation_type">translation</attribute>
                        <attribute name="vector">-1 0 0</attribute>
                    </fast_pixel_direction>
                </group>
            </group>
        </group>
    </group>
"""
PROFILE = """
    definitions: [bench]
    values:
      pixel: {from: const:75, unit: um}
    axes:
      sample:
        omega: {type: rotation, vector: [-1, 0, 0], from: data:omega, increment: {from: const:500, unit: mdeg}}
        chi: {type: rotation, vector: [0, 0, 3], from: data:chi, offset: [0, 0, 1.5], offset_unit: mm}
        arm: {type: translation, vector: [0, 1, 0], from: data:arm, depends_on: omega}
      camera:
        two_theta: {type: rotation, vector: [0, 1, 0], from: const:30, depends_on: sample.omega}
        far: {type: translation, vector: [0, 0, 1], from: data:far}
"""
SIGNALS = Signals({"omega": {"units": "deg"}, "chi": {"units": "rad"}, "far": {"units": "m"}, "arm": {}})


def written(folder, text, definition=DEFINITION):
    (folder / "definitions").mkdir(exist_ok=True)
    (folder / "definitions" / "bench.xml").write_text(dedent(definition).strip(), "utf-8")
    (folder / "profile.yml").write_text(dedent(text).lstrip("\n"), "utf-8")
    return folder


def faults(folder, text):
    with pytest.raises(FaultError) as caught:
        Recipes(written(folder, text), SIGNALS)
    return [str(fault).removeprefix(f"{folder}/profile.yml, ") for fault in caught.value.faults]


def scanned(tmp_path, *still, text=PROFILE, md=None):
    """The file of a scan of omega over three places, while the others stand still."""
    omega = SimulatedMotor(name="omega", units="deg", limits=(-400.0, 400.0))
    engine = RunEngine({})
    engine.preprocessors.append(SupplementalData(baseline=still))
    writer = NexusWriter(tmp_path / "data", profile=written(tmp_path, text), signals=SIGNALS)
    engine.subscribe(writer)
    (uid,) = engine(scan([], omega, 0, 1, 3), **(md or {}))
    writer.close()
    return writer.files[uid]


STILL = (("chi", 0.5, "rad"), ("far", 0.25, "m"), ("arm", 2.0, "mm"))


@pytest.fixture
def run(tmp_path):
    return scanned(tmp_path, *(Quantity(name=name, value=value, units=units) for name, value, units in STILL))


def test_an_axis_that_is_called_as_the_step_of_another_is_refused(tmp_path):
    told = faults(
        tmp_path,
        """
        definitions: [bench]
        values: {pixel: {from: const:75, unit: um}}
        axes:
          sample:
            o_increment_set: {type: rotation, vector: [0, 0, 1], from: data:chi}
            o: {type: rotation, vector: [0, 0, 1], from: data:omega, increment: {from: const:1, unit: deg}}
        """,
    )
    assert told == [
        "line 5: axes.sample.o_increment_set: is called as the step of axes.sample.o (give it another name)"
    ]


def test_a_chain_stands_in_the_sample_from_the_floor_up(run):
    with h5py.File(run) as file:
        sample = file["entry/sample"]
        axes = sample["transformations"]
        assert axes.attrs["NX_class"] == "NXtransformations"
        omega, chi = axes["omega"], axes["chi"]
        np.testing.assert_allclose(omega, [0, 0.5, 1.0])
        assert (omega.attrs["units"], omega.attrs["transformation_type"]) == ("deg", "rotation")
        assert omega.attrs["depends_on"] == "."
        np.testing.assert_array_equal(omega.attrs["vector"], [-1.0, 0.0, 0.0])
        assert "offset" not in omega.attrs
        assert chi.attrs["depends_on"] == "omega", "each axis stands on the one before it"
        assert chi[()] == pytest.approx(np.rad2deg(0.5)), "one value of the baseline, in degrees"
        np.testing.assert_array_equal(chi.attrs["vector"], [0.0, 0.0, 1.0])
        np.testing.assert_array_equal(chi.attrs["offset"], [0.0, 0.0, 1.5])
        assert chi.attrs["offset_units"] == "mm"
        assert axes["omega_increment_set"][()] == pytest.approx(0.5)
        assert sample["depends_on"].asstr()[()] == "transformations/arm", "the last one listed carries the sample"


def test_another_chain_may_be_a_step_of_a_chain(run):
    with h5py.File(run) as file:
        camera = file["entry/instrument/camera"]
        assert camera["depends_on"].asstr()[()] == "transformations/far"
        turned = camera["transformations/two_theta"]
        assert turned[()] == 30
        assert file[turned.attrs["depends_on"]].name == "/entry/sample/transformations/omega"
        assert camera["transformations/far"][()] == pytest.approx(250)
        assert camera["transformations/far"].attrs["units"] == "mm"


def test_the_pixels_of_a_module_stand_on_the_end_of_the_chain(run):
    with h5py.File(run) as file:
        pixel = file["entry/instrument/camera/module/fast_pixel_direction"]
        assert file[pixel.attrs["depends_on"]].name == "/entry/instrument/camera/transformations/far"
        np.testing.assert_array_equal(pixel.attrs["vector"], [-1.0, 0.0, 0.0])
        assert pixel[()] == pytest.approx(75e-6)


def test_a_further_technique_has_its_axes_in_its_subentry(tmp_path):
    text = PROFILE.replace("definitions: [bench]", "definitions: [base]\n    techniques: {first: {}, bench: {}}")
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "first.xml").write_text(
        '<group groupName="${entry}" NX_class="NXentry"><notes>none</notes></group>', "utf-8"
    )
    still = [Quantity(name=name, value=value, units=units) for name, value, units in STILL]
    with h5py.File(scanned(tmp_path, *still, text=text, md={"technique": ["first", "bench"]})) as file:
        camera = file["entry/bench/instrument/camera"]
        pixel = camera["module/fast_pixel_direction"]
        assert file[pixel.attrs["depends_on"]].name == "/entry/bench/instrument/camera/transformations/far"
        turned = camera[camera["depends_on"].asstr()[()]].parent["two_theta"]
        assert file[turned.attrs["depends_on"]].shape == (3,), "omega, a step of the detector's chain"


def test_axes_are_accounted_for_as_variables_are(run):
    outcomes = {outcome.variable: outcome for outcome in coverage(run)["entry"].outcomes}
    chi = outcomes["axes.sample.chi"]
    assert (chi.filled, chi.origin, chi.unit_from, chi.unit_to) == (True, "data:chi (baseline, initial)", "rad", "deg")


@pytest.mark.unreadable("the chain of the sample is broken, which is what is shown")
def test_an_axis_that_nobody_read_is_told_and_breaks_its_chain_loudly(tmp_path):
    path = scanned(tmp_path, *(Quantity(name=name, value=value, units=units) for name, value, units in STILL[:2]))
    outcomes = {outcome.variable: outcome for outcome in coverage(path)["entry"].outcomes}
    assert not outcomes["axes.sample.arm"].filled
    assert outcomes["axes.sample.arm"].reason == "data:arm is not in the documents of this run"
    (found,) = [finding for finding in validate(path).errors if "depends" in finding.message]
    assert found.path == "/entry/sample/depends_on"
    assert found.message == "depends on transformations/arm, where there is no axis"


@pytest.mark.unreadable("the chain is made a circle, which is what is shown")
def test_a_chain_that_comes_back_to_itself_is_found_in_a_file(run):
    with h5py.File(run, "r+") as file:
        file["entry/sample/transformations/omega"].attrs["depends_on"] = "chi"
    told = {(finding.path, finding.message) for finding in validate(run).errors}
    assert ("/entry/sample/transformations/chi", "depends on omega in a circle") in told


def test_every_fault_of_the_axes_is_told_at_once_with_its_line(tmp_path):
    found = faults(
        tmp_path,
        """
        definitions: [bench]
        axes:
          smaple:
            x: {type: rotation, vector: [0, 0, 1], from: data:omega}
          sample:
            a: {type: rotation, vector: [0, 0, 0], from: data:omega}
            b: {type: rotaton, vector: [0, 0, 1], from: data:omega}
            c: {type: rotation, vector: [0, 1], from: data:omega}
            d: {type: rotation, vector: [0, 0, 1], from: data:omega, depends_on: camera.fra}
            e: {type: rotation, vector: [0, 0, 1], from: data:omega, depends_on: g}
            f: {type: rotation, vector: [0, 0, 1], from: data:omega}
            g: {type: rotation, vector: [0, 0, 1], from: data:omgea, depends_on: f}
            h: {type: translation, vector: [0, 0, 1], from: data:omega, depends_on: .}
            i: {type: rotation, vector: [0, 0, 1], from: data:omega, dependson: h}
            j: {type: rotation, vector: [0, 0, 1], from: const:flat, offset: [1, 0, 0], offset_unit: mm}
            k.l: {type: rotation, vector: [0, 0, 1], from: data:omega}
            m: {type: rotation, vector: [0, 0, 1], from: data:omega, offset: [1, 0, 0]}
            n: {type: rotation, vector: [0, 0, 1], from: data:omega, offset: [1, 0, 0], offset_unit: deg}
            o: {type: rotation, vector: [0, 0, true], from: data:omega, increment: {from: data:omega, as: midle}}
          camera:
            far: {type: translation, vector: [0, 0, 1], from: data:far}
        """,
    )
    assert found[:-1] == [
        "line 3: axes.smaple: no definition has a group 'smaple' in the entry or its instrument"
        " (did you mean 'sample'?)",
        "line 6: axes.sample.a.vector: is a vector of no length, which points nowhere"
        " (give its direction, for example [0, 0, 1])",
        "line 7: axes.sample.b.type: input should be 'rotation' or 'translation'",
        "line 8: axes.sample.c.vector: expected three numbers, got [0, 1] (write [x, y, z], for example [0, 0, 1])",
        "line 9: axes.sample.d: depends on the unknown axis 'camera.fra' (did you mean 'camera.far'?)",
        "line 10: axes.sample.e: depends on itself, by way of sample.g, sample.f, sample.e"
        " (let one of them depend on '.', the floor)",
        "line 12: axes.sample.g: no device has the data key 'omgea' (did you mean 'omega'?)",
        "line 13: axes.sample.h: expected a unit like 'mm', but 'data:omega' has units 'deg'",
        "line 14: unknown key 'axes.sample.i.dependson' (did you mean 'depends_on'?)",
        "line 15: axes.sample.j: expected a number, got 'flat' (the definition says NX_FLOAT)",
        "line 16: axes.sample.k.l: 'k.l' cannot be an axis (use letters, digits and '_')",
        "line 17: axes.sample.m: has an offset without a unit (give 'offset_unit:', for example mm)",
        "line 18: axes.sample.n: offset_unit 'deg' is no length (give a length such as mm)",
        "line 19: axes.sample.o.vector: expected three numbers, got [0, 0, True]"
        " (write [x, y, z], for example [0, 0, 1])",
    ]
    assert found[-1].startswith("line 19: axes.sample.o.increment.as: unknown conversion 'midle'")


@pytest.mark.parametrize("number", ["1" + 400 * "0", "1e400", ".nan", "1.7e308"])
def test_a_number_that_no_length_can_be_made_of_is_a_fault(tmp_path, number):
    text = f"""
        definitions: [bench]
        axes:
          sample:
            a: {{type: rotation, vector: [{number}, {number}, {number}], from: data:omega}}
        """
    (told,) = faults(tmp_path, text)
    assert told.startswith("line 4: axes.sample.a.vector: expected three numbers, got [")


def test_axes_of_a_group_that_another_technique_has_are_no_fault(tmp_path):
    written(
        tmp_path,
        """
        definitions: [base]
        techniques: {bench: {pixel: const:1}}
        axes:
          camera:
            far: {type: translation, vector: [0, 0, 1], from: data:far}
        """,
    )
    recipes = Recipes(tmp_path, SIGNALS)
    start = {"uid": "u", "time": 0.0}
    plain = recipes.recipe(start, tmp_path / "a.h5")
    shaped = recipes.recipe({**start, "technique": "bench"}, tmp_path / "a.h5")
    assert "axes.camera.far" not in plain.bindings
    assert "axes.camera.far" in shaped.bindings
    assert "instrument/camera/transformations/far" in dict(shaped.tree.fields())


def test_an_axis_cannot_stand_on_a_chain_whose_group_is_in_another_definition_only(tmp_path):
    text = """
        definitions: [bench]
        techniques: {more: {pixel: const:1}}
        axes:
          sample: {omega: {type: rotation, vector: [1, 0, 0], from: data:omega}}
          camera:
            far: {type: translation, vector: [0, 0, 1], from: data:far, depends_on: sample.omega}
        """
    sample = '<group groupName="sample" NX_class="NXsample"/>'
    written(tmp_path, text, DEFINITION.replace(sample, ""))
    more = f'<group groupName="${{entry}}" NX_class="NXentry">{sample}</group>'
    (tmp_path / "definitions" / "more.xml").write_text(more, "utf-8")
    with pytest.raises(FaultError) as caught:
        Recipes(tmp_path, SIGNALS)
    (fault,) = caught.value.faults
    assert "axes.camera.far: depends on sample.omega, but there is no group 'sample'" in str(fault)
    assert "line 6" in str(fault)


def test_what_a_definition_fixes_an_axis_may_not_change(tmp_path):
    fixed = DEFINITION.replace(
        '<group groupName="sample" NX_class="NXsample"/>',
        '<group groupName="sample" NX_class="NXsample"><depends_on>.</depends_on></group>',
    )
    written(tmp_path, PROFILE, fixed)
    with pytest.raises(FaultError, match=r"/sample/depends_on holds 'transformations/arm', but '\.'"):
        Recipes(tmp_path, SIGNALS)
