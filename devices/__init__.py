"""Devices of a beamline, for ophyd and bluesky.

Devices:

- ``quantity``: one value with a unit, or an array of them
- ``source``: storage ring, undulator
- ``optics``: monochromators, attenuators, slits, mirrors, the scintillator's optics, the beam at its focus
- ``shutter``: the fast shutter
- ``stages``: motors
- ``sensors``: vacuum gauges, thermometers, diodes, counters, the monitor of an exposure
- ``detectors``: a camera that writes its frames itself, a detector that counts photons
- ``spectrometer``: a fluorescence detector, whose spectra go with the events
- ``azimuthal``: reduces frames to curves while they are taken
- ``samples``: what is known of a crystal before it is measured
- ``frontend``: what diffraction and scattering beamlines have upstream of the sample
- ``nanofocus``: focus, sample stage, diodes and detector arm of a nanofocus beamline
- ``radiotherapy``: collimator, ion chambers, film and goniometer of microbeam radiation therapy

For a session:

- ``signals``: what devices say of their signals before a scan
- ``baseline``: what a profile wants of control systems
- ``channels``: the ways by which it is read, Tango and EPICS

Put together:

- ``scenes``: the physics that simulated detectors see
- ``beamlines``: simulated beamlines

Every device here is simulated, but for those that ``baseline`` makes. Simulated time does not pass: a motor is where it
was sent at once, an exposure takes no time, unless a device is told otherwise.
"""

from devices.baseline import baseline_for

__all__ = ["baseline_for"]
