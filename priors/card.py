"""Prior cards: what a prior is, what it was trained on and under which terms, and in which units it speaks.

A card is a YAML file in ``priors/cards/`` (or a user's own, weights beside it), or JSON in the metadata of a
safetensors file under ``card``. It is data: tags, anchors and aliases (which can make a few lines expand without end)
are refused. Neither torch nor deepinv is imported here.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from inverse.errors import PriorError
from inverse.priors.header import Header, regular_file

__all__ = [
    "SHIPPED",
    "Card",
    "card_of_header",
    "card_text",
    "embedded",
    "parse_card",
    "prior_facts",
    "read_card",
    "remote",
]

#: Folder of the cards that come with the package; those of public checkpoints are in ``remote/``.
SHIPPED = Path(str(resources.files("inverse.priors"))) / "cards"
_CARD_LIMIT = 128 * 2**10
_DEPTH_LIMIT = 16


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
        effective_radius: Radius beyond which all of them together change a value by less than 1e-5 of the range;
            measured.
        sigma_data: Standard deviation of the data in model units (EDM preconditioning).
        network: Shape of the network, or the adapter's settings.
        weights: File name of the weights, beside the card's folder or in ``weights/``.
        sha256: Hash of that file.
        bytes: Its size.
        url: Where the file can be had, or None.
        psnr: Denoising PSNR in dB at noise levels in 8-bit units, and on what it was measured.
        training: Steps, time, hardware.
        calibration: Measured over predicted residual variance of the denoiser (1 is calibrated) and its standard error,
            at noise levels in 8-bit units.
        residual: Span of the denoising residual over the noise, ``std(x - D(x, s)) / s``, on its own images, by noise
            level in model units.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=200)
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
    effective_radius: int | None = None
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

    @field_validator("data_range")
    @classmethod
    def _low_then_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not value[0] < value[1]:
            raise ValueError(f"[{value[0]:g}, {value[1]:g}]; allowed: [low, high] with low < high")
        return value

    @field_validator("weights")
    @classmethod
    def _beside_the_card(cls, value: str | None) -> str | None:
        if value is not None and (value in ("", ".", "..") or re.search(r"[/\\\0]", value)):
            raise ValueError("a file name is allowed, not a path")
        return value

    @field_validator("sha256")
    @classmethod
    def _whole_hash(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", value):
            raise ValueError("64 hexadecimal digits are allowed")
        return value

    @property
    def gain(self) -> float:
        """Model units in one data unit."""
        low, high = self.data_range
        return 2.0 / (high - low)


def parse_card(data: Any, label: str) -> Card:
    """The card of plain data; `label` is what the message calls it.

    Raises:
        PriorError: It is not a card; the message names the first field that is wrong.
    """
    if not isinstance(data, dict):
        raise PriorError(f"{label} is not a table of fields", "see: inverse prior show photo")
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:80]
        raise PriorError(f"{label}: {where}: {first['msg'][:160]}", "see: inverse prior show photo") from error


def read_card(path: Path) -> Card:
    """Read a card file.

    Raises:
        PriorError: the file is missing, is not YAML, or is not a card.
    """
    label = f"prior card {path.name}"
    with regular_file(path) as (file, size):
        if size > _CARD_LIMIT:
            raise PriorError(f"{label} has {size:,} bytes; allowed: at most {_CARD_LIMIT:,}", "is it the weights?")
        content = file.read(_CARD_LIMIT)
    try:
        text = content.decode("utf-8")
        _check_events(text, label)
        data = YAML(typ="safe", pure=True).load(text)
    except UnicodeDecodeError as error:
        raise PriorError(f"{label} is not a text file", "is it the weights?") from error
    except (YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise PriorError(f"{label} is not YAML", "see: inverse prior show photo") from error
    return parse_card(data, label)


def _check_events(text: str, label: str) -> None:
    """Refuse what expands without end or nests beyond any card, before it is built.

    The parser's time grows with the square of the depth.
    """
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if isinstance(event, AliasEvent):
            raise PriorError(f"{label}: aliases (*name) are not allowed", "write the value out")
        if depth > _DEPTH_LIMIT:
            raise PriorError(f"{label} is nested deeper than {_DEPTH_LIMIT}: no card is")


@cache
def embedded() -> Mapping[str, Card]:
    """The cards of the priors in the package, by name."""
    return _shipped(SHIPPED)


@cache
def remote() -> Mapping[str, Card]:
    """The cards of public checkpoints that ``inverse prior add`` knows, by name; sha256 is the published file's."""
    return _shipped(SHIPPED / "remote")


def _shipped(folder: Path) -> Mapping[str, Card]:
    return MappingProxyType({card.name: card for card in map(read_card, sorted(folder.glob("*.yaml")))})


def card_of_header(header: Header, name: str) -> Card:
    """The card that a safetensors file holds; `name` is the file's.

    Raises:
        PriorError: It holds none, or what it holds is not a card.
    """
    text = header.metadata.get("card")
    if text is None:
        raise PriorError(
            f"{name}: holds weights but no card", "give its card (.yaml), or make one: inverse prior convert"
        )
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PriorError(f"{name}: the card in it is not JSON") from error
    return parse_card(data, f"{name}: the card in it")


def card_text(card: Card, *, as_json: bool = False) -> str:
    """The card as YAML, or as JSON; `read_card` and `parse_card` read it back."""
    fields = card.model_dump(mode="json", exclude_none=True)
    if as_json:
        return json.dumps(fields, ensure_ascii=False)
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 110
    stream = io.StringIO()
    yaml.dump(fields, stream)
    return stream.getvalue()


def prior_facts(card: Any) -> dict[str, Any]:
    """Name, hash, licence, data and file size of a prior, from its card."""
    names = ("name", "title", "sha256", "bytes", "licence", "data", "channels", "data_range")
    values = {name: getattr(card, name) for name in names if getattr(card, name, None) is not None}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
