"""A session at ID11 (simulated): ``ipython --profile-dir=profiles/id11``.

Then ``RE(xrd3d_scan())`` turns the sample, and the file is complete when it returns: ``writer.files``.
Data goes to the folder that the environment variable NEXUS_CALLBACKS_DATA names, ``./data`` without it.
"""

from functools import partial

import bluesky.plan_stubs as bps  # noqa: F401  for the one who types
import bluesky.plans as bp  # noqa: F401
from IPython import get_ipython

from devices.beamlines.id11 import simulated_id11
from plans import mx
from plans.demos.xrd3d import METADATA
from plans.session import start_session

session = start_session(simulated_id11, METADATA, profile=get_ipython().profile_dir.location)
id11, RE, writer = session.beamline, session.RE, session.writer

diffrz, samtx, samty, samtz, ffdtx1 = id11.motors
eiger, shutter, ring, mono, beam, hutch = id11.detector, id11.shutter, id11.ring, id11.mono, id11.beam, id11.hutch

xrd3d_scan = partial(mx.rotation_scan, id11, technique="xrd3d", frames=60, oscillation=1.0)
