"""A session at ID01 (simulated): ``ipython --profile-dir=profiles/id01``.

Then ``RE(rocking_scan())`` scans, and the file is complete when it returns: ``writer.files``. All devices are there
under the names by which the beamline calls them. Data goes to the folder that the environment variable
NEXUS_CALLBACKS_DATA names, ``./data`` without it.
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

from devices.beamlines.id01 import simulated_id01
from devices.signals import signals_of
from nexus_callbacks import NexusWriter
from plans import rocking
from plans.datasets import NumberedDatasets, experiment_folder, sample_folder
from plans.demos.fullfield import METADATA

data_root = Path(os.environ.get("NEXUS_CALLBACKS_DATA", "data")).absolute()
profile = Path(get_ipython().profile_dir.location)

# Asked at each scan: the camera's files belong to the experiment that RE.md names then.
id01 = simulated_id01(lambda: experiment_folder(data_root)(RE.md) / "detectors")
eta, phi, delta, thx, thy = id01.motors
andor, lens, geometry, crystal = id01.camera, id01.lens, id01.geometry, id01.crystal
ring, mono, shutter, monitor = id01.front.ring, id01.front.mono, id01.shutter, id01.monitor

RE = RunEngine(dict(METADATA))
RE.preprocessors.append(SupplementalData(baseline=id01.baseline))
RE.preprocessors.append(NumberedDatasets(RE.md, sample_folder(data_root)))

# The profile is checked against the devices that are there: a mistake is told now, not after the scan.
writer = NexusWriter(data_root, profile=profile, signals=signals_of(*id01.devices))
RE.subscribe(writer)
RE.subscribe(lambda name, doc: print("written:", writer.files.get(doc["run_start"], "nothing")), "stop")
atexit.register(writer.close)

rocking_scan = partial(rocking.rocking_scan, id01)
