"""A measurement and its physics, ready to be solved: what a recipe and a frame of a file make."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from deepinv.physics import DecomposablePhysics
from torch import Tensor
from torch.nn.functional import avg_pool2d

from inverse.errors import InputError, RecipeError
from inverse.io.patient.written import placeable
from inverse.operators.blur.blind import NONE
from inverse.operators.blur.estimate import estimate_blur
from inverse.operators.build import fitted_operator, unmeasured
from inverse.operators.clipping import bounded, clipped, clipped_in_words, is_blur
from inverse.operators.image.holes import is_mask, settled_mask
from inverse.operators.image.masks import restricted
from inverse.operators.measurement import Measurement
from inverse.operators.mri.cartesian import MultiCoil, RowCoils
from inverse.operators.noise.clipped import estimate_clipped_sigma
from inverse.operators.noise.fit import NoiseFit, fit_noise
from inverse.operators.noise.models import noise_model
from inverse.operators.observation import observed
from inverse.priors.card import Card
from inverse.recipes.recipe import Recipe
from inverse.restoration.frame import Frame
from inverse.sampling.methods import method_spec

__all__ = [
    "FOR_ARRAYS",
    "FOR_FILES",
    "PLAN",
    "Case",
    "assumed_blur",
    "known_range",
    "make_case",
    "open_case",
    "require_range",
    "require_values",
    "settled_operator",
]

#: Share of the values that may be far outside, and how many ranges away that is.
STRAYS, FAR = 0.05, 2.0
#: How the sentence begins that says what is done about a photograph.
PLAN = "plan:"
#: Share of white that the brightest value must reach: below, an image is finer than what a prior resolves.
DARK = 0.005
#: Side of the parts of a picture whose means are compared with white, and how far above it they may be.
PATCH, BRIGHT = 8, 1.25
#: Bits of detectors whose numbers are kept in 16.
BITS = (8, 10, 12)
FOR_FILES = "stretch them: -s data.scale=auto, or say which are black and white: -s data.scale=[0,{white:g}]"
FOR_ARRAYS = (
    "stretch them: overrides=['data.scale=auto'], or say which are black and white: ['data.scale=[0,{white:g}]']"
)


@dataclass(frozen=True)
class Case:
    """One item, ready to be solved."""

    y: Tensor  # measurement (1, C, h, w), data units; complex (1, coils, ...) for raw k-space
    physics: Any  # its physics, noise level included
    shape: tuple[int, ...]  # (C, H, W) of the unknown
    sigma: float  # noise level, data units
    estimated: bool  # whether it was estimated from the measurement
    said: tuple[str, ...] = ()  # what else was estimated from the measurement, in sentences
    assumed: str = ""  # what of the operator nobody measured, a sentence
    scale: float = 1.0  # the unknown in the file's units is ``x / scale``
    seen: Tensor | None = None  # the measurement before its noise was whitened; None where that changes nothing
    mask: Tensor | None = None  # what of the measurement holds a value, 0 and 1; None: as its physics says
    #: The physics with the parameters that were estimated drawn, by a standard normal number for each of `unknowns`;
    #: None: they are known.
    drawn: Callable[[Sequence[float]], Any] | None = None
    unknowns: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of how it was made."""
        return (*self.said, self.assumed) if self.assumed else self.said

    @property
    def measured(self) -> Tensor:
        """The measurement as the file holds it, data units, zero where nothing was observed."""
        return self.y if self.seen is None else self.seen

    @property
    def complex(self) -> bool:
        """Whether the unknown is a complex image, as two real channels."""
        return self.y.is_complex()

    @property
    def coils(self) -> bool:
        """Whether it is raw k-space of several coils on a grid."""
        return isinstance(self.physics, RowCoils | MultiCoil)

    @property
    def picture(self) -> Tensor:
        """What can be shown of the measurement, (C, h, w): of raw k-space the magnitude of its adjoint's image."""
        if not self.complex:
            return self.measured[0]
        image: Tensor = self.physics.A_adjoint(self.y)[0]
        return image.square().sum(0, keepdim=True).sqrt() if len(image) == 2 else image

    @property
    def crop(self) -> tuple[int, int, int, int] | None:
        """(top, left, height, width) of the unknown that the file shows; ``free`` boundaries extend it past that."""
        return getattr(self.physics, "output_crop", None)

    @property
    def observed(self) -> Tensor | None:
        """1 where the measurement holds a value, (1, 1 or C, h, w), or None where it does everywhere."""
        mask = self.mask
        if mask is None and self.measured.shape == self.y.shape:
            mask = observed(self.physics, self.y)
        return None if mask is None or bool((mask == 1).all()) else mask.reshape(-1, *mask.shape[-3:])[:1]

    def values(self, low: float, high: float) -> tuple[float, float, float]:
        """Smallest and largest measured value, and the fraction outside a range by more than four times the noise.

        Raw k-space is scaled to a magnitude of 1 as it is prepared, and its values are none of an image; nor are those
        of a measurement with other bands than the unknown's or one, such as diffraction patterns.
        """
        y, observed = self.measured, self.observed
        if self.complex or y.shape[1] not in (1, self.shape[0]):
            return 0.0, 1.0, 0.0
        inside = y if observed is None else y[observed.expand_as(y) > 0]
        outside = (inside < low - 4 * self.sigma) | (inside > high + 4 * self.sigma)
        return float(inside.min()), float(inside.max()), float(outside.float().mean())


def open_case(recipe: Recipe, frame: Frame, *, device: str = "cpu") -> Case:
    """Make a frame's measurement and physics; the noise level is estimated where the recipe says ``auto``.

    Args:
        recipe: What was measured, and how.
        frame: One image of the measurement's file.
        device: Where to compute.

    Raises:
        InputError: If the frame does not fit the operator, or its results cannot be placed in the format asked for.
        RecipeError: If the output asked for does not exist.
    """
    if recipe.format != "own":
        placeable(frame.content, recipe.format)
    measurement = frame.measurement(recipe.data.transfer, device=device)
    case = make_case(recipe, measurement)
    if recipe.output == "rss" and not case.coils:
        raise RecipeError(
            "output: rss is of raw k-space of several coils on a grid, which this is not", "allowed: mean, sample"
        )
    few = few_bits(frame, recipe)
    return replace(case, said=(*frame.lost, *few, *case.said), assumed=assumed_blur(recipe, measurement))


def few_bits(frame: Frame, recipe: Recipe) -> tuple[str, ...]:
    """A sentence where 16-bit pixels hold the numbers of fewer bits, and are scaled by all 16; else none."""
    picture = frame.picture
    if picture is None or recipe.data.scale != "type" or picture.array.dtype != np.uint16 or not picture.array.size:
        return ()
    largest = int(picture.array.max())
    top = next((2**bits - 1 for bits in BITS if 0 < largest < 2**bits), None)
    if top is None:
        return ()
    return (f"the values reach {largest} of 65535: where they are of a range of 0 to {top}, -s data.scale=[0,{top}]",)


def assumed_blur(recipe: Recipe, measurement: Measurement) -> str:
    """A sentence on a blur that nobody measured, a shipped recipe's own, beside what the image looks like; else ""."""
    operator = recipe.located()["operator"]
    names = unmeasured(operator)
    if not names or not recipe.assumes_operator:
        return ""
    assumed = ", ".join(f"{name} {operator[name]:g}" for name in names)
    advice = " ".join(f"-s operator.{name}=auto" for name in names)
    try:
        looks = f"; the image looks like {estimate_blur(measurement, operator['kind'])}"
    except InputError:
        looks = ""
    return f"the blur is the recipe's own ({assumed}), not measured{looks}: give it, or {advice}"


def settled_operator(recipe: Recipe, measurement: Measurement) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The recipe's operator, of a mask with the hole that was meant, and what is to be said of it.

    Raises:
        InputError: a mask that does not say where the hole of the measurement is.
    """
    operator = recipe.located()["operator"]
    if not is_mask(operator) or measurement.y.is_complex():
        return operator, ()
    return settled_mask(operator, measurement, asked=not recipe.assumes_operator)


def _bounded(
    recipe: Recipe,
    operator: Mapping[str, Any],
    physics: Any,
    measurement: Measurement,
    noise: NoiseFit,
    shape: tuple[int, ...],
) -> tuple[Any, Tensor | None, tuple[str, ...]]:
    """A blur's physics with clipped values of its measurement as bounds, where those tell anything, and what is said.

    Of the second 0 is nothing; None: everywhere.
    """
    y = measurement.y
    if y.is_complex() or not is_blur(operator) or recipe.noise.kind.startswith("poisson"):
        return physics, None, ()
    bounds = clipped(y, measurement.valid)
    if bounds is None:
        return physics, None, ()
    plain = noise.gains is None and noise.jpeg is None and not isinstance(physics, DecomposablePhysics)
    used = plain and not method_spec(recipe.method_kind).closed_form
    said = (clipped_in_words(bounds, used=used),)
    return (*bounded(physics, bounds, shape), said) if used else (physics, None, said)


def make_case(recipe: Recipe, measurement: Measurement | Tensor, *, part: bool = False) -> Case:
    """As `open_case`, for a measurement (1, C, h, w) in data units, or complex (1, coils, ...).

    A ``part`` of a scene may be one without a hole.
    """
    if isinstance(measurement, Tensor):
        measurement = Measurement(measurement)
    operator, said = (recipe.located()["operator"], ()) if part else settled_operator(recipe, measurement)
    fitted, blind = fitted_operator(operator, measurement), operator["kind"] == "blind-blur"
    valid = measurement.valid

    def build(sigma: float, made: Callable[[Any], Any] = fitted.build) -> Any:
        physics = made(noise_model(sigma)).to(fitted.y.device)
        return physics if valid is None else restricted(physics, valid, fitted.shape)

    bare = build(0.0)
    mask, ends = observed(bare, fitted.y), _ends(recipe, bare, fitted.y, measurement, part=part)
    white = method_spec(recipe.method_kind).needs & {"spectral", "identity"}
    facts = {} if white else measurement.facts
    level = fitted.sigma
    if ends is not None and recipe.noise.model_dump()["sigma"] == "auto" and level is None:
        level = estimate_clipped_sigma(fitted.y, ends, valid) or None
        level = None if level is not None and math.isnan(level) else level
    noise = fit_noise(recipe.noise, fitted.y, observed=mask, sigma=level, facts=facts)
    if noise.sigma == 0 and recipe.noise.kind == "gaussian" and is_blur(operator):
        raise InputError(
            "a noise level of 0 under a blur: the fine detail that is left is rounding, and would be all of the result",
            "give a level: --noise 0.002 (the rounding of 8 bits is 0.0011), or auto",
        )
    seen = fitted.y if mask is None else fitted.y * mask
    y = noise.y if mask is None or noise.jpeg is not None else noise.y * mask
    span = recipe.prior.data_range or recipe.data.range
    physics = noise.whitened(build(noise.sigma), span=span)
    physics, known, clips = _bounded(recipe, operator, physics, measurement, noise, tuple(fitted.shape))
    if ends is not None:
        physics.register_buffer("bounds", ends)
        physics.register_buffer("measured_mask", (ends == 0).to(fitted.y))
        clips = (clipped_in_words(ends, used=True, blurred=False),)
    y, seen = (value if known is None else value * known for value in (y, seen))

    def drawn(normals: Sequence[float]) -> Any:
        assert fitted.drawn is not None
        another = noise.whitened(build(noise.sigma, fitted.drawn(normals)))
        return _bounded(recipe, operator, another, measurement, noise, tuple(fitted.shape))[0]

    return Case(
        y=y,
        physics=physics,
        shape=tuple(fitted.shape),
        sigma=noise.sigma,
        estimated=noise.estimated,
        said=_plan(fitted.said, noise, clips) if blind else (*said, *fitted.said, *noise.said, *clips),
        scale=fitted.scale,
        seen=seen,
        mask=mask if noise.jpeg is not None else None,
        drawn=drawn if fitted.drawn is not None else None,
        unknowns=fitted.unknowns,
    )


def _plan(found: tuple[str, ...], noise: NoiseFit, clips: tuple[str, ...]) -> tuple[str, ...]:
    """What was found in a photograph and what is done about it: one sentence, and what of it is clipped."""
    level = "; ".join(noise.said) if noise.jpeg is not None else f"noise {noise.sigma:.3g}"
    what = "denoise" if found[-1].startswith(NONE) else "deblur"
    how = "with JPEG noise" if noise.jpeg is not None else "with white noise"
    return (f"{PLAN} {level}, {', '.join(found)}: {what} {how}", *clips)


def _ends(recipe: Recipe, physics: Any, y: Tensor, measurement: Measurement, *, part: bool) -> Tensor | None:
    """Where a picture with white noise alone was clipped, for a method that takes that as bounds; else None."""
    plain = getattr(physics, "identity", False) and not y.is_complex() and "quantisation" not in measurement.facts
    fits = recipe.noise.kind == "gaussian" and recipe.method_kind in ("auto", "reverse") and not part
    single = fits and not isinstance(recipe.noise.model_dump()["sigma"], list | tuple)
    return clipped(y, measurement.valid) if plain and single else None


def known_range(recipe: Recipe, card: Card | None) -> tuple[float, float]:
    """The smallest and the largest value that the recipe or the prior takes for an image's."""
    ranges = [recipe.data.range] + ([] if card is None else [card.data_range])
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def require_range(case: Case, recipe: Recipe, card: Card | None, *, hint: str = FOR_FILES) -> None:
    """Raise `InputError` where values of a case are in other units than its prior's: 0 to 255 where [0, 1] is meant.

    Noise and highlights may be far outside a range, and so may what an operator sums up: values are compared with what
    it makes of an image that is black or white throughout, give or take twice the range, and a twentieth of them may be
    anywhere.
    """
    y, physics = case.y, case.physics
    if recipe.data.scale != "type" or not isinstance(y, Tensor) or case.complex or not hasattr(physics, "A_adjoint"):
        return
    low, high = known_range(recipe, card)
    _require_light(case, low, high, hint)
    _require_darkness(case, recipe, high)
    if not _far(case.measured, low, high):
        return
    with torch.no_grad():
        white: Any = physics.A(torch.ones(1, *case.shape, dtype=y.dtype, device=y.device))
    if not isinstance(white, Tensor) or white.shape[1:] != y.shape[1:] or bool((white < 0).any()):
        return
    width = high - low
    below, above = (low - FAR * width) * white, (high + FAR * width) * white
    seen = white > 0
    if bool(seen.any()) and float((((y < below) | (y > above)) & seen).sum() / (seen.sum() * len(y))) > STRAYS:
        raise _refused(case.measured, low, high, hint)


def _require_light(case: Case, low: float, high: float, hint: str) -> None:
    """Refuse an image whose values all but vanish on the prior's range: numbers of 8 bits scaled as if of 16."""
    largest = float(case.measured.abs().max()) if case.measured.numel() else 0.0
    if low < 0 or not 0 < largest < DARK * high:
        return
    with torch.no_grad():
        white: Any = case.physics.A(torch.ones(1, *case.shape, dtype=case.y.dtype, device=case.y.device))
    if isinstance(white, Tensor) and largest < DARK * high * float(white.abs().max()):
        raise InputError(
            f"no value is above {largest:.2g}, where the recipe and its prior mean {low:g} to {high:g}",
            f"{hint.partition(', or')[0]}, or say which are black and white: data.scale=[black,white]",
        )


def _require_darkness(case: Case, recipe: Recipe, white: float) -> None:
    """Refuse a picture of which an exposure would make more than white: local means, which noise hardly moves."""
    operator = recipe.located()["operator"]
    if operator.get("kind") != "low-light" or min(case.measured.shape[-2:]) < PATCH:
        return
    means = avg_pool2d(case.measured, PATCH) / (float(operator["exposure"]) * white)
    beyond = float((means > BRIGHT).float().mean())
    if beyond > STRAYS:
        fits = float(operator["exposure"] * means.float().quantile(1 - STRAYS / 2))
        raise InputError(
            f"{100 * beyond:.0f} % of the picture would be brighter than white at exposure {operator['exposure']:g}",
            f"how dark it is: -s operator.exposure={min(1.0, fits):.2g} makes its brightest parts white",
        )


def require_values(values: Tensor, recipe: Recipe, card: Card | None) -> None:
    """As `require_range`, for a part of a scene whose operator keeps the values' units."""
    low, high = known_range(recipe, card)
    if recipe.data.scale == "type" and _far(values, low, high):
        raise _refused(values, low, high, FOR_FILES)


def _far(values: Tensor, low: float, high: float) -> bool:
    width = high - low
    outside = (values < low - FAR * width) | (values > high + FAR * width)
    return values.numel() > 0 and float(outside.float().mean()) > STRAYS


def _refused(values: Tensor, low: float, high: float, hint: str) -> InputError:
    first, last = float(values.min()), float(values.max())
    if first < low - FAR * (high - low):
        hint = hint.partition(", or")[0]
    white = next((top for top in (255.0, 1023.0, 4095.0, 65535.0) if last <= top), last)
    return InputError(
        f"values from {first:.4g} to {last:.4g}, where the recipe and its prior mean {low:g} to {high:g}",
        hint.format(white=white),
    )
