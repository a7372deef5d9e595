"""BART's `pics` for MRI: SENSE, l1-wavelets and total variation with the true coil maps, each in several strengths.

BART (Uecker et al.) is a program of its own; it gets the same k-space and the same maps as we do. Its transform differs
from ours by signs that are one constant for a whole image: the image is multiplied by the phase that explains k-space
best.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inverse.benchmark.peers.setting import Setting
from inverse.io.formats import cfl
from inverse.operators.mri.cartesian import to_complex, to_pair

__all__ = ["sense", "total_variation", "wavelets"]

#: Strengths of the regularisations that keep edges.
_LEVELS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08)


def sense(setting: Setting) -> Iterator[tuple[str, Tensor]]:
    """``pics -l2``: SENSE with Tikhonov regularisation (Pruessmann et al. 1999)."""
    yield from _pics(setting, {f"r {level:g}": ("-l2", f"-r{level}") for level in (0.005, 0.01, 0.03, 0.1, 0.3)})


def wavelets(setting: Setting) -> Iterator[tuple[str, Tensor]]:
    """``pics -l1``: l1 of wavelets (Lustig et al. 2007)."""
    yield from _pics(setting, {f"r {level:g}": ("-l1", f"-r{level}") for level in _LEVELS})


def total_variation(setting: Setting) -> Iterator[tuple[str, Tensor]]:
    """``pics -R T``: total variation."""
    yield from _pics(setting, {f"r {level:g}": ("-R", f"T:3:0:{level}") for level in _LEVELS})


def _pics(setting: Setting, options: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, Tensor]]:
    physics, y = setting.physics, setting.y
    maps = getattr(physics, "maps", torch.ones(1, *y.shape[1:], dtype=y.dtype)).expand(1, *y.shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        for name, array in (("k", y), ("maps", maps)):
            stored = array[0].numpy().transpose(1, 2, 0)[:, :, None].astype(np.complex64)
            cfl.write_array(Path(folder) / f"{name}.cfl", stored, overwrite=True)
        for label, words in options.items():
            call = ["bart", "pics", "-S", *words, "-i100", "k", "maps", "x"]
            done = subprocess.run(call, cwd=folder, check=False, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"bart pics ended with {done.returncode}: {done.stderr.strip()[:80]}")
            image = torch.from_numpy(cfl.read_array(Path(folder) / "x.cfl").squeeze().astype(np.complex64))[None, None]
            along = torch.vdot(physics.A(to_pair(image)).flatten(), y.flatten())
            yield label, to_pair(to_complex(to_pair(image)) * (along / along.abs()))
