"""Progress: a few bytes in shared memory by which a feeding process says how far it is, even if it is killed."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from types import TracebackType

_LAYOUT = struct.Struct("qdd")


class Progress:
    """Events handed in so far, and when the first and the last one were.

    Parameters
    ----------
    path
        The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._map.close()

    @property
    def events(self) -> int:
        """Events handed in."""
        return int(_LAYOUT.unpack_from(self._map)[0])

    @events.setter
    def events(self, count: int) -> None:
        struct.pack_into("q", self._map, 0, count)

    @property
    def begun(self) -> float:
        """When feeding began, in s since 1970; 0 before that."""
        return float(_LAYOUT.unpack_from(self._map)[1])

    @begun.setter
    def begun(self, moment: float) -> None:
        struct.pack_into("d", self._map, 8, moment)

    @property
    def ended(self) -> float:
        """When the stop document was handed in, in s since 1970; 0 before that."""
        return float(_LAYOUT.unpack_from(self._map)[2])

    @ended.setter
    def ended(self, moment: float) -> None:
        struct.pack_into("d", self._map, 16, moment)
