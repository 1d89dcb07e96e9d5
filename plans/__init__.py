"""Plans for bluesky's RunEngine.

- ``generic``: a scan of up to three axes, step by step or in motion
- ``tomo``: a tomography scan: darks, flats, projections
- ``holotomo``: a tomography in each of up to four planes
- ``mapping``: a map of a sample: fluorescence, diffraction, ptychography
- ``mrt``: microbeam radiation therapy
- ``saxs``: small-angle scattering: darks, buffer, sample
- ``powder``: a powder pattern, step by step
- ``rocking``: a rocking curve with frames
- ``parameters``: what a plan was asked for, checked
- ``datasets``: numbers for datasets that follow each other
- ``profile_folders``: where a shipped beamline profile lies
- ``demos``: simulated experiments, from scan to result
"""
