"""Report: what a check of a file found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, ParamSpec

P = ParamSpec("P")

Severity = Literal["error", "warning", "info"]

_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    path: str
    """HDF5 path in the file that was validated; ``/`` for the file as a whole."""
    severity: Severity
    """``error`` makes the file invalid; ``warning`` is to be looked at; ``info`` is told and no more."""
    message: str
    remedy: str = ""
    """What the reader can do about it; may be empty."""
    allowed: str = ""
    """Why the allow-list lets it pass; empty if it is not on the list."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")


@dataclass(frozen=True)
class Report:
    """All findings of one file, errors first."""

    path: str
    """The file's path as it was given."""
    findings: tuple[Finding, ...]

    @property
    def valid(self) -> bool:
        """No finding is an error."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the file invalid."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are to be looked at."""
        return tuple(f for f in self.findings if f.severity == "warning")

    @property
    def allowed(self) -> tuple[Finding, ...]:
        """The findings of NXDL's validator that the allow-list lets pass."""
        return tuple(f for f in self.findings if f.allowed)

    @property
    def allowed_reasons(self) -> dict[str, int]:
        """How many findings the allow-list lets pass for each of its reasons, the most frequent first."""
        return dict(Counter(f.allowed for f in self.allowed).most_common())

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON takes it: path, valid, counts by severity, reasons of what was let pass, findings."""
        return {
            "path": self.path,
            "valid": self.valid,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "allowed": len(self.allowed),
            "allowed_reasons": self.allowed_reasons,
            "findings": [asdict(f) for f in self.findings],
        }


def report(path: str, findings: Iterable[Finding]) -> Report:
    """A report of the findings, each once, errors first and then by path."""
    once = dict.fromkeys(_printable(f) for f in findings)
    return Report(path, tuple(sorted(once, key=lambda f: (_ORDER[f.severity], f.path))))


def guarded(path: str, check: Callable[P, Iterable[Finding]], *args: P.args, **kwargs: P.kwargs) -> Iterator[Finding]:
    """The findings of a check, which only a damaged or hostile file stops: that is then an error at a path."""
    try:
        yield from check(*args, **kwargs)
    except Exception as error:
        yield Finding(path, "error", f"cannot be checked: {type(error).__name__}: {error}", "the file may be damaged")


def _printable(finding: Finding) -> Finding:
    """The finding without control characters and halves of characters: a file may hold them, no terminal takes them."""
    return replace(finding, path=_clean(finding.path), message=_clean(finding.message), remedy=_clean(finding.remedy))


def _clean(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)
