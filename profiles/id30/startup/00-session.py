"""A session at ID30 (simulated): ``ipython --profile-dir=profiles/id30``.

Then ``RE(rotation_scan())`` turns the crystal, and the file is complete when it returns: ``writer.files``.
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

from devices.beamlines.id30 import simulated_id30
from devices.signals import signals_of
from nexus_callbacks import NexusWriter
from plans import mx
from plans.datasets import NumberedDatasets, experiment_folder, sample_folder
from plans.demos.mx import METADATA

data_root = Path(os.environ.get("NEXUS_CALLBACKS_DATA", "data")).absolute()
profile = Path(get_ipython().profile_dir.location)

# Asked at each scan: the detector's files belong to the experiment that RE.md names then.
id30 = simulated_id30(lambda: experiment_folder(data_root)(RE.md) / "detectors")
omega, kappa, phi, sampx, sampy, phix, phiy, phiz, det_z = id30.motors
eiger, shutter, ring, mono, attenuator, slit = (
    id30.detector,
    id30.shutter,
    id30.ring,
    id30.mono,
    id30.attenuator,
    id30.slit,
)
i0, beam, hutch, crystal = id30.i0, id30.beam, id30.hutch, id30.record

RE = RunEngine(dict(METADATA))
RE.preprocessors.append(SupplementalData(baseline=id30.baseline))
RE.preprocessors.append(NumberedDatasets(RE.md, sample_folder(data_root)))

# The profile is checked against the devices that are there: a mistake is told now, not after the scan.
writer = NexusWriter(data_root, profile=profile, signals=signals_of(*id30.devices))
RE.subscribe(writer)
RE.subscribe(lambda name, doc: print("written:", writer.files.get(doc["run_start"], "nothing")), "stop")
atexit.register(writer.close)

rotation_scan = partial(mx.rotation_scan, id30)
