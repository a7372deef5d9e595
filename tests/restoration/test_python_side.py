"""`inverse.restore` and its parts as a person calls them: arrays, functions, names, files without a run folder."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import inverse
from inverse.runs.summary import Run

QUICK: dict[str, Any] = {"prior": {"name": "gaussian"}, "method": {"kind": "diffpir", "steps": 2}, "run.samples": 2}


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def pixels() -> Any:
    return (np.random.default_rng(0).random((24, 32, 3)) * 255).astype(np.uint8)


def test_a_file_without_a_folder_gives_a_posterior(tmp_path: Path, pixels: Any) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    post = inverse.restore("deblur", tmp_path / "a.png", overrides=QUICK, noise=0.05, sigma=1.0)
    assert isinstance(post, inverse.Posterior)
    again = inverse.restore("deblur", pixels, overrides=QUICK, noise=0.05, sigma=1.0, items=["a.png"])
    np.testing.assert_array_equal(post.to_numpy(), again.to_numpy())
    run = inverse.restore("deblur", tmp_path / "a.png", out=tmp_path / "o", overrides=QUICK, noise=0.05, sigma=1.0)
    assert isinstance(run, Run)
    with h5py.File(tmp_path / "o" / "items" / "a.png" / "posterior.h5") as file:
        np.testing.assert_allclose(file["samples"][:], post.samples[:, 0].numpy(), atol=1e-5)
    Image.fromarray(pixels).save(tmp_path / "b.png")
    with pytest.raises(inverse.UsageError, match="2 files need a folder"):
        inverse.restore("deblur", [tmp_path / "a.png", tmp_path / "b.png"], overrides=QUICK)


def test_settings_by_name(pixels: Any) -> None:
    post = inverse.restore(
        "denoise", pixels, method="dds", steps=3, noise=0.1, device="cpu", overrides={"prior.name": "gaussian"}
    )
    assert (post.method["kind"], len(post.levels[0])) == ("dds", 4)
    with pytest.raises(inverse.UsageError, match="no setting 'stepz'") as error:
        inverse.restore("denoise", pixels, stepz=3)
    assert error.value.hint == "did you mean 'steps'?"
    with pytest.raises(inverse.UsageError, match="--sigma is the width"):
        inverse.restore("denoise", pixels, sigma=2.0)


def test_arrays_are_masks_and_kernels(pixels: Any) -> None:
    mask = np.zeros((24, 32), bool)
    mask[::2] = True
    physics = inverse.build_operator("file-mask", shape=(3, 24, 32), mask=mask)
    np.testing.assert_array_equal(physics.mask[0, 0].numpy() > 0, mask)
    kernel = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    x = rand(1, 1, 20, 20)
    one = inverse.build_operator("kernel-blur", shape=(1, 20, 20), kernel=kernel)
    other = inverse.build_operator("kernel-blur", shape=(1, 20, 20), file=kernel.numpy())
    torch.testing.assert_close(one.A(x), other.A(x))
    post = inverse.restore("inpaint", pixels, mask=mask, noise=0.05, overrides=QUICK)
    assert float(post.data_share[0, 0, 1].max()) == 0.0 < float(post.data_share[0, 0, 0].min())
    nested = {**QUICK, "operator": {"file": mask, "kind": "file-mask"}, "noise": {"sigma": 0.05}}
    np.testing.assert_array_equal(inverse.restore("inpaint", pixels, overrides=nested).mean, post.mean)
    blurred = inverse.restore("deblur", pixels, mask=mask, noise=0.05, overrides=QUICK)  # what is used of a measurement
    assert blurred.mean.shape == (1, 3, 24, 32)


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_an_operator_is_a_function_and_its_adjoint(kind: str) -> None:
    library: Any = torch if kind == "torch" else np

    def forward(x: Any) -> Any:
        return library.cumsum(x, -1)

    def backward(y: Any) -> Any:
        return library.flip(library.cumsum(library.flip(y, (-1,)), -1), (-1,))

    physics = inverse.build_operator(forward, adjoint=backward, shape=(1, 6, 8), noise=0.1)
    y = inverse.simulate(rand(2, 1, 6, 8), physics)
    post = inverse.sample(y, physics, inverse.open_prior("gaussian"), samples=2, steps=2)
    assert post.mean.shape == (2, 1, 6, 8)
    with pytest.raises(inverse.InputError, match="adjoint is not the operator's"):
        inverse.build_operator(forward, adjoint=forward, shape=(1, 6, 8))
    with pytest.raises(inverse.InputError, match="not linear"):
        inverse.build_operator(lambda x: x**2, adjoint=backward, shape=(1, 6, 8))


def test_autograd_finds_an_adjoint() -> None:
    physics = inverse.build_operator(lambda x: 2 * x[..., ::2], shape=(1, 4, 4))
    np.testing.assert_array_equal(physics.A_adjoint(torch.ones(1, 1, 4, 2))[0, 0, 0], [2, 0, 2, 0])


def test_numpy_in_numpy_out() -> None:
    x = np.random.default_rng(0).random((12, 16, 3)).astype(np.float32)
    physics = inverse.build_operator("gaussian-blur", shape=(3, 12, 16), sigma=1.0, noise=0.05)
    y = inverse.simulate(x, physics, seed=3)
    assert y.shape == (1, 12, 16, 3)
    tensor = torch.from_numpy(x).permute(2, 0, 1)[None]
    np.testing.assert_array_equal(y[0], inverse.simulate(tensor, physics, seed=3)[0].permute(1, 2, 0))
    prior = inverse.open_prior("gaussian")
    last, first = (inverse.sample(v, physics, prior, samples=2, steps=2).mean for v in (y, np.moveaxis(y, -1, 1)))
    torch.testing.assert_close(last, first)
    with pytest.raises(inverse.InputError, match="channel last"):
        inverse.sample(y[:, :8], physics, prior)


def test_the_order_of_axes_is_told(pixels: Any) -> None:
    with pytest.raises(inverse.InputError, match=r"channels first\?"):
        inverse.restore("denoise", np.moveaxis(pixels, -1, 0))
    with pytest.raises(inverse.InputError, match=r"channels last\?"):
        inverse.restore("denoise", rand(1, 24, 32, 3))
    with pytest.raises(inverse.InputError) as error:
        inverse.restore("denoise", rand(3, 24, 32))
    assert error.value.hint == "add the batch axis: tensor[None]"


def test_a_posterior_is_saved_plotted_and_asked_for_intervals(tmp_path: Path, pixels: Any) -> None:
    post = inverse.restore("denoise", pixels, noise=0.1, overrides=QUICK)
    low, high = post.interval(0.9)
    torch.testing.assert_close(low, post.quantile(0.05))
    torch.testing.assert_close(high, post.quantile(0.95))
    with pytest.raises(inverse.UsageError, match="interval of level 90"):
        post.interval(90)
    saved = Image.open(post.save(tmp_path / "a.png"))
    np.testing.assert_array_equal(np.asarray(saved), np.clip(np.rint(post.to_numpy()[0]), 0, 255).astype(np.uint8))
    with np.load(post.save(tmp_path / "a.npz")) as arrays:
        np.testing.assert_array_equal(arrays["std"], post.to_numpy("std"))
    with h5py.File(post.save(tmp_path / "a.h5")) as file:
        np.testing.assert_array_equal(file["samples"], post.to_numpy("samples"))
    with pytest.raises(inverse.OutputError, match="exists"):
        post.save(tmp_path / "a.png")
    with pytest.raises(inverse.UsageError, match="no file of this kind"):
        post.save(tmp_path / "a.gif")
    assert len(post.plot().axes) == 5  # three panels, two of them with a bar
    with pytest.raises(inverse.UsageError, match="item 1 of a posterior of 1"):
        post.plot(1)


def test_a_table_prints_as_one(pixels: Any) -> None:
    truth = np.stack([pixels, pixels])
    noisy = np.clip(truth.astype(int) + 3, 0, 255).astype(np.uint8)
    table = inverse.evaluate(noisy, truth, metrics=["psnr", "mae"], items=["one", "two"])
    lines = str(table).splitlines()
    assert [line.split()[0] for line in lines] == ["item", "one", "two", "mean"]
    assert lines[0].split() == ["item", "psnr", "mae"]
    pandas = pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert [*frame.index] == ["one", "two"]
    assert frame["psnr"].tolist() == table.values("psnr")


@pytest.mark.filterwarnings("ignore:darker")
def test_a_function_that_warns_is_called_with_tensors() -> None:
    seen: list[str] = []

    def darker(x: Any) -> Any:
        seen.append(type(x).__name__)
        warnings.warn("darker than it was", DeprecationWarning, stacklevel=1)
        return 0.5 * x

    image = inverse.build_operator(darker, shape=(1, 8, 8)).A(rand(1, 1, 8, 8))
    assert set(seen) == {"Tensor"}
    assert torch.allclose(image, 0.5 * rand(1, 1, 8, 8))


@pytest.mark.parametrize(
    "change",
    [
        *({"dtype": value} for value in ("x", torch.float16, 3)),
        *({"shard": value} for value in ((0, 4), 3, (2, 1))),
        *({"workers": "x"}, {"threads": 1.5}, {"progress": 3}, {"overwrite": "x"}, {"executor": 3}, {"keep": 3}),
        *({"tile": 1.5}, {"batch": 1.5}, {"time_budget": "10m"}, {"time_budget": -1}, {"device": 3}, {"strict": 1}),
        *({"mask": 3}, {"mask": {}}, {"noise": True}, {"out": ""}),
        *({"overrides": {3: 2}}, {"overrides": {"method": {3: 2}}}),
    ],
    ids=repr,
)
def test_settings_of_a_wrong_type_are_refused(change: dict[str, Any], pixels: Any) -> None:
    with pytest.raises(inverse.InverseError) as caught:
        inverse.restore("inpaint", pixels, **change)
    assert len(str(caught.value).splitlines()) <= 3


def test_numbers_of_numpy_and_torch_are_numbers(pixels: Any) -> None:
    given: dict[str, Any] = {**QUICK, "noise.sigma": np.float32(0.125), "operator": {"sigma": torch.tensor(1.5)}}
    post = inverse.restore("deblur", pixels, overrides=given)
    assert float(post.observation.sigma[0]) == 0.125
    mask = np.ones((24, 32)).tolist()
    mask[3][5] = 0
    filled = inverse.restore("inpaint", pixels, mask=mask, noise=0.1, overrides=QUICK)
    assert float(filled.observation.physics.mask.sum()) == 24 * 32 - 1


def test_a_posterior_that_was_looked_at_is_pickled(pixels: Any) -> None:
    y = rand(1, 3, 24, 32)
    physics = inverse.build_operator("gaussian-blur", shape=(3, 24, 32), sigma=1.0, noise=0.1)
    post = inverse.sample(y, physics, "gaussian", method="diffpir", steps=2, samples=2)
    assert post.data_share.shape == post.invented.shape
    again = pickle.loads(pickle.dumps(post))
    assert torch.equal(again.invented, post.invented)


def test_a_posterior_is_not_saved_under_what_is_no_name(pixels: Any) -> None:
    post = inverse.restore("denoise", pixels, noise=0.1, overrides=QUICK)
    for name in (3, None, "a" * 300 + ".png", "o.xyz", ""):
        with pytest.raises(inverse.InverseError):
            post.save(name)


def test_names_that_are_empty_are_none(pixels: Any) -> None:
    for measurement in ("", [], ["", ""]):
        with pytest.raises(inverse.InverseError):
            inverse.restore("denoise", measurement)
    with pytest.raises(inverse.RecipeError, match="no recipe ''"):
        inverse.restore("", pixels)


def test_images_tables_and_draws_refuse_nonsense() -> None:
    x = rand(1, 3, 24, 32)
    physics = inverse.build_operator("denoise", shape=(3, 24, 32), noise=0.1)
    calls: list[Any] = [
        lambda: inverse.simulate(x * float("nan"), physics),
        *(
            lambda change=change: inverse.generate("gaussian", **{"shape": (3, 24, 32), **change})
            for change in ({"steps": 0}, {"samples": "a"}, {"samples": 10**9}, {"shape": 3}, {"device": "x"})
        ),
        lambda: inverse.sample(x, physics, "gaussian", antithetic="no"),
        lambda: inverse.Reconstructor("gaussian")(None, physics),
        lambda: inverse.evaluate(x, x, data_range=-1),
        lambda: inverse.evaluate(x, x, metrics=3),
        lambda: inverse.evaluate(x, x, metrics=[]),
        lambda: inverse.build_operator(lambda v: v * float("nan"), shape=(3, 24, 32)),
        lambda: inverse.build_operator(lambda v: v, adjoint=3, shape=(3, 24, 32)),  # type: ignore[arg-type]
        lambda: inverse.build_operator(lambda v: v, adjoint=lambda v: 1 / 0, shape=(3, 24, 32)),
    ]
    for call in calls:
        with pytest.raises(inverse.InverseError):
            call()
