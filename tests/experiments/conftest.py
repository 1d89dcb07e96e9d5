"""What experiments share: a RunEngine, ophyd's simulated devices, and a writer that listens."""

import pytest
from bluesky import RunEngine
from ophyd.sim import hw as make_hardware

from nexus_callbacks import NexusWriter


@pytest.fixture
def hw():
    """Motors and detectors of ophyd.sim, made for this test."""
    return make_hardware()


@pytest.fixture
def RE():
    """A RunEngine that is idle again at the end."""
    engine = RunEngine({}, call_returns_result=False)
    yield engine
    if engine.state != "idle":
        engine.abort()


@pytest.fixture
def writer(RE, tmp_path):
    """A writer of files in the test's own folder, which listens to the RunEngine."""
    writer = NexusWriter(tmp_path)
    RE.subscribe(writer)
    return writer
