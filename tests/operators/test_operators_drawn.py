"""Parameters that are estimated are drawn for each sample, alone, in lists, and of whichever kind the image shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

import inverse
from inverse.errors import InputError, RecipeError
from inverse.io.read_write import read
from inverse.operators.blur.blind import suspected
from inverse.operators.blur.blur import kernel_of
from inverse.operators.blur.drawn import drawn
from inverse.operators.blur.kernels import defocus_kernel, line_kernel
from inverse.operators.blur.spec import GaussianBlur, MotionBlur
from inverse.operators.build import fitted_operator
from inverse.operators.measurement import Measurement
from inverse.recipes.recipe import load
from inverse.restoration.case import open_case
from inverse.restoration.frame import frame


def _photo(side: int = 128) -> np.ndarray:
    return data.camera()[100 : 100 + side, 180 : 180 + side].astype(float) / 255


def _measured(image: np.ndarray, noise: float = 0.005) -> Measurement:
    noisy = image + noise * np.random.default_rng(0).normal(size=image.shape)
    return Measurement(torch.from_numpy(noisy)[None, None].float())


def _convolved(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    margin = kernel.shape[0] // 2
    patches = np.lib.stride_tricks.sliding_window_view(np.pad(image, margin, mode="symmetric"), kernel.shape)
    return np.einsum("hwij,ij->hw", patches, kernel[::-1, ::-1])


def test_a_drawn_blur_has_the_shape_of_the_estimate_and_its_spread() -> None:
    params = GaussianBlur(sigma=2.0, boundary="free")
    size = kernel_of(params).shape
    terms = {"shape": (1, 60, 60), "noise_model": None, "dtype": torch.float64}
    widths = []
    for normal in (-9.0, 0.0, 1.0, 9.0):
        kernel = drawn(params, {"sigma": 0.3}, [normal], **terms).kernel
        assert kernel.shape == size
        assert kernel.sum() == pytest.approx(1)
        place = np.arange(size[0]) - size[0] // 2
        widths.append(float((kernel.sum(1) * place**2).sum()) ** 0.5)
    assert widths[1] == pytest.approx(2.0, rel=0.01)
    assert widths[2] == pytest.approx(2.0 * np.exp(0.15), rel=0.02)
    assert widths[0] == pytest.approx(2.0 * np.exp(-0.3), rel=0.02)  # two errors away at most
    line = MotionBlur(length=9.0, angle=20.0, boundary="free")
    assert drawn(line, {"length": 1.0, "angle": 4.0}, [1.0, -1.0], **terms).kernel.shape == kernel_of(line).shape


def test_a_list_has_one_operator_that_is_estimated() -> None:
    wide = gaussian_filter(_photo(256), 3.0, mode="reflect")
    coarse = wide.reshape(128, 2, 128, 2).mean((1, 3))
    operator = {
        "kind": "chain",
        "operators": [
            {"kind": "gaussian-blur", "sigma": "auto", "boundary": "free"},
            {"kind": "downsample", "factor": 2},
        ],
    }
    fitted = fitted_operator(operator, _measured(coarse))
    assert fitted.unknowns == 1
    assert "on the finer grid sigma" in fitted.said[0]
    stated = float(fitted.said[0].rsplit("sigma ", 1)[1].split(" ")[0])
    error = float(fitted.said[0].rsplit("+- ", 1)[1])
    assert abs(stated - 3.0) < 2.5 * error
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, *fitted.shape, generator=generator)
    plain, other = fitted.build(0.01), fitted.drawn([2.0])(0.01)
    assert other.A(x).shape == plain.A(x).shape == (1, 1, 128, 128)
    assert torch.allclose(fitted.drawn([0.0])(0.01).A(x), plain.A(x), atol=1e-5)
    assert not torch.allclose(other.A(x), plain.A(x), atol=1e-3)
    y = torch.rand(1, 1, 128, 128, generator=generator)
    assert float((other.A(x) * y).sum()) == pytest.approx(float((x * other.A_adjoint(y)).sum()), rel=1e-4)


def test_two_unknown_operators_of_a_list_are_refused() -> None:
    with pytest.raises(RecipeError, match="auto for one operator of a list"):
        inverse.operators.build.located(
            {
                "kind": "chain",
                "operators": [{"kind": "gaussian-blur", "sigma": "auto"}, {"kind": "defocus", "radius": "auto"}],
            },
            (1, 64, 64),
        )


@pytest.mark.parametrize(
    ("kind", "kernel", "size"),
    [("defocus", defocus_kernel(3.5), 3.5), ("motion-blur", line_kernel(11, 30), 11.0)],
)
def test_the_kind_of_a_blur_is_seen(kind: str, kernel: np.ndarray, size: float) -> None:
    found = suspected(_measured(_convolved(_photo(160), kernel)))
    assert found is not None
    assert found[0] == kind
    assert next(iter(found[1].values.values())) == pytest.approx(size, rel=0.05)


def test_a_sharp_picture_has_no_blur_and_a_soft_one_a_gaussian() -> None:
    assert suspected(_measured(_photo(160))) is None
    soft = suspected(_measured(gaussian_filter(_photo(160), 1.8, mode="reflect")))
    assert soft is not None
    assert soft[0] == "gaussian-blur"
    assert soft[1].values["sigma"] == pytest.approx(1.8, abs=3 * soft[1].errors["sigma"])
    fitted = fitted_operator({"kind": "blind-blur"}, _measured(_photo()))
    (said,) = fitted.said
    assert said.startswith("no blur found (sigma ")
    assert fitted.drawn is None
    with pytest.raises(InputError, match="raw k-space"):
        fitted_operator({"kind": "blind-blur"}, Measurement(torch.zeros(1, 1, 8, 8, dtype=torch.complex64)))


def test_each_sample_has_a_blur_of_its_own_and_its_misfit() -> None:
    y = _measured(gaussian_filter(_photo(96), 1.5, mode="reflect"), 0.01).y[0, 0].numpy()
    settings = ["prior.name=gaussian", "method.kind=exact", "run.samples=3"]
    post = inverse.restore("deblur", y, overrides=["operator.sigma=auto", *settings])
    known = inverse.restore("deblur", y, overrides=["operator.sigma=1.5", *settings])
    assert post.states.shape[0] == 3
    assert post.diagnostics["own_misfit"].shape == post.misfit.shape == (3, 1)
    assert float((post.misfit - 1).abs().max()) < 0.2
    assert float(post.std.mean()) > 0.8 * float(known.std.mean())


def test_the_first_pair_has_the_blur_that_was_estimated_and_is_the_mean() -> None:
    y = _measured(gaussian_filter(_photo(96), 1.5, mode="reflect"), 0.01).y[0, 0].numpy()
    settings = ["prior.name=gaussian", "method.steps=4", "noise.sigma=0.01"]
    post = inverse.restore("deblur", y, samples=4, overrides=["operator.sigma=auto", *settings])
    torch.testing.assert_close(post.whole_mean, post.states[:2].mean(0))
    more = inverse.restore("deblur", y, samples=6, overrides=["operator.sigma=auto", *settings])
    torch.testing.assert_close(more.states[:4], post.states)  # a sample is the same however many there are
    torch.testing.assert_close(more.mean, post.mean)
    middle = (post.quantile(0.05) + post.quantile(0.95)) / 2
    torch.testing.assert_close(middle, post.mean, atol=1e-5, rtol=0)


def test_a_mast_is_no_line_of_motion(tmp_path) -> None:
    picture = data.rocket()[100:356, 200:456].astype(float)
    soft = gaussian_filter(picture, (1.6, 1.6, 0), mode="reflect") + np.random.default_rng(3).normal(
        0, 2.55, picture.shape
    )
    Image.fromarray(np.round(soft.clip(0, 255)).astype(np.uint8)).save(tmp_path / "rocket.jpg", quality=80)
    recipe = load("auto")
    case = open_case(recipe, frame(read(tmp_path / "rocket.jpg"), 0, recipe.data, channels=3, minimum=32))
    assert "no blur found" in " ".join((*case.said, *case.notes))


def test_a_spread_without_the_blurs_uncertainty_says_so(tmp_path) -> None:
    y = _measured(gaussian_filter(_photo(96), 1.5, mode="reflect"), 0.01).y[0, 0].numpy()
    np.save(tmp_path / "y.npy", y)
    settings = ["operator.sigma=auto", "prior.name=gaussian", "method.steps=4", "run.antithetic=true"]
    for samples, said in ((2, True), (4, False)):
        run = inverse.restore(
            "deblur", str(tmp_path / "y.npy"), out=tmp_path / str(samples), samples=samples, overrides=settings
        )
        assert ("without that of the blur" in run.rows[0]["note"]) == said
