"""Methods as the benchmarks' command lines spell them: ``NAME`` or ``NAME:parameter=value,...``."""

from __future__ import annotations

__all__ = ["method_and_parameters"]


def method_and_parameters(text: str) -> tuple[str, dict[str, float | int | str]]:
    """``"daps:covariance=jacobian,steps=20"`` to its name and parameters."""
    name, _, given = text.partition(":")
    pairs = (pair.split("=", 1) for pair in given.split(",") if pair)
    return name, {key: _value(value) for key, value in pairs}


def _value(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
