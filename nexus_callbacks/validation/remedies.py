"""Remedies: what mends each kind of thing that nexusformat's validator finds, which itself does not say."""

from __future__ import annotations

import re
from dataclasses import replace

from nexus_callbacks.validation.report import Finding

_REMEDIES = (  # What the message has → the remedy, in which {0} is the first group; the first that fits counts.
    (r"not a member of the enumerated list", "bind or write one of the listed values"),
    (r"Units of (NX_\w+) not specified", "give the device units, or the binding 'unit:', of {0}"),
    (r"the units .* are not of (NX_\w+)", "correct the units of the device or of the binding: {0} is expected"),
    (r"This required (\w+) is not in the NeXus file", "bind its variable in the profile; definitions show says which"),
    (r"This recommended (\w+) is not in the NeXus file", "bind its variable in the profile where the value is known"),
    (r"This (\w+) has more occurrences than allowed", "keep one such {0} in the definition"),
    (r"not a valid (NX_\w+)", "bind it to a source of the type {0}, or convert it"),
    (r"not defined in (NX\w+)", "rename it to what {0} has: nexus-callbacks definitions show {0}"),
    (r"not defined as an attribute in (NX\w+)", "rename or remove the attribute; definitions show {0} lists them"),
    (r"is an invalid class in (NX\w+)", "move the group into one of a class that may hold it, or into an NXcollection"),
    (r"should have a class of (NX\w+)", "give the group the class {0} in the definition"),
    (r"is not a valid base class|no NeXus base class", "give the group a class of NeXus: definitions check says which"),
    (r"is an invalid name", "use letters, digits and '_'"),
    (r"is deprecated", "use what its documentation names instead: nexus-callbacks definitions show CLASS"),
    (r'Values for "(\w+)" are not unique|: \d+$', "give all fields that share this dimension the same length"),
    (
        r"no NeXus application definition of this release",
        "name one that definitions list --nexus shows",
    ),
    (r"has an invalid rank|dimension|shape|rank", "give it the shape that its class documents"),
)


def with_remedy(finding: Finding) -> Finding:
    """The finding with its remedy; as it is if it has one, needs none or is of no known kind."""
    if finding.remedy or finding.severity == "info":
        return finding
    for pattern, remedy in _REMEDIES:
        found = re.search(pattern, finding.message)
        if found:
            return replace(finding, remedy=remedy.format(*found.groups()))
    return finding
