"""ESRF's XML dialect of definitions (``hdf5_cfg.xml``) → tree, and back. The front door of three rooms.

- :func:`read`, :func:`reads`, :func:`survey` (``esrf_reader``): a file or a text → :class:`Group`
- :func:`write` (``esrf_writer``): :class:`Group` → text
- :data:`NX_TYPES`, :data:`MAX_BYTES` … (``esrf_words``): what both know

The dialect, as icat-esrf-definitions 3.8.0 has it::

    <group groupName="${entry}" NX_class="NXentry">                       the root is the entry
      <group groupName="sample" NX_class="NXsample" ESRF_description="…">
        <name NAPItype="NX_CHAR" ESRF_mandatory="Mandatory">${Sample_name}</name>
        <distance NAPItype="NX_NUMBER" units="mm" record="final">${Sample_distance}</distance>
      </group>
      <link groupName="distance" ref="/sample/distance"/>                 relative to the entry, despite the /
    </group>

Any element other than group, link and attribute is a field: its tag is the NeXus name, its text one ``${variable}``
or a constant. A field without text says nothing of the value: it only narrows or adds to the same field of another
definition. What we add: ``<attribute name="…">text</attribute>`` inside a field or a group. The text of ``axes`` and
``auxiliary_signals`` is a space-separated list (``rotation_angle . .``), that of ``…_indices`` one of integers, that of
``vector`` and ``offset`` one of real numbers; a path in ``depends_on`` is relative to the entry, as a link's ref is.

Older releases and the talk are read too: ``NX_FLOAT64``, ``NAPitype``, ``NX_units``, ``units=""``, ``NXCollection``.
What is read is written again as it was typed, comments, white space and unknown attributes included
(:mod:`nexus_callbacks.definitions.spelling`); of a node that has changed since, only what has changed is made anew.
Repeated siblings are kept as they stand; :func:`nexus_callbacks.definitions.definition.merge` joins or refuses them.

Nothing in a file is expanded, fetched or executed: a document type declaration, the only place where XML can declare
an entity, is refused, as are a file over 20 MB, more than 50 000 elements or more than 100 inside one another, and
links in a circle.
"""

from nexus_callbacks.definitions.esrf_reader import read, reads, survey
from nexus_callbacks.definitions.esrf_words import MAX_BYTES, MAX_DEPTH, MAX_FAULTS, MAX_NODES, NX_TYPES
from nexus_callbacks.definitions.esrf_writer import write

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_FAULTS", "MAX_NODES", "NX_TYPES", "read", "reads", "survey", "write"]
