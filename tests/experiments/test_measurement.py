"""The definition `measurement`: what is measured before and after a scan, beside columns and the devices' readings."""

import bluesky.plans as bp
import h5py
import pytest
from bluesky.preprocessors import SupplementalData

from devices.quantity import Quantity
from nexus_callbacks import NexusWriter, coverage, validate

PROFILE = """
files: {dataset: "{uid}.h5"}
definitions: [base, measurement]
values:
  energy_initial: data:energy
  energy_final: data:energy
  i0_final: {from: data:flux, unit: photons/s}
  it_initial: data:it
"""


@pytest.fixture
def written(RE, hw, tmp_path):
    """Devices whose names are those of the definition's fields, and one that decays."""
    (tmp_path / "profile.yml").write_text(PROFILE)
    energy = Quantity(name="energy", value=17050.0, units="eV")
    initial = Quantity(name="initial", value=1.0)
    flux = Quantity(name="flux", value=2e9)
    RE.preprocessors.append(SupplementalData(baseline=[energy, initial, flux]))
    writer = NexusWriter(tmp_path / "data", profile=tmp_path, journal=False)
    RE.subscribe(writer)

    def decay(name, doc):
        energy.put(energy.get() - 1)

    RE.subscribe(decay, "event")
    (uid,) = RE(bp.scan([hw.det, initial], hw.motor, 0, 1, 3))
    return writer.files[uid]


def test_one_source_is_recorded_before_and_after(written):
    with h5py.File(written) as file:
        measurement = file["entry/measurement"]
        assert measurement["initial/energy"][()] == pytest.approx(17.05)
        assert measurement["final/energy"][()] == pytest.approx(17.05 - 0.004)
        assert measurement["final/energy"].attrs["units"] == "keV"
        assert measurement["final/i0"][()] == 2e9
        assert "i0" not in measurement["initial"], "only what is bound"
        assert "SR_Current" not in measurement["initial"], "no link to what is not there"


def test_devices_of_the_same_names_stand_beside_it(written):
    with h5py.File(written) as file:
        measurement = file["entry/measurement"]
        (mine,) = (each for each in measurement["initial"].values() if each.attrs.get("data_key") == "energy")
        assert mine.name == "/entry/measurement/initial/energy_2"
        assert mine[()] == 17050
        assert mine.attrs["units"] == "eV"
        assert list(measurement["det"].shape) == [3]
        assert measurement["initial_2"].attrs["data_key"] == "initial", "a column of that name"
    assert validate(written).valid


def test_what_never_came_is_accounted_for(written):
    found = {outcome.variable: outcome for outcome in coverage(written)["entry"].outcomes}
    assert (found["energy_initial"].record, found["energy_final"].record) == ("initial", "final")
    assert not found["it_initial"].filled
    assert found["it_initial"].reason
