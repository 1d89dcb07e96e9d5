"""Gridded: the frames of a scan over a grid as one dataset of the grid's shape, virtual, over the stack of its rows.

No pixel is copied, and no file of a detector is opened.
"""

from __future__ import annotations

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

from nexus_callbacks import hdf5
from nexus_callbacks.frames.links import fill_of
from nexus_callbacks.layout import additions


def make(file: h5py.File, wanted: additions.GridFrames) -> None:
    """Make the virtual dataset (*grid*, *row*) over a stack (N, *frame*) of the same file."""
    grid, per_row, frame = wanted.grid, wanted.per_row, wanted.stack[1:]
    inner = (*([per_row] if per_row > 1 else []), *frame)
    dtype = np.dtype(wanted.dtype)
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_fill_value(np.asarray(fill_of(wanted.dtype), dtype))
    here, there = h5s.create_simple((*grid, *inner)), h5s.create_simple(wanted.stack)
    once, origin = (1,) * len(inner), (0,) * len(inner)
    for each in wanted.parts:
        counts, steps = [1] * len(grid), [1] * len(grid)
        counts[each.along], steps[each.along] = each.count, each.step
        here.select_hyperslab((*each.cell, *origin), (*counts, *once), (*steps, *inner), (*(1,) * len(grid), *inner))
        there.select_hyperslab(
            (each.row * per_row, *(0,) * len(frame)),
            (each.count, *(1,) * len(frame)),
            (each.row_step * per_row, *frame),
            (per_row, *frame),
        )
        properties.set_virtual(here, b".", wanted.source.encode(), there)
    here.select_all()
    above, _, name = wanted.path.rpartition("/")
    parent = hdf5.require_group(file, above, "NXcollection")
    h5d.create(parent.id, name.encode(), h5t.py_create(dtype), here, dcpl=properties)
    hdf5.set_attributes(file[wanted.path], wanted.attributes)
