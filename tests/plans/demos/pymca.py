"""PyMca reads a map of spectra from a file, as its stack viewer does, and fits it."""

from pathlib import Path

import numpy as np
from PyMca5.PyMcaDataDir import PYMCA_DATA_DIR
from PyMca5.PyMcaIO.HDF5Stack1D import HDF5Stack1D
from PyMca5.PyMcaPhysics.xrf.ClassMcaTheory import McaTheory
from PyMca5.PyMcaPhysics.xrf.FastXRFLinearFit import FastXRFLinearFit


def read(path: Path, signal: str, energy: str) -> HDF5Stack1D:
    """The stack of a dataset of /entry with the energies of its channels."""
    return HDF5Stack1D([str(path)], {"x": [energy], "y": [signal], "m": []}, scanlist=["/entry"])


def fit(spectrum: np.ndarray, energy: float) -> tuple[dict[str, float], dict]:
    """Zero, gain, noise (keV) and areas of a spectrum over its channels, and the configuration with that calibration.

    Calibration and resolution are left free: PyMca finds them from its own tables of the elements' lines. The fit ends
    below gold's L lines, whose many weak ones are in PyMca's tables and not in the simulation's.
    """
    theory = McaTheory(str(Path(PYMCA_DATA_DIR, "McaTheory.cfg")))
    config = theory.getConfiguration()
    config["fit"].update(
        energy=[energy],
        energyweight=[1.0],
        energyflag=[1],
        energyscatter=[0],
        use_limit=1,
        xmin=220,
        xmax=610,
        stripflag=0,
        scatterflag=0,
        escapeflag=0,
        sumflag=0,
        linearfitflag=0,
        continuum=1,
    )
    config["peaks"] = {"Ca": ["K"], "Fe": ["K"], "Cu": ["K"], "Au": ["L3"]}
    config["attenuators"] = {name: [0, *rest[1:]] for name, rest in config["attenuators"].items()}
    config["detector"].update(zero=0.0, gain=0.0149, noise=0.1, fano=0.114, deltazero=0.1, deltagain=0.002)
    config["detector"].update(fixedzero=0, fixedgain=0, fixednoise=0, fixedfano=0)
    theory.setConfiguration(config)
    theory.setData(np.arange(spectrum.size), spectrum)
    theory.estimate()
    _, result = theory.startfit(digest=1)
    found = dict(zip(result["parameters"], result["fittedpar"], strict=True))
    config = theory.getConfiguration()
    config["detector"].update(zero=found["Zero"], gain=found["Gain"], noise=found["Noise"], fano=found["Fano"])
    config["detector"].update(fixedzero=1, fixedgain=1, fixednoise=1, fixedfano=1)
    config["fit"]["linearfitflag"] = 1
    return found, config


def element_maps(spectra: np.ndarray, config: dict) -> dict[str, np.ndarray]:
    """Element → area of its lines at each point, gold's strong L lines among them."""
    config["fit"]["xmax"] = 790
    fitter = FastXRFLinearFit()
    fitter.setFitConfiguration(config)
    channels = np.arange(spectra.shape[-1])
    counts = spectra.astype(float)
    found = fitter.fitMultipleSpectra(x=channels, y=counts, ysum=counts.sum(axis=(0, 1)), concentrations=False)
    names = found.labels("parameters")
    return {name.split()[0]: area for name, area in zip(names, found["parameters"], strict=True)}
