"""A session at ID22 (simulated): ``ipython --profile-dir=profiles/id22``.

Then ``RE(powder_scan())`` scans, and the file is complete when it returns: ``writer.files``. All devices are there
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

from devices.beamlines.id22 import simulated_id22
from devices.signals import signals_of
from nexus_callbacks import NexusWriter
from plans import powder
from plans.datasets import NumberedDatasets, sample_folder
from plans.demos.xrpd import METADATA

data_root = Path(os.environ.get("NEXUS_CALLBACKS_DATA", "data")).absolute()
profile = Path(get_ipython().profile_dir.location)

id22 = simulated_id22()
tth, omega, sx, sz = id22.motors
ma, capillary = id22.analyser, id22.capillary
ring, mono, shutter, monitor = id22.front.ring, id22.front.mono, id22.shutter, id22.monitor

RE = RunEngine(dict(METADATA))
RE.preprocessors.append(SupplementalData(baseline=id22.baseline))
RE.preprocessors.append(NumberedDatasets(RE.md, sample_folder(data_root)))

# The profile is checked against the devices that are there: a mistake is told now, not after the scan.
writer = NexusWriter(data_root, profile=profile, signals=signals_of(*id22.devices))
RE.subscribe(writer)
RE.subscribe(lambda name, doc: print("written:", writer.files.get(doc["run_start"], "nothing")), "stop")
atexit.register(writer.close)

powder_scan = partial(powder.powder_scan, id22)
