"""A posterior sampler as a deepinv ``Reconstructor``, for pipelines that call ``model(y, physics)``.

Noise is keyed by name (DESIGN 2), and a batch of a data loader has none. By its position in the batch, every first
image of a batch would get the same noise, and an image would change with its place in the loader. So by default a
measurement's own bytes name it (``items="content"``): the answer is the same in any batch, at any place, after any
shuffle and on every call, and different measurements get independent noise. A measurement that differs in the last bit
gets other noise too: what differentiates by finite differences (SURE, attacks) wants ``items="position"``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import torch
from deepinv.models import Reconstructor as _Reconstructor
from deepinv.physics import GaussianNoise, StackedPhysics
from torch import Tensor, nn

from inverse.errors import UsageError, did_you_mean
from inverse.numerics.defaults import independent
from inverse.numerics.linalg import Vector, parts
from inverse.posterior.posterior import Posterior
from inverse.priors.open import open_prior
from inverse.sampling.arguments import checked
from inverse.sampling.methods import method_spec
from inverse.sampling.posterior_samples import sample

__all__ = ["Reconstructor"]

#: What deepinv passes to every model, and nothing here depends on.
_TOLERATED = ("update_parameters", "x_gt")


class Reconstructor(_Reconstructor):
    """Posterior mean of a measurement: ``model(y, physics)`` (B, C, *S).

    A network prior is a submodule (``network``): ``.to`` moves it, ``state_dict`` holds it, and it stays in evaluation
    mode.

    Args:
        prior: As in :func:`inverse.sample`; opened once, here.
        method: Method name.
        samples: Samples averaged.
        seed: Seed of all noise.
        sigma: Noise level in place of the physics' own; its ``noise_model`` is then not looked at.
        items: What names a measurement, and so keys its noise: "content" (its bytes) or "position" (its place in the
            batch).
        **params: Everything else :func:`inverse.sample` takes: ``steps``, ``batch``, ``dtype``, ``shape``, the method's
            parameters.

    Raises:
        UsageError: an unknown method or value of ``items``.
        RecipeError: an unknown or impossible parameter of the method.
        PriorError: a prior that is missing.
    """

    @independent
    def __init__(
        self,
        prior: Any,
        *,
        method: str = "diffpir",
        samples: int = 4,
        seed: int = 0,
        sigma: float | Tensor | None = None,
        items: Literal["content", "position"] = "content",
        **params: Any,
    ) -> None:
        super().__init__()
        if items not in ("content", "position"):
            raise UsageError(f"items {items!r}", "allowed: 'content', 'position'; or names with each call")
        own = {name: value for name, value in params.items() if name not in ("batch", "device", "dtype", "shape")}
        method_spec(method).validate({name: value for name, value in own.items() if (name, value) != ("steps", None)})
        self.prior = open_prior(prior)
        self.network = _network(self.prior)
        self.method, self.samples, self.seed = method, samples, seed
        self.sigma, self.items, self.params = sigma, items, params
        if self.network is not None:
            self.network.eval()

    def train(self, mode: bool = True) -> Reconstructor:
        """Note the mode; a prior is not trained, and stays as it evaluates."""
        super().train(mode)
        if self.network is not None:
            self.network.eval()
        return self

    @independent
    def posterior(
        self,
        y: Vector,
        physics: Any,
        *,
        samples: int | range | None = None,
        sigma: float | Tensor | None = None,
        items: Sequence[str] | None = None,
    ) -> Posterior:
        """The posterior itself: samples, spread, intervals and evidence.

        Args:
            y: Measurements (B, ...), real, complex or a ``TensorList``.
            physics: The deepinv physics that made them, with Gaussian noise; not changed.
            samples: Samples, where other than the model's.
            sigma: Noise level of this call: a number, or (B,).
            items: Names of the measurements.

        Raises:
            InputError: a noise model that is not Gaussian, or without a level, and no ``sigma``.
            InverseError: as :func:`inverse.sample`.
        """
        level = self.sigma if sigma is None else sigma
        with torch.inference_mode(False):  # the guided methods differentiate the network, whatever the pipeline does
            y, _ = checked(y, physics)
            if level is not None:
                physics = _with_level(physics, level)
            names = items if items is not None else (contents(y) if self.items == "content" else None)
            count = self.samples if samples is None else samples
            given = {"method": self.method, "samples": count, "seed": self.seed, "items": names, **self.params}
            return sample(y, physics, self.prior, **given)

    @independent
    def forward(
        self,
        y: Vector,
        physics: Any,
        *,
        sigma: float | Tensor | None = None,
        items: Sequence[str] | None = None,
        compute_metrics: bool = False,
        **extra: Any,
    ) -> Tensor:
        """The posterior mean (B, C, *S); ``update_parameters`` and ``x_gt``, which deepinv passes, change nothing.

        Raises:
            UsageError: another keyword, or ``compute_metrics`` (deepinv's ``plot_convergence_metrics``).
            InverseError: as `posterior`.
        """
        unknown = [name for name in extra if name not in _TOLERATED]
        if unknown:
            raise UsageError(f"model(y, physics) has no '{unknown[0]}'", did_you_mean(unknown[0], ("sigma", "items")))
        if compute_metrics:
            raise UsageError(
                "convergence curves are of algorithms that iterate an estimate; this one draws samples",
                "leave plot_convergence_metrics away; inverse.steps gives every step",
            )
        return self.posterior(y, physics, sigma=sigma, items=items).mean


def contents(y: Vector) -> list[str]:
    """A name for each measurement of a batch, from its bytes; equal ones are numbered in order."""
    names: list[str] = []
    tensors = [part.detach().cpu().contiguous() for part in parts(y)]
    for item in range(tensors[0].shape[0]):
        digest = hashlib.blake2b(digest_size=16)
        for part in tensors:
            digest.update(
                (torch.view_as_real(part) if part.is_complex() else part)[item].contiguous().numpy().tobytes()
            )
        names.append(digest.hexdigest())
    return [name if names.index(name) == i else f"{name}#{names[:i].count(name)}" for i, name in enumerate(names)]


def _network(prior: Any) -> nn.Module | None:
    """The module inside a prior, if there is one."""
    while prior is not None and not isinstance(prior, nn.Module):
        prior = getattr(prior, "denoiser", None)
    return prior


def _with_level(physics: Any, sigma: float | Tensor) -> Any:
    """A copy of a physics with Gaussian noise of a level; of a stack, each of its parts."""
    copy = physics.clone()
    for part in copy.physics_list if isinstance(copy, StackedPhysics) else [copy]:
        part.noise_model = GaussianNoise(torch.as_tensor(sigma, dtype=torch.float32).reshape(-1))
    return copy
