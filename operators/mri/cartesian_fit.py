r"""MRI operators fitted to raw data: pattern, noise, coil maps and scale, all from the measurement itself.

In this order, each step said in the report:

1. The pattern: the file's own, or where k-space is not zero; a ``pattern`` of the recipe leaves some of these samples
   out (retrospective undersampling).
2. With a noise scan the coils are whitened, :math:`y' = L^{-1} y` with the noise covariance :math:`L L^H`. Without one
   they are left as they are. The unknown stays in the units of the file: maps :math:`S'` of whitened coils are divided
   by :math:`|L S'|`, so that ``|x|`` is the root sum of squares of the file's own noiseless coils.
3. More coils than ``compress`` (12 unless given) become that many virtual ones by a singular value decomposition.
4. Coil maps by ESPIRiT from the fully sampled centre alone (24 x 24 samples of it unless given), turned to the phase of
   the image of that centre: the unknown is nearly real. Where their eigenvalue tells that there is no signal (below
   0.9, holes filled, 2 pixels of margin), the image is held near zero.
5. Scale: the 99 % quantile of the magnitude of the image of the centre becomes `BRIGHT`, so that the brightest pixels
   are near 1.
6. Noise level (of each real component): that of whitened coils, else from the outermost 5 % of the samples that were
   taken, where signal is weakest: :math:`\mathrm{median} |y|^2 = 2 \ln 2\, \sigma^2`, pooled over the coils.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes
from torch import Tensor

from inverse.errors import InputError
from inverse.operators.measurement import Fitted, Measurement
from inverse.operators.mri.cartesian import build, coil_maps, fourier
from inverse.operators.mri.coils import calibration_size, centre, compression, espirit, whitening
from inverse.operators.mri.sampling import sampling
from inverse.operators.mri.spec import Mri, ReceiveCoils

__all__ = ["BRIGHT", "fit_cartesian", "hann", "in_file_units", "mixed", "of_whitened", "whitened"]

BRIGHT = 0.5
VIRTUAL = 12
CALIBRATION = 24
"""Side of the centre that maps are computed from: more of it lets edges of the image into the maps."""
_OUTER = 0.05
_SIGNAL = 0.9
_MARGIN = 2


def whitened(y: Tensor, noise: NDArray[Any] | None) -> tuple[Tensor, Tensor | None]:
    """k-space (1, coils, ...) with white noise of variance 1 of each complex sample, and the matrix that undoes it.

    None without a noise scan.

    Raises:
        InputError: a noise scan of another number of coils, or of too few samples.
    """
    if noise is None:
        return y, None
    coils = y.shape[1]
    if noise.ndim != 2 or noise.shape[0] != coils or noise.shape[1] < 4 * coils:
        raise InputError(
            f"a noise scan of shape {noise.shape} for {coils} coils",
            "allowed: (coils, n), n at least four times the coils",
        )
    try:
        matrix = whitening(torch.from_numpy(np.ascontiguousarray(noise)).to(y))
    except RuntimeError:
        raise InputError(
            "the noise scan's covariance is singular: a coil without noise", "leave that coil out"
        ) from None
    return torch.einsum("ab,zb...->za...", matrix, y), torch.linalg.inv(matrix)


def of_whitened(maps: Tensor, white: Tensor) -> Tensor:
    """Maps (1, coils, H, W) of whitened coils from those of the file's."""
    return torch.einsum("ab,zbhw->zahw", torch.linalg.inv(white).to(maps), maps)


def mixed(white: Tensor | None, rows: Tensor | None) -> Tensor | None:
    """The matrix that makes the file's coils of whitened and compressed ones; None where they are the file's."""
    back = None if rows is None else rows.mH
    return white if back is None else back if white is None else white @ back


def in_file_units(
    maps: Tensor | None, image: Tensor, mixing: Tensor, *, own: bool
) -> tuple[Tensor | None, Tensor, float]:
    """Maps and the image of the centre such that ``|x|`` is the root sum of squares of the file's own coils.

    Args:
        maps: (1, coils, H, W) of the coils that are solved with, or None for one.
        image: (H, W) that they combine to.
        mixing: The file's coils from these.
        own: Whether the maps were estimated; a user's are of the file's coils, and the image's units the file's.

    Returns:
        Maps, image, and the number that k-space is to be multiplied by: the maps are of the size they had.
    """
    if maps is None:
        level = float(mixing.abs()[0, 0])
        return None, image * level, level
    if not own:
        level = float(torch.linalg.matrix_norm(mixing) / math.sqrt(len(mixing)))
        return maps * level, image, level
    gain = torch.linalg.vector_norm(torch.einsum("ab,zbhw->zahw", mixing, maps), dim=1, keepdim=True)
    seen = gain > 0
    level = float(gain[seen].square().mean().sqrt()) if bool(seen.any()) else 1.0
    return maps * torch.where(seen, level / torch.where(seen, gain, 1.0), 0.0), image * gain[0, 0], level


def _centred_hint(y: Tensor) -> str:
    """What to ask where the centre of k-space is empty: where the largest sample is."""
    power = y[0].abs().square().sum(0)
    row, column = divmod(int(power.argmax()), power.shape[1])
    middle = " and column ".join(str(n // 2) for n in power.shape)
    return f"the largest sample is at row {row}, column {column}; DC belongs at row {middle}"


def fit_cartesian(params: Mri, measurement: Measurement) -> Fitted:
    """The operator of one slice of k-space (1, coils, H, W).

    Raises:
        InputError: not k-space, a centre too small for coil maps, or maps that do not fit.
    """
    y = measurement.y
    if y.ndim != 4 or not y.is_complex():
        raise InputError(
            f"operator 'mri' needs complex k-space (coils, H, W), given {tuple(y.shape[1:])} of {str(y.dtype)[6:]}",
            "give a fastMRI or ISMRMRD file, a .cfl, or a complex array"
            if y.ndim != 3
            else "samples off the grid are for the recipe mri-radial",
        )
    size = (int(y.shape[2]), int(y.shape[3]))
    pattern, said = _pattern(params, y, measurement.facts.get("mask"))
    y = y * torch.from_numpy(pattern).to(y.device)
    y, white = whitened(y, measurement.facts.get("noise"))
    y, rows = _compressed(params, y)
    mixing = mixed(white, rows)
    maps, outside, image, more = _coils(params, y, pattern, size, white)
    level = 1.0
    if white is not None and mixing is not None:
        maps, image, level = in_file_units(maps, image, mixing, own=params.maps is None)
    y = y * level
    said = (
        *measurement.facts.get("notes", ()),
        *said,
        *(["noise whitened with the file's noise scan"] if white is not None else []),
        *([f"{rows.shape[1]} coils compressed to {rows.shape[0]}"] if rows is not None else []),
        *more,
    )
    bright = float(image.abs().flatten().quantile(0.99))
    if not bright > 0:
        raise InputError("the centre of k-space is zero", _centred_hint(y))
    scale = BRIGHT / bright
    if white is not None:
        sigma = math.sqrt(0.5) * level
    else:
        sigma = _outer_noise(y, pattern)
        said = (*said, f"noise level from the outermost {_OUTER:.0%} of the samples of k-space")
    weights = torch.from_numpy(pattern).to(y.real.dtype).to(y.device)[None, None]
    mixing = None if mixing is None else mixing / level
    physics = build(weights, maps, shape=(2, *size), noise_model=None, outside=outside, mixing=mixing)
    y = y if outside is None else torch.cat([y, torch.zeros_like(y[:, :1])], 1)

    def made(noise_model: Any) -> Any:
        copy = physics.clone()
        copy.noise_model = noise_model
        return copy

    return Fitted(y * scale, (2, *size), made, sigma * scale, said, scale)


def _pattern(params: Mri, y: Tensor, stated: NDArray[Any] | None) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """(H, W), or (1, W) where whole columns were sampled, and what to say of it."""
    height, width = y.shape[-2:]
    taken: NDArray[np.bool_] = (
        (y != 0).any(1)[0].cpu().numpy() if stated is None else np.asarray(stated, bool).reshape(-1, width)
    )
    if params.pattern != "measured" or params.partial_fourier < 1:
        chosen = sampling(params, (height, width))
        taken = taken & chosen
        said = f"retrospectively undersampled: pattern {params.pattern}, {taken.mean():.1%} of k-space kept"
    else:
        said = f"{np.broadcast_to(taken, (height, width)).mean():.1%} of k-space was sampled"
    if not taken.any():
        raise InputError("no sample of k-space is left", "give another pattern or offset")
    columns: NDArray[np.bool_] = np.any(taken, axis=0, keepdims=True)
    # a sample that happens to be zero does not make a column partial
    whole = len(taken) == 1 or bool(taken[:, columns[0]].mean() > 0.999)
    return (columns if whole else taken), (said,)


def _compressed(params: ReceiveCoils, y: Tensor) -> tuple[Tensor, Tensor | None]:
    """k-space of the coils that are kept, and the orthonormal rows that made them; None where all are."""
    kept = params.compress or VIRTUAL
    if params.maps is not None or y.shape[1] <= kept:
        return y, None
    rows = compression(y[0], kept)
    return torch.einsum("ab,zb...->za...", rows, y), rows


def _coils(
    params: ReceiveCoils, y: Tensor, pattern: NDArray[np.bool_], size: tuple[int, int], white: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor, tuple[str, ...]]:
    """Coil maps, where there is no signal, the image of the centre (H, W), and what to say."""
    rows, columns = calibration_size(pattern)
    rows = size[0] if len(pattern) == 1 else rows
    side = CALIBRATION if params.calibration == "auto" else params.calibration
    rows, columns = min(rows, side), min(columns, side)
    coils = coil_maps(params, size, y.real.dtype) if params.maps is not None else None
    said: list[str] = []
    if coils is not None and coils.shape[1] != y.shape[1]:
        raise InputError(f"coil maps of {coils.shape[1]} coils for k-space of {y.shape[1]}", "give one map a coil")
    coils = coils if coils is None or white is None else of_whitened(coils, white)
    block, outside = centre(y, (rows, columns))[0], None
    if coils is None and y.shape[1] > 1:
        if min(rows, columns) < params.kernel + 2:
            raise InputError(
                f"the fully sampled centre of k-space is {rows} x {columns}: too small for coil maps",
                "give them: -s operator.maps=maps.npy",
            )
        said.append(f"coil maps by ESPIRiT from the central {rows} x {columns} samples of k-space")
        maps, eigenvalue = espirit(block.cpu(), size, kernel=params.kernel)
        coils, outside = maps[None].to(y), _without_signal(eigenvalue, y)
        if outside is not None:
            coils = coils * (1 - outside)
            said.append(f"{float(outside.mean()):.0%} of the image are without signal (ESPIRiT) and held near zero")
    low = torch.zeros_like(y[0])
    top, left = size[0] // 2 - rows // 2, size[1] // 2 - columns // 2
    low[:, top : top + rows, left : left + columns] = block * hann(rows, columns).to(block)
    images = fourier(low, inverse=True)
    if coils is None:
        return None, None, images[0], tuple(said)
    image = (coils[0].conj() * images).sum(0)
    if params.maps is not None and white is not None:
        image = image / coils[0].abs().square().sum(0).clamp_min(1e-12)
    if params.maps is None:
        coils = coils * torch.exp(1j * torch.angle(image))
    return coils, outside, image, tuple(said)


def _without_signal(eigenvalue: Tensor, like: Tensor) -> Tensor | None:
    """(1, 1, H, W), 1 away from the object: filled, and two pixels wider than where the eigenvalue is near 1."""
    inside = binary_dilation(binary_fill_holes((eigenvalue > _SIGNAL).numpy()), iterations=_MARGIN)
    if inside.all() or not inside.any():
        return None
    return torch.from_numpy(~inside)[None, None].to(like.device, like.real.dtype)


def hann(rows: int, columns: int) -> Tensor:
    """Window (rows, columns) that is not zero at its edges."""
    down, right = (torch.hann_window(n + 2, periodic=False, dtype=torch.float32)[1:-1] for n in (rows, columns))
    return down[:, None] * right


def _outer_noise(y: Tensor, pattern: NDArray[np.bool_]) -> float:
    height, width = y.shape[-2:]
    rows, columns = (np.abs(np.arange(n) - n // 2) / (n / 2) for n in (height, width))
    reach = np.hypot(rows[:, None], columns)[np.broadcast_to(pattern, (height, width))]
    values = y[0][:, torch.from_numpy(np.broadcast_to(pattern, (height, width)).copy()).to(y.device)]
    outer = torch.from_numpy(reach >= np.quantile(reach, 1 - _OUTER)).to(y.device)
    power = values[:, outer].abs().square()
    power = power[power > 0]
    if not power.numel():
        raise InputError(
            "the outermost samples of k-space are zero: no noise to measure", "give it: -s noise.sigma=0.01"
        )
    return math.sqrt(float(power.median()) / (2 * math.log(2)))
