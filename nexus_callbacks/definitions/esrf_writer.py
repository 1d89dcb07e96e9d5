"""Writer of ESRF's XML dialect, which :mod:`nexus_callbacks.definitions.esrf_xml` describes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from nexus_callbacks.definitions.definition import Field, Group, Link, Node
from nexus_callbacks.definitions.esrf_words import key_of, meaning
from nexus_callbacks.faults import Fault, FaultError

_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production Char, negated.
_STEP = "    "


def write(group: Group) -> str:
    """XML text of a definition, to be stored as UTF-8; :func:`reads` gives an equal tree again.

    A node that was read keeps its spelling as far as it still means the same: a tree that nobody has changed is
    written as it stood in its file, byte for byte.

    Raises
    ------
    FaultError
        The tree holds what the dialect cannot say: a field whose name is no XML tag, a control character.
    """
    writer = _Writer()
    if group.spelling is None:
        writer.pieces.append('<?xml version="1.0" encoding="utf-8"?>\n')
    writer.group(group, 0)
    writer.pieces.append(group.spelling.after if group.spelling else "\n")
    if writer.faults:
        raise FaultError(writer.faults)
    return "".join(writer.pieces)


class _Writer:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.faults: list[Fault] = []

    def group(self, node: Group, depth: int) -> None:
        given = {"groupName": node.name, "NX_class": node.nx_class, "ESRF_description": node.description}
        self._check(node, *given.values(), *(text for pair in node.attributes for text in pair))
        empty = not node.children and not node.attributes
        closed = self._start(node, "group", given, depth, empty)
        spelling, inner = node.spelling, node.spelling.inner if node.spelling else ()
        in_place = tuple((each.name, each.text) for each in inner) == node.attributes
        if not in_place:
            raw = {(each.name, each.text): each.raw for each in inner}
            for pair in node.attributes:
                self.pieces.append(raw.get(pair) or f"\n{_STEP * (depth + 1)}{_attribute(*pair)}")
        for index, child in enumerate(node.children):
            if in_place:
                self.pieces += [each.raw for each in inner if each.after == index]
            self._child(child, depth + 1)
        if in_place:
            self.pieces += [each.raw for each in inner if each.after >= len(node.children)]
        if not closed:
            self.pieces.append(spelling.last if spelling and spelling.close else f"\n{_STEP * depth}")
            self._close(node, "group")

    def _child(self, node: Node, depth: int) -> None:
        if isinstance(node, Group):
            self.group(node, depth)
        elif isinstance(node, Link):
            given = {"groupName": node.name, "ref": node.target}
            self._check(node, *given.values())
            if not self._start(node, "link", given, depth, empty=True):
                self.pieces.append(node.spelling.content if node.spelling else "")
                self._close(node, "link")
        else:
            self._field(node, depth)

    def _field(self, node: Field, depth: int) -> None:
        given = {
            "NAPItype": node.nx_type,
            "units": node.units or "",
            "record": node.record or "",
            "ESRF_description": node.description,
            "ESRF_mandatory": "Mandatory" if node.mandatory else "",
            "ESRF_deprecated": node.deprecated,
        }
        self._check(node, node.text, *given.values(), *(text for pair in node.attributes for text in pair))
        if not _TAG.fullmatch(node.name) or node.name in ("group", "link", "attribute"):
            message = f"a field cannot be called {node.name!r} in ESRF's XML"
            self.faults.append(Fault(message, node.place, "rename the field"))
        content = _text(node.text) + "".join(_attribute(*pair) for pair in node.attributes)
        spelling = node.spelling
        if spelling and (spelling.text, spelling.attributes) == (node.text, node.attributes):
            content = spelling.content
        if not self._start(node, node.name, given, depth, empty=not content):
            self.pieces.append(content)
            self._close(node, node.name)

    def _start(self, node: Node, tag: str, given: Mapping[str, str], depth: int, empty: bool) -> bool:
        """Write what stands before the node and its start tag; whether that is its end, too."""
        spelling = node.spelling
        if spelling is None:
            first = f"\n{_STEP * depth}" if depth else ""
            texts = "".join(f" {key}={quoteattr(value)}" for key, value in given.items() if value)
            self.pieces.append(f"{first}<{tag}{texts}{'/>' if empty else '>'}")
            return empty
        self.pieces += [spelling.before, "<", tag]
        for each in spelling.given:
            key = key_of(each.name)
            if key not in given or meaning(key, each.value) == given[key]:
                self.pieces.append(each.raw)
            elif given[key]:
                self.pieces.append(f" {each.name}={quoteattr(given[key])}")
        spelled = {key_of(each.name) for each in spelling.given}
        for key, value in given.items():
            if key not in spelled and value != meaning(key, ""):
                self.pieces.append(f" {key}={quoteattr(value)}")
        closed = empty and not spelling.close
        self.pieces.append(spelling.tail if closed or spelling.close else ">")
        return closed

    def _close(self, node: Node, tag: str) -> None:
        close = node.spelling.close if node.spelling else ""
        self.pieces.append(close if close[2:-1].strip() == tag else f"</{tag}>")

    def _check(self, node: Node, *texts: str) -> None:
        if any(_UNFIT.search(text) for text in texts):
            message = f"{node.name!r} holds a character that XML does not allow"
            self.faults.append(Fault(message, node.place, "remove it"))


def _attribute(name: str, text: str) -> str:
    return f"<attribute name={quoteattr(name)}>{_text(text)}</attribute>"


def _text(text: str) -> str:
    return escape(text, {"\r": "&#13;"})
