r"""Which samples of k-space are taken: 1 = sampled, DC at ``size // 2``.

Columns (``W``, the phase encoding) are drawn as fastMRI draws them (Zbontar et al. 2018, arXiv:1811.08839;
``fastmri/data/subsample.py``): a ``numpy.random.RandomState`` of the seed, or of the characters of the file name, gives

* ``random``: column taken where ``uniform < (W / R - n) / (W - n)`` with ``n`` central columns, so that ``W / R`` are
  taken in the mean;
* ``equispaced``: columns ``offset, offset + R, ...``, the offset drawn from 0 to R - 1, and the ``n`` central ones
  besides.

``poisson`` is two-dimensional: points in random order are taken unless they lie within the radius of one that was
taken, the radius growing linearly from the centre to the edge (a variable-density Poisson disc; Cook 1986), its size
bisected until one in R samples is taken.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inverse.errors import InputError, RecipeError
from inverse.operators.arrays import load_plane
from inverse.operators.mri.spec import Mri

__all__ = ["sampling"]

Mask = npt.NDArray[np.bool_]
_SLOPE = 4.0
"""Radius at the edge of k-space over that at the centre, less 1."""


def sampling(params: Mri, size: tuple[int, int]) -> Mask:
    """The pattern of an operator.

    Args:
        params: Its parameters; ``measured`` is all of k-space.
        size: (H, W).

    Returns:
        (H, W), or (1, W) where whole columns are sampled.

    Raises:
        RecipeError: more central columns than there are, or nothing sampled.
        InputError: a pattern file that does not fit.
    """
    height, width = size
    if params.pattern == "file":
        taken = _from_file(params, size)
    else:
        rng = np.random.RandomState(params.seed if params.name is None else tuple(map(ord, params.name)))
        lines = round(width * params.center_fraction) if params.center_lines is None else params.center_lines
        if lines > (min(size) if params.pattern == "poisson" else width):
            raise RecipeError(f"operator.center_lines {lines} of a k-space of {height} x {width}", "give fewer")
        if params.pattern == "measured":
            taken = np.ones((1, width), dtype=bool)
        elif params.pattern == "poisson":
            taken = _poisson(size, params.acceleration, lines, int(rng.randint(2**31 - 1)))
        else:
            taken = _columns(params, width, lines, rng)
    cut = width - round(width * params.partial_fourier)
    if cut:
        taken = taken.copy()
        taken[:, :cut] = False
    if not taken.any():
        raise RecipeError("the sampling pattern takes no sample", "give a smaller acceleration or more center_lines")
    return taken


def _columns(params: Mri, width: int, lines: int, rng: np.random.RandomState) -> Mask:
    taken = np.zeros(width, dtype=bool)
    if params.pattern == "random":
        share = (width / params.acceleration - lines) / (width - lines) if width > lines else 0.0
        taken = rng.uniform(size=width) < share
    else:
        step = round(params.acceleration)
        offset = int(rng.randint(0, high=step)) if params.offset is None else params.offset
        taken[offset::step] = True
    first = (width - lines + 1) // 2
    taken[first : first + lines] = True
    return taken[None]


@lru_cache(maxsize=8)
def _poisson(size: tuple[int, int], acceleration: float, side: int, seed: int) -> Mask:
    height, width = size
    rows, columns = np.meshgrid(*(np.arange(n) - n // 2 for n in size), indexing="ij")
    reach = np.hypot(rows / (height / 2), columns / (width / 2))
    centre = np.zeros(size, dtype=bool)
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    centre[top : top + side, left : left + side] = True
    order = np.random.default_rng(seed).permutation(height * width)
    wanted = height * width / acceleration
    low, high = 0.0, 2.0 * acceleration
    best = centre
    for _ in range(14):
        middle = (low + high) / 2
        best = _discs(middle * (1 + _SLOPE * reach), order) | centre
        low, high = (middle, high) if best.sum() > wanted else (low, middle)
    best.flags.writeable = False
    return best


def _discs(radius: npt.NDArray[Any], order: npt.NDArray[Any]) -> Mask:
    width = radius.shape[1]
    free = np.ones(radius.shape, dtype=bool)
    taken = np.zeros(radius.shape, dtype=bool)
    for index in order:
        row, column = divmod(int(index), width)
        if not free[row, column]:
            continue
        taken[row, column] = True
        reach = radius[row, column]
        whole = int(reach)
        top, left = max(row - whole, 0), max(column - whole, 0)
        block = free[top : row + whole + 1, left : column + whole + 1]
        down = np.arange(top - row, top - row + block.shape[0])[:, None]
        right = np.arange(left - column, left - column + block.shape[1])
        block &= down**2 + right**2 > reach**2
    return taken


def _from_file(params: Mri, size: tuple[int, int]) -> Mask:
    assert params.file is not None
    array, _ = load_plane(params.file, reduce=np.max)
    if array.shape not in (size, (1, size[1])):
        raise InputError(
            f"{Path(params.file).name}: a pattern of {array.shape[0]} x {array.shape[1]} for a k-space of {size[0]} "
            f"x {size[1]}",
            "allowed: one value a sample (H, W), or one a column (1, W)",
        )
    return np.asarray(array != 0)
