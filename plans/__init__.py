"""Plans for bluesky's RunEngine.

- ``tomo``: a tomography scan: darks, flats, projections
- ``mrt``: microbeam radiation therapy
- ``datasets``: numbers for datasets that follow each other
- ``profile_folders``: where a shipped beamline profile lies
- ``demos``: simulated experiments, from scan to result
"""
