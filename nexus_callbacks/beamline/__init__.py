"""Beamline: what one beamline types: its profile, where it finds each variable, what its devices have."""
