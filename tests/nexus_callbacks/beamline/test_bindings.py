from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_callbacks.beamline import bindings, sources, yaml_lines
from nexus_callbacks.beamline.bindings import Binding, Profile, Signals, Source, check, load_profile, merge_bindings
from nexus_callbacks.definitions import esrf_xml
from nexus_callbacks.faults import FaultError, Place
from nexus_callbacks.recipes import Recipes

# The example of the design, "What people type", less what needs the file of one's own definitions.
PROFILE = """
    beamline: id16a
    facility: ESRF
    timezone: Europe/Paris
    files:
      dataset: "{data_root}/{proposal}/{beamline}/{sample}/{sample}_{dataset}/{sample}_{dataset}.h5"
      master:  "{data_root}/{proposal}/{beamline}/{proposal}-{beamline}.h5"
    definitions: [esrf, definitions/id16a.xml]      # shipped names or paths
    tango: {ni: "nano:20000/id16ni", fe: "orion:10000/fe/id/16"}   # short names
    read: {timeout: 0.5}
    roots: {'D:\\lima': /data}
    private: [SamplePatient_*]
    catalogues:
      tiled: ./catalogue
    constants:
      InstrumentSource_name: ESRF
      TOMO_xStages: 1
    from_plan: [TOMO_sx0, TOMOAcquisition_proj_n]
    values:
      InstrumentSource_current_end:   tango:fe/SR_Current
      InstrumentMonochromator_energy: {from: data:mono_energy, unit: eV}      # the definition says keV
      TOMOAcquisition_exposure_time:  config:frelon.exposure_time
      TOMOAcquisition_srcur_stop: {from: data:ring_current, record: final}
      TOMO_it: {from: data:it, as: mean}
    lists:
      SamplePositioners: {srot: data:srot, sx: data:sx, sy: data:sy}
    techniques:
      tomo: {frames: data:frelon_image, rotation_angle: data:srot, image_key: data:image_key}
      empty:
    runs:
      alignment: {plans: [align_*, tune_*], master: false, catalogues: false}
"""


def profile(tmp_path: Path, text: str) -> Profile:
    (tmp_path / "profile.yml").write_text(dedent(text).lstrip("\n"), "utf-8")
    return load_profile(tmp_path)


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(FaultError) as caught:
        profile(tmp_path, text)
    return [str(fault).removeprefix(f"{tmp_path}/profile.yml, ") for fault in caught.value.faults]


# -- a sound profile ---------------------------------------------------------------------------------------------------


def test_the_profile_of_the_design_is_read(tmp_path: Path) -> None:
    found = profile(tmp_path, PROFILE)
    assert (found.beamline, found.facility, found.timezone, found.read.timeout) == (
        "id16a",
        "ESRF",
        "Europe/Paris",
        0.5,
    )
    assert (found.definitions, found.folder) == (["esrf", "definitions/id16a.xml"], tmp_path)
    assert found.roots == {"D:\\lima": "/data"}
    assert (found.runs["alignment"].plans, found.runs["alignment"].master) == (["align_*", "tune_*"], False)
    assert found.techniques["empty"] == {}
    own = found.bindings("tomo")
    assert own["InstrumentSource_name"].source == Source("const", "ESRF", "ESRF")
    assert own["TOMO_xStages"].source.value == 1
    assert own["TOMO_sx0"].source == Source("start", "TOMO_sx0")
    assert own["InstrumentMonochromator_energy"] == Binding(
        "InstrumentMonochromator_energy", Source("data", "mono_energy"), unit="eV"
    )
    assert own["TOMOAcquisition_srcur_stop"].record == "final"
    assert own["TOMO_it"].convert == "mean"
    assert own["frames"].source == Source("data", "frelon_image")
    assert "frames" not in found.bindings()


def test_a_list_fills_two_variables_in_one_order(tmp_path: Path) -> None:
    own = profile(tmp_path, PROFILE).bindings()
    members = tuple((name, Source("data", name)) for name in ("srot", "sx", "sy"))
    assert own["SamplePositioners_name"].source == Source("list", "names", items=members)
    assert own["SamplePositioners_value"].source == Source("list", "values", items=members)


def test_every_binding_knows_its_line(tmp_path: Path) -> None:
    own = profile(tmp_path, PROFILE).bindings("tomo")
    lines = PROFILE.lstrip("\n").splitlines()
    for variable, typed in [
        ("InstrumentSource_name", "InstrumentSource_name"),
        ("TOMOAcquisition_proj_n", "from_plan"),
        ("TOMO_it", "TOMO_it"),
        ("SamplePositioners_value", "SamplePositioners"),
        ("image_key", "tomo:"),
    ]:
        place = own[variable].place
        assert place is not None
        assert typed in lines[(place.line or 0) - 1]


def test_an_empty_profile_is_one(tmp_path: Path) -> None:
    found = profile(tmp_path, "values:\n# nothing yet\n")
    assert (found.bindings(), found.beamline, found.timezone, found.files.master) == ({}, None, None, None)
    assert profile(tmp_path, "").bindings() == {}


def test_the_file_itself_can_be_named(tmp_path: Path) -> None:
    profile(tmp_path, PROFILE)
    assert load_profile(tmp_path / "profile.yml").beamline == "id16a"


def test_the_profile_goes_before_defaults_and_the_technique_before_both(tmp_path: Path) -> None:
    for name, text in [("one.yml", "values: {a: start:a1, b: start:b1}"), ("two.yml", "constants: {b: 2, c: 2, d: 2}")]:
        (tmp_path / name).write_text(text)
    defaults = [bindings.load_bindings(tmp_path / name) for name in ("one.yml", "two.yml")]
    mine = profile(tmp_path, "constants: {c: 3, d: 3}\ntechniques: {x: {d: data:dx}, y: {d: data:dy, e: data:ey}}")

    def held(*technique: str) -> dict[str, str]:
        return {name: str(b.source) for name, b in merge_bindings(defaults, mine, technique).items()}

    assert held() == {"a": "start:a1", "b": "const:2", "c": "const:3", "d": "const:3"}
    assert held("x") == {**held(), "d": "data:dx"}
    assert held("x", "y") == {**held(), "d": "data:dx", "e": "data:ey"}
    assert merge_bindings(defaults, mine, "x") == merge_bindings(defaults, mine, ["x"])
    assert merge_bindings(defaults, None)["d"].source.value == 2


# -- faults ------------------------------------------------------------------------------------------------------------


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    assert faults(
        tmp_path,
        """
        beamlin: id16a
        timezone: Europe/Pari
        files:
          dataset: "{data_root}/{smaple}.h5"
          mastr: x.h5
        read: {timeout: -1}
        definitions: esrf
        constants:
          a:
          b: {c: 1}
        values:
          d: mono_energy
          e: dta:mono_energy
          f: {from: data:mono_energy, units: eV}
          g: {from: data:mono_energy, as: average}
          h: {from: data:mono_energy, record: last}
          i: config:frelon
          j: run:fle
          k: {unit: eV}
          l: 3
        lists:
          m: {n: const:3}
        techniques:
          tomo: {frames: data}
        runs:
          alignment: {plan: [x]}
        """,
    ) == [
        "line 1: unknown key 'beamlin' (did you mean 'beamline'?)",
        "line 2: timezone: unknown time zone 'Europe/Pari' (did you mean 'Europe/Paris'?)",
        "line 4: files.dataset: unknown placeholder {smaple} (did you mean 'sample'?)",
        "line 5: unknown key 'files.mastr' (did you mean 'master'?)",
        "line 6: read.timeout: input should be greater than 0",
        "line 7: definitions: input should be a valid list",
        "line 9: constants.a: has no value (leave the variable out instead)",
        "line 10: constants.b: expected a text, a number, true, false or a list of them",
        "line 12: values.d: 'mono_energy' has no scheme (write SCHEME:REST, for example data:mono_energy)",
        "line 13: values.e: unknown scheme 'dta' (did you mean 'data'?)",
        "line 14: unknown key 'values.f.units' (did you mean 'unit'?)",
        "line 15: values.g.as: unknown conversion 'average'"
        " (use one of list, join, count, min, max, mean, first, last, difference, lookup)",
        "line 16: values.h.record: input should be 'initial' or 'final'",
        "line 17: values.i: 'config:frelon' names no field of a device (write config:DEVICE.FIELD)",
        "line 18: values.j: the writer knows no 'fle' (did you mean 'file'?)",
        "line 19: values.k: lacks 'from'",
        "line 20: values.l: expected a source, got 3 (write SCHEME:REST; constants stand under 'constants:')",
        "line 22: lists.m.n: a list takes what devices have, got 'const:3'"
        " (write data:KEY, tango:…, epics:… or config:DEVICE.FIELD)",
        "line 24: techniques.tomo.frames: 'data' has no scheme (write SCHEME:REST, for example data:data)",
        "line 26: unknown key 'runs.alignment.plan' (did you mean 'plans'?)",
    ]


def test_a_variable_has_one_source_in_a_file(tmp_path: Path) -> None:
    text = "constants: {a: 1}\nfrom_plan: [a, b, b]\nvalues: {c_name: start:c}\nlists: {c: {d: data:d}}"
    told = faults(tmp_path, text)
    assert [line.partition(", at")[0] for line in told] == [
        "line 2: variable 'a' has a source already",
        "line 2: variable 'b' has a source already",
        "line 4: variable 'c_name' has a source already",
    ]


def test_conversions_and_defaults_stand_where_they_mean_something(tmp_path: Path) -> None:
    assert faults(
        tmp_path,
        """
        values:
          a: {from: run:name, as: mean}
          b: {from: data:x, as: mean, record: final}
          c: {from: data:x, default: 3}
          d: {from: start:x, default: ''}
          e: {from: [data:x, data:y]}
          f: {from: [data:x, dta:y], as: list}
          g: {from: [], as: list}
          h: {from: start:time, as: difference}
          i: {from: [start:time, stop:time], as: difference, unit: s}
          j: {from: data:x, as: lookup}
          k: {from: data:x, as: {lookup: {1: a, 1.0: b}}}
          l: {from: data:x, as: {lookup: {1: [[2]]}}}
          m: {from: data:x, as: {mean: 3}}
          n: {from: [data:x, data:y], as: {lookup: {1: a}}}
        """,
    ) == [
        "line 2: values.a: 'as: mean' wants many values, got 'run:name'",
        "line 3: values.b: 'as' takes the whole column, 'record' one reading (keep one of them)",
        "line 4: values.c: 'default' wants a start: source, got 'data:x'"
        " (leave it out: what a device did not give is absent)",
        "line 5: values.d.default: has no value (leave the variable out instead)",
        "line 6: values.e: 2 sources make no single value"
        " (add one of as: list, join, min, max, mean, count, first, last, difference)",
        "line 7: values.f.from: unknown scheme 'dta' (did you mean 'data'?)",
        "line 8: values.g.from: an empty list of sources",
        "line 9: values.h: a difference is that of two times (write {from: [start:time, stop:time], as: difference})",
        "line 10: values.i: a difference of times is in s (leave 'unit' out)",
        "line 11: values.j.as: a lookup wants a table (write as: {lookup: {1: Bragg, 2: Laue}})",
        "line 12: values.k.as: a value stands twice in the table",
        "line 13: values.l.as: expected a text, a number, true, false or a list of them",
        "line 14: values.m.as: 'mean' takes nothing (write as: mean)",
        "line 15: values.n: 2 sources make no single value"
        " (add one of as: list, join, min, max, mean, count, first, last, difference)",
    ]


def test_addresses_of_control_systems_are_spelled_out(tmp_path: Path) -> None:
    text = """
        tango: {fe: "orion:10000/fe/id/16", ni: "tango://nano:20000/id16ni#dbase=no"}
        values:
          a: tango:fe/SR_Current
          b: tango:ni/spec/zaptomo/TOMO_EXPTIME
          c: tango://orion:10000/fe/id/16/SR_Current
          d: tango:orion:10000/fe/id/16/SR_Current
          e: {from: [tango:fe/SR_Gap, epics:GAP.VAL], as: list}
        lists: {f: {gap: tango:fe/SR_Gap, gain: config:camera.gain}}
    """
    own = profile(tmp_path, text).bindings()
    current = "tango://orion:10000/fe/id/16/SR_Current"
    assert [str(own[name].source) for name in "acd"] == [current] * 3
    assert str(own["b"].source) == "tango://nano:20000/id16ni/spec/zaptomo/TOMO_EXPTIME#dbase=no"
    gap = "tango://orion:10000/fe/id/16/SR_Gap"
    assert [str(item) for _, item in own["e"].source.items] == [gap, "epics:GAP.VAL"]
    assert [str(item) for _, item in own["f_value"].source.items] == [gap, "config:camera.gain"]


def test_addresses_that_are_none_are_told_with_their_line(tmp_path: Path) -> None:
    text = """
        tango: {fe: "orion:10000/fe/id/16", bad: orion, "a/b": "orion:10000/a"}
        values:
          a: tango:fr/SR_Current
          b: tango:fe/SR_Current/deeper
          c: tango:fe
          d: epics:A B
          e: {from: [data:x, tango:fa/x], as: list}
        lists:
          f:
            g: tango:orion:10000/fe/id/16
        techniques: {tomo: {frames: tango://orion/fe/id/16/x}}
    """
    spelled = "(write tango://HOST:PORT/DOMAIN/FAMILY/MEMBER/ATTRIBUTE, or tango:SHORT/… with SHORT under 'tango:')"
    assert faults(tmp_path, text) == [
        "line 1: tango.bad: 'orion' is no Tango device"
        " (write HOST:PORT/DOMAIN/FAMILY/MEMBER or the beginning of it, for example orion:10000/fe/id/16)",
        "line 1: tango.a/b: 'a/b' is no short name (write one word without / : # or a space)",
        "line 3: values.a: 'tango:fr/SR_Current': no short name 'fr' under 'tango:' (use one of fe)",
        f"line 4: values.b: 'tango:fe/SR_Current/deeper' is no attribute of a Tango device {spelled}",
        "line 5: values.c: 'tango:fe' names no attribute (write tango:SHORT/ATTRIBUTE, SHORT being under 'tango:')",
        "line 6: values.d: 'epics:A B' has a space in its address (write the address alone)",
        "line 7: values.e: 'tango:fa/x': no short name 'fa' under 'tango:' (use one of fe)",
        f"line 10: lists.f.g: 'tango:orion:10000/fe/id/16' is no attribute of a Tango device {spelled}",
        f"line 11: techniques.tomo.frames: 'tango://orion/fe/id/16/x' is no attribute of a Tango device {spelled}",
    ]


@pytest.mark.parametrize(
    "template",
    ["{uid.__class__}", "{uid[0]}", "{0}", "{}", "{sample", "{scan_id:04d}", "{time:{uid}}", "{sample!z}", " "],
)
def test_a_template_is_a_path_and_nothing_else(tmp_path: Path, template: str) -> None:
    (told,) = faults(tmp_path, f'files:\n  dataset: "{template}"')
    assert told.startswith("line 2: files.dataset: ")


@pytest.mark.parametrize("spec", [">20000000000", ".20000000000", "1000", "/>8", "%Y", "=8"])
def test_a_width_that_no_path_can_have_is_a_fault(tmp_path: Path, spec: str) -> None:
    (told,) = faults(tmp_path, f'files:\n  dataset: "{{uid:{spec}}}.h5"')
    assert told.startswith(f"line 2: files.dataset: {{uid:{spec}}} is no width")


@pytest.mark.parametrize("spec", [".8", "8", ">8", "_<12.8", "0>4", "^999"])
def test_a_placeholder_may_be_cut_and_widened(tmp_path: Path, spec: str) -> None:
    found = profile(tmp_path, f'files:\n  dataset: "{{uid:{spec}}}.h5"')
    assert found.files.dataset == f"{{uid:{spec}}}.h5"


@pytest.mark.parametrize("seconds", [".inf", "1e10", ".nan", "60.1"])
def test_a_timeout_that_no_clock_can_wait_for_is_a_fault(tmp_path: Path, seconds: str) -> None:
    told = faults(tmp_path, f"read: {{timeout: {seconds}}}")
    assert told
    assert all(each.startswith("line 1: read.timeout: ") for each in told)


def test_signals_that_are_too_large_are_a_fault_however_large(tmp_path: Path) -> None:
    with (tmp_path / "signals.json").open("wb") as file:
        file.truncate(1 << 40)  # Sparse: it takes no room on the disk.
    with pytest.raises(FaultError, match=r"signals\.json: larger than 20 MB"):
        bindings.read_signals(tmp_path / "signals.json")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("/etc/{uid}", "begins at the root"),
        ("{time:/etc/%Y}", "begins at the root"),
        ("{sample:.0}/{uid}", "begins at the root"),
        ("../../../{uid}", "leaves the folder"),
        ("{data_root}/../{uid}", "leaves the folder"),
        ("a/{time:..}/{uid}", "leaves the folder"),
        ("{data_root}{uid}", "{data_root} stands alone"),
        ("{data_root:.3}/{uid}", "{data_root} stands alone"),
        ("a/{data_root}/{uid}", "{data_root} stands alone"),
    ],
)
@pytest.mark.parametrize("setting", ["dataset", "master"])
def test_a_template_stays_below_the_data_root(tmp_path: Path, setting: str, template: str, why: str) -> None:
    (told,) = faults(tmp_path, f'files:\n  {setting}: "{template}"')
    assert told.startswith(f"line 2: files.{setting}: ")
    assert why in told


@pytest.mark.parametrize("template", ["{data_root}/{sample}/{uid}.h5", "{sample}..{uid}.h5", "a/./{time:%Y/%m}/x.h5"])
def test_a_template_below_the_data_root_is_taken(tmp_path: Path, template: str) -> None:
    assert profile(tmp_path, f'files:\n  dataset: "{template}"').files.dataset == template


# -- YAML as a danger --------------------------------------------------------------------------------------------------


def test_a_technique_without_a_name_is_told_with_its_line(tmp_path: Path) -> None:
    told = faults(tmp_path, 'techniques:\n  tomo:\n  "": {a: data:x}\n  " ":')
    assert [fault.split(" (")[0] for fault in told] == [
        "line 3: techniques.: a technique without a name",
        "line 4: techniques. : a technique without a name",
    ]


def test_tags_anchors_aliases_and_repeated_keys_are_refused_together(tmp_path: Path) -> None:
    text = "beamline: !!python/object/apply:os.system [ls]\nfacility: &x ESRF\nconstants:\n  a: *x\n  b: 1\n  b: 2"
    assert faults(tmp_path, text) == [
        "line 1: tag tag:yaml.org,2002:python/object/apply:os.system is not allowed (remove it)",
        "line 2: anchor &x is not allowed (remove it)",
        "line 4: alias *x is not allowed (write it out)",
        "line 6: key 'b' is repeated, first in line 5",
    ]


def test_an_alias_bomb_never_unfolds(tmp_path: Path) -> None:
    levels = [f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(20)]
    with pytest.raises(FaultError) as caught:
        profile(tmp_path, "\n".join(["a: &a [1]", *levels]))
    assert {fault.message.split()[0] for fault in caught.value.faults} == {"anchor", "alias"}


def test_a_file_of_nothing_but_faults_is_not_read_to_its_end(tmp_path: Path) -> None:
    told = faults(tmp_path, "".join(f"k{n}: *a\n" for n in range(5000)))
    assert len(told) == yaml_lines.MAX_FAULTS + 1
    assert told[-1] == "line 1001: too many faults; the rest was not read"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [1", "line 1: not YAML: "),
        ("a: 1\nb: c: d", "line 2: not YAML: mapping values are not allowed here"),
        ("[" * 60, "line 1: more than 50 levels inside one another"),
        ("{a: " * 60, "line 1: more than 50 levels inside one another"),
        ("a: 1\n---\nb: 2", "line 2: a second document begins (keep one only)"),
        ("? [a]\n: 1", "line 1: a key must be a plain text"),
        ("- 1", "line 1: expected keys and values"),
        ("just words", "line 1: expected keys and values"),
        ("constants:\n  a: " + "9" * 5000, "line 2: a number of too many digits"),
        ("constants:\n  a: \x07", "line 2: not YAML: "),
    ],
)
def test_what_is_no_profile_is_refused_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    told = faults(tmp_path, text)
    assert len(told) == 1
    assert told[0].startswith(fault)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match=r"profile\.yml: cannot be read: No such file"):
        load_profile(tmp_path)
    (tmp_path / "profile.yml").write_bytes(b"beamline: x\nfacility: \xff")
    with pytest.raises(FaultError, match="line 2: not UTF-8 text"):
        load_profile(tmp_path)
    (tmp_path / "profile.yml").write_bytes(b"#" * (yaml_lines.MAX_BYTES + 1))
    with pytest.raises(FaultError, match="larger than 5 MB"):
        load_profile(tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [("no", "no"), ("on", "on"), ("0x1F", 31), ("0o17", 15), ("017", 17), ("1e3", 1000.0), (".5", 0.5), ("~", None),
     ("TRUE", True), ("2026-11-22", "2026-11-22"), ("1:30", "1:30"), ("-.inf", -float("inf")), ("'1'", "1")],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = yaml_lines.reads(f"a: {text}", "x").value["a"]
    assert (found, type(found)) == (value, type(value))


@given(st.text())
def test_any_text_is_read_or_refused_as_a_fault(text: str) -> None:
    try:
        told = yaml_lines.reads(text, "x").faults
    except FaultError as error:
        told = list(error.faults)
        assert told
    assert all(fault.place for fault in told)


# -- sources -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("data:mono_energy", Source("data", "mono_energy")),
        ("data:det-1:image", Source("data", "det-1:image")),
        ("config:frelon.exposure_time", Source("config", "frelon.exposure_time")),
        ("start:sample.name", Source("start", "sample.name")),
        ("const:3", Source("const", "3", 3)),
        ("const:a:b", Source("const", "a:b", "a:b")),
        ("tango:fe/SR_Current", Source("tango", "fe/SR_Current")),
        ("epics:ID16:CURR.VAL", Source("epics", "ID16:CURR.VAL")),
        (" run: folder ", Source("run", "folder")),
    ],
)
def test_sources(text: str, source: Source) -> None:
    assert sources.parse(text) == source


# -- the check ---------------------------------------------------------------------------------------------------------

DEFINITION = esrf_xml.reads(
    """<group groupName="${entry}" NX_class="NXentry">
    <energy NAPItype="NX_NUMBER" units="keV">${mono_energy}</energy>
    <gap NAPItype="NX_NUMBER" units="mm">${gap}</gap>
    <time NAPItype="NX_NUMBER" units="s">${exposure_time}</time>
    <odd NAPItype="NX_NUMBER" units="parsnip">${odd}</odd>
    <n NAPItype="NX_CHAR">${motors_name}</n><v NAPItype="NX_CHAR">${motors_value}</v>
    <angle NAPItype="NX_FLOAT" units="deg">${rotation_angle}</angle>
    <points NAPItype="NX_INT" units="s">${points}</points>
    </group>""",
    "definition.xml",
)
SIGNALS = Signals(
    data={
        "ioc": {"units": "mm", "source": "PV:ENERGY.VAL"},
        "energy": {"units": "eV"},
        "gap": {"units": "deg"},
        "srot": {"units": "deg"},
        "bare": {"units": ""},
    },
    config={"camera": {"camera_exposure": {"units": "ms"}, "gain": {}}},
)


def told(tmp_path: Path, text: str, technique: str | None = None, signals: Signals | None = SIGNALS) -> list[str]:
    found = check(profile(tmp_path, text), DEFINITION, signals, technique)
    return [str(fault).removeprefix(f"{tmp_path}/profile.yml, ") for fault in found]


def test_a_profile_that_fits_has_no_fault(tmp_path: Path) -> None:
    text = """
        values:
          mono_energy: data:energy
          gap: {from: data:bare, unit: um}
          exposure_time: config:camera.exposure
          points: {from: data:srot, as: count}
        lists: {motors: {srot: data:srot}}
        techniques: {tomo: {rotation_angle: data:srot}}
    """
    assert told(tmp_path, text) == told(tmp_path, text, "tomo") == told(tmp_path, text, signals=None) == []


def test_everything_that_does_not_fit_is_told_with_its_line(tmp_path: Path) -> None:
    text = """
        from_plan: [exposure_tim]
        values:
          mono_energi: data:enrgy
          mono_energy: epics:ENERGY
          gap: data:gap
          exposure_time: {from: config:camera.exposur, unit: sausages}
          odd: data:energy
        lists: {motors: {srot: data:srt}}
        techniques: {tomo: {frames: data:srot, rotation_angle: config:camra.angle}}
    """
    general = [
        "line 1: unknown variable 'exposure_tim' (did you mean 'exposure_time'?)",
        "line 3: mono_energi: no device has the data key 'enrgy' (did you mean 'energy'?)",
        "line 3: unknown variable 'mono_energi' (did you mean 'mono_energy'?)",
        "line 4: mono_energy: expected a unit like 'keV', but 'epics:ENERGY' has units 'mm'",
        "line 5: gap: expected a unit like 'mm', but 'data:gap' has units 'deg'",
        "line 6: exposure_time: 'camera' has no configuration field 'exposur' (did you mean 'exposure'?)",
        "line 6: exposure_time: unknown unit 'sausages' (write it as pint knows it, for example mm, deg or 1/s)",
        "line 7: odd: the definition's unit 'parsnip' is unknown",
        "line 8: motors: no device has the data key 'srt' (did you mean 'srot'?)",
    ]
    assert sorted(told(tmp_path, text)) == general
    technique = [
        "line 9: rotation_angle: no device 'camra' has configuration (did you mean 'camera'?)",
        "line 9: unknown variable 'frames' (use one of mono_energy, gap, exposure_time, odd, motors_name, motors_value,"
        " rotation_angle, points)",
    ]
    assert sorted(told(tmp_path, text, "tomo")) == general + technique


def test_the_unit_of_the_profile_goes_before_the_devices(tmp_path: Path) -> None:
    assert told(tmp_path, "values: {gap: {from: data:gap, unit: mm}}") == []
    assert told(tmp_path, "values: {gap: {from: start:gap, unit: deg}}", signals=None) == [
        "line 1: gap: expected a unit like 'mm', but the profile says 'deg'"
    ]


def test_shipped_defaults_may_serve_other_definitions(tmp_path: Path) -> None:
    (tmp_path / "shipped.yml").write_text("values: {elsewhere: data:none, mono_energy: data:none}")
    shipped = [bindings.load_bindings(tmp_path / "shipped.yml")]
    (fault,) = check(profile(tmp_path, ""), DEFINITION, SIGNALS, None, shipped)
    assert (fault.message, fault.place) == (
        "mono_energy: no device has the data key 'none'",
        Place(str(tmp_path / "shipped.yml"), 1),
    )


def test_signals_are_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "signals.json"
    bindings.write_signals(path, SIGNALS)
    assert bindings.read_signals(path) == SIGNALS
    first = path.read_bytes()
    bindings.write_signals(path, bindings.read_signals(path))
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"data": {\n', "line 2: not JSON"),
        ("[]", "expected an object with 'data' and 'config'"),
        ('{"dta": {}}', "expected an object with 'data' and 'config'"),
        ('{"data": {"a": 1}}', "maps keys"),
        ('{"config": {"a": {"b": []}}}', "maps keys"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_other_files_are_no_signals(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "signals.json").write_text(text)
    with pytest.raises(FaultError, match=fault):
        bindings.read_signals(tmp_path / "signals.json")


def test_what_has_no_effect_in_this_release_is_remarked_with_its_line(tmp_path: Path) -> None:
    profile(tmp_path, "private: [proposal]\nruns:\n  a: {plans: [x], catalogues: false}\n  b: {plans: [y]}\n")
    told = Recipes(tmp_path).remarks
    start = f"{tmp_path}/profile.yml, line "
    assert [each.removeprefix(start) for each in told if "no effect" in each] == [
        "1: 'private:' has no effect in this release",
        "3: 'catalogues:' has no effect in this release",
    ]
