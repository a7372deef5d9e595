"""How long a training goes on, and its learning rate: by steps, or by minutes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from inverse.priors.training.settings import TrainConfig

__all__ = ["TrainingSchedule", "learning_rate"]


def learning_rate(step: int, config: TrainConfig, share: float | None = None) -> float:
    """Learning rate of ``step``: linear warm-up, constant, cosine cooldown.

    ``share`` is how much of the training is over; by default by its steps.
    """
    if step < config.warmup:
        return config.rate * (step + 1) / config.warmup
    length = max(1, round(config.cooldown * config.steps))
    progress = (step - (config.steps - length)) / length
    if share is not None:
        progress = 1 - (1 - share) / max(config.cooldown, 1e-9)
    return config.rate * 0.5 * (1.0 + float(np.cos(np.pi * min(1.0, max(0.0, progress)))))


@dataclass(frozen=True)
class TrainingSchedule:
    """The schedule of a training that is running.

    With ``minutes`` in the settings the time decides, of all sessions together; else the steps.
    """

    config: TrainConfig
    before: float = 0.0  # seconds of earlier sessions
    began: float = field(default_factory=time.monotonic)  # this one

    @property
    def elapsed(self) -> float:
        """Seconds of the training so far."""
        return self.before + time.monotonic() - self.began

    @property
    def share(self) -> float | None:
        """How much of the time is over, 0 to 1; None where steps decide."""
        return None if self.config.minutes is None else min(1.0, self.elapsed / (60 * self.config.minutes))

    def over(self, step: int) -> bool:
        """Whether the training ends after so many steps."""
        return step >= self.config.steps if self.share is None else self.share >= 1

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return learning_rate(step, self.config, self.share)

    def left(self, step: int) -> float:
        """Minutes that are left after so many steps."""
        if self.config.minutes is not None:
            return max(0.0, self.config.minutes - self.elapsed / 60)
        return self.elapsed / step * (self.config.steps - step) / 60
