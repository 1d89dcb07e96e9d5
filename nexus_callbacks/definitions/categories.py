"""Categories: NXDL's kinds of units (https://manual.nexusformat.org/nxdl-types.html#unit-categories-allowed).

In NXDL a field has the category of its units (``NX_LENGTH``), or an example of them (``eV/mm``) which any unit that
converts to it fits.
"""

from __future__ import annotations

from nexus_callbacks import units

# Category → units of its kind. The first is what a beamline is asked for: the SI unit, but for three of which the SI
# unit is not what programs of the field reckon with (degrees, keV, angstrom).
KINDS: dict[str, tuple[str, ...]] = {
    "NX_ANGLE": ("deg",),
    "NX_AREA": ("m**2",),
    "NX_CHARGE": ("coulomb",),
    "NX_CROSS_SECTION": ("m**2",),
    "NX_CURRENT": ("A",),
    "NX_EMITTANCE": ("m*rad",),
    "NX_ENERGY": ("keV",),
    # What beamlines call flux is often that of the whole beam, and of photons.
    "NX_FLUX": ("1/s/m**2", "photon/s/m**2", "1/s", "photon/s"),
    "NX_FREQUENCY": ("Hz",),
    "NX_LENGTH": ("m",),
    "NX_MASS": ("kg",),
    "NX_MASS_DENSITY": ("kg/m**3",),
    "NX_MOLECULAR_WEIGHT": ("g/mol",),
    "NX_PER_AREA": ("1/m**2",),
    "NX_PER_LENGTH": ("1/m",),
    "NX_PERIOD": ("s",),
    "NX_POWER": ("W",),
    "NX_PRESSURE": ("Pa",),
    "NX_SCATTERING_LENGTH_DENSITY": ("1/m**2",),
    "NX_SOLID_ANGLE": ("sr",),
    "NX_TEMPERATURE": ("K",),
    "NX_TIME": ("s",),
    "NX_TIME_OF_FLIGHT": ("s",),
    "NX_VOLTAGE": ("V",),
    "NX_VOLUME": ("m**3",),
    "NX_WAVELENGTH": ("angstrom",),
    "NX_WAVENUMBER": ("1/m",),
}

# A pure number: a count of something, a ratio, an index.
_COUNTED = ("dimensionless", "photon", "electron", "pixel")
_NUMBERS: dict[str, tuple[str, ...]] = {
    "NX_COUNT": _COUNTED,
    "NX_DIMENSIONLESS": _COUNTED,
    "NX_PULSES": _COUNTED,
    "NX_UNITLESS": _COUNTED,
}
_EITHER = {"NX_TRANSFORMATION": (*KINDS["NX_LENGTH"], *KINDS["NX_ANGLE"], "dimensionless")}


def usual(category: str) -> str | None:
    """The unit in which to ask for a field of a category or an example; None where there is none, or any will do.

    >>> usual("NX_LENGTH"), usual("eV/mm"), usual("NX_UNITLESS")
    ('m', 'eV/mm', None)
    """
    if category in KINDS:
        return KINDS[category][0]
    return category if category and not category.startswith("NX_") and units.known(category) else None


def wrong(unit: str, category: str, numbers: bool = True) -> bool:
    """Whether a unit is of another kind than a category or an example; False where that cannot be told.

    Parameters
    ----------
    unit
        As it is written in a definition or a file.
    category
        NXDL's category, or its example; empty where NXDL says nothing.
    numbers
        Look at the categories of pure numbers, too.

    >>> wrong("keV", "NX_LENGTH"), wrong("µm", "NX_LENGTH"), wrong("mm", "NX_UNITLESS"), wrong("%", "NX_ANY")
    (True, False, True, False)
    >>> wrong("keV", "")
    False
    """
    kinds = KINDS.get(category) or _EITHER.get(category) or (_NUMBERS.get(category, ()) if numbers else ())
    if category and not category.startswith("NX_") and units.known(category):
        kinds = (category,)
    return bool(kinds) and units.known(unit) and not any(units.compatible(unit, kind) for kind in kinds)
