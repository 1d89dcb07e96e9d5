"""Export: documents of finished runs → NeXus files, by the convention of the suitcase packages.

So that databroker's users export old runs as they do with the other suitcases::

    export(run.documents(), "exported", "{start[plan_name]}-{start[scan_id]}")

The convention (https://blueskyproject.io/suitcase): documents go in as ``(name, doc)``, a manager says where files are,
and what was made comes back as *artifacts*, label → paths. Names are made of ``file_prefix``, not of the profile's
``files:``, and no master file is made.
"""

from __future__ import annotations

import logging
import os
import string
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Protocol
from zoneinfo import ZoneInfo

from event_model import DocumentRouter
from suitcase.utils import MemoryBuffersManager, MultiFileManager, SuitcaseUtilsTypeError, SuitcaseUtilsValueError

from nexus_callbacks import hdf5
from nexus_callbacks.beamline.bindings import Signals
from nexus_callbacks.datasets import ENTRY, Target
from nexus_callbacks.documents import Document
from nexus_callbacks.faults import Fault, FaultError, Place
from nexus_callbacks.files.writer import Writer
from nexus_callbacks.once import Once
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.relations import RELATIVE, Relations
from nexus_callbacks.routing import Router
from nexus_callbacks.run import Run
from nexus_callbacks.values import safe_part

log = logging.getLogger("nexus_callbacks")

LABEL = "stream_data"
"""What the files hold, in the suitcases' words."""
FLUSH_INTERVAL = 1.0
"""Rows are brought into the file when this many s have passed since they last were, so that they do not pile up …"""
FLUSH_DOCUMENTS = 1000
"""… or this many documents have come."""

Artifacts = dict[str, list[Path]]


class Manager(Protocol):
    """What is used of a suitcase's manager."""

    @property
    def artifacts(self) -> Artifacts:
        """Label → paths."""

    def reserve_name(self, label: str, postfix: str) -> Path:
        """A path for a file that a library opens by its name."""

    def close(self) -> None:
        """Close all that the manager opened."""


def export(
    gen: Iterable[tuple[str, Any]],
    directory: str | Path | Manager,
    file_prefix: str = "{start[uid]}",
    profile: str | Path | None = None,
    signals: Signals | None = None,
) -> Artifacts:
    """Write a NeXus file ``{file_prefix}.h5`` of each run in a stream of documents.

    Parameters
    ----------
    gen
        Documents with their names, of one run or of several.
    directory
        A folder (``""`` is the working folder), or a manager that gives real paths on disk, as suitcase-utils'
        ``MultiFileManager`` does.
    file_prefix
        Format string over the start document: ``{start[plan_name]}-{start[time]:%Y-%m-%d}``. A ``/`` in it makes
        folders; what comes from the document is made safe.
    profile, signals
        As of :class:`~nexus_callbacks.NexusWriter`.

    Returns
    -------
    ``{"stream_data": [paths]}``, as the manager tells them.

    Raises
    ------
    FaultError
        The profile or a start document does not do.
    FileExistsError
        The file is there already; it is left alone.
    OSError
        The disk does not take it.
    suitcase.utils.SuitcaseUtilsTypeError
        The manager has no files on disk.
    """
    with Serializer(directory, file_prefix, profile, signals) as serializer:
        for name, doc in gen:
            serializer(name, doc)
    return serializer.artifacts


class Serializer(DocumentRouter):
    """Writes the runs whose documents it is called with: ``serializer(name, doc)``.

    A value that cannot be written costs only itself: it is told through the logger ``nexus_callbacks`` and in the
    file's coverage. Parameters and errors are those of :func:`export`.
    """

    def __init__(
        self,
        directory: str | Path | Manager,
        file_prefix: str = "{start[uid]}",
        profile: str | Path | None = None,
        signals: Signals | None = None,
    ) -> None:
        super().__init__()
        self._manager: Manager = _manager(directory)
        self._prefix = file_prefix
        self._recipes = Recipes(profile, signals)
        self._router = Router()
        self._runs: dict[str, Run] = {}
        self._once = Once()
        self._relations = Relations()
        self._waiting, self._flushed = 0, time.monotonic()

    @property
    def artifacts(self) -> Artifacts:
        """What was made so far: label → paths."""
        return self._manager.artifacts

    def close(self) -> None:
        """Close all files; a run whose stop document has not come is marked as incomplete."""
        for uid in list(self._runs):
            self._router.close(uid)
            self._runs.pop(uid).abandon("the export ended before the run's stop document")
        self._manager.close()

    def __enter__(self) -> Serializer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- documents -------------------------------------------------------------------------------------------------

    def start(self, doc: Any) -> Any:
        """Make the run's file."""
        uid = self._router.admit(doc)
        try:
            postfix = f"{_Prefix(self._recipes.zone).format(self._prefix, start=doc)}.h5"
        except (LookupError, AttributeError, TypeError, ValueError, OverflowError) as error:
            raise FaultError([_unnamed(self._prefix, error)]) from error
        path = self._reserve(postfix)
        try:
            self._runs[uid] = self._begin(doc, path)
        except BaseException as error:
            path.unlink(missing_ok=True)  # Nothing of the run is in it.
            if isinstance(error, FaultError | OSError) or not isinstance(error, Exception):
                raise
            message = f"it cannot be written: {type(error).__name__}: {error}"
            raise FaultError([Fault(message, Place("start document"))]) from error
        told = self._relations.begin(doc, Target(path, path), self._router.runs)
        self._router.open(uid)
        for each, relative in told:
            self._runs[each].feed(RELATIVE, relative)
        return doc

    def _reserve(self, postfix: str) -> Path:
        try:
            path = self._manager.reserve_name(LABEL, postfix)
        except SuitcaseUtilsTypeError as error:
            _refuse_manager(self._manager, error)
        except SuitcaseUtilsValueError as error:
            raise FaultError([Fault(str(error), Place("file_prefix"), "name each run's file differently")]) from error
        if not isinstance(path, str | os.PathLike):
            _refuse_manager(self._manager)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return hdf5.create_exclusively([path], hdf5.skeleton(ENTRY))
        except FileExistsError as error:
            raise FileExistsError(error.errno, "it is there already, and is left alone", str(path)) from error

    def _begin(self, doc: Document, path: Path) -> Run:
        recipe = self._recipes.recipe(doc, path)
        writer = Writer(path)
        try:
            run = Run(writer, recipe, self._tell, self._recipes.roots)
            run.feed("start", doc)
        except BaseException:
            writer.close()
            raise
        return run

    def descriptor(self, doc: Any) -> Any:
        """Take a stream's columns."""
        return self._take("descriptor", doc)

    def event(self, doc: Any) -> Any:
        """Take a row."""
        return self._take("event", doc)

    def event_page(self, doc: Any) -> Any:
        """Take rows."""
        return self._take("event_page", doc)

    def resource(self, doc: Any) -> Any:
        """Take a detector's file."""
        return self._take("resource", doc)

    def datum(self, doc: Any) -> Any:
        """Take a part of a detector's file."""
        return self._take("datum", doc)

    def datum_page(self, doc: Any) -> Any:
        """Take parts of a detector's file."""
        return self._take("datum_page", doc)

    def stream_resource(self, doc: Any) -> Any:
        """Take a detector's file."""
        return self._take("stream_resource", doc)

    def stream_datum(self, doc: Any) -> Any:
        """Take parts of a detector's file."""
        return self._take("stream_datum", doc)

    def stop(self, doc: Any) -> Any:
        """Complete and close the run's file."""
        return self._take("stop", doc)

    def _take(self, name: str, doc: Document) -> Document:
        try:
            uid = self._router.owner(name, doc)
            if uid is None:
                self._tell(f"A document of kind {name!r} belongs to no run that is being exported: it is not in a file")
            else:
                self._feed(self._runs[uid], uid, name, doc)
        except OSError:
            raise
        except Exception as error:  # An old catalogue may hold anything.
            self._tell(f"A document of kind {name!r} could not be written: {type(error).__name__}: {error}")
            log.debug("the document was of kind %r", name, exc_info=error)
        return doc

    def _feed(self, run: Run, uid: str, name: str, doc: Document) -> None:
        run.feed(name, doc)
        self._waiting += 1
        if name == "stop":
            del self._runs[uid]
            self._router.close(uid)
        elif self._waiting >= FLUSH_DOCUMENTS or time.monotonic() - self._flushed >= FLUSH_INTERVAL:
            for each in self._runs.values():
                each.write_rows()
            self._waiting, self._flushed = 0, time.monotonic()

    def _tell(self, message: str) -> None:
        if self._once.first(message):
            log.warning("%s", message)


class _Prefix(string.Formatter):
    """Fills in a file's prefix; what comes from a document is made safe for a path, times may be given a format."""

    def __init__(self, zone: ZoneInfo | None) -> None:
        self._zone = zone

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, int | float) and format_spec.startswith("%"):
            value = datetime.fromtimestamp(value, UTC).astimezone(self._zone)
        return safe_part(str(super().format_field(value, format_spec)))


def _unnamed(prefix: str, error: Exception) -> Fault:
    what = f"no {error}" if isinstance(error, KeyError) else str(error)
    return Fault(f"no name can be made of file_prefix {prefix!r}: {what}", Place("start document"))


def _manager(directory: str | Path | Manager) -> Manager:
    if isinstance(directory, str | Path):
        found: Manager = MultiFileManager(directory)
        return found
    if isinstance(directory, MemoryBuffersManager) or not hasattr(directory, "reserve_name"):
        _refuse_manager(directory)
    return directory


def _refuse_manager(manager: object, cause: Exception | None = None) -> NoReturn:
    raise SuitcaseUtilsTypeError(
        f"{type(manager).__name__} gives no paths on disk, which HDF5 needs: give a folder or a "
        "suitcase.utils.MultiFileManager"
    ) from cause
