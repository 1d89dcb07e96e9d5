"""Frames: where detectors put their frames, and the links that make them part of a file without a copy."""
