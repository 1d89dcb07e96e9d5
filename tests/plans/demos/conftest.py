"""What tests of demos share, each of which has a ``result`` of its own."""

import h5py
import pytest

from nexus_callbacks import validate


@pytest.fixture
def file(result):
    """The dataset file, open."""
    with h5py.File(result.dataset_file) as opened:
        yield opened


@pytest.fixture
def entry(file):
    """The first entry of the dataset file."""
    return file["entry"]


@pytest.fixture
def complaints(result):
    """What the validator says against dataset and master file."""
    reports = [validate(path) for path in (result.dataset_file, result.master_file)]
    return [str(each) for report in reports for each in (*report.errors, *report.warnings)]
