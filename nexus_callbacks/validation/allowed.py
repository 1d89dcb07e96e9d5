"""Allowed: what NeXus's validator says of a file in ESRF's shape, and is let pass.

Each line has its reason. What it matches is reported as ``info``, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from nexus_callbacks.validation.report import Finding


@dataclass(frozen=True)
class Allowed:
    """One kind of finding that is let pass."""

    path: str
    """Regular expression for the whole path below the entry, or below a subentry, without a leading ``/``."""
    message: str
    """Regular expression for the whole message."""
    reason: str
    definition: str = ""
    """Regular expression for the `definition` of the entry or subentry that owns the path; empty fits any, and none."""


_NOT_A_MEMBER = "The field value is not a member of the enumerated list: .*"
_TYPE_OR_UNITS = r"(The|This) field (value )?is not a valid NX_\w+|Units of NX_\w+ not specified"

ALLOWED: tuple[Allowed, ...] = (
    # Classes: where ESRF's hdf5_cfg.xml (3.8.0) puts a class that NXDL v2026.01 does not name there.
    Allowed(
        r"instrument/(attenuator|detector)\d\d/positioners",
        r"NXpositioner is an invalid class in NX(attenuator|detector)",
        "ESRF keeps a device's motors with the device",
    ),
    Allowed(
        r"instrument/insertion_device/(gap|taper)",
        r"NXpositioner is an invalid class in NXinsertion_device",
        "ESRF writes gap and taper as lists of positions, one for each undulator, where NXDL has one number",
    ),
    Allowed(
        r"instrument/(primary_slit|secondary_slit|slits)",
        r"NXslit is an invalid class in NXinstrument",
        "NXDL has slits below NXaperture or as component only; a beamline's slits stand in its instrument",
    ),
    Allowed(
        r"aperture|mirror|fresnel_zone_plate",
        r"NX(aperture|mirror|fresnel_zone_plate) is an invalid class in NXentry",
        "ESRF keeps a template of these optics beside the instrument",
    ),
    Allowed(
        r"external_references/(datacollector|publication)",
        r"NXcite is an invalid class in NXnote",
        "ESRF gathers what is to be cited in a note",
    ),
    Allowed(
        r"sample/tracking(/parcel|/shipment)?",
        r"NXsubentry is an invalid class in NX(sample|subentry)",
        "ESRF follows a sample's shipment in the sample",
    ),
    Allowed(
        r"instrument",
        r"NXsource: This group has more occurrences than allowed",
        "NXtomo has one NXsource; ESRF's lasers, which excite the sample, are NXsource, too",
        "NXtomo",
    ),
    Allowed(
        r"(\w+/)?source",
        r"NXsource is an invalid class in NX(sub)?entry",
        "NXmx has its source in the entry, where NXentry does not name one",
        "NXmx",
    ),
    # Values: where ESRF's own text about the field tells to write what NXDL does not list.
    Allowed(
        r"instrument/(source|laser\d\d)/(mode|type)",
        _NOT_A_MEMBER,
        "NXDL's enumeration is open; nexusformat 2.1.0 does not read that",
    ),
    Allowed(
        r"instrument/attenuator\d\d/status",
        _NOT_A_MEMBER,
        "ESRF writes the label of the position ('In1'), NXDL lists in, out and moving",
    ),
    # Types: where ESRF's definition has text, often a list separated by spaces, and NXDL a number.
    Allowed(
        r"(.*/)?(positioners|sensors|gap|taper)/value",
        _TYPE_OR_UNITS,
        "ESRF writes the values of many devices as one text, in the order of the names beside it",
    ),
    Allowed(
        r"instrument/monochromator/crystal/(d_spacing|reflection)",
        _TYPE_OR_UNITS,
        "ESRF's definition has text here, for several crystals",
    ),
    Allowed(
        r"instrument/detector\d\d/(countrate_correction_applied|flatfield_applied|pixel_mask|pixel_mask_applied)",
        _TYPE_OR_UNITS,
        "ESRF's definition has text for what was done to a detector's frames",
    ),
    Allowed(r"instrument/xraylens\d\d/(aperture|curvature)", _TYPE_OR_UNITS, "ESRF's definition has text about a lens"),
    Allowed(r"sample/ub_matrix", _TYPE_OR_UNITS, "ESRF writes the matrix as text"),
    # Application definitions whose own text, or nexusformat's reading of it, does not fit what they are for.
    Allowed(
        r"instrument_1/source_1/(probe|type)",
        r"The field value is not a valid NX_FLOAT",
        "NXcxi_ptycho (v2026.01) has NX_FLOAT here by a slip: they are words, as NXsource says",
        "NXcxi_ptycho",
    ),
    Allowed(
        r"instrument_1/detector_1",
        r'"@(axes|signal)" is not defined as an attribute in NXdetector',
        "NXcxi_ptycho asks for these attributes",
        "NXcxi_ptycho",
    ),
    Allowed(
        r"instrument_1/(detector_1/data_1|beam_1/(energy|incident_beam_energy))",
        r"This field is not defined in NX(detector|beam)",
        "NXcxi_ptycho asks for these links",
        "NXcxi_ptycho",
    ),
    Allowed(
        r".*",
        r'Values for "nE" are not unique|doc: Number of energies|(data|energy): \d+',
        "NXfluo describes one spectrum; of a map's the channels are the last dimension, nexusformat counts the first",
        "NXfluo",
    ),
    # Ours, and the validator's own.
    Allowed(
        r"\w+/\w+",
        r"NXsubentry is an invalid class in NXsubentry",
        "a technique that wants a subentry of its own has it within that of the technique, where that is a further one",
    ),
    Allowed(
        r"",
        r'"@definition" is not defined as an attribute in NX(sub)?entry',
        "nabu looks for the application definition in this attribute, and only there",
    ),
    Allowed(
        r"(.*/)?instrument/detector/image_key_control",
        r"This field is not defined in NXdetector",
        "ESRF's tomography programs know image_key under this name, too, and nabu under no other",
    ),
    Allowed(
        r"sample",
        r'Values for "n_comp" are not unique|(orientation_matrix|unit_cell): \d+',
        "NXxbase has one matrix and one cell, NXsample one for each component; nexusformat asks for both shapes",
        r"NXx(base|euler|kappa|nb|rot)",
    ),
    Allowed(
        r"sample/unit_cell",
        r"Units of NX_LENGTH not specified",
        "three lengths and three angles: no units fit all of them",
    ),
    Allowed(
        r".*",
        r'"@(canSAS_class|version)" is not defined as an attribute in NX\w+',
        "NXcanSAS asks for these attributes, and its readers go by them; nexusformat compares with the base class only",
        "NXcanSAS|NXsas",
    ),
    Allowed(
        r".*",
        r'"@ESRF_description" is not defined as an attribute in NX\w+',
        "the definition's text about a group or field is kept where a reader finds it",
    ),
    Allowed(
        r".*",
        r"Units of NX_(ANY|UNITLESS|DIMENSIONLESS) not specified",
        "a number of such a category may have no units, and none are made up",
    ),
)

ASKED = re.compile(r"This field is not defined in NX\w+")
_NO_HOMES: Mapping[str, str] = MappingProxyType({})
ASKED_REASON = "the definition asks for this field; a NeXus class may hold more fields than it names"


def sort(
    finding: Finding, entry: str, asked: frozenset[str] = frozenset(), homes: Mapping[str, str] = _NO_HOMES
) -> Finding:
    """The finding as it is, or as ``info`` with the reason if the list lets it pass.

    Parameters
    ----------
    finding
        What the validator said.
    entry
        Absolute path of the entry.
    asked
        Paths, relative to the entry, of the fields that the definition asked for.
    homes
        Path, relative to the entry, of the entry itself (empty) and of each subentry, which has the shape of an entry →
        its application definition, or an empty text.
    """
    path = finding.path.removeprefix(entry).lstrip("/")
    if path in asked and ASKED.fullmatch(finding.message):
        return replace(finding, severity="info", allowed=ASKED_REASON)
    above = [home for home in homes if not home or path == home or path.startswith(f"{home}/")]
    paths = {path, *(path.removeprefix(home).lstrip("/") for home in above)}
    # nexusformat asks what an entry's definition wants of its subentries, too.
    definitions = {homes[home] for home in above}
    for line in ALLOWED:
        suits = not line.definition or any(re.fullmatch(line.definition, each) for each in definitions)
        if suits and re.fullmatch(line.message, finding.message) and any(re.fullmatch(line.path, p) for p in paths):
            return replace(finding, severity="info", allowed=line.reason)
    return finding
