r"""What a network predicts, turned into a denoiser: one formula, a row of coefficients for each parametrisation.

With ``x = x0 + sigma n`` in model units, images on [-1, 1],

.. math::
    D(x, \sigma) = c_{skip}\, x + c_{out}\, F(c_{in}\, x,\; c_{time})

==============  =====================  ==========================  =======================  ===================
network         c_skip                 c_out                       c_in                     c_time
==============  =====================  ==========================  =======================  ===================
eps, VP         1                      -sigma                      1 / sqrt(1 + sigma^2)    step t(sigma)
v, VP           1 / (1 + sigma^2)      -sigma / sqrt(1 + sigma^2)  1 / sqrt(1 + sigma^2)    step t(sigma)
sample, VP      0                      1                           1 / sqrt(1 + sigma^2)    step t(sigma)
EDM             s^2 / (s^2 + sigma^2)  sigma s c_in                1 / sqrt(s^2 + sigma^2)  ln(sigma) / 4
VE              1                      sigma                       1                        ln(sigma / 2)
VP, continuous  1                      -sigma                      1 / sqrt(1 + sigma^2)    (M - 1) t(sigma)
flow to data    1 / (1 + sigma)        sigma / (1 + sigma)         1 / (1 + sigma)          1 / (1 + sigma)
denoiser        0                      1                           1                        sigma
flow to noise   1 / (1 + sigma)        -sigma / (1 + sigma)        1 / (1 + sigma)          sigma / (1 + sigma)
==============  =====================  ==========================  =======================  ===================

Papers: Ho et al. 2020 (eps), Salimans and Ho 2022 (v), Nichol and Dhariwal 2021 (cosine schedule, learned variances:
channels after the image's are ignored), Song et al. 2021 (VE, VP), Karras et al. 2022 (EDM, and the idea of writing
all of them like this), Lipman et al. 2023 (flow).

A table of discrete steps is read as a continuous function: the step is interpolated linearly in ``ln(sigma)`` and
handed over as a fraction, and ``sigma`` itself is used exactly in every other coefficient. Outside the table only the
step is held at the table's end; a card's ``sigma_min`` and ``sigma_max`` are that table's ends. Nothing is clipped.

Here too is what every adapter makes its prior of: the settings (the ``network`` of a card, validated like a recipe),
the network (:class:`ModuleNetwork` around another package's ``torch.nn.Module``), and :class:`AdaptedPrior`.

Cost: one network evaluation an F. Coefficients are float64; the sum is in the state's precision, float32 at least.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from inverse.errors import PriorError, did_you_mean
from inverse.priors.card import Card

__all__ = [
    "EDM",
    "START",
    "VE",
    "AdaptedPrior",
    "AdapterSettings",
    "Coefficients",
    "ContinuousVP",
    "Denoising",
    "Discrete",
    "Flow",
    "ModuleNetwork",
    "alphas_cumprod",
    "noise_levels",
    "validated",
]

#: Where sampling starts at most, model units (Karras et al. 2022): a cosine table ends at 20,000, where nothing is left
#: to learn from an image.
START = 80.0


@dataclass(frozen=True)
class Coefficients:
    """A row of the table above at noise levels (B,); each a float64 tensor (B,)."""

    skip: Tensor
    out: Tensor
    scale: Tensor
    time: Tensor


def alphas_cumprod(
    schedule: str, *, steps: int = 1000, beta_start: float | None = None, beta_end: float | None = None
) -> Tensor:
    """Signal power of each step of a discrete variance-preserving schedule, float64 (steps,).

    It is ``linear`` (betas), ``scaled_linear`` (square roots of the betas) or ``cosine``; the betas of the linear ones
    go from ``0.1 / steps`` to ``20 / steps`` by default.

    Raises:
        PriorError: there is no such schedule, or betas are not in (0, 1).
    """
    first, last = 0.1 / steps if beta_start is None else beta_start, 20 / steps if beta_end is None else beta_end
    if schedule == "cosine":
        time = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        power = torch.cos((time + 0.008) / 1.008 * torch.pi / 2) ** 2
        return torch.cumprod((power[1:] / power[:-1]).clamp(min=0.001), dim=0)
    if schedule not in ("linear", "scaled_linear"):
        raise PriorError(f"schedule '{schedule}'", did_you_mean(schedule, ("linear", "scaled_linear", "cosine")))
    if not (0 < first < 1 and 0 < last < 1):
        raise PriorError(f"betas from {first:g} to {last:g}; allowed: between 0 and 1")
    if schedule == "linear":
        betas = torch.linspace(first, last, steps, dtype=torch.float64)
    else:
        betas = torch.linspace(math.sqrt(first), math.sqrt(last), steps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


def noise_levels(power: Tensor) -> Tensor:
    """Noise levels ``sqrt((1 - a) / a)`` of a table of signal powers ``a`` (T,), without steps that have no signal.

    Raises:
        PriorError: they do not rise from step to step.
    """
    power = power.double()
    power = power[power > 0]
    levels = ((1 - power) / power).sqrt()
    if len(levels) < 2 or bool((levels.diff() <= 0).any()) or not bool(levels[0] > 0):
        raise PriorError("the noise schedule does not rise from step to step")
    return levels


@dataclass(frozen=True)
class Discrete:
    """Networks of the discrete variance-preserving family."""

    levels: Tensor  # (T,) noise levels of the steps, rising
    prediction: Literal["eps", "v", "sample"] = "eps"
    time_scale: float = 1.0  # what the network is told is ``time_scale`` times the step

    def time(self, sigma: Tensor) -> Tensor:
        """Step, a fraction, of noise levels (B,)."""
        grid, wanted = self.levels.to(sigma).log(), sigma.log()
        above = torch.searchsorted(grid, wanted).clamp(1, len(grid) - 1)
        step = above - 1 + (wanted - grid[above - 1]) / (grid[above] - grid[above - 1])
        return step.clamp(0, len(grid) - 1)

    def __call__(self, sigma: Tensor) -> Coefficients:
        """Coefficients at ``sigma`` (B,)."""
        one, scale = torch.ones_like(sigma), (1 + sigma**2).rsqrt()
        skip, out = {"eps": (one, -sigma), "v": (scale**2, -sigma * scale), "sample": (0 * one, one)}[self.prediction]
        return Coefficients(skip, out, scale, self.time_scale * self.time(sigma))


@dataclass(frozen=True)
class EDM:
    """EDM preconditioning; ``sigma_data`` is the standard deviation of the data, model units."""

    sigma_data: float = 0.5

    def __call__(self, sigma: Tensor) -> Coefficients:
        """Coefficients at ``sigma`` (B,)."""
        scale = (self.sigma_data**2 + sigma**2).rsqrt()
        return Coefficients((self.sigma_data * scale) ** 2, sigma * self.sigma_data * scale, scale, sigma.log() / 4)


@dataclass(frozen=True)
class VE:
    """Variance-exploding networks: they return ``sigma`` times the score and are told ``ln(sigma / 2)``."""

    def __call__(self, sigma: Tensor) -> Coefficients:
        """Coefficients at ``sigma`` (B,)."""
        one = torch.ones_like(sigma)
        return Coefficients(one, sigma, one, (sigma / 2).log())


@dataclass(frozen=True)
class ContinuousVP:
    """The VP equation in continuous time: ``sigma^2 = exp(beta_d t^2 / 2 + beta_min t) - 1``."""

    beta_d: float = 19.9  # extent of the rising noise rate
    beta_min: float = 0.1  # its start
    steps: int = 1000  # the network is told ``(steps - 1) t``

    def __call__(self, sigma: Tensor) -> Coefficients:
        """Coefficients at ``sigma`` (B,)."""
        root = (self.beta_min**2 + 2 * self.beta_d * torch.log1p(sigma**2)).sqrt()
        time = (self.steps - 1) * (root - self.beta_min) / self.beta_d
        return Coefficients(torch.ones_like(sigma), -sigma, (1 + sigma**2).rsqrt(), time)


@dataclass(frozen=True)
class Flow:
    """Velocities on the straight path."""

    towards: Literal["data", "noise"] = "data"  # what is at time 1
    time_scale: float = 1.0  # what the network is told is ``time_scale`` times the time

    def __call__(self, sigma: Tensor) -> Coefficients:
        """Coefficients at ``sigma`` (B,)."""
        data, noise = 1 / (1 + sigma), sigma / (1 + sigma)
        if self.towards == "data":
            return Coefficients(data, noise, data, self.time_scale * data)
        return Coefficients(data, -noise, data, self.time_scale * noise)


@dataclass(frozen=True)
class Denoising:
    """Networks that are denoisers already: told ``sigma``, they return the image."""

    def __call__(self, sigma: Tensor) -> Coefficients:
        """Coefficients at ``sigma`` (B,)."""
        one = torch.ones_like(sigma)
        return Coefficients(0 * one, one, one, sigma)


@dataclass(frozen=True)
class AdaptedPrior:
    """A network of any of these parametrisations as a prior in data units.

    Images whose sides are no multiple of the card's stride are extended by their mirror, and cropped again.
    """

    #: ``F(x, time)``, ``x`` (B, C, *S) in model units and ``dtype``, ``time`` (B,) float64; it may have a
    #: ``to(dtype=, device=)`` that returns a copy. Channels of its answer after the first C are ignored
    network: Any
    parametrisation: Callable[[Tensor], Coefficients]  # from noise levels (B,) in model units
    card: Card  # in data units; ``data_range`` says which data values are the model's -1 and 1
    dtype: torch.dtype = torch.float32  # compute precision of the network

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Posterior mean ``E[x0 | x]``: ``x`` (B, C, *S), ``sigma`` a scalar or (B,), data units; dtype of ``x``."""
        channels, low, gain = self.card.channels, self.card.data_range[0], self.card.gain
        if channels is not None and x.shape[1] != channels:
            raise PriorError(f"prior '{self.card.name}': image with {x.shape[1]} channels; allowed: {channels}")
        precision = torch.promote_types(x.dtype, torch.float32)
        level = torch.as_tensor(sigma, dtype=torch.float64, device=x.device).reshape(-1).expand(len(x)) * gain
        rows = self.parametrisation(level)
        skip, out, scale = (
            row.to(precision).reshape(-1, *[1] * (x.ndim - 1)) for row in (rows.skip, rows.out, rows.scale)
        )
        z = (x.to(precision) - low) * gain - 1.0
        answer = self._evaluate((scale * z).to(self.dtype), rows.time)[:, : x.shape[1]].to(precision)
        return ((skip * z + out * answer + 1.0) / gain + low).to(x.dtype)

    def _evaluate(self, z: Tensor, time: Tensor) -> Tensor:
        """The network on images of any size."""
        height, width = z.shape[-2:]
        pad = (0, -width % self.card.stride, 0, -height % self.card.stride)
        if any(pad):
            if min(height, width) < (least := self.card.stride):
                raise PriorError(f"prior '{self.card.name}': image of {height} x {width}; allowed: {least} and larger")
            z = functional.pad(z, pad, mode="reflect")
        answer: Tensor = self.network(z, time)
        return answer[..., :height, :width]

    def compute(self, *, dtype: torch.dtype, device: torch.device | str) -> AdaptedPrior:
        """The same prior with its network in another precision or on another device."""
        move = getattr(self.network, "to", None)
        return self if move is None else replace(self, network=move(dtype=dtype, device=device), dtype=dtype)


@dataclass(frozen=True)
class ModuleNetwork:
    """A module, which is never changed, and how to call it."""

    module: Any
    call: Callable[[Any, Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        """Evaluate: ``x`` (B, C, H, W), ``time`` (B,)."""
        return self.call(self.module, x, time)

    def to(self, *, dtype: torch.dtype, device: torch.device | str) -> ModuleNetwork:
        """A copy in another precision or on another device."""
        if not isinstance(self.module, nn.Module):
            return self
        return ModuleNetwork(copy.deepcopy(self.module).to(dtype=dtype, device=device), self.call)


class AdapterSettings(BaseModel):
    """Base of the adapters' settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Some = TypeVar("Some", bound=AdapterSettings)


def validated(model: type[Some], settings: dict[str, Any] | None) -> Some:
    """Settings from a mapping.

    Raises:
        PriorError: a key is unknown or a value is not allowed.
    """
    try:
        return model.model_validate(settings or {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise PriorError(f"no setting '{key}'", did_you_mean(key, model.model_fields)) from error
        raise PriorError(f"setting {key}={str(first['input'])[:60]}: {first['msg']}") from error
