"""A session at ID30 (simulated): ``ipython --profile-dir=profiles/id30``.

Then ``RE(rotation_scan())`` turns the crystal, and the file is complete when it returns: ``writer.files``.
Data goes to the folder that the environment variable NEXUS_CALLBACKS_DATA names, ``./data`` without it.
"""

from functools import partial

import bluesky.plan_stubs as bps  # noqa: F401  for the one who types
import bluesky.plans as bp  # noqa: F401
from IPython import get_ipython

from devices.beamlines.id30 import simulated_id30
from plans import mx
from plans.demos.mx import METADATA
from plans.session import start_session

session = start_session(simulated_id30, METADATA, profile=get_ipython().profile_dir.location)
id30, RE, writer = session.beamline, session.RE, session.writer

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

rotation_scan = partial(mx.rotation_scan, id30)
