"""benchmarks: what a writer of bluesky documents costs, measured against its peers and against what h5py can do.

``python -m benchmarks`` prints today's numbers beside the bars; README.md says how to read them.

- :mod:`benchmarks.streams`: the workloads W1…W6, documents made beforehand, the same for every writer.
- :mod:`benchmarks.writers`: the contestants, ours and others.
- :mod:`benchmarks.child`: what is measured, in a process of its own a sample.
- :mod:`benchmarks.sampling`: samples of several contestants, interleaved, and their medians.
- :mod:`benchmarks.bars` and :mod:`benchmarks.table`: what we hold ourselves to, and how far we are.
"""
