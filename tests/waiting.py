"""Waiting: for what another thread or process does."""

import time


def until(found, timeout=60):
    """Wait until something is so."""
    end = time.monotonic() + timeout
    while not found():
        assert time.monotonic() < end, "it did not come to be in a minute"
        time.sleep(0.02)
