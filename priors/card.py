"""Prior cards: what a prior is, what it was trained on and under which terms, and in which units it speaks.

A card is a YAML file in ``priors/cards/`` (or a user's own, weights beside it). Neither torch nor deepinv is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from inverse.errors import PriorError

__all__ = ["Card", "read_card"]


class Card(BaseModel):
    """A prior's card. Units are the data's, unless said otherwise.

    Attributes:
        name: Registry name.
        title: One line.
        kind: ``network``, ``gaussian``, ``mixture``, ``patch`` or ``callable``.
        adapter: Module of ``inverse.priors.adapters`` that reads the weights; None for the network of this package.
        licence: Terms of the weights.
        data: What it was trained on, and under which terms.
        intended_use: What it is for, and what not.
        images: What it was trained on in two or three words, for messages: "RGB photographs".
        channels: Image channels, None for any.
        complex: Whether the channels are the real and imaginary parts of complex values.
        data_range: Values that map to the model's [-1, 1].
        mean: Mean of the images.
        data_var: Variance of a pixel.
        spectrum_exponent: How fast the images' power spectrum falls, ``k^-exponent``; None for white or unknown.
        symmetry: Under what the images' distribution is invariant: ``dihedral`` (flips and quarter turns), or None.
        sigma_min: Smallest noise level it was trained for.
        sigma_max: Largest.
        sigma_start: Where sampling starts unless told otherwise; None is ``sigma_max``.
        minimum_size: Smallest height and width.
        stride: Shift, in pixels, under which it is equivariant.
        receptive_field: Radius, in pixels, beyond which an input pixel has no effect.
        sigma_data: Standard deviation of the data in model units (EDM preconditioning).
        network: Shape of the network, or the adapter's settings.
        weights: File name of the weights, beside the card's folder or in ``weights/``.
        sha256: Hash of that file.
        bytes: Its size.
        url: Where the file can be had, or None.
        psnr: Denoising PSNR in dB at noise levels in 8-bit units, and on what it was measured.
        training: Steps, time, hardware.
        calibration: Measured over predicted residual variance of the denoiser at noise levels in 8-bit units (1 is calibrated).
        residual: Span of the denoising residual over the noise, ``std(x - D(x, s)) / s``, on its own images, by noise level in 8-bit units.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    kind: Literal["network", "gaussian", "mixture", "patch", "callable"]
    adapter: str | None = None
    licence: str
    data: str = ""
    intended_use: str = ""
    images: str = ""
    channels: int | None = None
    complex: bool = False
    data_range: tuple[float, float] = (0.0, 1.0)
    mean: float = 0.5
    data_var: float = Field(gt=0)
    spectrum_exponent: float | None = None
    symmetry: Literal["dihedral"] | None = None
    sigma_min: float = Field(gt=0)
    sigma_max: float = Field(gt=0)
    sigma_start: float | None = Field(default=None, gt=0)
    minimum_size: int = 1
    stride: int = 1
    receptive_field: int | None = None
    sigma_data: float = 0.5
    network: dict[str, Any] | None = None
    weights: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    url: str | None = None
    psnr: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    calibration: dict[str, Any] = Field(default_factory=dict)
    residual: dict[str, tuple[float, float]] = Field(default_factory=dict)

    @property
    def gain(self) -> float:
        """Model units in one data unit."""
        low, high = self.data_range
        return 2.0 / (high - low)


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        PriorError: the file is missing, is not YAML, or is not a card.
    """
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return Card.model_validate(data)
    except (OSError, UnicodeDecodeError) as error:
        raise PriorError(f"prior card {path.name} cannot be read: {type(error).__name__}") from error
    except YAMLError as error:
        raise PriorError(f"prior card {path.name} is not YAML") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PriorError(f"prior card {path.name}: {where}: {first['msg']}") from error
