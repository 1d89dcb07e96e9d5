"""Devices of a beamline, for ophyd and bluesky.

- ``quantity``: one value with a unit
- ``source``: storage ring, undulator
- ``optics``: multilayer monochromator, attenuators, slits, mirrors, lens
- ``stages``: motors
- ``shutter``: the fast shutter
- ``sensors``: vacuum gauges, thermometers, diode
- ``detectors``: a camera that writes its frames itself
- ``phantom``: what the simulated sample is made of, and its projections
- ``scene``: what the simulated camera sees
- ``id16a``: a simulated nano-tomography beamline, put together of these
- ``signals``: what devices say of their signals before a scan

Every device here is simulated. Simulated time does not pass: a motor is where it was sent at once, an exposure
takes no time, unless a device is told otherwise.
"""
