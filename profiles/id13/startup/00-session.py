"""A session at ID13 (simulated): ``ipython --profile-dir=profiles/id13``.

Then ``RE(map_scan(techniques=["fluo", "sxdm", "ptycho"]))`` scans, and the file is complete when it returns:
``writer.files``. All devices are there under the names by which the beamline calls them. Data goes to the folder that
the environment variable NEXUS_CALLBACKS_DATA names, ``./data`` without it.
"""

import atexit
import os
from functools import partial
from pathlib import Path

import bluesky.plan_stubs as bps  # noqa: F401  for the one who types
import bluesky.plans as bp  # noqa: F401
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from IPython import get_ipython

from devices.beamlines.id13 import simulated_id13
from devices.signals import signals_of
from nexus_callbacks import NexusWriter
from plans import mapping
from plans.datasets import NumberedDatasets, experiment_folder, sample_folder
from plans.demos.maps import METADATA

data_root = Path(os.environ.get("NEXUS_CALLBACKS_DATA", "data")).absolute()
profile = Path(get_ipython().profile_dir.location)

# Asked at each scan: the detectors' files belong to the experiment that RE.md names then.
id13 = simulated_id13(lambda: experiment_folder(data_root)(RE.md) / "detectors")
nnp2, nnp3, theta = id13.motors
eiger, xrf, diodes = id13.eiger, id13.xrf, id13.diodes
stage, arm, focus = id13.stage, id13.arm, id13.focus
ring, mono, shutter = id13.front.ring, id13.front.mono, id13.shutter

RE = RunEngine({**METADATA, "dataset": "map"})
RE.preprocessors.append(SupplementalData(baseline=id13.baseline))
RE.preprocessors.append(NumberedDatasets(RE.md, sample_folder(data_root)))

# The profile is checked against the devices that are there: a mistake is told now, not after the scan.
writer = NexusWriter(data_root, profile=profile, signals=signals_of(*id13.devices))
RE.subscribe(writer)
RE.subscribe(lambda name, doc: print("written:", writer.files.get(doc["run_start"], "nothing")), "stop")
atexit.register(writer.close)

map_scan = partial(mapping.map_scan, id13)
