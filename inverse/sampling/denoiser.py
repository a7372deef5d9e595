r"""The prior side of every method: a denoiser, counted, batched in sigma, and differentiable on demand.

``estimate(x, sigma, grad=True)`` returns the posterior mean :math:`D = E[x_0 | x]` and ``vjp(v)`` :math:`= J^T v`
with :math:`J = \partial D / \partial x`; by Tweedie's second-order formula :math:`\mathrm{Cov}[x_0 | x] = \sigma^2 J`
(Efron 2011; Meng et al. 2021).

Where the images' distribution has a symmetry that the network has learned only roughly, each evaluation goes through
another element of the group, :math:`T^{-1} D(T x)` (equivariant denoising; Terris et al. 2024, CVPR): what is left of
the network's error in each orientation averages out along the steps and over the samples, at no cost. Sample ``k``
begins with element ``k``, so it is a function of the sample alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from inverse.errors import PriorError
from inverse.operators.observation import Counter
from inverse.priors.card import Card
from inverse.priors.mismatch import Surprise

__all__ = ["VJP", "Denoise", "Denoised", "answered"]

CONTRACT = "allowed: D(x, sigma) = E[x0 | x0 + sigma n = x], of x's own shape"


class VJP(Protocol):
    """Product with the transposed Jacobian of a denoiser at one state."""

    def __call__(self, v: Tensor, *, keep: bool = False) -> Tensor:
        """Return ``J^T v``; the graph is freed unless it is kept."""
        ...


@dataclass(frozen=True)
class Denoised:
    """What the prior says of the image behind a noisy state."""

    mean: Tensor  # ``D(x, sigma)`` (B, C, *S), detached
    vjp: VJP  # ``v -> J^T v``, both (B, C, *S); ``keep=True`` where another product at this state follows


@dataclass(frozen=True)
class Denoise:
    """A denoiser as the engine calls it."""

    prior: Callable[[Tensor, Tensor], Tensor]  # ``D(x, sigma)`` in data units, deepinv's denoiser signature
    counter: Counter  # where evaluations are counted: one a batch entry, or as many as the prior's ``evaluations``
    turns: tuple[int, ...] = ()  # first element of the group of each batch entry; empty without a symmetry
    surprise: Surprise | None = None  # takes note of what each evaluation leaves
    square: bool | None = None  # whether the image is square; None: by its shape, which a window of a scene has not
    _calls: list[int] = field(default_factory=lambda: [0], repr=False)

    def for_samples(self, samples: Sequence[int], card: Card) -> Denoise:
        """The denoiser of one batch, from its sample indices; its evaluations are numbered anew."""
        turns = tuple(samples) if card.symmetry is not None else ()
        return Denoise(self.prior, self.counter, turns, Surprise(card))

    def for_window(self, sample: int, card: Card, *, square: bool, number: int) -> Denoise:
        """The denoiser of one sample in a window of a scene, from its evaluation ``number`` on."""
        turns = (sample,) if card.symmetry is not None else ()
        return Denoise(self.prior, self.counter, turns, square=square, _calls=[number])

    def _turned(self, x: Tensor, levels: Tensor) -> Tensor:
        """The prior's answer in the orientation of each entry at this evaluation."""
        number, self._calls[0] = self._calls[0], self._calls[0] + 1
        if not self.turns or x.ndim != 4 or x.shape[0] % len(self.turns):
            return answered(self.prior(x, levels), x)
        each = x.shape[0] // len(self.turns)  # particles of a sample turn together
        square = x.shape[-1] == x.shape[-2] if self.square is None else self.square
        size = 8 if square else 4
        elements = [(number + first) % size for first in self.turns for _ in range(each)]
        turned = torch.cat([_turn(part, g) for part, g in zip(torch.split(x, 1), elements, strict=True)])
        answer = answered(self.prior(turned, levels), turned)
        return torch.cat([_turn_back(part, g) for part, g in zip(torch.split(answer, 1), elements, strict=True)])

    def estimate(self, x: Tensor, sigma: float, *, grad: bool = False) -> Denoised:
        """Evaluate the denoiser at the state ``x`` (B, C, *S) of noise level ``sigma``; the argument is not changed."""
        batch = x.shape[0]
        levels = torch.full((batch,), sigma, dtype=x.dtype, device=x.device)
        each = int(getattr(self.prior, "evaluations", 1))
        self.counter.forward += batch * each
        if not grad:
            with torch.no_grad():
                # networks answer channels-last, which is slow to transform
                mean = self._turned(x, levels).to(x.dtype).contiguous()
            self._note(x, mean, sigma)
            return Denoised(mean, _no_gradient)
        with torch.enable_grad():
            state = x.detach().requires_grad_(True)
            try:
                output = self._turned(state, levels).to(x.dtype).contiguous()
            except (RuntimeError, TypeError) as error:
                if "grad" in str(error):  # numpy was asked for values of a tensor that autograd follows
                    raise _constant() from error
                raise
        if not output.requires_grad:
            raise _constant()

        def vjp(v: Tensor, *, keep: bool = False) -> Tensor:
            self.counter.vjp += batch * each
            (product,) = torch.autograd.grad(output, state, v, retain_graph=keep)
            return product.contiguous()

        mean = output.detach()
        self._note(x, mean, sigma)
        return Denoised(mean, vjp)

    def _note(self, x: Tensor, mean: Tensor, sigma: float) -> None:
        if self.surprise is not None:
            self.surprise.note(x.detach(), mean, sigma)


def answered(answer: Any, x: Tensor) -> Tensor:
    """What a prior answers to the state ``x``, as a tensor of its shape; numpy arrays are taken.

    Raises:
        PriorError: It is no array of images, or one of other images.
    """
    if isinstance(answer, np.ndarray) and answer.dtype.kind == "f":
        answer = torch.from_numpy(np.ascontiguousarray(answer)).to(x.device)
    if not isinstance(answer, Tensor) or not answer.is_floating_point():
        what = str(answer.dtype).replace("torch.", "") if isinstance(answer, Tensor) else type(answer).__name__
        raise PriorError(f"the prior answers {what}, not images", CONTRACT)
    if answer.shape != x.shape:
        raise PriorError(f"the prior answers shape {tuple(answer.shape)} to {tuple(x.shape)}", CONTRACT)
    return answer


def _constant() -> PriorError:
    return PriorError(
        "the prior cannot be differentiated, and the method needs it",
        "methods that do not: diffpir, ddrm, ddnm, dds, pnp-dm; or write the prior in torch",
    )


def _turn(x: Tensor, element: int) -> Tensor:
    """Element 0 to 7 of the dihedral group: columns flipped (1), rows flipped (2), transposed before (4)."""
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if element & bit]
    x = x.mT if element & 4 else x
    return x.flip(axes) if axes else x


def _turn_back(x: Tensor, element: int) -> Tensor:
    """The inverse of `_turn`."""
    flipped = _turn(x, element & 3)
    return flipped.mT if element & 4 else flipped


def _no_gradient(v: Tensor, *, keep: bool = False) -> Tensor:
    raise RuntimeError("this estimate was made without a gradient; ask for it with grad=True")
