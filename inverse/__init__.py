"""From a measurement to its posterior: diffusion priors, forward operators and posterior sampling for imaging."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "build_operator": "inverse.operators.build",
    "evaluate": "inverse.metrics",
    "generate": "inverse.generation",
    "open_prior": "inverse.priors.open",
    "Posterior": "inverse.posterior",
    "Reconstructor": "inverse.reconstructor",
    "restore": "inverse.restoration",
    "restore_blocks": "inverse.blocks",
    "sample": "inverse.api",
    "sample_scene": "inverse.scene",
    "simulate": "inverse.api",
    "steps": "inverse.api",
    "Step": "inverse.samplers.reverse",
}

__all__ = [
    "Posterior",
    "Reconstructor",
    "Step",
    "build_operator",
    "evaluate",
    "generate",
    "open_prior",
    "restore",
    "restore_blocks",
    "sample",
    "sample_scene",
    "simulate",
    "steps",
]

if TYPE_CHECKING:
    from inverse.api import sample, simulate, steps
    from inverse.blocks import restore_blocks
    from inverse.generation import generate
    from inverse.metrics import evaluate
    from inverse.operators.build import build_operator
    from inverse.posterior import Posterior
    from inverse.priors.open import open_prior
    from inverse.reconstructor import Reconstructor
    from inverse.restoration import restore
    from inverse.samplers.reverse import Step
    from inverse.scene import sample_scene


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import inverse`` loads neither torch nor deepinv."""
    if name not in _HOME:
        raise AttributeError(f"module 'inverse' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
