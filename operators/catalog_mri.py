"""Operators of magnetic resonance imaging: the models of their parameters, and where they are built."""

from __future__ import annotations

from inverse.operators.spec import OperatorSpec

__all__ = ["SPECS"]

SPECS: tuple[OperatorSpec, ...] = ()
