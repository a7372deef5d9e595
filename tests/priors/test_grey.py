from __future__ import annotations

import torch

from inverse.priors.channels import GreyPrior
from inverse.priors.models.gaussian import GaussianPrior


def test_grey_prior_is_exact_for_independent_channels() -> None:
    """The mean of three independent N(0.5, c) channels is N(0.5, c / 3): the grey denoiser must be that prior's."""

    class Colour(GaussianPrior):
        @property
        def card(self):  # type: ignore[no-untyped-def]
            return super().card.model_copy(update={"channels": 3})

    grey = GreyPrior(Colour(variance=0.09))
    x = torch.linspace(-1, 2, 32).reshape(2, 1, 4, 4)
    for sigma in (torch.tensor(0.1), torch.tensor([0.05, 0.4])):
        torch.testing.assert_close(grey(x, sigma), GaussianPrior(variance=0.03)(x, sigma))
    assert grey.card.channels == 1
