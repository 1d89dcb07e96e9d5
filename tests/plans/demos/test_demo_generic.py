"""The demo of a generic scan: the beam's divergence and focus, from the written file alone."""

import pytest

from plans.demos.generic import DEMO


def test_the_beam_is_found_as_it_was_simulated(tmp_path):
    told = []
    result = DEMO.run(tmp_path, None, 7, lambda done, of: told.append((done, of)))
    assert told[-1] == (945, 945)
    assert result.raw_files == (), "counters write no files"

    found = DEMO.analyse(result.dataset_file, tmp_path / "beam.png", result.truth)
    assert found.horizontal == pytest.approx(result.truth.horizontal, rel=0.01)
    assert found.vertical == pytest.approx(result.truth.vertical, rel=0.01)
    assert found.focus == pytest.approx(result.truth.focus, abs=0.2)
    assert (tmp_path / "beam.png").read_bytes().startswith(b"\x89PNG")
