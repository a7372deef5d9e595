"""What a result was made with: versions, hashes, device. No absolute paths, no user names, no machine names."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from inverse import __version__

__all__ = ["stamp", "versions"]

PACKAGES = ("torch", "deepinv", "numpy", "h5py", "torchmetrics", "pillow", "tifffile")


def versions() -> dict[str, str]:
    """Version of this package, of Python and of the libraries that can change a result."""
    found = {"inverse": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def stamp(recipe_hash: str, prior: Any, seed: int) -> str:
    """One line that says where a file comes from, for its own metadata."""
    name = getattr(prior, "name", "") or "unnamed"
    return f"inverse {__version__}; recipe {recipe_hash[:16]}; prior {name}; seed {seed}"
