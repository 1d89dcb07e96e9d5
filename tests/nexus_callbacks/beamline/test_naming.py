"""Naming: paths on disk come from documents, and documents are not to be trusted."""

from pathlib import Path

import pytest

from nexus_callbacks.beamline import naming
from nexus_callbacks.faults import FaultError

START = {"uid": "abcdef0123", "time": 1.7e9, "plan_name": "scan", "scan_id": 7}
ESRF = "{data_root}/{proposal}/{beamline}/{sample}/{sample}_{dataset}/{sample}_{dataset}.h5"


def test_without_a_profile_the_name_tells_time_plan_and_uid():
    names = naming.names_of(START, Path("/d"))
    path = naming.expand(naming.DEFAULT, names, "files.dataset")
    assert path.parent == Path("/d")
    assert path.name.endswith("_scan_abcdef01.h5")


@pytest.mark.parametrize("sample", ["../../etc/x", "a/b", "..", "/etc/passwd", ".hidden", "a\0b", "x" * 500])
def test_a_hostile_sample_stays_below_the_data_root(sample):
    start = {**START, "proposal": "ma2210", "sample": sample, "dataset": "1"}
    path = naming.expand(ESRF, naming.names_of(start, Path("/d"), "id16a"), "files.dataset")
    assert path.is_relative_to("/d/ma2210/id16a")
    assert ".." not in path.parts
    assert len(path.parts) == 7


def test_everything_that_is_missing_is_told_at_once_with_its_remedy():
    with pytest.raises(FaultError) as caught:
        naming.expand(ESRF, naming.names_of(START, Path("/d"), "id16a"), "files.dataset")
    assert len(caught.value.faults) == 2
    assert "RE.md['sample']" in str(caught.value)
    assert "RE.md['proposal']" in str(caught.value)


def test_numbers_are_appended_from_the_second_on():
    assert naming.numbered(Path("/d/a.h5"), 1) == Path("/d/a.h5")
    assert naming.numbered(Path("/d/a.h5"), 2) == Path("/d/a_0002.h5")
