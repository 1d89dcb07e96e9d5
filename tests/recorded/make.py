"""Records the runs of this folder again: ``python -m tests.recorded.make``.

Each is what bluesky's RunEngine said of a plan of :mod:`tests.runs`, a document a line. Uids and times are new ones
every time; the folder of the detectors' files is written as :data:`FRAMES`.
"""

import json
import tempfile
from pathlib import Path

import event_model

from tests.runs import PLANS, record

HERE = Path(__file__).parent
FRAMES = "/FRAMES"
"""Stands for the folder of the detectors' files."""


def name_of(plan: str) -> str:
    """Name of a plan's recording."""
    return plan.replace(" ", "_") + ".jsonl"


def main() -> None:
    """Record every plan."""
    for plan in PLANS:
        with tempfile.TemporaryDirectory() as folder:
            documents = record(plan, Path(folder)).documents
        lines = [json.dumps(item, cls=event_model.NumpyEncoder) + "\n" for item in documents]
        text = "".join(lines).replace(str(Path(folder)), FRAMES)
        (HERE / name_of(plan)).write_text(text)


if __name__ == "__main__":
    main()
