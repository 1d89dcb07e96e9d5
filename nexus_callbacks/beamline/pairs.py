"""Pairs: the variables that hold the names and the values of one group, which a profile's ``lists:`` fills together.

ESRF's definition calls them X_name and X_value. Other definitions may call them otherwise: in an NXpositioner or
NXsensor whose fields ``name`` and ``value`` (NXDL v2026.01) hold a variable each, X is the variable of ``name``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nexus_callbacks.beamline.sources import Binding
from nexus_callbacks.definitions.definition import Field, Group

CLASSES = ("NXpositioner", "NXsensor")


def paired(bindings: Iterable[Binding], definition: Group) -> list[Binding]:
    """The bindings, those of a list under the names of variables that the definition has."""
    known, of_groups = definition.variables(), _of_groups(definition)
    found = []
    for binding in bindings:
        base = binding.variable.removesuffix("_name").removesuffix("_value")
        if binding.source.scheme == "list" and binding.variable not in known and base in of_groups:
            mine = base if binding.source.rest == "names" else of_groups[base]
            found.append(replace(binding, variable=mine))
        else:
            found.append(binding)
    return found


def _of_groups(definition: Group) -> dict[str, str]:
    """Variable of ``name`` → variable of ``value`` of one group."""
    found: dict[str, str] = {}
    for _, group in definition.walk():
        if isinstance(group, Group) and group.nx_class in CLASSES:
            held = {node.name: node.variable for node in group.children if isinstance(node, Field)}
            name, value = held.get("name"), held.get("value")
            if name and value:
                found.setdefault(name, value)
    return found
