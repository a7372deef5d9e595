"""Every catalogued operator.

Adjoint, linearity, pseudo-inverse, singular basis, gradient, batches, copies, at several shapes.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from deepinv.physics import DecomposablePhysics, LinearPhysics

from inverse.operators.blur.spec import SPECS as BLUR
from inverse.operators.build import build_operator, operator_for
from inverse.operators.catalogue import operators
from inverse.operators.checks import check_operator
from inverse.operators.image.matrix import DenseMatrix
from inverse.operators.image.spec import SPECS as IMAGE
from inverse.testing import assert_operator

SHAPES = ((3, 32, 48), (1, 33, 47), (2, 40, 31))
COMPLEX = ((2, 33, 47), (2, 40, 31))
DOUBLE = torch.float64


@dataclass(frozen=True)
class Case:
    kind: str
    params: dict = field(default_factory=dict)
    spectral: bool = False
    shapes: tuple = SHAPES

    def __str__(self):
        return "-".join([self.kind, *(str(value).replace(" ", "") for value in self.params.values())])


CASES = (
    Case("denoise", spectral=True, shapes=(*SHAPES, (17,))),
    *(Case("gaussian-blur", {"sigma": 1.3, "boundary": b}, b != "free") for b in ("reflect", "circular", "free")),
    Case("gaussian-blur", {"sigma": 6.0, "boundary": "circular"}, True),
    *(
        Case("motion-blur", {"length": 9.0, "angle": 30.0, "boundary": b}, b == "circular")
        for b in ("reflect", "circular", "free")
    ),
    Case("motion-blur", {"length": 8.0, "angle": 90.0}, True),
    *(
        Case("kernel-blur", {"file": "even.npy", "boundary": b}, b == "circular")
        for b in ("reflect", "circular", "free")
    ),
    Case("random-mask", {"missing": 0.6, "seed": 3}, True),
    Case("box-mask", {"box": [2, 5, 20, 30]}, True),
    Case("file-mask", {"file": "mask.npy"}, True, ((3, 33, 47), (1, 33, 47))),
    Case("downsample", {"factor": 2}, True, ((3, 32, 48), (1, 34, 46))),
    Case("downsample", {"factor": 2, "filter": "area"}, False, ((1, 33, 47), (2, 40, 31))),
    Case("downsample", {"factor": 4}, True, ((3, 32, 48), (1, 36, 44))),
    *(Case("downsample", {"factor": 3, "filter": name}, False) for name in ("gaussian", "bicubic")),
    Case("downsample", {"factor": 4, "filter": "bicubic"}, False),
    Case("downsample", {"factor": 3, "filter": "kernel", "file": "odd.npy"}, False, SHAPES[1:2]),
    Case("anisotropic-blur", {"sigma_x": 2.0, "sigma_y": 0.7, "angle": 30.0}, False, SHAPES[1:2]),
    Case("anisotropic-blur", {"sigma_x": 2.0, "sigma_y": 0.7, "angle": 90.0}, True, SHAPES[1:2]),
    Case("defocus", {"radius": 2.7}, True, SHAPES[1:2]),
    Case("airy", {"pixel": 120.0}, True, SHAPES[1:2]),
    Case("born-wolf", {"pixel": 120.0, "defocus": 0.3, "boundary": "free"}, False, SHAPES[1:2]),
    Case("gibson-lanni", {"pixel": 120.0, "depth": 3.0, "boundary": "circular"}, True, SHAPES[1:2]),
    *(
        Case("varying-blur", {"file": "grid.npy", "boundary": b}, False, SHAPES[1:2])
        for b in ("reflect", "circular", "free")
    ),
    Case("stroke-mask", {"missing": 0.3, "width": 3}, True, SHAPES[1:2]),
    Case("text-mask", {"size": 8}, True, SHAPES[1:2]),
    Case("gap-mask", {"pattern": "slc-off"}, True, SHAPES[1:2]),
    Case("low-light", {"exposure": 0.3}, True, SHAPES[1:2]),
    Case("matrix", {"file": "wide.npy"}, True, ((84,), (1, 7, 12), (3, 4, 7))),
    Case("matrix", {"file": "tall.npz"}, True, ((84,), (3, 4, 7))),
    *(
        Case("mri", {"coils": n, "pattern": p, "acceleration": 2, "center_lines": 8}, n == 1 or p != "poisson", COMPLEX)
        for n in (1, 4)
        for p in ("equispaced", "poisson")
    ),
    Case("mri", {"coils": 4, "pattern": "random", "acceleration": 1.3, "center_lines": 8}, True, COMPLEX),
    Case("mri", {"partial_fourier": 0.7}, True, COMPLEX),
    Case("mri-radial", {"spokes": 24, "samples": 32, "image": [15, 21]}, False, ((2, 15, 21),)),
    Case(
        "mri-radial",
        {"trajectory": "spiral", "coils": 3, "spokes": 16, "samples": 60, "image": [20, 13]},
        False,
        ((2, 20, 13),),
    ),
)
PAIRS = [pytest.param(case, shape, id=f"{case}-{shape}") for case in CASES for shape in case.shapes]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("operators")
    rng = np.random.default_rng(0)
    np.save(folder / "even.npy", rng.random((4, 6)))
    np.save(folder / "odd.npy", rng.random((5, 7)))
    grid = rng.random((2, 3, 5, 4))
    grid[..., 2, 2] += 10
    np.save(folder / "grid.npy", grid)
    np.save(folder / "mask.npy", (rng.random((33, 47)) > 0.4).astype(int))
    np.save(folder / "wide.npy", rng.normal(size=(50, 84)))
    np.savez(folder / "tall.npz", rng.normal(size=(100, 84)))
    return folder


@pytest.fixture
def build(files):
    def make(case, shape, **more):
        if case.kind == "mri-radial":
            pytest.importorskip("finufft")
        params = dict(case.params)
        if "file" in params:
            params["file"] = str(files / params["file"])
        return build_operator(case.kind, shape=shape, **params, **more)

    return make


def normal(shape, seed=0, dtype=DOUBLE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def normal_like(y, seed):
    return normal(y.shape, seed, y.dtype)


def test_every_operator_has_a_case():
    """Those of colours, fits and other families are tested beside their formulas, and all by the self-check."""
    plain = [spec for spec in (*BLUR, *IMAGE) if spec.channels is None and spec.measured is None]
    needed = {spec.kind for spec in plain if spec.capabilities.startswith("linear")}
    assert needed <= {case.kind for case in CASES} <= set(operators())


@pytest.mark.parametrize(("case", "shape"), PAIRS)
def test_properties(case, shape, build):
    physics = build(case, shape, dtype=DOUBLE, noise=0.02)
    assert isinstance(physics, LinearPhysics)
    assert float(physics.noise_model.sigma) == pytest.approx(0.02)
    assert isinstance(physics, DecomposablePhysics) == case.spectral
    rows = assert_operator(physics, shape, dtype=DOUBLE)
    assert {"adjoint", "linearity", "A_dagger", "batch", "norm"} <= set(rows)
    assert ("svd" in rows) == isinstance(physics, DecomposablePhysics)


@pytest.mark.parametrize(("case", "shape"), PAIRS)
def test_float32(case, shape, build):
    physics = build(case, shape)
    y = physics.A(normal((2, *shape), dtype=torch.float32))
    assert y.real.dtype == physics.A_adjoint(y).dtype == torch.float32
    reference = build(case, shape, dtype=DOUBLE).A(normal((2, *shape), dtype=torch.float32).double())
    assert float((y - reference).abs().max()) < 1e-5 * float(reference.abs().max())
    assert_operator(physics, shape)


@pytest.mark.parametrize(("case", "shape"), PAIRS)
def test_gradient_is_the_adjoint(case, shape, build):
    physics = build(case, shape, dtype=DOUBLE)
    x = normal((2, *shape)).requires_grad_()
    y = physics.A(x)
    v = normal_like(y, 1)
    (gradient,) = torch.autograd.grad(y, x, v)
    torch.testing.assert_close(gradient, physics.A_adjoint(v), rtol=1e-10, atol=1e-10)
    w = v.clone().requires_grad_()
    back = physics.A_adjoint(w)
    (gradient,) = torch.autograd.grad(back, w, x.detach())
    torch.testing.assert_close(gradient, y.detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("case", "shape"), PAIRS)
def test_batch_of_eight_is_eight_of_one(case, shape, build):
    physics = build(case, shape)
    x = normal((8, *shape), dtype=torch.float32)
    y = physics.A(x)
    calls = [(physics.A, x, range(8)), (physics.A_adjoint, y, range(8))]
    if shape == case.shapes[0]:
        calls.append((physics.A_dagger, y, (0, 5)))
    for call, argument, items in calls:
        kept = argument.clone()
        together = call(argument)
        for item in items:
            alone = call(argument[item : item + 1])[0]
            assert float((together[item] - alone).abs().max()) < 1e-4 * float(alone.abs().max())
        assert torch.equal(kept, argument)
        if len(items) == 8:
            assert call(argument[:0]).shape == (0, *together.shape[1:])


@pytest.mark.parametrize(("case", "shape"), [pair for pair in PAIRS if pair.values[0].spectral])
def test_singular_basis(case, shape, build):
    """V is orthonormal as a real basis, in the shape of x, and the diagonal of V f V^T is exact."""
    physics = build(case, shape, dtype=DOUBLE)
    x = normal((2, *shape))
    coordinates = physics.V_adjoint(x)
    assert coordinates.shape == x.shape == physics.U_adjoint(physics.A(x)).shape
    assert bool((physics.mask >= 0).all())
    assert torch.is_floating_point(physics.mask)
    torch.testing.assert_close(coordinates.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1))
    spectrum = normal((1, *shape), 5).abs()
    diagonal = physics.basis_squared(spectrum)
    for index in (0, 5, int(np.prod(shape)) - 1):
        unit = torch.zeros(int(np.prod(shape)), dtype=DOUBLE)
        unit[index] = 1
        expected = (spectrum * physics.V_adjoint(unit.reshape(1, *shape)).square()).sum()
        torch.testing.assert_close(diagonal.flatten()[index], expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pseudo_inverse_is_the_least_squares_solution_of_smallest_norm(case, build):
    """A A^+ y is y for y in the range, and A^+ y has no part in the null space: A^+ A A^+ y = A^+ y."""
    shape = case.shapes[0]
    physics = build(case, shape, dtype=DOUBLE)
    y = physics.A(normal((2, *shape)))
    x = physics.A_dagger(y)
    again = physics.A_dagger(physics.A(x))
    assert float((again - x).norm() / x.norm()) < (0.05 if isinstance(physics, DecomposablePhysics) else 0.2)
    smoothed = physics.A(x) - y
    assert float(smoothed.norm() / y.norm()) < (1e-8 if isinstance(physics, DecomposablePhysics) else 1e-2)


@pytest.mark.parametrize("case", [case for case in CASES if not case.spectral], ids=str)
def test_pseudo_inverse_does_not_amplify_rounding(case, build):
    """On another processor the measurement differs in its last bit: the solve stays where it was."""
    physics = build(case, case.shapes[0])
    y = physics.A(normal((2, *case.shapes[0]), dtype=torch.float32))
    x = physics.A_dagger(y)
    rounded = y * (1 + 1e-7 * normal(y.shape, 1, torch.float32))
    assert float((physics.A_dagger(rounded) - x).abs().max()) < 1e-5 * float(x.abs().max())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_copies_are_equal_and_independent(case, build):
    shape = case.shapes[0]
    physics = build(case, shape, noise=0.02)
    x = normal((1, *shape), dtype=torch.float32)
    for other in (physics.clone(), copy.deepcopy(physics)):
        assert torch.equal(other.A(x), physics.A(x))
        other.noise_model.sigma.fill_(1.0)
    assert float(physics.noise_model.sigma) == pytest.approx(0.02)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_unknown_of_a_measurement(case, build, files):
    shape = case.shapes[0]
    y = build(case, shape).A(normal((1, *shape), dtype=torch.float32))
    params = dict(case.params)
    if "file" in params:
        params["file"] = str(files / params["file"])
    if case.kind == "matrix":
        params["unknown"] = shape
    physics, found = operator_for({"kind": case.kind, **params}, tuple(y.shape[1:]), noise=0.1)
    whole = case.kind != "downsample" or all(side % params["factor"] == 0 for side in shape[1:])
    assert not whole or found == shape
    assert physics.A(torch.zeros(1, *found)).shape == y.shape


@pytest.mark.parametrize("case", CASES, ids=str)
def test_global_random_state_is_left_alone(case, build):
    shape = case.shapes[0]
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    physics = build(case, shape, noise=0.02)
    check_operator(physics, shape)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002


def test_a_large_matrix_is_not_decomposed(tmp_path):
    np.save(tmp_path / "m.npy", np.random.default_rng(0).normal(size=(20, 1100)))
    physics = build_operator("matrix", shape=(1, 11, 100), file=str(tmp_path / "m.npy"), dtype=DOUBLE)
    assert isinstance(physics, DenseMatrix)
    assert_operator(physics, (1, 11, 100), dtype=DOUBLE)


def test_a_broken_operator_fails_its_checks():
    physics = build_operator("gaussian-blur", shape=(1, 16, 16), sigma=1.0)
    physics.mask = 2 * physics.mask
    physics.A_adjoint = lambda y: y
    assert [row.name for row in check_operator(physics, (1, 16, 16)) if not row.ok] == ["adjoint", "gradient"]


def test_the_catalogue_does_not_import_torch():
    code = "import sys, inverse.operators.catalogue as c; c.operators(); print({'torch', 'deepinv'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert done.stdout.strip() == "set()"
