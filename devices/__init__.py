"""Devices of a beamline, for ophyd and bluesky.

- ``quantity``: one value with a unit
- ``source``: storage ring, undulator
- ``optics``: multilayer monochromator, attenuators, slits, mirrors, lens
- ``stages``: motors
- ``shutter``: the fast shutter
- ``sensors``: vacuum gauges, thermometers, diode
- ``monitor``: counts the beam during each exposure
- ``frontend``: what diffraction and scattering beamlines have upstream of the sample
- ``azimuthal``: reduces frames to curves while they are taken
- ``spectrometer``: a fluorescence detector, whose spectra go with the events
- ``nanofocus``: focus, sample stage, diodes and detector arm of a nanofocus beamline
- ``detectors``: a camera that writes its frames itself
- ``diffraction``: a pair of silicon crystals, a photon-counting detector, the focused beam, what is known of a crystal
- ``radiotherapy``: collimator, ion chambers, film and goniometer of microbeam radiation therapy
- ``signals``: what devices say of their signals before a scan
- ``baseline``: what a profile wants of control systems, read over ``channels`` (Tango, EPICS)
- ``tango_server``: a simulated beamline's signals as Tango attributes
- ``scenes``: the physics that simulated detectors see
- ``beamlines``: simulated beamlines, put together of all these

Every device here is simulated, but for those that ``baseline`` makes. Simulated time does not pass: a motor is where it
was sent at once, an exposure takes no time, unless a device is told otherwise.
"""
