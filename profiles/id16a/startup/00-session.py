"""A session at ID16A (simulated): ``ipython --profile-dir=profiles/id16a``.

Then ``RE(tomo_scan())`` scans, as does ``RE(holotomo_scan())``, and the file is complete when it returns:
``writer.files``. All devices are there under the names by which the beamline calls them (srot, sx, sy, sz, frelon,
shutter, ring, mono…). Data goes to the folder that the environment variable NEXUS_CALLBACKS_DATA names, ``./data``
without it.
"""

from functools import partial

import bluesky.plan_stubs as bps  # noqa: F401  for the one who types
import bluesky.plans as bp  # noqa: F401
from IPython import get_ipython

from devices.beamlines.id16a import simulated_id16a
from plans import holotomo, tomo
from plans.demos.tomo import METADATA
from plans.generic import generic_scan  # noqa: F401
from plans.session import start_session

session = start_session(simulated_id16a, METADATA, profile=get_ipython().profile_dir.location)
id16a, RE, writer = session.beamline, session.RE, session.writer

srot, sx, sy, sz = id16a.motors
frelon, shutter, ring, mono = id16a.camera, id16a.shutter, id16a.ring, id16a.mono
u18, u22 = id16a.undulators
attenuator1, attenuator2, attenuator3 = id16a.attenuators
primary_slit, secondary_slit, kb, optics = id16a.primary_slit, id16a.secondary_slit, id16a.kb, id16a.optics
geometry, vacuum, hutch, i0 = id16a.geometry, id16a.vacuum, id16a.hutch, id16a.i0
ic, it = id16a.ic, id16a.it

tomo_scan = partial(tomo.tomo_scan, id16a)
holotomo_scan = partial(holotomo.holotomo_scan, id16a)
