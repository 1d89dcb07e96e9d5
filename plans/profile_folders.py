"""Profile folders: where a shipped beamline profile lies, in a checkout or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOTS = (HERE.parent / "profiles", HERE / "profiles_data")
"""A checkout's ``profiles/`` beside ``plans/``; the wheel's copy within it."""


def profile_folder(name: str) -> Path:
    """Folder of the profile `name`, which holds its ``profile.yml``.

    Raises
    ------
    FileNotFoundError
        There is none of that name; those that there are are named.
    """
    for root in ROOTS:
        # The comparison keeps "../x" from being looked for.
        if Path(name).name == name and (root / name / "profile.yml").is_file():
            return root / name
    known = sorted({p.parent.name for root in ROOTS for p in root.glob("*/profile.yml")})
    raise FileNotFoundError(f"no profile {name!r}; there are: {', '.join(known) or 'none'}")
