"""Definitions: what a facility wants in a file, as a tree, and the dialects in which it is written."""
