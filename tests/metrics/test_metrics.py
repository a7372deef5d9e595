from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from inverse.errors import InputError, UsageError
from inverse.evaluation.evaluate import evaluate
from inverse.metrics.pixels import psnr
from inverse.metrics.registry import measure, metric
from inverse.metrics.samples import coverage
from inverse.metrics.windows import ssim


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(5, 3, 40, 36, generator=generator)
    scale = torch.linspace(0.01, 0.3, 5).reshape(-1, 1, 1, 1)
    return truth + scale * torch.randn(truth.shape, generator=generator), truth


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_a_batch_is_its_images(name: str, images: Any) -> None:
    prediction, truth = images
    together = metric(name).compute(prediction, truth, data_range=1.0)
    alone = torch.cat([metric(name).compute(p[None], t[None], data_range=1.0) for p, t in zip(*images, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_values_are_skimage_s(images: Any) -> None:
    prediction, truth = images
    a, b = prediction[1].permute(1, 2, 0).numpy(), truth[1].permute(1, 2, 0).numpy()
    assert float(psnr(prediction, truth)[1]) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1.0), abs=1e-4)
    theirs = structural_similarity(
        a, b, data_range=1.0, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert float(ssim(prediction, truth)[1]) == pytest.approx(theirs, abs=0.02)


def test_data_range_is_a_unit() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 1, 20, 20, generator=generator)
    prediction = truth + 0.1 * torch.rand(1, 1, 20, 20, generator=generator)
    for function in (psnr, ssim):
        torch.testing.assert_close(
            function(1000 * prediction, 1000 * truth, data_range=1000),
            function(prediction, truth),
            rtol=1e-3,
            atol=1e-3,
        )


def test_small_images_have_no_ssim() -> None:
    assert torch.isnan(ssim(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)))[0]


def test_coverage_of_an_honest_posterior() -> None:
    generator = torch.Generator().manual_seed(1)
    samples = torch.randn(6, 1, 1, 200, 200, generator=generator)
    truth = torch.randn(1, 1, 200, 200, generator=generator)
    assert float(coverage(samples, truth)) == pytest.approx(0.9, abs=0.01)


def test_unknown_metric_has_a_suggestion() -> None:
    with pytest.raises(UsageError, match="psnr"):
        metric("pnsr")


def save(path: Path, value: int, size: tuple[int, int] = (16, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def test_folders_match_by_name_and_list_the_rest(tmp_path: Path) -> None:
    for name, value in (("a.png", 10), ("b.png", 20), ("x/c.png", 30), ("lonely.png", 1)):
        save(tmp_path / "p" / name, value)
    for name, value in (("0_first.png", 99), ("b.tif", 20), ("a.png", 10), ("x/c.png", 30)):
        save(tmp_path / "t" / name, value)
    table = evaluate(tmp_path / "p", tmp_path / "t")
    assert [row["item"] for row in table.rows] == ["a.png", "b.png", "x/c.png"]
    assert all(row["psnr"] == float("inf") for row in table.rows)
    assert table.unmatched_predictions == ("lonely.png",)
    assert table.unmatched_truths == ("0_first.png",)
    assert json.loads(json.dumps(table.as_dict(), allow_nan=False))["rows"][0]["psnr"] is None
    lines = table.to_csv(tmp_path / "out.csv").splitlines()
    assert lines[0] == "item,psnr,psnr_definition,ssim,ssim_definition"
    assert "data_range=1" in (tmp_path / "out.csv").read_text()


def test_sizes_that_differ_are_named(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 1, (16, 20))
    save(tmp_path / "b.png", 1, (18, 16))
    with pytest.raises(InputError, match=r"16 x 20 x 3, truth 18 x 16 x 3"):
        evaluate(tmp_path / "a.png", tmp_path / "b.png")


def test_nothing_in_common(tmp_path: Path) -> None:
    save(tmp_path / "p/a.png", 1)
    save(tmp_path / "t/b.png", 1)
    with pytest.raises(InputError, match="none of the 1 predictions"):
        evaluate(tmp_path / "p", tmp_path / "t")
    with pytest.raises(InputError, match="no such file"):
        evaluate(tmp_path / "p", tmp_path / "missing")


def test_arrays_and_tensors(images: Any) -> None:
    prediction, truth = images
    tensors = evaluate(prediction, truth, metrics=["psnr"])
    arrays = evaluate(prediction.permute(0, 2, 3, 1).numpy(), truth.permute(0, 2, 3, 1).numpy(), metrics=["psnr"])
    assert tensors.rows == arrays.rows
    values = [row["psnr"] for row in tensors.rows]
    assert tensors.summary()["psnr"]["mean"] == pytest.approx(np.mean(values))
    with pytest.raises(UsageError):
        evaluate("a.png", truth)
    with pytest.raises(InputError):
        evaluate(prediction[:2], truth)


def test_measure_is_per_image(images: Any) -> None:
    prediction, truth = images
    assert measure(prediction[2], truth[2], ["psnr"])["psnr"] == pytest.approx(float(psnr(prediction, truth)[2]))
