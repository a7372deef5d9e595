"""The operators by kind: a typed model of each one's parameters, and where it is built.

Data only: neither torch nor deepinv is imported here. Operators of other packages join through the entry point group
``inverse.operators``: its names are kinds, its values `OperatorSpec` objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import MappingProxyType

from inverse.errors import RecipeError, did_you_mean
from inverse.operators.catalog_chain import SPECS as CHAIN
from inverse.operators.image.spec import SPECS as PHOTO
from inverse.operators.image.spec_basic import SPECS as BASIC
from inverse.operators.mri.spec import SPECS as MRI
from inverse.operators.projection.spec import SPECS as SENSING
from inverse.operators.satellite.spec import SPECS as REMOTE
from inverse.operators.spec import Operator, OperatorSpec

__all__ = ["OPERATORS", "Operator", "OperatorSpec", "operator_spec", "operators"]

OPERATORS: Mapping[str, OperatorSpec] = MappingProxyType(
    {spec.kind: spec for spec in (*BASIC, *CHAIN, *PHOTO, *SENSING, *MRI, *REMOTE)}
)
"""The operators of this package by kind."""


@cache
def operators() -> Mapping[str, OperatorSpec]:
    """All installed operators by kind: :data:`OPERATORS`, and those of other packages."""
    found = {point.name: point.load() for point in metadata.entry_points(group="inverse.operators")}
    return MappingProxyType({**found, **OPERATORS})


def operator_spec(kind: str) -> OperatorSpec:
    """The operator of a kind.

    Raises:
        RecipeError: there is no such kind; the message suggests one.
    """
    if kind not in operators():
        raise RecipeError(f"unknown operator '{kind}'", did_you_mean(kind, operators()))
    return operators()[kind]
