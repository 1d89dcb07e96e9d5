"""A session at ID13 (simulated): ``ipython --profile-dir=profiles/id13``.

Then ``RE(map_scan(techniques=["fluo", "sxdm", "ptycho"]))`` scans, and the file is complete when it returns:
``writer.files``. All devices are there under the names by which the beamline calls them. Data goes to the folder that
the environment variable NEXUS_CALLBACKS_DATA names, ``./data`` without it.
"""

from functools import partial

import bluesky.plan_stubs as bps  # noqa: F401  for the one who types
import bluesky.plans as bp  # noqa: F401
from IPython import get_ipython

from devices.beamlines.id13 import simulated_id13
from plans import mapping
from plans.demos.maps import METADATA
from plans.session import start_session

session = start_session(simulated_id13, {**METADATA, "dataset": "map"}, profile=get_ipython().profile_dir.location)
id13, RE, writer = session.beamline, session.RE, session.writer

nnp2, nnp3, theta = id13.motors
eiger, xrf, diodes = id13.eiger, id13.xrf, id13.diodes
stage, arm, focus = id13.stage, id13.arm, id13.focus
ring, mono, shutter = id13.front.ring, id13.front.mono, id13.shutter

map_scan = partial(mapping.map_scan, id13)
