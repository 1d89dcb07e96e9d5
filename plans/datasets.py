"""Datasets: a number for each, counted on from what the disk holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.utils import Msg

from nexus_callbacks.values import safe_part


class NumberedDatasets:
    """A preprocessor that gives every run without a dataset of its own the next number of its series.

    Runs with one ``dataset_uid`` are one dataset, and get one number.

    ``RE.md["dataset"] = "50nm_tomo1"`` names the series; the runs become ``50nm_tomo1_0001``, ``50nm_tomo1_0002``… The
    number follows the highest that stands on the disk, so that it survives a restart and nothing is written twice.

    Parameters
    ----------
    metadata
        The RunEngine's ``md``, read at each run.
    folder
        Called with that metadata for the folder that holds one folder a dataset, named
        ``{sample}_{series}_{number}``.
    """

    def __init__(self, metadata: Mapping[str, Any], folder: Callable[[Mapping[str, Any]], Path]) -> None:
        self._metadata = metadata
        self._folder = folder
        self._last: dict[Path, dict[str, int]] = {}
        self._open: tuple[str, str] = ("", "")
        """The last dataset_uid, and the name that its dataset was given."""

    def __call__(self, plan: Generator[Msg, Any, Any]) -> Generator[Msg, Any, Any]:
        """The plan, with a dataset in each of its start documents."""
        return (yield from bpp.msg_mutator(plan, self._number))

    def _number(self, message: Msg) -> Msg:
        if message.command != "open_run" or "dataset" in message.kwargs:
            return message
        series = str(self._metadata.get("dataset") or message.kwargs.get("plan_name", "run"))
        uid = str(message.kwargs.get("dataset_uid") or self._metadata.get("dataset_uid") or "")
        if not uid or self._open[0] != uid:
            self._open = (uid, self.next(series))
        return message._replace(kwargs={**message.kwargs, "dataset": self._open[1]})

    def next(self, series: str) -> str:
        """The next dataset's name; two calls never give the same."""
        folder = self._folder(self._metadata)
        pattern = re.compile(rf"(?:.*_)?{re.escape(safe_part(series))}_(\d{{4,}})")
        found = [pattern.fullmatch(p.name) for p in folder.iterdir()] if folder.is_dir() else []
        seen = self._last.setdefault(folder, {})
        seen[series] = 1 + max([seen.get(series, 0), *(int(m.group(1)) for m in found if m)])
        return f"{series}_{seen[series]:04d}"


def experiment_folder(data_root: Path) -> Callable[[Mapping[str, Any]], Path]:
    """Where all of an experiment lies, as ESRF has it: ``{data_root}/{proposal}/{beamline}``.

    Detectors write below it too, so that the folder can be moved as a whole with all links alive.
    """

    def folder(metadata: Mapping[str, Any]) -> Path:
        return data_root.joinpath(*(safe_part(str(metadata[key])) for key in ("proposal", "beamline")))

    return folder


def sample_folder(data_root: Path) -> Callable[[Mapping[str, Any]], Path]:
    """Where the folders of a sample's datasets lie: the sample's own in its experiment's."""

    def folder(metadata: Mapping[str, Any]) -> Path:
        return experiment_folder(data_root)(metadata) / safe_part(str(metadata["sample"]))

    return folder
