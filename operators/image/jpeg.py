r"""JPEG: :math:`y = J(x) + n`, the file that libjpeg writes at a quality, opened again.

Forward, as libjpeg's defaults (ITU-T T.81 with Annex K's tables; JFIF): round to 8 bits, to YCbCr, chroma averaged over
2 x 2 (4:2:0) or 1 x 2 (4:2:2) pixels, DCT of 8 x 8 blocks, :math:`q \cdot \mathrm{round}(c / q)`, back; chroma
interpolated with weights 3/4 and 1/4 ("fancy upsampling"), to RGB, rounded and cut off at the 8-bit range. Values are
rounded where libjpeg keeps integers; its DCT of integers is not imitated, so a part of the values differ by 1/255 from
Pillow's (measured: see the tests). Grey images have luma alone.

Not linear. The gradient takes every rounding for the identity (straight through: Bengio, Leonard & Courville 2013), so
it is that of chroma subsampling and the colour transforms alone, a projection; `JpegPhysics.surrogate` is that
function. Between the two lies the quantisation, which is the noise of this operator: a coefficient is known up to a
uniform error of width q, variance :math:`q^2 / 12`, and one that was rounded to zero no better than its own size:
`quantisation_sigma`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from deepinv.physics import Physics
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from inverse.errors import InputError, RecipeError
from inverse.numerics.transforms import dct_matrix
from inverse.operators.base import Cloned
from inverse.operators.image.spec import Jpeg
from inverse.operators.measurement import Fitted, Measurement
from inverse.operators.noise.jpeg import FACTORS, YCC, laplace_scale
from inverse.operators.spec import AUTO

__all__ = ["JpegPhysics", "fitted", "jpeg", "quantisation_sigma", "tables"]

# T.81, tables K.1 and K.2, by rows
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32,
)  # fmt: skip
_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


def tables(quality: int) -> tuple[Tensor, Tensor]:
    """Quantisation steps (8, 8) of luma and chroma at a quality of 1 to 100, as libjpeg has them; units of 1/255."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = [
        (torch.tensor(base).reshape(8, 8) * percent + 50).div(100, rounding_mode="floor") for base in (_LUMA, _CHROMA)
    ]
    luma, chroma = (table.clamp(1, 255).double() for table in scaled)
    return luma, chroma


#: Halves that rounding errors have made a little less are still halves.
_HALF = 0.5 + 1e-4


def _through(x: Tensor, tie: float | Tensor = _HALF) -> Tensor:
    """Rounded, halves up unless ``tie`` says otherwise; the gradient of the identity."""
    return x + ((x + tie).floor() - x).detach()


def _exact(x: Tensor, tie: float | Tensor = _HALF) -> Tensor:
    del tie
    return x


class JpegPhysics(Cloned, Physics):
    """A JPEG file of an image in [0, 1].

    Args:
        steps: Quantisation steps (8, 8) of luma and of chroma, in units of 1/255.
        subsampling: ``4:4:4``, ``4:2:2`` or ``4:2:0``.
        shape: Shape (3 or 1, H, W) of one unknown.
        dtype: Of the tables.

    Attributes:
        steps: Quantisation steps (1, 2, 8, 8) of luma and chroma.
        noise_of_its_own: Simulations add no other noise unless they are told to.
    """

    noise_of_its_own = True
    steps: Tensor

    def __init__(
        self,
        steps: tuple[Tensor, Tensor],
        subsampling: str,
        *,
        shape: tuple[int, ...],
        noise_model: Any,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(noise_model=noise_model)
        self.img_size = shape
        self.factors = FACTORS[subsampling]
        self.register_buffer("steps", torch.stack(steps)[None].to(dtype))
        self.register_buffer("basis", dct_matrix(8, self.steps)[None, None])

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """Compress and open (B, C, H, W)."""
        return self._file(x, _through)

    def surrogate(self, x: Tensor) -> Tensor:
        """The same without rounding: whose gradient `A` has where nothing is cut off."""
        return self._file(x, _exact)

    def _file(self, x: Tensor, rounded: Any) -> Tensor:
        height, width = x.shape[-2:]
        pixels = rounded(255 * x.clamp(0, 1))
        if x.shape[1] == 1:
            return self._plane(pixels - 128, 0, rounded).add(128).clamp(0, 255) / 255
        rows, columns = self.factors
        planes = rounded(self._mix(pixels, YCC))
        luma = self._plane(planes[:, :1] - 128, 0, rounded)
        padded = pad(planes[:, 1:], (0, -width % columns, 0, -height % rows), mode="replicate")
        chroma = avg_pool2d(padded, self.factors) if rows * columns > 1 else padded
        # libjpeg's averages of 2 and 4 values round halves down in even columns and up in odd ones
        tie = 0.5 - 0.01 * (torch.arange(chroma.shape[-1], device=x.device) % 2 == 0).to(x.dtype)
        chroma = self._plane(rounded(chroma + 128, tie) - 128, 1, rounded)
        if rows * columns > 1:
            chroma = rounded(interpolate(chroma, scale_factor=self.factors, mode="bilinear")[..., :height, :width])
        image: Tensor = rounded(self._mix(torch.cat([luma + 128, chroma], 1), _RGB)).clamp(0, 255) / 255
        return image

    def _mix(self, x: Tensor, matrix: Any) -> Tensor:
        return torch.einsum("ij,bjhw->bihw", torch.tensor(matrix, dtype=x.dtype, device=x.device), x)

    def _plane(self, plane: Tensor, table: int, rounded: Any) -> Tensor:
        """Quantise the blocks of planes (B, c, h, w), zero being middle grey."""
        height, width = plane.shape[-2:]
        whole = pad(plane, (0, -width % 8, 0, -height % 8), mode="replicate")
        basis, steps = self.basis.to(plane.dtype)[0, 0], self.steps.to(plane.dtype)[:, table]
        blocks = whole.unfold(2, 8, 8).unfold(3, 8, 8)
        # libjpeg's coefficients are whole eighths, so many lie exactly between two steps
        coefficients = rounded(8 * (basis @ blocks @ basis.T)) / (8 * steps)
        kept = rounded(coefficients, 0.5 + 1e-4 * coefficients.detach().sign()) * steps  # halves away from zero
        back = rounded(basis.T @ kept @ basis).clamp(-128, 127)
        image: Tensor = back.permute(0, 1, 2, 4, 3, 5).reshape(whole.shape)[..., :height, :width]
        return image


def jpeg(params: Jpeg, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype) -> JpegPhysics:
    """The compression that the parameters describe.

    Raises:
        InputError: an unknown of neither one nor three channels.
        RecipeError: a quality that only a file can tell.
    """
    if params.quality == AUTO:
        raise RecipeError(
            "operator.quality = auto is read from a JPEG file, and there is none", "give it: -s operator.quality=20"
        )
    return _jpeg(tables(int(params.quality)), params.subsampling, shape, noise_model, dtype)


def _jpeg(
    steps: tuple[Tensor, Tensor], subsampling: str, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> JpegPhysics:
    if shape[0] not in (1, 3):
        raise InputError(f"a JPEG file of {shape[0]} channels", "allowed: 1 (grey) or 3 (red, green, blue)")
    subsampling = "4:2:0" if subsampling == AUTO else subsampling
    return JpegPhysics(steps, subsampling, shape=shape, noise_model=noise_model, dtype=dtype)


@torch.no_grad()
def quantisation_sigma(y: Tensor, physics: JpegPhysics) -> float:
    """Standard deviation of the quantisation error of an opened file, data units.

    Coefficients that are not zero: variance ``q^2 / 12``. The zero ones: that of a Laplace distribution cut off at ``q
    / 2``, whose scale comes from how many of this frequency are zero, or where nearly all are, from a power law of the
    frequency fitted to the others. Of luma, for all channels.

    Args:
        y: (B, C, H, W), what was opened.
        physics: Its compression.
    """
    pixels = 255 * y
    plane = pixels if y.shape[1] == 1 else physics._mix(pixels, YCC)[:, :1]
    height, width = (side // 8 * 8 for side in y.shape[-2:])
    basis = physics.basis.to(y.dtype)[0, 0]
    blocks = (plane[..., :height, :width] - 128).unfold(2, 8, 8).unfold(3, 8, 8)
    steps = physics.steps[0, 0].to(torch.float64).flatten()
    scale = laplace_scale((basis @ blocks @ basis.T).reshape(-1, 64).double(), steps)
    rate = steps / scale
    decay = torch.exp(-rate / 2)
    inside = 2 / rate**2 - decay * (0.25 + 1 / rate + 2 / rate**2)
    variance = steps**2 * (inside + decay / 12)
    return math.sqrt(float(variance.mean())) / 255


def fitted(params: Jpeg, measurement: Measurement) -> Fitted:
    """The opened file with its quantisation as noise level; what is ``auto`` of tables and sampling is the file's own.

    Raises:
        InputError: as in `jpeg`; or the tables are to be read, and the file is no JPEG file (any more).
    """
    y, facts = measurement.y, measurement.facts
    shape = tuple(y.shape[1:])
    if params.quality == AUTO:
        stated = facts.get("quantisation")
        if not stated:
            raise InputError(
                "the measurement is not a JPEG file as it was saved, so its quality is not known",
                "give it: -s operator.quality=20",
            )
        steps, origin = _stated(stated), "the file's own tables"
    else:
        steps, origin = tables(int(params.quality)), f"quality {params.quality}"
    subsampling = facts.get("subsampling", AUTO) if params.subsampling == AUTO else params.subsampling

    def build(noise_model: Any) -> JpegPhysics:
        return _jpeg(steps, subsampling, shape, noise_model, y.dtype)

    sigma = quantisation_sigma(y, build(None).to(y.device))
    said = f"noise level {sigma:.4f} from the quantisation ({origin}, coarsest step of luma {steps[0].max():g})"
    return Fitted(y, shape, build, sigma=sigma, said=(said,))


def _stated(stated: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """A file's tables of luma and chroma; a grey file has one."""
    luma, chroma = (torch.tensor(table, dtype=torch.float64).reshape(8, 8) for table in (stated[0], stated[-1]))
    return luma, chroma
