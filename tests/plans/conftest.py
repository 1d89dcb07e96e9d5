"""What tests of plans share."""

import pytest
from bluesky import RunEngine


@pytest.fixture
def scan():
    """Runs a plan by itself, and gives the names and documents that it told."""

    def run(plan):
        documents = []
        RunEngine({})(plan, lambda name, doc: documents.append((name, doc)))
        return documents

    return run
