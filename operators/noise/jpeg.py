r"""JPEG as noise: what a file's own tables say of the error of its pixels.

A JPEG file holds :math:`k = \mathrm{round}(c / q)`, with :math:`c = T v` the coefficients of the stored planes: T turns
the picture as the camera held it, goes to YCbCr, averages the chroma over the pixels that share it, and takes the DCT
of blocks of 8 x 8 (ITU-T T.81, JFIF). So the file says of v that :math:`T v = q k + e`, and of e that
:math:`|e| \le q / 2`. Here e is Gaussian, of variance :math:`q^2 / 12`, beside white noise of the sensor of level s at
the pixels (:math:`s^2` times the squared length of T's row) and the roundings to whole numbers on the way
(:math:`1/12` each): diagonal in T's coordinates, so that :math:`W = \mathrm{diag}(\sigma / d)\,T` whitens it.

* `JpegFile` is T: the coefficients of images, its adjoint, and `JpegFile.stored`, which takes the opened file back to
  what it holds: luma by the colour matrix; chroma by inverting libjpeg's interpolation (weights 3/4 and 1/4: gains
  :math:`3/4 + \cos(\pi k / n) / 4` in the DCT-II), both then to the next multiple of their step.
* `resolved`: at which frequencies a file determines a power spectrum: those where the coefficients that were rounded to
  zero (an error of :math:`q^2 / 12` at most each) have less power than what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from inverse.numerics.transforms import dct2_filter, dct2_solve, dct_matrix

__all__ = ["FACTORS", "ROUNDING", "SIDE", "YCC", "JpegFile", "jpeg_file", "laplace_scale", "resolved"]

YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}
#: How a picture is brought to the stored grid, by its EXIF orientation: mirrored first, then quarter turns.
_TURNS = {
    1: (False, 0),
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 1),
    7: (True, 3),
    8: (False, 3),
}
SIDE = 8
#: Variance of rounding to whole numbers.
ROUNDING = 1 / 12
#: A coefficient further from a multiple of its step than this part of it is kept as it is: the pixels were cut off.
_NEAR = 0.35


@dataclass(frozen=True)
class JpegFile:
    """The coefficients of a JPEG file of one size: its tables, its sampling of colours, how it was turned.

    Attributes:
        steps: Quantisation steps (2, 8, 8) of luma and chroma, in units of the 8-bit values.
        factors: Pixels that share a chroma value, down and across, of the stored picture.
        orientation: EXIF orientation, 1 to 8.
        channels: 1 or 3.
        size: (height, width) of the upright picture.
    """

    steps: Tensor
    factors: tuple[int, int]
    orientation: int
    channels: int
    size: tuple[int, int]

    @property
    def _planes(self) -> list[tuple[int, int]]:
        """(height, width) of the stored planes."""
        height, width = self.size if _TURNS[self.orientation][1] % 2 == 0 else self.size[::-1]
        rows, columns = self.factors
        chroma = (-(-height // rows), -(-width // columns))
        return [(height, width), *[chroma] * (self.channels - 1)]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Blocks of each plane, down and across."""
        return [(-(-height // SIDE), -(-width // SIDE)) for height, width in self._planes]

    def _basis(self, like: Tensor) -> Tensor:
        return dct_matrix(SIDE, like)

    def _matrix(self, like: Tensor) -> Tensor:
        return torch.tensor(YCC, dtype=like.dtype, device=like.device)

    def _turned(self, x: Tensor) -> Tensor:
        mirrored, quarters = _TURNS[self.orientation]
        return torch.rot90(x.flip(-1) if mirrored else x, quarters, (-2, -1))

    def _upright(self, x: Tensor) -> Tensor:
        mirrored, quarters = _TURNS[self.orientation]
        x = torch.rot90(x, -quarters, (-2, -1))
        return x.flip(-1) if mirrored else x

    def _split(self, plane: Tensor) -> Tensor:
        """Planes (B, h, w) to coefficients (B, blocks, 64)."""
        height, width = plane.shape[-2:]
        whole = pad(plane[:, None], (0, -width % SIDE, 0, -height % SIDE), mode="replicate")[:, 0]
        blocks = whole.unfold(1, SIDE, SIDE).unfold(2, SIDE, SIDE)
        basis = self._basis(plane)
        return (basis @ blocks @ basis.T).reshape(len(plane), -1, SIDE**2)

    def _joined(self, coefficients: Tensor, blocks: tuple[int, int]) -> Tensor:
        """Coefficients (B, blocks, 64) to whole planes (B, h, w), with what was padded."""
        basis = self._basis(coefficients)
        values = coefficients.reshape(-1, *blocks, SIDE, SIDE)
        planes = (basis.T @ values @ basis).transpose(2, 3)
        return planes.reshape(len(coefficients), SIDE * blocks[0], SIDE * blocks[1])

    def coefficients(self, x: Tensor) -> Tensor:
        """``T x``: images (B, C, H, W) to (B, 1, blocks, 64), the blocks of luma, then of each chroma plane."""
        stored = self._turned(x)
        if self.channels == 1:
            return self._split(stored[:, 0])[:, None]
        planes = torch.einsum("ij,bjhw->bihw", self._matrix(x), stored)
        chroma = self._shared(planes[:, 1:])
        return torch.cat([self._split(planes[:, 0]), *map(self._split, chroma.unbind(1))], 1)[:, None]

    def luma(self, x: Tensor) -> Tensor:
        """Upright luma (H, W) of an image (C, H, W)."""
        return x[0] if self.channels == 1 else torch.einsum("c,chw->hw", self._matrix(x)[0], x)

    def stored_frequencies(self, rows: NDArray[Any], columns: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Frequencies of the upright picture as those of the stored one, up to their signs."""
        return (columns, rows) if _TURNS[self.orientation][1] % 2 else (rows, columns)

    def _shared(self, chroma: Tensor) -> Tensor:
        """Chroma averaged over the pixels that share it."""
        rows, columns = self.factors
        height, width = chroma.shape[-2:]
        return avg_pool2d(pad(chroma, (0, -width % columns, 0, -height % rows), mode="replicate"), self.factors)

    def adjoint(self, coefficients: Tensor) -> Tensor:
        """``T^T``: (B, 1, blocks, 64) to images (B, C, H, W)."""
        counts = [rows * columns for rows, columns in self.blocks]
        parts = torch.split(coefficients[:, 0], counts, 1)
        planes = [
            _folded(self._joined(part, blocks), size)
            for part, blocks, size in zip(parts, self.blocks, self._planes, strict=True)
        ]
        if self.channels == 1:
            return self._upright(planes[0][:, None])
        rows, columns = self.factors
        wide = [
            _folded(plane.repeat_interleave(rows, 1).repeat_interleave(columns, 2) / (rows * columns), self._planes[0])
            for plane in planes[1:]
        ]
        mixed = torch.stack([planes[0], *wide], 1)
        return self._upright(torch.einsum("ij,bihw->bjhw", self._matrix(coefficients), mixed))

    def table(self, like: Tensor) -> Tensor:
        """The step of each coefficient (1, 1, blocks, 64)."""
        steps = self.steps.to(like).flatten(1)
        counts = [rows * columns for rows, columns in self.blocks]
        rows = [steps[min(i, 1)].expand(count, -1) for i, count in enumerate(counts)]
        return torch.cat(rows)[None, None]

    def lengths(self, like: Tensor) -> Tensor:
        """Squared lengths of T's rows (1, 1, blocks, 64), those at a padded edge as all others."""
        shared = [1.0] if self.channels == 1 else self._matrix(like).square().sum(1).tolist()
        rows, columns = self.factors
        counts = [down * across for down, across in self.blocks]
        values = [length / (rows * columns if i else 1) for i, length in enumerate(shared)]
        return torch.cat([like.new_full((count, SIDE**2), value) for count, value in zip(counts, values, strict=True)])[
            None, None
        ]

    def stored(self, pixels: Tensor) -> Tensor:
        """What the file holds, as coefficients (1, 1, blocks, 64), from its pixels (1, C, H, W) of 0 to 255."""
        found = self.coefficients(pixels.double())
        rows, columns = self.factors
        if self.channels == 3 and rows * columns > 1:
            height, width = self._planes[1]
            down, across = (_interpolated(n, shared) for n, shared in ((height, rows), (width, columns)))
            gains = 1 / (down[:, None] * across[None])[None, None]
            planes = torch.einsum("ij,bjhw->bihw", self._matrix(found), self._turned(pixels.double()))
            chroma = dct2_filter(self._shared(planes[:, 1:]), gains.to(found))
            luma = found[:, 0, : self.blocks[0][0] * self.blocks[0][1]]
            found = torch.cat([luma, *map(self._split, chroma.unbind(1))], 1)[:, None]
        steps = self.table(found)
        level = self._level(found)
        whole = ((found - level) / steps).round() * steps + level
        near = (found - whole).abs() <= _NEAR * steps
        return torch.where(near & (steps >= 2), whole, found)

    @property
    def counts(self) -> list[int]:
        """How many blocks each plane has, luma first."""
        return [rows * columns for rows, columns in self.blocks]

    def seen(self, power: Tensor, plane: int) -> Tensor:
        """Power at an image's frequencies (1, 1, h, w) as a stored plane has it, at those of its own (1, 1, H, W)."""
        if _TURNS[self.orientation][1] % 2:
            power = power.mT
        sides = [SIDE * count for count in self.blocks[plane]]
        shared = self.factors if plane else (1, 1)
        wide = [side * share for side, share in zip(sides, shared, strict=True)]
        power = interpolate(power, wide, mode="bilinear", align_corners=True)[..., : sides[0], : sides[1]]
        rows, columns = (
            torch.cos(torch.pi / (2 * side) * torch.arange(side, dtype=torch.float32)).square()
            if share == 2
            else torch.ones(side, dtype=torch.float32)
            for side, share in zip(sides, shared, strict=True)
        )
        return power * (rows[:, None] * columns[None]).to(power)

    def filtered(self, coefficients: Tensor, spectra: Sequence[Tensor]) -> Tensor:
        """Coefficients (B, 1, blocks, 64), each plane divided by a spectrum in its DCT-II."""
        parts = torch.split(coefficients[:, 0], self.counts, 1)
        planes = [
            self._split(dct2_solve(self._joined(part, blocks)[:, None], spectrum)[:, 0])
            for part, blocks, spectrum in zip(parts, self.blocks, spectra, strict=True)
        ]
        return torch.cat(planes, 1)[:, None]

    def _level(self, like: Tensor) -> Tensor:
        """The coefficients of a luma of 128, which is stored as 0; chroma is so by itself."""
        level = torch.zeros_like(like)
        level[:, :, : self.blocks[0][0] * self.blocks[0][1], 0] = 128.0 * SIDE
        return level

    def multiples(self, stored: Tensor) -> Tensor:
        """Stored coefficients in steps, (blocks, 64) whole numbers, luma first."""
        return ((stored - self._level(stored)) / self.table(stored)).round()[0, 0]

    def variance(self, stored: Tensor, sensor: Tensor | float) -> Tensor:
        """Variance of each stored coefficient's error (1, 1, blocks, 64), with the sensor's at a pixel, 8-bit values.

        One that was rounded to zero is wrong by itself: its error has no more than the variance of its frequency.
        """
        lengths, steps = self.lengths(stored), self.table(stored)
        rounded = steps.square() / 12
        own = torch.cat([part.expand(count, -1) for part, count in zip(*self._own(stored), strict=True)])[None, None]
        rounded = torch.minimum(rounded, own)
        return rounded + ROUNDING * (1 + lengths) + lengths * sensor

    def _own(self, stored: Tensor) -> tuple[list[Tensor], list[int]]:
        """Variance of the coefficients of each plane by frequency (64,), and how many blocks it has."""
        counts = [rows * columns for rows, columns in self.blocks]
        parts = torch.split((stored - self._level(stored))[0, 0], counts)
        scales = [laplace_scale(part, self.steps[min(i, 1)].flatten().to(part)) for i, part in enumerate(parts)]
        return [2 * scale.square() for scale in scales], counts

    def local(self, variance: Tensor) -> Tensor:
        """Mean of a variance at the pixels (1, C, H, W) over what each block sees, (1, 1, blocks, 64)."""
        plane = self._turned(variance.mean(1, keepdim=True))[:, 0]
        means = [self._split(plane)[..., :1] / SIDE]
        if self.channels == 3:
            means += [self._split(self._shared(plane[:, None])[:, 0])[..., :1] / SIDE] * 2
        return torch.cat(means, 1)[:, None].expand(-1, -1, -1, SIDE**2)


def _folded(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """Adjoint of replicating the last row and column: what lies past ``size`` is added to them."""
    height, width = size
    rows = torch.cat([plane[:, : height - 1], plane[:, height - 1 :].sum(1, keepdim=True)], 1)
    return torch.cat([rows[..., : width - 1], rows[..., width - 1 :].sum(-1, keepdim=True)], -1)


def _interpolated(size: int, shared: int) -> Tensor:
    """Gains in the DCT-II of interpolating to twice the size with weights 3/4 and 1/4 and averaging pairs again."""
    if shared == 1:
        return torch.ones(size, dtype=torch.float64)
    return 0.75 + 0.25 * torch.cos(torch.pi * torch.arange(size, dtype=torch.float64) / size)


def jpeg_file(facts: Mapping[str, Any], y: Tensor) -> JpegFile | None:
    """The file that a measurement (1, C, H, W) was read from, by the facts it states; None where it is no such file."""
    stated, pixels = facts.get("quantisation"), facts.get("pixels")
    if (
        stated is None
        or pixels is None
        or y.is_complex()
        or tuple(y.shape) != tuple(pixels.shape)
        or y.shape[1] not in (1, 3)
    ):
        return None
    if y.shape[1] == 3 and (len(stated) != 2 or facts.get("subsampling") not in FACTORS):
        return None
    steps = torch.tensor([stated[0], stated[-1]], dtype=torch.float64).reshape(2, SIDE, SIDE)
    factors = FACTORS.get(str(facts.get("subsampling")), (1, 1)) if y.shape[1] == 3 else (1, 1)
    height, width = y.shape[-2:]
    return JpegFile(steps, factors, int(facts.get("orientation", 1)), y.shape[1], (height, width))


def laplace_scale(coefficients: Tensor, steps: Tensor) -> Tensor:
    """Scale (64,) of Laplace distributed coefficients (n, 64) that are known up to their steps, by frequency.

    The scale comes from how many are zero, :math:`P(|c| < q / 2) = 1 - e^{-q / 2 b}`; where nearly all are, from a
    power law of the frequency fitted to the others.
    """
    zero = (coefficients / steps).round().eq(0).double().mean(0).clamp(1e-3, 1 - 1e-3)
    scale = steps / (-2 * torch.log1p(-zero))
    order = torch.arange(SIDE, dtype=torch.float64, device=steps.device)
    frequency = torch.hypot(order[:, None], order[None]).clamp_min(1).log().flatten()
    usable = (zero < 0.98) & (zero > 0.02)
    if int(usable.sum()) >= 3:
        design = torch.stack([torch.ones_like(frequency), frequency], -1)[usable]
        fit = torch.linalg.lstsq(design, scale[usable].log()[:, None]).solution[:, 0]
        law = (fit[0] + fit[1].clamp_max(0) * frequency).exp()
        scale = torch.where(zero >= 0.98, torch.minimum(scale, law), scale)
    return scale


def resolved(file: JpegFile, stored: Tensor, rows: NDArray[Any], columns: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Of frequencies in cycles a pixel: the most power that rounding to zero took, and the noise it made elsewhere.

    The power is that of the luma's orthonormal DFT, 8-bit values; ``rows`` and ``columns`` are of the stored picture.
    """
    basis = dct_matrix(SIDE, torch.zeros(1, dtype=torch.float64)).numpy()
    place = np.arange(SIDE)

    def response(frequency: NDArray[Any]) -> NDArray[Any]:
        wave: NDArray[Any] = np.abs(np.exp(-2j * np.pi * frequency[:, None] * place) @ basis.T) ** 2 / SIDE
        return wave

    zero = file.multiples(stored)[: file.counts[0]].eq(0).double().mean(0).reshape(SIDE, SIDE).numpy()
    noise = file.steps[0].numpy() ** 2 / 12
    down, across = response(rows), response(columns)
    lost: NDArray[Any] = np.einsum("fi,ij,fj->f", down, zero * noise, across)
    made: NDArray[Any] = np.einsum("fi,ij,fj->f", down, (1 - zero) * noise, across)
    return lost, made
