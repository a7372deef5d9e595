"""All problems with exact posteriors by name: conjugate Gaussians, random fields, mixtures and nonlinear ones."""

from __future__ import annotations

from typing import Any

from inverse.errors import InputError, did_you_mean
from inverse.exact import field, gaussian, mixture, nonlinear
from inverse.exact.problem import ExactProblem
from inverse.posterior.posterior import Posterior

__all__ = ["PROBLEMS", "draw", "exact_problem"]

_MODULES = (gaussian, field, mixture, nonlinear)
PROBLEMS = tuple(name for module in _MODULES for name in module.PROBLEMS)


def exact_problem(name: str) -> ExactProblem:
    """One of `PROBLEMS`.

    Raises:
        InputError: there is none of that name; the message suggests one.
    """
    for module in _MODULES:
        if name in module.PROBLEMS:
            problem: ExactProblem = module.problem(name)
            return problem
    raise InputError(f"no exact problem '{name}'", did_you_mean(name, PROBLEMS))


def draw(name: str, method: str, *, samples: int = 400, seed: int = 0, **params: Any) -> Posterior:
    """``samples`` samples of a method on one of `PROBLEMS`; arguments as of `ExactProblem.draw`."""
    return exact_problem(name).draw(method, samples=samples, seed=seed, **params)
