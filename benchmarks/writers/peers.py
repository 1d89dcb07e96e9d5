"""peers: published writers of bluesky documents. None of them is a dependency of ours; see README.md, "Peers"."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.writers import Feed, need
from benchmarks.writers.base import Document

ASSETS = "BENCHMARK_ASSETS"
"""Environment variable: folder of the detector's files, which a server has to be allowed to read."""


def apstools_nxwriter(folder: Path) -> Feed:
    """apstools' NXWriter; it writes in a thread of its own after the stop document."""
    logging.disable(logging.WARNING)
    base = need("apstools.callbacks.nexus_writer").NXWriter

    class Callback(base):  # type: ignore[misc,valid-type]
        number = 0

        def receiver(self, name: str, document: Document) -> None:
            if name in ("event_page", "stream_resource", "stream_datum"):  # It would only log an error.
                raise NotImplementedError(f"apstools' NXWriter ignores {name}")
            super().receiver(name, document)

        def __call__(self, name: str, document: Document) -> None:
            if name == "start":
                self.wait()  # its documentation asks for that before the next run
                self.number += 1
                self.file_name = str(folder / f"run{self.number}.hdf")
            self.receiver(name, document)

        def wait(self) -> None:
            if not self.number:
                return
            for thread in threading.enumerate():  # it keeps no handle of its thread
                if "_threaded_writer" in repr(getattr(thread, "_target", "")):
                    thread.join()
            while self._writer_active:
                time.sleep(0.001)

    return Callback()  # type: ignore[no-any-return]


class _Tiled:
    """bluesky-tiled-plugins' TiledWriter with a catalogue in the folder."""

    def __init__(self, folder: Path, batch_size: int | None, http: bool) -> None:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        writer = need("bluesky_tiled_plugins").TiledWriter
        self._app: Any = None
        client = self._server(folder) if http else self._in_process(folder)
        self._writer = writer(client, **({} if batch_size is None else {"batch_size": batch_size}))

    def _server(self, folder: Path) -> Any:
        # Kept, as it stops when it is garbage; never closed, as close() can hang and the process ends anyway.
        self._served = need("tiled.server").SimpleTiledServer(folder, readable_storage=[_assets(folder)])
        return need("tiled.client").from_uri(self._served.uri)

    def _in_process(self, folder: Path) -> Any:
        tree = need("tiled.catalog").from_uri(
            f"sqlite:///{folder}/catalog.db",
            init_if_not_exists=True,
            writable_storage=[f"file://localhost{folder}/data", f"duckdb:///{folder}/data.duckdb"],
            readable_storage=[_assets(folder)],
        )
        tiled = need("tiled.client")
        self._app = tiled.Context.from_app(need("tiled.server.app").build_app(tree))
        return tiled.from_context(self._app.__enter__())

    def __call__(self, name: str, document: Document) -> None:
        self._writer(name, document)

    def close(self) -> None:
        if self._app is not None:
            self._app.__exit__(None, None, None)


def _assets(folder: Path) -> str:
    return os.environ.get(ASSETS, str(folder))


def tiled_inproc(folder: Path) -> Feed:
    """TiledWriter, the server in the same process."""
    return _Tiled(folder, None, http=False)


def tiled_http(folder: Path) -> Feed:
    """TiledWriter, a server of its own."""
    return _Tiled(folder, None, http=True)


def tiled_b1(folder: Path) -> Feed:
    """TiledWriter in batches of one, as its documentation recommends for live data."""
    return _Tiled(folder, 1, http=True)


class _PerRun:
    """A serializer a run."""

    def __init__(self, serializer: Any, *arguments: Any) -> None:
        self._serializer, self._arguments = serializer, arguments
        self._open: Any = None

    def __call__(self, name: str, document: Document) -> None:
        if name == "start":
            self.close()
            self._open = self._serializer(*self._arguments)
        self._open(name, document)
        if name == "stop":
            self.close()

    def close(self) -> None:
        if hasattr(self._open, "close"):
            self._open.close()
        self._open = None


def suitcase_jsonl(folder: Path) -> Feed:
    """A line of JSON a document."""
    return _PerRun(need("suitcase.jsonl").Serializer, folder)


def suitcase_msgpack(folder: Path) -> Feed:
    """A msgpack record a document."""
    return _PerRun(need("suitcase.msgpack").Serializer, folder)


def json_writer(folder: Path) -> Feed:
    """bluesky's own JSONWriter."""
    return _PerRun(need("bluesky.callbacks.json_writer").JSONWriter, str(folder))


def jsonl_writer(folder: Path) -> Feed:
    """bluesky's own JSONLinesWriter."""
    return _PerRun(need("bluesky.callbacks.json_writer").JSONLinesWriter, str(folder))


def camels(folder: Path) -> Feed:
    """suitcase-nomad-camels-hdf5, the one published serializer that writes NeXus-flavoured HDF5 as it goes."""
    serializer = need("suitcase.nomad_camels_hdf5").Serializer
    numbers = iter(range(1, 1_000_000))
    inner = _PerRun(lambda: serializer(str(folder), file_prefix=f"run{next(numbers)}", do_nexus_output=False))

    def callback(name: str, document: Document) -> None:
        if name == "start":
            document = {"plan_name": "scan", "session_name": "bench", **document}
        inner(name, document)

    return callback


class _NXSWriter:
    """nxswriter's TangoDataWriter without a Tango server: configuration in XML, a JSON record an event."""

    def __init__(self, folder: Path) -> None:
        self._new = need("nxswriter.TangoDataWriter").TangoDataWriter
        self._folder = folder
        self._number = 0

    def __call__(self, name: str, document: Document) -> None:
        if name not in ("start", "descriptor", "event", "stop"):
            raise NotImplementedError(f"nxswriter knows no {name}")
        getattr(self, f"_{name}")(document)

    def _start(self, document: Document) -> None:
        self._number += 1
        self._writer = self._new()
        self._writer.writer = "h5py"
        self._writer.fileName = str(self._folder / f"run{self._number}.nxs")
        self._writer.openFile()

    def _descriptor(self, document: Document) -> None:
        fields = []
        for key, spec in document["data_keys"].items():
            of_values = "NX_INT64" if spec["dtype"] == "integer" else "NX_FLOAT64"
            for name, kind in ((key, of_values), (f"{key}_t", "NX_FLOAT64")):
                fields.append(
                    f'<field name="{name}" type="{kind}" units="{spec.get("units", "")}"><strategy mode="STEP"/>'
                    f'<datasource name="{name}" type="CLIENT"><record name="{name}"/></datasource></field>'
                )
        self._writer.xmlsettings = (
            '<definition><group name="entry" type="NXentry"><group name="primary" type="NXcollection">'
            f"{''.join(fields)}</group></group></definition>"
        )
        self._writer.jsonrecord = "{}"
        self._writer.openEntry()

    def _event(self, document: Document) -> None:
        record = {**document["data"], **{f"{k}_t": v for k, v in document["timestamps"].items()}}
        self._writer.record(json.dumps({"data": record}))

    def _stop(self, document: Document) -> None:
        self._writer.closeEntry()
        self._writer.closeFile()


def nxswriter(folder: Path) -> Feed:
    """nxswriter, in an environment of its own."""
    return _NXSWriter(folder)
