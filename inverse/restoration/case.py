"""From a recipe and a picture to what `inverse.sample` takes: measurement, physics with its noise level, prior."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inverse.errors import InputError, RecipeError

if TYPE_CHECKING:
    from torch import Tensor

    from inverse.operators.measurement import Measurement
    from inverse.posterior.posterior import Posterior
    from inverse.recipes.recipe import Recipe
    from inverse.restoration.frame import Frame

__all__ = [
    "MINIMUM_SIDE",
    "Case",
    "doubt",
    "fit_prior",
    "forward_seconds",
    "make_case",
    "method_kind",
    "open_case",
    "open_recipe_prior",
    "resolve_dtype",
    "span",
    "statistics",
]

MINIMUM_SIDE = 16
"""Smallest side of a picture: below it there is no neighbourhood to estimate anything from."""

INTERVAL = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Case:
    """One item, ready to be solved.

    Attributes:
        y: Measurement (1, C, h, w), data units; complex (1, coils, ...) for raw k-space.
        physics: Its physics, noise level included.
        shape: (C, H, W) of the unknown.
        sigma: Noise level, data units.
        estimated: Whether it was estimated from the measurement.
        said: What else was estimated from the measurement, in sentences.
        scale: The unknown in the file's units is ``x / scale``.
        seen: The measurement before its noise was whitened; None where that changes nothing.
    """

    y: Tensor
    physics: Any
    shape: tuple[int, ...]
    sigma: float
    estimated: bool
    said: tuple[str, ...] = ()
    scale: float = 1.0
    seen: Tensor | None = None

    @property
    def measured(self) -> Tensor:
        """The measurement as the file holds it, data units, zero where nothing was observed."""
        return self.y if self.seen is None else self.seen

    @property
    def complex(self) -> bool:
        """Whether the unknown is a complex image, as two real channels."""
        return self.y.is_complex()

    @property
    def picture(self) -> Tensor:
        """What can be shown of the measurement, (C, h, w): of raw k-space the magnitude of what its adjoint makes of it."""
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
        from inverse.operators.observation import observed

        mask = observed(self.physics, self.y)
        return None if mask is None or bool((mask == 1).all()) else mask.reshape(-1, *mask.shape[-3:])[:1]


def span(case: Case, low: float, high: float) -> tuple[float, float, float]:
    """Smallest and largest measured value, and the fraction of them clearly outside a range: by more than four times the noise.

    Raw k-space is scaled to a magnitude of 1 as it is prepared, and its values are none of an image; nor are those of a measurement with other
    bands than the unknown's or one, such as diffraction patterns.
    """
    y = case.measured
    if case.complex or y.shape[1] not in (1, case.shape[0]):
        return 0.0, 1.0, 0.0
    inside = y if case.observed is None else y[case.observed.expand_as(y) > 0]
    outside = (inside < low - 4 * case.sigma) | (inside > high + 4 * case.sigma)
    return float(inside.min()), float(inside.max()), float(outside.float().mean())


def method_kind(recipe: Recipe) -> str:
    """Name of the recipe's method."""
    return str(recipe.method.model_dump()["kind"])


def open_recipe_prior(recipe: Recipe) -> Any:
    """The recipe's prior, in the recipe's data units. The values of a complex image have either sign: its white is a magnitude.

    Raises:
        PriorError: If it is missing or its weights are not those of its card.
    """
    from inverse.priors.open import open_prior

    name: str | Path = recipe.located()["prior"]["name"]
    opened, white = open_prior(name), recipe.data.range[1]
    own = (-white, white) if opened.card is not None and opened.card.complex else recipe.data.range
    wanted = recipe.prior.data_range or own
    same = opened.card is not None and opened.card.data_range == tuple(wanted)
    return opened if same else open_prior(name, data_range=wanted)


def resolve_dtype(dtype: str, prior: Any, device: str) -> str:
    """``auto`` resolved: bfloat16 where the machine computes it natively and the prior is a network."""
    import torch

    from inverse.priors.open import is_network
    from inverse.sampling.problem import bfloat16_is_fast

    if dtype != "auto":
        return dtype
    fast = is_network(prior) and bfloat16_is_fast(torch.device(device))
    return "bfloat16" if fast else "float32"


def fit_prior(prior: Any, channels: int, *, dtype: str, device: str) -> Any:
    """The prior for images of so many channels, in a precision, on a device; one of colour serves other counts (`inverse.priors.channels`, `inverse.priors.channels`)."""
    import torch

    from inverse.priors.channels import BandPrior, GreyPrior
    from inverse.priors.open import computed

    prior = computed(prior, dtype=getattr(torch, dtype), device=device)
    if prior.card is None or prior.card.channels != 3 or channels == 3:
        return prior
    return GreyPrior(prior) if channels == 1 else BandPrior(prior, channels)


def open_case(recipe: Recipe, frame: Frame, *, device: str = "cpu") -> Case:
    """Make a frame's measurement and physics; the noise level is estimated where the recipe says ``auto``.

    Args:
        recipe: What was measured, and how.
        frame: One image of the measurement's file.
        device: Where to compute.

    Raises:
        InputError: If the frame does not fit the operator.
        RecipeError: If the output asked for does not exist.
    """
    from inverse.operators.mri.cartesian import MultiCoil, RowCoils

    measurement = frame.measurement(recipe.data.transfer, device=device)
    case = make_case(recipe, measurement)
    if recipe.output == "rss" and not isinstance(case.physics, RowCoils | MultiCoil):
        raise RecipeError(
            "output: rss is of raw k-space of several coils on a grid, which this is not", "allowed: mean, sample"
        )
    said = doubt(recipe, measurement)
    return replace(case, said=(*case.said, said)) if said else case


def doubt(recipe: Recipe, measurement: Measurement) -> str:
    """What is to be said of a blur that nobody measured: a shipped recipe's own, beside what the image looks like."""
    from inverse.operators.blur.estimate import estimate_blur
    from inverse.operators.build import unmeasured

    spec = recipe.located()["operator"]
    names = unmeasured(spec)
    if not names or not recipe.assumes_operator:
        return ""
    assumed = ", ".join(f"{name} {spec[name]:g}" for name in names)
    advice = " ".join(f"-s operator.{name}=auto" for name in names)
    try:
        looks = f"; the image looks like {estimate_blur(measurement.y[0], spec['kind'])}"
    except InputError:
        looks = ""
    return f"the blur is the recipe's own ({assumed}), not measured{looks}: give it, or {advice}"


def make_case(recipe: Recipe, measurement: Measurement | Tensor) -> Case:
    """As `open_case`, for a measurement (1, C, h, w) in data units, or complex (1, coils, ...)."""
    import torch

    from inverse.operators.build import fitted_operator
    from inverse.operators.image.masks import restricted
    from inverse.operators.measurement import Measurement
    from inverse.operators.noise.fit import fit_noise
    from inverse.operators.noise.models import noise_model
    from inverse.operators.observation import observed

    if isinstance(measurement, torch.Tensor):
        measurement = Measurement(measurement)
    fitted = fitted_operator(recipe.located()["operator"], measurement)
    valid = measurement.valid

    def build(sigma: float) -> Any:
        physics = fitted.build(noise_model(sigma)).to(fitted.y.device)
        return physics if valid is None else restricted(physics, valid, fitted.shape)

    mask = observed(build(0.0), fitted.y)
    noise = fit_noise(recipe.noise, fitted.y, observed=mask, sigma=fitted.sigma)
    y, seen = (value if mask is None else value * mask for value in (noise.y, fitted.y))
    said = (*fitted.said, *noise.said)
    return Case(
        y,
        noise.whitened(build(noise.sigma)),
        tuple(fitted.shape),
        noise.sigma,
        noise.estimated,
        said,
        fitted.scale,
        seen,
    )


def statistics(post: Posterior, case: Case) -> dict[str, Tensor]:
    """What a posterior says, without the batch axis and in the input's frame, by the names of ``posterior.h5``; of several coils ``rss``, ``rss_std`` too."""
    import torch

    from inverse.operators.mri.cartesian import MultiCoil, RowCoils
    from inverse.posterior.chains import in_numbers
    from inverse.posterior.evidence import residual_map

    if post.crop != case.crop:
        post = replace(post, crop=case.crop)  # another posterior, which computes its data share again
    arrays = {"mean": post.mean[0], "data_share": post.data_share[0], "invented": post.invented[0]}
    arrays |= {"samples": post.samples[:, 0], "misfit": post.misfit[:, 0]}
    if len(post.samples) > 1 or (post.knows_spread and "responsibility" not in post.diagnostics):
        arrays |= {"std": post.std[0], "quantiles": torch.stack([post.quantile(q)[0] for q in INTERVAL])}
    if "r_hat" in in_numbers(post.diagnostics):
        arrays |= {"r_hat": post.r_hat[0], "ess": post.ess[0]}
    residual = residual_map(post)
    arrays |= {"measurement": case.picture} | ({} if residual is None else {"residual": residual})
    if case.observed is not None and not case.complex:
        arrays |= {"observed": case.observed[0]}
    if "convergence" in post.diagnostics:
        arrays |= {"convergence": post.diagnostics["convergence"][:, 0]}
    if isinstance(case.physics, RowCoils | MultiCoil):
        from inverse.operators.mri.rss import predicted_rss

        found = predicted_rss(case.physics, post.states[:, 0], case.y, case.sigma, item=post.items[0])
        arrays |= {"rss": found[0]} | ({"rss_std": found[1]} if "std" in arrays else {})
    return {name: value.float().cpu().contiguous() for name, value in arrays.items()}


def forward_seconds(prior: Any, shape: Sequence[int], *, dtype: str, device: str) -> float:
    """Seconds of one forward pass for an unknown (C, H, W); the first call, which warms up, is not counted."""
    import torch

    fitted = fit_prior(prior, shape[0], dtype=dtype, device=device)
    x = torch.zeros(1, *shape, device=device)
    level = torch.full((1,), 0.1, device=device)
    with torch.no_grad():
        fitted(x[..., :64, :64], level)
        began = time.perf_counter()
        fitted(x, level)
        if device.startswith("cuda"):
            torch.cuda.synchronize()
    return time.perf_counter() - began
