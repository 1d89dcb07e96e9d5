"""A session at ID22 (simulated): ``ipython --profile-dir=profiles/id22``.

Then ``RE(powder_scan())`` scans, and the file is complete when it returns: ``writer.files``. All devices are there
under the names by which the beamline calls them. Data goes to the folder that the environment variable
NEXUS_CALLBACKS_DATA names, ``./data`` without it.
"""

from functools import partial

import bluesky.plan_stubs as bps  # noqa: F401  for the one who types
import bluesky.plans as bp  # noqa: F401
from IPython import get_ipython

from devices.beamlines.id22 import simulated_id22
from plans import powder
from plans.demos.xrpd import METADATA
from plans.session import start_session

session = start_session(simulated_id22, METADATA, profile=get_ipython().profile_dir.location)
id22, RE, writer = session.beamline, session.RE, session.writer

tth, omega, sx, sz = id22.motors
ma, capillary = id22.analyser, id22.capillary
ring, mono, shutter, monitor = id22.front.ring, id22.front.mono, id22.shutter, id22.monitor

powder_scan = partial(powder.powder_scan, id22)
