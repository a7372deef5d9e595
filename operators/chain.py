r"""Operators one after the other: :math:`y = A_k \cdots A_2 A_1 x + n`, the first of the list acting first.

Linear where all parts are, with the adjoint :math:`A_1^T \cdots A_k^T`; differentiable where they are. The noise is
that of the last, and so is what was observed. A blur with a free boundary can only come first: behind another operator
there is no scene beyond the frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, cast

import torch
from deepinv.physics import LinearPhysics, Physics
from torch import Tensor

from inverse.errors import RecipeError
from inverse.operators.base import Cloned, Linear
from inverse.operators.blur.estimate import on_finer_grid
from inverse.operators.build import autos, build_operator, located, resolved, result_shape
from inverse.operators.catalogue import Chain, operator_spec
from inverse.operators.image.masks import Mask, Restricted
from inverse.operators.measurement import Estimated, Measurement

__all__ = ["ChainPhysics", "NonlinearChain", "chain", "drawn", "estimate", "locate", "result"]


class _Product:
    """What both kinds of chain do with their parts."""

    parts: torch.nn.ModuleList

    def _take(self, parts: Sequence[Physics]) -> None:
        physics, last = cast("Physics", self), parts[-1]
        physics.parts = torch.nn.ModuleList(parts)
        physics.output_crop = getattr(parts[0], "output_crop", None)
        if isinstance(last, Mask | Restricted):
            physics.register_buffer("mask", last.mask)

    def A(self, x: Tensor, **_: Any) -> Tensor:
        """(B, C, H, W) to the measurement."""
        for part in self.parts:
            x = cast("Physics", part).A(x)
        return x


class ChainPhysics(_Product, Linear):
    """A product of linear operators.

    Args:
        parts: The first acts first.
        shape: Shape (C, H, W) of one unknown.
    """

    def __init__(self, parts: Sequence[LinearPhysics], *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(shape=shape, noise_model=noise_model)
        self._take(parts)

    def A_adjoint(self, y: Tensor, **_: Any) -> Tensor:
        """The adjoint."""
        for part in reversed(self.parts):
            y = cast("LinearPhysics", part).A_adjoint(y)
        return y


class NonlinearChain(_Product, Cloned, Physics):
    """A chain with a part that is not linear; arguments as `ChainPhysics`."""

    def __init__(self, parts: Sequence[Physics], *, shape: tuple[int, ...], noise_model: Any) -> None:
        super().__init__(noise_model=noise_model)
        self.img_size = shape
        self._take(parts)


def chain(
    params: Chain, *, shape: tuple[int, ...], noise_model: Any, dtype: torch.dtype
) -> ChainPhysics | NonlinearChain:
    """The product that a list of operators describes.

    Raises:
        RecipeError: a free boundary behind another operator.
        InputError: a part that does not fit what the one before it gives.
    """
    parts, inner = [], shape
    for index, member in enumerate(params.operators):
        if index and member.get("boundary") == "free":
            raise RecipeError(
                f"operator {index + 1} of the chain, '{member['kind']}', has a free boundary", "only the first can"
            )
        part = build_operator(member, shape=inner, noise=noise_model, dtype=dtype)
        parts.append(part)
        inner = tuple(part.A(torch.zeros(1, *inner, dtype=dtype)).shape[1:])
    kind: Any = ChainPhysics if all(isinstance(part, LinearPhysics) for part in parts) else NonlinearChain
    physics: ChainPhysics | NonlinearChain = kind(parts, shape=shape, noise_model=noise_model)
    return physics


def estimate(params: Chain, measurement: Measurement) -> Estimated:
    """The chain with the parameters of its one member that are ``auto`` estimated.

    A blur is estimated as the measurement shows it, and brought to the grid that it acts on where what follows averages
    pixels.

    Raises:
        InputError: as the member's own estimate.
    """
    index = next(i for i, member in enumerate(params.operators) if autos(member))
    member, behind = params.operators[index], params.operators[index + 1 :]
    spec = operator_spec(member["kind"])
    found: Estimated = resolved(spec.estimate)(spec.model.model_validate(member), measurement)
    factor = prod(float(other.get("factor") or 1) for other in behind)
    found = on_finer_grid(spec.kind, found, factor)
    members = (*params.operators[:index], dict(found.params), *behind)
    return Estimated(
        {"kind": "chain", "operators": members},
        found.said,
        {f"{index}.{name}": error for name, error in found.errors.items()},
    )


def drawn(
    params: Chain,
    errors: Mapping[str, float],
    normals: Sequence[float],
    *,
    shape: tuple[int, ...],
    noise_model: Any,
    dtype: torch.dtype,
) -> ChainPhysics | NonlinearChain:
    """The chain with the parameters of one member drawn around an estimate; arguments as of `OperatorSpec.drawn`."""
    whole = chain(params, shape=shape, noise_model=noise_model, dtype=dtype)
    place = int(next(iter(errors)).partition(".")[0])
    inner = shape
    for part in list(whole.parts)[:place]:
        inner = tuple(cast("Physics", part).A(torch.zeros(1, *inner, dtype=dtype)).shape[1:])
    member = params.operators[place]
    spec = operator_spec(member["kind"])
    own = {name.partition(".")[2]: error for name, error in errors.items()}
    part = resolved(spec.drawn)(
        spec.model.model_validate(member), own, normals, shape=inner, noise_model=noise_model, dtype=dtype
    )
    parts = [*list(whole.parts)[:place], part, *list(whole.parts)[place + 1 :]]
    return type(whole)(cast("Any", parts), shape=shape, noise_model=noise_model)


def locate(params: Chain, shape: tuple[int, ...]) -> tuple[Chain, tuple[int, ...]]:
    """The unknown of a measurement of some shape, from the last operator to the first."""
    members = []
    for member in reversed(params.operators):
        complete, shape = located(member, shape)
        members.append(complete)
    return Chain(operators=tuple(reversed(members))), shape


def result(params: Chain, shape: tuple[int, ...]) -> tuple[int, ...]:
    """What is restored, in the measurement's frame."""
    for member in reversed(params.operators):
        shape = result_shape(member, shape)
    return shape
