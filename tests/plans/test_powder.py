import numpy as np
import pytest

from devices.beamlines.id22 import simulated_id22
from plans.powder import powder_scan


@pytest.fixture
def beamline():
    return simulated_id22(clock=lambda: 0.0)


def test_each_step_is_an_event_and_the_last_is_not_lost(beamline, scan):
    documents = scan(powder_scan(beamline, start=5.4, stop=5.7, step=0.1, count_time=0.2))

    found = [doc["data"] for name, doc in documents if name == "event"]
    np.testing.assert_allclose([e["tth"] for e in found], [5.4, 5.5, 5.6, 5.7])
    assert documents[0][1]["num_points"] == 4
    assert beamline.analyser.exposure_time.get() == beamline.monitor.exposure_time.get() == 0.2
    assert beamline.shutter.get() == "closed"


def test_the_counts_scatter_as_counts_do(beamline, scan):
    documents = scan(powder_scan(beamline, start=20.9, stop=21.0, step=0.001))

    counts = np.array([doc["data"]["ma_counts"] for name, doc in documents if name == "event"])
    assert counts.var() == pytest.approx(counts.mean(), rel=0.5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"step": 0.0}, "give a step above 0"),
        ({"start": 9.0, "stop": 8.0}, "a stop above start"),
        ({"step": 1e-9}, "points are more than"),
        ({"stop": 200.0}, "tth: 200.0 is not within"),
        ({"start": float("inf")}, "start must be a finite number"),
        ({"count_time": 0.0}, "ma_exposure_time: 0.0 is not within"),
        ({"step": "1"}, "step must be a finite number"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_moves(beamline, wrong, said, scan):
    with pytest.raises(ValueError, match=f"powder_scan: .*{said}"):
        scan(powder_scan(beamline, **wrong))
    assert beamline.tth.position == 0.0
