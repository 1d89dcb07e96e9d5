"""The IPython session of the profile, as a beamline's user starts it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py

from plans.profile_folders import profile_folder


def test_a_session_scans_without_a_single_setting(tmp_path):
    # A copy, because IPython writes its history and log into its profile.
    leftovers = shutil.ignore_patterns("history.sqlite*", "db", "log", "pid", "security")
    profile = shutil.copytree(profile_folder("id16a"), tmp_path / "id16a", ignore=leftovers)
    home = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))
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
