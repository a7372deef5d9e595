"""Non-Cartesian MRI: the sums written out, the fit to raw data, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from inverse.errors import InputError, RecipeError, UsageError
from inverse.numerics.linalg import conjugate_gradients
from inverse.operators.build import build_operator, operator_for
from inverse.operators.measurement import Measurement
from inverse.operators.mri.cartesian import fourier, to_complex
from inverse.operators.mri.coils import birdcage
from inverse.operators.mri.spec import MriRadial
from inverse.operators.noise.models import noise_model

pytest.importorskip("finufft")

from inverse.operators.mri import radial as mri_radial
from inverse.operators.mri.radial import fit_radial

SIZE = (32, 30)


def disc():
    rows, columns = np.meshgrid(*((np.arange(n) - n // 2) / (n / 2) for n in SIZE), indexing="ij")
    image = 1 / (1 + np.exp(12 * (np.hypot(rows, columns) - 0.7)))
    return torch.from_numpy(image * np.exp(0.5j * rows)).to(torch.complex64)


def cartesian(noise=1e-3):
    maps = torch.from_numpy(birdcage(4, SIZE)).to(torch.complex64)
    drawn = torch.randn(2, 4, *SIZE, generator=torch.Generator().manual_seed(0))
    return (fourier(maps * disc()) + noise * torch.complex(drawn[0], drawn[1]))[None]


@pytest.mark.parametrize("kind", ["radial", "spiral"])
def test_the_sums_are_those_of_the_formula(kind):
    physics = build_operator(
        "mri-radial", shape=(2, 9, 8), trajectory=kind, spokes=5, samples=12, coils=2, dtype=torch.float64
    )
    x = torch.randn(2, 2, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    k = torch.from_numpy(physics.points)
    assert float(k.abs().max()) <= 0.5
    rows, columns = (torch.arange(n, dtype=torch.float64) - n // 2 for n in (9, 8))
    waves = torch.exp(-2j * np.pi * (k[:, :1, None] * rows[:, None] + k[:, 1:, None] * columns))
    expected = torch.einsum("khw,bchw->bck", waves, physics.maps * to_complex(x)) / np.sqrt(72)
    torch.testing.assert_close(physics.A(x), expected, rtol=1e-9, atol=1e-9)


def test_a_cartesian_scan_is_resampled_and_its_maps_are_found():
    y = cartesian()
    found = fit_radial(MriRadial(spokes=40, calibration=16), Measurement(y, None, {"noise": None}))
    physics = found.build(noise_model(found.sigma))
    assert found.y.shape == (1, 4, 40 * 64)
    assert any("resampled along 40 radial arms" in said for said in found.said)
    assert any("central 16 x 16" in said for said in found.said)
    inside = disc().abs() > 0.5
    maps = torch.from_numpy(birdcage(4, SIZE)).to(torch.complex64)
    assert float((physics.maps[0].conj() * maps).sum(0).abs()[inside].min()) > 0.99
    x = conjugate_gradients(
        lambda v: physics.A_adjoint(physics.A(v)) + 1e-3 * v, physics.A_adjoint(found.y), tolerance=1e-4, iterations=50
    )
    estimate = to_complex(x)[0, 0].abs() / found.scale
    assert float((estimate - disc().abs()).norm() / disc().abs().norm()) < 0.05


def test_samples_come_with_their_trajectory_or_an_image_size():
    y = cartesian()
    whole = fit_radial(MriRadial(spokes=40, calibration=16), Measurement(y))
    samples = whole.y / whole.scale
    points = mri_radial.trajectory(MriRadial(spokes=40), SIZE)
    facts = {"trajectory": points.astype(np.float32), "shape": SIZE}
    again = fit_radial(MriRadial(calibration=16), Measurement(samples, None, facts))
    torch.testing.assert_close(again.y, whole.y, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="without a trajectory"):
        fit_radial(MriRadial(), Measurement(samples))
    with pytest.raises(InputError, match="a trajectory of shape"):
        fit_radial(MriRadial(spokes=3, image=SIZE), Measurement(samples))
    with pytest.raises(InputError, match="too few for coil maps"):
        fit_radial(MriRadial(spokes=2, calibration=16), Measurement(y))
    with pytest.raises(InputError, match="needs complex samples"):
        fit_radial(MriRadial(), Measurement(y.real))
    with pytest.raises(RecipeError, match="size is not known"):
        operator_for({"kind": "mri-radial"}, (1, 100))


def test_without_finufft_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "finufft", None)
    with pytest.raises(UsageError, match="finufft") as caught:
        build_operator("mri-radial", shape=(2, 16, 16))
    assert "inverse-imaging[nufft]" in str(caught.value)


@pytest.mark.parametrize(("kind", "coils"), [("radial", 1), ("radial", 3), ("spiral", 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_convolution_is_the_operator_and_its_adjoint(kind, coils, dtype):
    """`A_adjoint_A` is made without the points: also at odd sizes, for a batch, and after a change of precision."""
    physics = build_operator(
        "mri-radial", shape=(2, 31, 24), trajectory=kind, spokes=9, samples=40, coils=coils, dtype=dtype
    )
    x = torch.randn(3, 2, 31, 24, generator=torch.Generator().manual_seed(0), dtype=dtype)
    expected = physics.A_adjoint(physics.A(x))
    close = 1e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(physics.A_adjoint_A(x), expected, rtol=close, atol=close * float(expected.abs().max()))
    torch.testing.assert_close(physics.A_adjoint_A(x[1:2]), physics.A_adjoint_A(x)[1:2], rtol=0, atol=0)
    torch.testing.assert_close(physics.clone().A_adjoint_A(x), physics.A_adjoint_A(x), rtol=0, atol=0)
