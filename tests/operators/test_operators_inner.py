"""deepinv's own checks of operators with complex measurements, and what moves with an operator."""

from __future__ import annotations

import deepinv
import pytest
import torch

from inverse.operators.build import build_operator
from inverse.operators.inner import RealComposed, RealStacked

SIZE = (2, 15, 14)
CASES = {
    "one coil": ("mri", {"pattern": "random", "acceleration": 2}),
    "columns": ("mri", {"coils": 3, "pattern": "random", "acceleration": 2}),
    "poisson": ("mri", {"coils": 3, "pattern": "poisson", "acceleration": 2, "center_lines": 4}),
    "radial": ("mri-radial", {"coils": 2, "spokes": 7, "samples": 20}),
}


def built(name, dtype=torch.float32):
    kind, params = CASES[name]
    if kind == "mri-radial":
        pytest.importorskip("finufft")
    return build_operator(kind, shape=SIZE, dtype=dtype, noise=0.1, **params)


@pytest.mark.parametrize("name", CASES)
def test_adjointness_is_that_of_the_real_inner_product(name):
    """Alone, stacked and composed; in double precision to its rounding; and a wrong adjoint is still found."""
    x = torch.zeros(1, *SIZE)
    physics = built(name)
    blur = deepinv.physics.Blur(torch.ones(1, 1, 3, 3) / 9, padding="circular")
    stacked, composed = physics.stack(built(name)), physics * blur
    assert isinstance(stacked, RealStacked)
    assert isinstance(composed, RealComposed)
    for made in (physics, stacked, composed):
        assert float(made.adjointness_test(x, num_samples=4)) < 1e-4
    wide = x.double()
    assert float(built(name, torch.float64).adjointness_test(wide)) < 1e-10
    adjoint = physics.A_adjoint
    physics.A_adjoint = lambda y, **_: adjoint(1j * y)
    assert float(physics.adjointness_test(x, num_samples=4)) > 0.3


def test_of_real_measurements_it_is_deepinvs():
    physics = build_operator("gaussian-blur", shape=(1, 20, 18), sigma=1.5, noise=0.1)
    x = torch.zeros(1, 1, 20, 18)
    theirs = deepinv.physics.LinearPhysics.adjointness_test
    assert float(physics.adjointness_test(x)) < 1e-4
    with torch.random.fork_rng():
        assert float(theirs(physics, x)) < 1e-4


def test_nothing_is_left_behind_by_a_move():
    pytest.importorskip("finufft")
    physics = built("radial")
    x = torch.randn(1, *SIZE, generator=torch.Generator().manual_seed(0))
    physics.A_adjoint_A(x)
    left = {name for name, value in vars(physics).items() if isinstance(value, torch.Tensor)}
    assert not left
    moved = physics.double()
    expected = moved.A_adjoint(moved.A(x.double()))
    torch.testing.assert_close(moved.A_adjoint_A(x.double()), expected, rtol=1e-9, atol=1e-9)
    assert "_spread" not in moved.state_dict()


def test_tomography_in_another_precision():
    physics = build_operator("tomography", shape=(1, 16, 14), angles=9, noise=0.1)
    x = torch.rand(1, 1, 16, 14, generator=torch.Generator().manual_seed(0))
    single = physics.A(x)
    wide = physics.to(torch.float64)
    torch.testing.assert_close(wide.A(x.double()), single.double(), rtol=1e-4, atol=1e-5)
    assert float(wide.adjointness_test(x.double())) < 1e-10
    torch.testing.assert_close(wide.to(torch.float32).A(x), single)
