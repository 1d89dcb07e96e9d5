"""What several tests share."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from tests import readers

# No test opens a window, nor asks a display whether it could.
os.environ["MPLBACKEND"] = "Agg"
# Nor does one touch the spool of the person who runs it.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="nexus_callbacks-tests-")
# Nor does Channel Access look for anything outside this machine, or on the ports that somebody uses here; pyepics reads
# this when ophyd is imported.
with socket.socket() as _free:
    _free.bind(("127.0.0.1", 0))
    os.environ["EPICS_CA_SERVER_PORT"] = str(_free.getsockname()[1])
os.environ.update(EPICS_CA_ADDR_LIST="127.0.0.1", EPICS_CA_AUTO_ADDR_LIST="NO")


@pytest.fixture(scope="session")
def esrf():
    """ESRF's definition as it is published."""
    from icat_esrf_definitions import DEFINITIONS_FILE

    from nexus_callbacks.definitions import esrf_xml

    return esrf_xml.read(DEFINITIONS_FILE)


# -- every file that a test writes is opened by other programs -------------------------------------------------------

PASSED = pytest.StashKey[bool]()
"""On a test's item: whether its call passed."""


def pytest_configure(config):
    config.addinivalue_line("markers", "unreadable(why): other programs need not be able to read this test's files")


def pytest_report_header():
    return f"h5dump: {readers.h5dump_program() or 'not installed, so that it reads no file of the tests'}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


class Reading:
    """Which files the readers have looked at."""

    def __init__(self, base):
        self.base = base
        self.known = set()
        self.seen = {}
        self.forms = set()

    def folders(self, own):
        """A test's own folder, and those that were made meanwhile, by fixtures that live longer.

        Each is gone through once: a property test makes hundreds of them.
        """
        names = set(os.listdir(self.base))  # noqa: PTH208  # A tenth of the time of Path.iterdir, after each test.
        fresh = {self.base / name for name in names - self.known}
        self.known |= names
        return [each for each in fresh | ({own} if own else set()) if each.is_dir() and not each.is_symlink()]

    def complaints(self, own):
        """What the readers say against the files that came or changed since the last time."""
        found = []
        for folder in self.folders(own):
            for name, written in readers.files_below(folder):
                if self.seen.get(name) != written:
                    self.seen[name] = written
                    found += self.said_of(Path(name))
        return found

    def said_of(self, path):
        """What the readers say against a file, if it is ours, its run has ended and it is the first of its form."""
        if readers.state(path) is None:
            return []
        form = readers.form(path)
        fresh = form not in self.forms
        self.forms.add(form)
        return readers.complaints(path) if fresh else []


@pytest.fixture(scope="session")
def reading(tmp_path_factory):
    return Reading(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def other_programs_read_its_files(request, reading):
    """After a test that passed: its files are valid NeXus, and open in nexusformat, silx, h5py and h5dump."""
    own = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if request.node.stash.get(PASSED, False) and request.node.get_closest_marker("unreadable") is None:
        said = reading.complaints(own)
        assert not said, "\n".join(said)
    else:
        reading.known |= {own.name} if own else set()
