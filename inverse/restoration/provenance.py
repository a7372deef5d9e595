"""What a result was made with: versions, hashes, device. No absolute paths, no user names, no machine names."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

__all__ = ["describe_device", "prior_facts", "stamp", "versions"]

PACKAGES = ("torch", "deepinv", "numpy", "h5py", "torchmetrics", "pillow", "tifffile")


def versions() -> dict[str, str]:
    """Version of this package, of Python and of the libraries that can change a result."""
    from inverse import __version__

    found = {"inverse": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_device(device: str) -> dict[str, str]:
    """The kind of machine that computed: results are byte-identical only within one kind."""
    import torch

    facts = {"type": device, "machine": platform.machine(), "system": platform.system()}
    if device.startswith("cuda"):
        facts["name"] = torch.cuda.get_device_name()
    return facts


def prior_facts(card: Any) -> dict[str, Any]:
    """Name, hash, licence, data and file size of a prior, from its card."""
    names = ("name", "title", "sha256", "bytes", "licence", "data", "channels", "data_range")
    return {name: _plain(getattr(card, name)) for name in names if getattr(card, name, None) is not None}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def stamp(recipe_hash: str, prior: Any, seed: int) -> str:
    """One line that says where a file comes from, for its own metadata."""
    from inverse import __version__

    name = getattr(prior, "name", "") or "unnamed"
    return f"inverse {__version__}; recipe {recipe_hash[:16]}; prior {name}; seed {seed}"
