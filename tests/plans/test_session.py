"""The session of each profile, as a beamline's people start it."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest

from nexus_callbacks import validate
from plans.profile_folders import profile_folder

HOME = Path(__file__).resolve().parents[2]
STARTUPS = sorted((HOME / "profiles").glob("*/startup/00-session.py"))
SMALLEST = {
    "id01": "rocking_scan(points=2)",
    "id02": "saxs_scan(frames=2, buffers=1, darks=1)",
    "id11": "xrd3d_scan(frames=2)",
    "id13": "map_scan(shape=(1, 2))",
    "id16a": "tomo_scan(projections=2, darks=1, flats=1)",
    "id17": "mrt_irradiation(points=2, cross_n=1)",
    "id22": "powder_scan(start=9.0, stop=9.1, step=0.05)",
    "id30": "rotation_scan(frames=2)",
}
"""Beamline → what is typed."""


@pytest.mark.parametrize("startup", STARTUPS, ids=lambda path: path.parts[-3])
def test_a_session_is_ready_to_scan(startup, tmp_path, monkeypatch, capsys):
    beamline = startup.parts[-3]
    shell = SimpleNamespace(profile_dir=SimpleNamespace(location=str(startup.parents[1])))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setenv("NEXUS_CALLBACKS_DATA", str(tmp_path))
    typed = runpy.run_path(str(startup))

    with typed["session"]:
        (uid,) = typed["RE"](eval(SMALLEST[beamline], typed))
        path = typed["writer"].files[uid]

    assert f"written: {path}" in capsys.readouterr().out
    metadata = typed["RE"].md
    dataset = f"{metadata['sample']}_{metadata['dataset']}_0001"
    assert path == tmp_path / metadata["proposal"] / beamline / metadata["sample"] / dataset / f"{dataset}.h5"
    assert validate(path).errors == ()


def test_a_session_in_ipython_needs_not_a_single_setting(tmp_path):
    # A copy, because IPython writes its history and log into its profile.
    leftovers = shutil.ignore_patterns("history.sqlite*", "db", "log", "pid", "security")
    profile = shutil.copytree(profile_folder("id16a"), tmp_path / "id16a", ignore=leftovers)
    path = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ,
        "NEXUS_CALLBACKS_DATA": str(tmp_path / "data"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PYTHONPATH": path,
    }
    typed = "uid, = RE(tomo_scan(projections=4, darks=1, flats=1))"
    shown = "print('FILE', writer.files[uid], writer.masters[uid])"
    command = [sys.executable, "-m", "IPython", f"--profile-dir={profile}", "--simple-prompt", "--no-confirm-exit"]

    done = subprocess.run(
        [*command, "-c", f"{typed}; {shown}"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("FILE ")]
    assert told, done.stdout + done.stderr
    dataset, master = (Path(p) for p in told[0])
    assert dataset.name == "Fe_Au_350N_RT1_50nm_tomo1_0001.h5"
    with h5py.File(dataset, "r") as file:
        assert file["/entry/instrument/detector/data"].shape == (7, 128, 128)
        assert file["/entry/sample/name"][()] == b"Fe_Au_350N_RT1"
    assert master.name == "ma2210-id16a.h5"
