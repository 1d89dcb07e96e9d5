"""A session at ID01 (simulated): ``ipython --profile-dir=profiles/id01``.

Then ``RE(rocking_scan())`` scans, and the file is complete when it returns: ``writer.files``. All devices are there
under the names by which the beamline calls them. Data goes to the folder that the environment variable
NEXUS_CALLBACKS_DATA names, ``./data`` without it.
"""

from functools import partial

import bluesky.plan_stubs as bps  # noqa: F401  for the one who types
import bluesky.plans as bp  # noqa: F401
from IPython import get_ipython

from devices.beamlines.id01 import simulated_id01
from plans import rocking
from plans.demos.fullfield import METADATA
from plans.session import start_session

session = start_session(simulated_id01, METADATA, profile=get_ipython().profile_dir.location)
id01, RE, writer = session.beamline, session.RE, session.writer

eta, phi, delta, thx, thy = id01.motors
andor, lens, geometry, crystal = id01.camera, id01.lens, id01.geometry, id01.crystal
ring, mono, shutter, monitor = id01.front.ring, id01.front.mono, id01.shutter, id01.monitor

rocking_scan = partial(rocking.rocking_scan, id01)
