"""Links: whether those of a definition lead in a circle.

A program that follows a link into a group which holds it, or holds another link that leads back, does not come to an
end; HDF5 lets one write that all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nexus_callbacks.definitions.definition import Group, Link
from nexus_callbacks.faults import Fault

_FAR = 100  # A link into itself (a → a/b) makes the way longer with each step; no definition is that deep.
_MANY = 100  # Of a hostile file not all circles are looked for.


def circles(root: Group) -> list[Fault]:
    """One fault for each link that closes a circle, be it with other links or by leading to a group that holds it."""
    links: dict[str, Link] = {}
    below: dict[str, list[str]] = {}
    for path, node in root.walk():
        if isinstance(node, Link):
            links[path] = node
        elif isinstance(node, Group):
            below.setdefault(path, []).extend(f"{path}/{child.name}" for child in node.children)
    done: set[str] = set()
    faults: list[Fault] = []
    for start in links:
        if start in done or len(faults) >= _MANY:
            continue
        # The way so far, with what is left to be tried at each place. No recursion: a chain may be long.
        way, inside = [(start, _steps(start, links, below))], {start}
        while way:
            here, left = way[-1]
            step = next(left, None)
            if step is None:
                way.pop()
                inside.discard(here)
                done.add(here)
            elif step in inside or step.count("/") > _FAR:
                places = [place for place, _ in way]
                faults.append(_fault([*places[places.index(step) :], step] if step in inside else places, links))
            elif step not in done:
                way.append((step, _steps(step, links, below)))
                inside.add(step)
    return faults


def _steps(path: str, links: Mapping[str, Link], below: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Where a program comes from a place: a link leads to its target, a group to what it holds."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        if (link := links.get("/".join(parts[:depth]))) is not None:
            yield "/".join([link.target.strip("/"), *parts[depth:]])
            return
    yield from below.get(path, ())


def _fault(way: list[str], links: Mapping[str, Link]) -> Fault:
    last = next(links[path] for path in reversed(way[:-1]) if path in links)
    text = " → ".join(f"/{path}" for path in way[:8]) + (" …" if len(way) > 8 else "")
    return Fault(f"links in a circle: {text}", last.place, "link to a field, or to a group that holds no such link")
