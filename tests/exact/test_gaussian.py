"""Every method against exact posteriors: its bias is what its record says, within Monte-Carlo error."""

from __future__ import annotations

import math

import pytest
import torch

from inverse import testing
from inverse.errors import RecipeError
from inverse.exact.gaussian import Bias, measure, problem
from inverse.exact.registry import draw
from inverse.sampling.method_spec import recorded_bias
from inverse.sampling.methods import METHODS

SAMPLES = 100
RECORD = recorded_bias()["problems"]
SPECTRAL = ("mask", "blur", "downsample", "mri")
"""Operators with a closed-form solve: quick enough to measure every quick method on each, with both priors."""
QUICK = tuple(f"{prior}-{name}" for prior in ("white", "coloured") for name in SPECTRAL)
SLOW = ("daps", "pnp-dm", "smc", "mmps")
CASES = [
    *(
        (f"{prior}-{name}", method)
        for prior in ("white", "coloured")
        for name in SPECTRAL
        for method in METHODS
        if method not in (*SLOW, "reverse")
    ),
    *((f"{prior}-denoise", method) for prior in ("white", "coloured") for method in ("reverse", "pigdm")),
    *((name, method) for name in ("white-mask", "coloured-blur") for method in SLOW),
    *(("coloured-stacked", method) for method in ("pigdm", "diffpir", "dps", "mpgd", "ddrm")),
    *(("white-multicoil-mri", method) for method in ("diffpir", "dds", "ddrm")),
    *(("coloured-composed", method) for method in ("diffpir", "ddnm", "ddrm")),
]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_bias_has_not_moved(name: str, method: str) -> None:
    if "spectral" in METHODS[method].needs and method not in RECORD[name]:
        with pytest.raises(RecipeError, match="needs a spectral operator"):
            measure(name, method, samples=1, steps=1)
        return
    expected, given = Bias(**RECORD[name][method]), problem(name)
    found = measure(name, method, samples=SAMPLES)
    null = len(given.mean) - given.rank
    # a standard deviation pooled over n directions and K samples has relative error 1 / sqrt(2 n_eff K); coloured
    # posteriors have fewer effective directions than pixels, so a quarter of them is assumed, and four such errors are
    # allowed
    for key, count in (("std_range", given.rank), ("std_null", null)):
        error = 4 / math.sqrt(2 * SAMPLES * max(1, count / 4))
        assert getattr(found, key) == pytest.approx(getattr(expected, key), rel=error + 0.01, abs=0.01), key
    # the mean of K samples is off by spread / sqrt(K) in each direction, in quadrature with the bias
    spreads = {"mean_range": expected.std_range} | ({"mean_null": expected.std_null} if null else {})
    for key, spread in spreads.items():
        low = max(0.0, getattr(expected, key) ** 2 - spread**2 / recorded_bias()["samples"])
        allowed = math.sqrt(low + spread**2 / SAMPLES)
        count = given.rank if key == "mean_range" else null
        error = 4 * spread / math.sqrt(2 * SAMPLES * max(1, count / 4))
        assert getattr(found, key) == pytest.approx(allowed, rel=0.1, abs=error + 0.01), key
    assert found.chi2 == pytest.approx(expected.chi2, rel=0.05, abs=0.01)


@pytest.mark.parametrize(
    ("operator", "method"),
    # the sigma-consistent dps bounds A A^T by its largest eigenvalue: exact only where all those that are not 0 are
    # equal
    [(name, "pigdm") for name in ("mask", "blur", "downsample", "mri", "multicoil-mri")]
    + [(name, "dps") for name in ("mask", "downsample", "mri")],
)
def test_guidance_with_the_right_covariance_is_nearly_exact(operator: str, method: str) -> None:
    bias = Bias(**RECORD[f"white-{operator}"][method])
    assert 0.9 <= bias.std_range <= 1.02
    assert 0.9 <= bias.std_null <= 1.02
    assert bias.mean_range < 0.1
    assert bias.mean_null < 0.1


def test_more_steps_bring_pigdm_to_the_exact_posterior() -> None:
    # 400 steps leave 1 % of discretisation, beside four Monte-Carlo errors
    testing.assert_exact("pigdm", problems=["white-mask"], samples=SAMPLES, steps=400, std=0.012, mean=0.05, chi2=0.02)


@pytest.mark.parametrize("name", ["coloured-blur", "coloured-composed-mask"])
def test_eigen_ratios_of_exact_samples_are_one_and_of_wrong_ones_are_not(name: str) -> None:
    given, count = problem(name), 1000
    unit = torch.randn(count, len(given.mean), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values, directions = torch.linalg.eigh(given.covariance)

    def samples(spread: torch.Tensor) -> torch.Tensor:
        return (given.mean + unit * spread @ directions.T).reshape(count, 1, *given.shape)

    exact = given.eigen_ratios(samples(values.sqrt()))
    assert sum(band.count for band in exact.bands) == len(values)
    assert {band.space for band in exact.bands} == {"range", "null"}
    assert all(abs(band.ratio - 1) < 4 * band.error for band in exact.bands)
    assert exact.spread < 0.01
    assert max(1 - exact.lowest, exact.highest - 1) < 1.5 * exact.extreme
    # an eighth of the directions 10 % too wide: a pooled ratio over all of them would be off by 1 %
    wrong = given.eigen_ratios(samples(values.sqrt() * torch.where(torch.arange(len(values)) % 8 == 0, 1.1, 1.0)))
    assert wrong.spread == pytest.approx(0.1 / math.sqrt(8), abs=0.01)
    # the widest quarter too wide: one band shows it
    late = given.eigen_ratios(samples(values.sqrt() * torch.where(torch.arange(len(values)) >= 192, 1.1, 1.0)))
    assert late.deviation == pytest.approx(0.1, abs=0.03)


def test_every_method_has_a_record() -> None:
    for method, spec in METHODS.items():
        names = ("white-mask", "coloured-blur") if method in SLOW else QUICK
        names = ("white-denoise", "coloured-denoise") if method == "reverse" else names
        missing = [name for name in names if method not in RECORD[name]]
        assert not missing, f"python benchmarks/exact.py --write --method {method} --problem {missing[0]}"
        assert spec.bias


@pytest.mark.parametrize("name", ["coloured-mask", "coloured-blur"])
def test_moment_matching_with_heun_is_exact_along_every_eigen_direction(name: str) -> None:
    post = draw(name, "mmps", samples=SAMPLES)
    assert post.cost.forward <= 100 * SAMPLES
    ratios = problem(name).eigen_ratios(post.samples)
    # the worst of eight pools, each with its Monte-Carlo error
    assert ratios.deviation < 0.03 + 3 * ratios.error
