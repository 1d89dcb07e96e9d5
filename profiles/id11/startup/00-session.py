"""A session at ID11 (simulated): ``ipython --profile-dir=profiles/id11``.

Then ``RE(xrd3d_scan())`` turns the sample, and the file is complete when it returns: ``writer.files``.
Data goes to the folder that the environment variable NEXUS_CALLBACKS_DATA names, ``./data`` without it.
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

from devices.beamlines.id11 import simulated_id11
from devices.signals import signals_of
from nexus_callbacks import NexusWriter
from plans import mx
from plans.datasets import NumberedDatasets, experiment_folder, sample_folder
from plans.demos.xrd3d import METADATA

data_root = Path(os.environ.get("NEXUS_CALLBACKS_DATA", "data")).absolute()
profile = Path(get_ipython().profile_dir.location)

# Asked at each scan: the detector's files belong to the experiment that RE.md names then.
id11 = simulated_id11(lambda: experiment_folder(data_root)(RE.md) / "detectors")
diffrz, samtx, samty, samtz, ffdtx1 = id11.motors
eiger, shutter, ring, mono, beam, hutch = id11.detector, id11.shutter, id11.ring, id11.mono, id11.beam, id11.hutch

RE = RunEngine(dict(METADATA))
RE.preprocessors.append(SupplementalData(baseline=id11.baseline))
RE.preprocessors.append(NumberedDatasets(RE.md, sample_folder(data_root)))

# The profile is checked against the devices that are there: a mistake is told now, not after the scan.
writer = NexusWriter(data_root, profile=profile, signals=signals_of(*id11.devices))
RE.subscribe(writer)
RE.subscribe(lambda name, doc: print("written:", writer.files.get(doc["run_start"], "nothing")), "stop")
atexit.register(writer.close)

xrd3d_scan = partial(mx.rotation_scan, id11, technique="xrd3d", frames=60, oscillation=1.0)
