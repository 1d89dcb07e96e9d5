"""Scenes: the physics that the simulated detectors see, and what the simulated samples are made of.

- ``holography``: a sample that refracts, seen at a distance
- ``materials``: densities and absorption coefficients
- ``phantom``: a grain of iron with inclusions, and its projections
- ``pinhole``: a hole in a foil, with which the beam is mapped
- ``tomography``: frames of a phantom in an X-ray microscope
- ``spheres``: small-angle scattering of spheres in water
- ``powder``: the diffraction pattern of a powder
- ``mosaic``: a crystal of tilted blocks, seen through an X-ray lens
- ``crystal``: spots of crystals that turn in the beam
- ``fluorescence``: what an energy-dispersive detector sees of a thin sample
- ``nanobeam``: a film of grains in a coherent, focused beam: diffraction near a Bragg peak
- ``microbeams``: the dose that an array of microbeams leaves in water
"""
