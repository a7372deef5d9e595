"""Calibration on known posteriors: the exact method is found calibrated, the biases of others with their sign."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest
import torch

from inverse.calibration.statistics import Prediction
from inverse.evaluation.calibration_findings import Findings, calibrate
from inverse.exact import gaussian as gates
from inverse.exact.mixture import mixture_problem

TRUTHS, SAMPLES = 20, 8
BIAS = json.loads((resources.files("inverse.sampling") / "bias.json").read_text("utf-8"))["problems"]


def _pairs(truths: np.ndarray, samples: np.ndarray, determine=None) -> list[Prediction]:
    """Truths drawn from the exact posterior, each beside samples of its own."""
    groups = samples.reshape(len(truths), -1, *samples.shape[1:])
    return [
        Prediction(
            f"truth {i}", truths[i], own.mean(0), own.std(0, ddof=1), len(own), own, determine=determine, misfit=1.0
        )
        for i, own in enumerate(groups)
    ]


def gaussian(name: str, method: str) -> Findings:
    given = gates.problem(name)
    samples = gates.problem(name).draw(method, samples=TRUTHS * SAMPLES).samples[:, 0].double().numpy()
    z = torch.randn(TRUTHS, len(given.mean), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    truths = (given.mean + z @ torch.linalg.cholesky(given.covariance).T).reshape(TRUTHS, *given.shape).numpy()
    basis = given.basis[:, : given.rank].numpy()

    def determine(image: np.ndarray) -> np.ndarray:
        return (basis @ (basis.T @ image.ravel())).reshape(image.shape)

    return calibrate(_pairs(truths, samples, determine))


@pytest.mark.parametrize("name", ["white-mask", "coloured-blur", "coloured-downsample"])
def test_exact_draws_cover_what_they_say_within_monte_carlo_error(name: str) -> None:
    found = gaussian(name, "exact")
    error = found.coverage.each.std(0, ddof=1) / TRUTHS**0.5
    assert (np.abs(found.coverage.values - found.coverage.levels) < 4 * error + 1e-3).all()
    assert found.coverage.at(0.9)[0] == pytest.approx(0.9, abs=0.02)
    assert found.stretch == pytest.approx(1, abs=0.06)
    assert found.z_std == pytest.approx(1, abs=0.05)
    text = " ".join(found.says())
    assert text.startswith("calibrated: 90 % intervals hold")
    assert "overconfident" not in text
    assert "underconfident" not in text


@pytest.mark.parametrize("method", ["ddrm", "ddnm", "red-diff"])
def test_a_known_overconfidence_is_found_with_its_sign(method: str) -> None:
    known = BIAS["white-mask"][method]
    assert known["std_range"] < 0.8
    assert known["std_null"] < 0.9
    found = gaussian("white-mask", method)
    lines = found.says()
    assert lines[0].startswith("overconfident: 90 % intervals hold")
    assert "std too small by" in lines[0]
    assert found.stretch > 1.1
    assert found.z_std > 1.05
    assert next(line for line in lines if line.startswith("ranks")).count("overconfident") == 1
    for space in ("range", "null"):
        ratio = known[f"std_{space}"] ** 2
        # truth and mean of the samples vary by 1 + r / K, the samples say r (1 + 1 / K)
        expected = (SAMPLES + ratio) / (ratio * (SAMPLES + 1))
        assert found.range_null[space]["ratio"] == pytest.approx(expected**0.5, rel=0.12)


def test_two_errors_that_cancel_are_told_apart_by_the_two_spaces() -> None:
    """diffpir is too wide where the data say something, too narrow where they do not: its intervals hold 90 %."""
    known = BIAS["white-mask"]["diffpir"]
    assert known["std_range"] > 1.2
    assert known["std_null"] < 0.9
    found = gaussian("white-mask", "diffpir")
    seen, unseen = (found.range_null[space] for space in ("range", "null"))
    assert seen["high"] < 1 < unseen["low"]
    spaces = next(line for line in found.says() if "determine" in line)
    assert "underconfident; in what they do not" in spaces
    assert spaces.endswith("overconfident")


def test_the_mixture_is_covered_by_exact_draws_and_not_by_others() -> None:
    given = mixture_problem(8, 4, 1)
    count, truths = 39, given.posterior.sample(40, seed=5).double().numpy()
    exact = given.draw("exact", samples=40 * count).samples[:, 0].double().numpy()
    found = calibrate(_pairs(truths, exact), data_range=(-16, 16))
    assert found.coverage.at(0.9)[1] < 0.9 < found.coverage.at(0.9)[2]
    assert found.says()[0].startswith("calibrated")
    # the same draws, a third too narrow and a half too wide about their means
    centre = exact.reshape(40, count, -1).mean(1)[:, None]
    for factor, word in ((0.67, "overconfident"), (2.0, "underconfident")):
        scaled = (centre + factor * (exact.reshape(40, count, -1) - centre)).reshape(exact.shape)
        assert calibrate(_pairs(truths, scaled), data_range=(-16, 16)).says()[0].startswith(word)


def test_the_mixtures_known_bias_is_found() -> None:
    """pigdm takes the mixture for one Gaussian a step: its draws are wider than the exact ones, and found to be."""
    given = mixture_problem(8, 4, 1)
    truths = given.posterior.sample(30, seed=5).double().numpy()
    samples = given.draw("pigdm", samples=30 * 39).samples[:, 0].double().numpy()
    exact = given.posterior.sample(2000, seed=7).double().numpy()
    assert samples.std(0).mean() > 1.1 * exact.std(0).mean()
    assert calibrate(_pairs(truths, samples), data_range=(-16, 16)).says()[0].startswith("underconfident")
