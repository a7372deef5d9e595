"""A prior with a symmetry is asked in another orientation at each evaluation."""

from __future__ import annotations

import pytest
import torch

import inverse
from inverse.operators.observation import Counter
from inverse.priors.models.gaussian import GaussianPrior
from inverse.sampling.denoiser import Denoise

SYMMETRIC = GaussianPrior().card.model_copy(update={"symmetry": "dihedral"})


@pytest.mark.parametrize(("shape", "size"), [((1, 6, 6), 8), ((1, 4, 6), 4)])
def test_the_answer_comes_back_in_its_own_orientation(shape, size) -> None:
    seen = []

    def identity(x, sigma):
        seen.append(x.clone())
        return x

    x = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(1, *shape)
    denoise = Denoise(identity, Counter()).for_samples([0], SYMMETRIC)
    for _ in range(size):
        assert torch.equal(denoise.estimate(x, 0.1).mean, x)
    assert len({tuple(state.flatten().tolist()) for state in seen}) == size


def test_the_jacobian_turns_too() -> None:
    weight = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    denoise = Denoise(lambda x, sigma: weight * x, Counter()).for_samples([3], SYMMETRIC)
    x = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    estimate = denoise.estimate(x, 0.1, grad=True)
    # a diagonal Jacobian is its own transpose, in the orientation of the answer
    assert torch.allclose(estimate.vjp(x), estimate.mean)


def test_a_sample_does_not_depend_on_its_batch_mates() -> None:
    weight = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25

    class Skewed:
        """A denoiser that is not equivariant, of a distribution said to be."""

        card = GaussianPrior().card.model_copy(update={"symmetry": "dihedral"})

        def __call__(self, x, sigma):
            return weight * x

    physics = inverse.build_operator("random-mask", shape=(1, 16, 16), missing=0.5, noise=0.05)
    y = inverse.simulate(torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(1)), physics)
    draw = lambda samples, batch: inverse.sample(y, physics, Skewed(), samples=samples, batch=batch, steps=5).samples  # noqa: E731
    whole = draw(4, 4)
    assert (draw(4, 1) - whole).abs().max() < 1e-5
    assert (draw(range(2, 4), 2) - whole[2:]).abs().max() < 1e-5
