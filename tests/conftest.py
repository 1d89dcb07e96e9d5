"""What several tests share."""

import os
import tempfile

import pytest

# No test opens a window, nor asks a display whether it could.
os.environ["MPLBACKEND"] = "Agg"
# Nor does one touch the spool of the person who runs it.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="nexus_callbacks-tests-")


@pytest.fixture(scope="session")
def esrf():
    """ESRF's definition as it is published."""
    from icat_esrf_definitions import DEFINITIONS_FILE

    from nexus_callbacks.definitions import esrf_xml

    return esrf_xml.read(DEFINITIONS_FILE)
