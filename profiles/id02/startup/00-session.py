"""A session at ID02 (simulated): ``ipython --profile-dir=profiles/id02``.

Then ``RE(saxs_scan())`` scans, and the file is complete when it returns: ``writer.files``. All devices are there
under the names by which the beamline calls them. Data goes to the folder that the environment variable
NEXUS_CALLBACKS_DATA names, ``./data`` without it.
"""

from functools import partial

import bluesky.plan_stubs as bps  # noqa: F401  for the one who types
import bluesky.plans as bp  # noqa: F401
from IPython import get_ipython

from devices.beamlines.id02 import simulated_id02
from plans import saxs
from plans.demos.saxs import METADATA
from plans.session import start_session

session = start_session(simulated_id02, METADATA, profile=get_ipython().profile_dir.location)
id02, RE, writer = session.beamline, session.RE, session.writer

sx, sz = id02.motors
rayonix, azimuthal, changer, tube = id02.camera, id02.azimuthal, id02.changer, id02.tube
ring, mono, shutter, monitor = id02.front.ring, id02.front.mono, id02.shutter, id02.monitor

saxs_scan = partial(saxs.saxs_scan, id02)
