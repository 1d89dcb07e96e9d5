"""Simulated experiments, from the scan to a result that is made from the written file alone.

- ``demo``: what a demo is, and what it gives back
- ``acquire``: one plan on a simulated beamline, from a session's metadata to complete files
- ``generic``: a map of the beam, by a scan of three axes
- ``tomo``: tomography of a grain of iron and gold
- ``holotomo``: phase from four planes, and a slice of it
- ``fluo``, ``sxdm``, ``ptycho``: a gold film at a nanofocus beamline, mapped for each of the three techniques
- ``maps``: what these three have in common
- ``ptychography``: probe and object from a CXI file
- ``mrt``: microbeam radiation therapy of a block of water
- ``saxs``: small-angle scattering of silica spheres
- ``xrpd``: powder diffraction of lanthanum hexaboride
- ``fullfield``: full-field diffraction microscopy of a mosaic crystal
- ``mx``: rotation data of a crystal of lysozyme
- ``xrd3d``: 3-D X-ray diffraction of grains of iron
- ``rotation_data``: frames and geometry of an NXmx entry, and the spots in them
- ``grains``: orientations and places of grains, of their spots
- ``reconstruction``: filtered back-projection of an NXtomo file
- ``phase``: phase from holograms at several distances
- ``picture``: projection, sinogram and reconstruction beside the truth
- ``canvas``: a figure that becomes a PNG

They are found through the entry points of the group ``nexus_callbacks.demos``.
"""
