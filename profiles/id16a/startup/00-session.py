"""A session at ID16A (simulated): ``ipython --profile-dir=profiles/id16a``.

Then ``RE(tomo_scan())`` scans, as does ``RE(holotomo_scan())``, and the file is complete when it returns:
``writer.files``. All devices are there under the names by which the beamline calls them (srot, sx, sy, sz, frelon,
shutter, ring, mono…). Data goes to the folder that the environment variable NEXUS_CALLBACKS_DATA names, ``./data``
without it.
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

from devices.baseline import baseline_for
from devices.beamlines.id16a import simulated_id16a
from devices.signals import signals_of
from devices.tango_server import TangoServer
from nexus_callbacks import NexusWriter
from plans import holotomo, tomo
from plans.datasets import NumberedDatasets, experiment_folder, sample_folder
from plans.generic import generic_scan  # noqa: F401

data_root = Path(os.environ.get("NEXUS_CALLBACKS_DATA", "data")).absolute()
profile = Path(get_ipython().profile_dir.location)

# Asked at each scan: the camera's files belong to the experiment that RE.md names then.
id16a = simulated_id16a(lambda: experiment_folder(data_root)(RE.md) / "detectors")
srot, sx, sy, sz = id16a.motors
frelon, shutter, ring, mono = id16a.camera, id16a.shutter, id16a.ring, id16a.mono
u18, u22 = id16a.undulators
attenuator1, attenuator2, attenuator3 = id16a.attenuators
primary_slit, secondary_slit, kb, optics = id16a.primary_slit, id16a.secondary_slit, id16a.kb, id16a.optics
geometry, vacuum, hutch, i0 = id16a.geometry, id16a.vacuum, id16a.hutch, id16a.i0
ic, it = id16a.ic, id16a.it

RE = RunEngine(
    {
        "proposal": "ma2210",
        "beamline": "id16a",
        "sample": "Fe_Au_350N_RT1",
        "dataset": "50nm_tomo1",
        "Sample_description": "grain of iron with inclusions of gold and with pores",
        "Sample_chemical_formula": "Fe Au",
        "Sample_support": "tip of a needle",
        "Sample_situation": "vacuum",
        "Sample_temperature_env": "room temperature",
    }
)
RE.preprocessors.append(NumberedDatasets(RE.md, sample_folder(data_root)))

# The profile is checked against the devices that are there: a mistake is told now, not after the scan.
writer = NexusWriter(data_root, profile=profile, signals=signals_of(*id16a.devices))
# What the profile wants of the control system, which is simulated, too.
tango_server = TangoServer(id16a.tango).start()
atexit.register(tango_server.close)
control_system = baseline_for(profile, id16a.devices, hosts=tango_server.hosts, strict=False)
RE.preprocessors.append(SupplementalData(baseline=[*id16a.baseline, *control_system]))
RE.subscribe(writer)
RE.subscribe(lambda name, doc: print("written:", writer.files.get(doc["run_start"], "nothing")), "stop")
atexit.register(writer.close)

tomo_scan = partial(tomo.tomo_scan, id16a)
holotomo_scan = partial(holotomo.holotomo_scan, id16a)
