"""Channels: one address of a control system each, for :mod:`devices.baseline`.

- ``channel``: what a channel is, and what it answers
- ``tango_channel``, ``epics_channel``: the real ones; each needs its client, an extra of nexus-callbacks
- ``tango_server``: shows signals of a simulated beamline as Tango attributes
"""
