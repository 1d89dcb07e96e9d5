"""Names: paths in a file that are safe, and that nothing else has taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nexus_callbacks.documents import DataKey, described
from nexus_callbacks.values import safe_name


class Names:
    """The paths that are taken, by the definition or by what was added before."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, *paths: str) -> None:
        """Keep paths from being given to anything else."""
        self._taken.update(paths)

    def free(self, path: str) -> bool:
        """Whether nothing has the path."""
        return path not in self._taken

    def path(self, home: str, name: str) -> str:
        """A path in a group for a name, safe and not taken by another one."""
        safe = safe_name(name)
        path, number = f"{home}/{safe}", 1
        while path in self._taken:
            number += 1
            path = f"{home}/{safe}_{number}"
        self._taken.add(path)
        return path


def key_attributes(key: DataKey, path: str) -> dict[str, Any]:
    """Attributes of the dataset of a data key."""
    attributes: dict[str, Any] = {}
    if key.units:
        attributes["units"] = key.units
    return {**attributes, **key.attributes, **_true_name(key.name, path)}


def spec_attributes(spec: Mapping[str, Any], name: str, path: str) -> dict[str, Any]:
    """Attributes of the dataset of a data key of which only the descriptor's words are there."""
    units = spec.get("units")
    return {**({"units": str(units)} if units else {}), **described(spec), **_true_name(name, path)}


def _true_name(name: str, path: str) -> dict[str, Any]:
    """The name that NeXus cannot have, or that something else has here."""
    return {} if path.rpartition("/")[2] == name else {"data_key": name}
