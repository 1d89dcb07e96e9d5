"""A session at ID17 (simulated): ``ipython --profile-dir=profiles/id17``.

Then ``RE(mrt_irradiation())`` irradiates, and the file is complete when it returns: ``writer.files``. Data goes to the
folder that the environment variable NEXUS_CALLBACKS_DATA names, ``./data`` without it.
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

from devices.beamlines.id17 import simulated_id17
from devices.signals import signals_of
from nexus_callbacks import NexusWriter
from plans import mrt
from plans.datasets import NumberedDatasets, experiment_folder, sample_folder

data_root = Path(os.environ.get("NEXUS_CALLBACKS_DATA", "data")).absolute()
profile = Path(get_ipython().profile_dir.location)

RE = RunEngine({"proposal": "md1234", "beamline": "id17", "sample": "water_block", "dataset": "crossfire"})
id17 = simulated_id17(experiment_folder(data_root)(RE.md) / "detectors")
gonioz, gonioy, gonior, shutter, collimator = id17.gonioz, id17.gonioy, id17.gonior, id17.shutter, id17.collimator
chambers, prescription, film, ring = id17.chambers, id17.prescription, id17.film, id17.ring
RE.preprocessors.append(SupplementalData(baseline=id17.baseline))
RE.preprocessors.append(NumberedDatasets(RE.md, sample_folder(data_root)))

# The profile is checked against the devices that are there: a mistake is told now, not after the run.
writer = NexusWriter(data_root, profile=profile, signals=signals_of(*id17.devices))
RE.subscribe(writer)
RE.subscribe(lambda name, doc: print("written:", writer.files.get(doc["run_start"], "nothing")), "stop")
atexit.register(writer.close)

mrt_irradiation = partial(mrt.mrt_irradiation, id17)
