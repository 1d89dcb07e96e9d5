"""Simulated beamlines: each puts devices together as one of the ESRF's beamlines has them.

- ``id01``: full-field diffraction microscopy
- ``id02``: small-angle scattering
- ``id11``: 3-D X-ray diffraction
- ``id13``: nanofocus: fluorescence, diffraction and ptychography in one map
- ``id16a``: nano-imaging: tomography, holo-tomography, fluorescence and ptychography
- ``id17``: microbeam radiation therapy
- ``id22``: powder diffraction
- ``id30``: macromolecular crystallography

``python -m devices.beamlines.NAME PATH`` writes a beamline's signals as JSON, for its profile's ``signals.json``.
"""
