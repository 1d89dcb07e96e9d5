"""Session: a simulated beamline, a RunEngine and a writer, put together as every session has them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from devices.baseline import baseline_for
from devices.channels.tango_server import TangoServer
from devices.signals import signals_of
from nexus_callbacks import NexusWriter
from plans.beamline import Beamline
from plans.datasets import NumberedDatasets, experiment_folder, sample_folder

DATA_ROOT = "NEXUS_CALLBACKS_DATA"
"""The environment variable that names the folder of the data; ``./data`` without it."""


AnyBeamline = TypeVar("AnyBeamline", bound=Beamline)
Make = Callable[[Callable[[], Path]], AnyBeamline]
"""Makes a beamline, given a function that its detectors ask for their folder at each scan."""


@dataclass(frozen=True)
class Session(Generic[AnyBeamline]):
    """One beamline, what runs its plans and what writes their files; for a ``with`` statement, or :meth:`close`."""

    beamline: AnyBeamline
    RE: RunEngine
    writer: NexusWriter
    tango_server: TangoServer
    """Shows the beamline's ``tango`` signals, as long as the session lasts."""

    def close(self) -> None:
        """Complete the files, and end the simulated control system."""
        try:
            self.tango_server.close()
        finally:
            self.writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_session(
    make: Make[AnyBeamline], metadata: Mapping[str, Any], *, profile: Path, data_root: Path
) -> Session[AnyBeamline]:
    """A session that writes below `data_root`.

    Its runs are numbered datasets; the baseline is the beamline's and what the profile wants of the control system,
    which is simulated, too.

    Parameters
    ----------
    metadata
        What ``RE.md`` begins with: proposal, beamline, sample, dataset …

    Raises
    ------
    FaultError
        The profile is faulty or does not fit the devices, or `data_root` cannot be written.
    """
    engine = RunEngine(dict(metadata))
    # Asked at each scan: the detectors' files belong to the experiment that RE.md names then.
    beamline = make(lambda: experiment_folder(data_root)(engine.md) / "detectors")
    # The profile is checked against the devices that are there: a mistake is told now, not after the scan.
    writer = NexusWriter(data_root, profile=profile, signals=signals_of(*beamline.devices))
    server = TangoServer(getattr(beamline, "tango", {})).start()
    control_system = baseline_for(profile, beamline.devices, hosts=server.hosts, strict=False)
    engine.preprocessors.append(SupplementalData(baseline=[*beamline.baseline, *control_system]))
    engine.preprocessors.append(NumberedDatasets(engine.md, sample_folder(data_root)))
    engine.subscribe(writer)
    return Session(beamline, engine, writer, server)


def start_session(make: Make[AnyBeamline], metadata: Mapping[str, Any], *, profile: str | Path) -> Session[AnyBeamline]:
    """A session for people: it prints which file a scan was written to, and closes with the interpreter.

    Data goes to the folder that the environment variable NEXUS_CALLBACKS_DATA names, ``./data`` without it. Parameters
    and errors are those of :func:`open_session`.
    """
    data_root = Path(os.environ.get(DATA_ROOT, "data")).absolute()
    session = open_session(make, metadata, profile=Path(profile), data_root=data_root)
    files = session.writer.files
    session.RE.subscribe(lambda name, doc: print("written:", files.get(doc["run_start"], "nothing")), "stop")  # noqa: T201
    atexit.register(session.close)
    return session
