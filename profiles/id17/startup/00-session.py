"""A session at ID17 (simulated): ``ipython --profile-dir=profiles/id17``.

Then ``RE(mrt_irradiation())`` irradiates, and the file is complete when it returns: ``writer.files``. Data goes to the
folder that the environment variable NEXUS_CALLBACKS_DATA names, ``./data`` without it.
"""

from functools import partial

import bluesky.plan_stubs as bps  # noqa: F401  for the one who types
import bluesky.plans as bp  # noqa: F401
from IPython import get_ipython

from devices.beamlines.id17 import simulated_id17
from plans import mrt
from plans.session import start_session

METADATA = {"proposal": "md1234", "beamline": "id17", "sample": "water_block", "dataset": "crossfire"}

session = start_session(simulated_id17, METADATA, profile=get_ipython().profile_dir.location)
id17, RE, writer = session.beamline, session.RE, session.writer

gonioz, gonioy, gonior, shutter, collimator = id17.gonioz, id17.gonioy, id17.gonior, id17.shutter, id17.collimator
chambers, prescription, film, ring = id17.chambers, id17.prescription, id17.film, id17.ring

mrt_irradiation = partial(mrt.mrt_irradiation, id17)
