"""nexus_callbacks: bluesky documents become NeXus files that analysis programs open as they are.

- :class:`NexusWriter`: subscribe it to a RunEngine; every run becomes a file.
- :func:`validate`: is a file good NeXus, complete, with living links?
- :func:`open_live`: read a file while it is written.
- :func:`replay`, :func:`export`, :class:`Serializer`: files of recorded runs, as live or as the suitcases name them.
- :func:`recover`: complete the files of a session that died, from its journals.
- :func:`coverage`: which variables of the definitions are filled, and from where?
- :class:`FaultError`: what is wrong with a profile, a definition or start metadata, all faults at once.
"""

from nexus_callbacks.callback import NexusWriter
from nexus_callbacks.export import Serializer, export
from nexus_callbacks.faults import FaultError
from nexus_callbacks.journal.recovery import recover
from nexus_callbacks.layout.coverage import read as coverage
from nexus_callbacks.live import LiveError, open_live
from nexus_callbacks.replay import replay
from nexus_callbacks.validation import validate

__all__ = [
    "FaultError",
    "LiveError",
    "NexusWriter",
    "Serializer",
    "coverage",
    "export",
    "open_live",
    "recover",
    "replay",
    "validate",
]
