"""`inverse.Reconstructor` where deepinv runs it: its tester, its metrics, its plots."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import deepinv
import matplotlib
import pytest
import torch
from deepinv.loss.metric import PSNR, SSIM
from matplotlib import pyplot
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import inverse
from inverse.errors import InputError, UsageError

matplotlib.use("Agg")

SHAPE = (3, 24, 24)


class Pairs(Dataset):  # type: ignore[type-arg]
    """What deepinv calls a data set: dictionaries of x, y and the physics' parameters."""

    def __init__(self, **columns: Any) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns["x"])

    def __getitem__(self, index: int) -> dict[str, Any]:
        given = {name: value[index] for name, value in self.columns.items() if name in ("x", "y")}
        own = {name: value[index] for name, value in self.columns.items() if name not in ("x", "y")}
        return {**given, "params": own} if own else given


def run_on(*arguments: Any, **options: Any) -> dict[str, float]:
    """deepinv's tester, whose data loader draws from the global generator."""
    with torch.random.fork_rng():
        found: dict[str, float] = deepinv.test(*arguments, device="cpu", verbose=False, **options)
    return found


@pytest.fixture
def images() -> Tensor:
    return 0.5 + 0.25 * torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def physics() -> Any:
    return inverse.build_operator("random-mask", shape=SHAPE, missing=0.5, noise=0.05)


@pytest.fixture
def model() -> inverse.Reconstructor:
    return inverse.Reconstructor("gaussian", method="ddrm", steps=4, samples=4)


@pytest.mark.filterwarnings("ignore:non_blocking_transfers")
def test_deepinv_tests_it(images: Tensor, physics: Any, model: inverse.Reconstructor, tmp_path: Path) -> None:
    loader = DataLoader(Pairs(x=images, y=inverse.simulate(images, physics)), batch_size=2)
    found = run_on(model, loader, physics, metrics=[PSNR(), SSIM()], save_folder=str(tmp_path), plot_images=True)
    assert found["PSNR"] > found["PSNR no learning"] + 2
    assert found["SSIM"] > found["SSIM no learning"]
    assert list(tmp_path.rglob("Reconstruction/*.png"))


@pytest.mark.filterwarnings("ignore:non_blocking_transfers")
def test_each_item_of_a_batch_has_its_own_mask_and_level(images: Tensor, model: inverse.Reconstructor) -> None:
    masks = (torch.rand(5, 1, 24, 24, generator=torch.Generator().manual_seed(1)) > 0.4).float()
    levels = torch.tensor([0.02, 0.05, 0.1, 0.05, 0.02])
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    y = (images + levels.reshape(-1, 1, 1, 1) * noise) * masks
    physics = inverse.build_operator("random-mask", shape=SHAPE, missing=0.5, noise=0.05)
    alone = []
    for i in range(5):
        physics.update(mask=masks[i : i + 1], sigma=levels[i : i + 1])
        alone.append(model(y[i : i + 1], physics))
    expected = torch.stack([PSNR()(alone[i], images[i : i + 1])[0] for i in range(5)])
    loader = DataLoader(Pairs(x=images, y=y, mask=masks, sigma=levels), batch_size=2)
    found = run_on(model, loader, physics, metrics=PSNR())
    assert found["PSNR"] == pytest.approx(float(expected.mean()), abs=1e-3)
    assert found["PSNR_std"] == pytest.approx(float(expected.std(correction=0)), abs=1e-3)


def test_an_answer_depends_on_the_measurement_and_not_on_its_place(
    images: Tensor, physics: Any, model: inverse.Reconstructor
) -> None:
    y = inverse.simulate(images, physics)
    together, again = model(y, physics), model(y.flip(0), physics).flip(0)
    torch.testing.assert_close(together, again, atol=1e-5, rtol=0)
    torch.testing.assert_close(model(y[3:4], physics), together[3:4], atol=1e-5, rtol=0)
    twice = model.posterior(torch.cat([y[:1], y[:1]]), physics)
    assert len(set(twice.items)) == 2
    assert torch.equal(twice.samples[:, 0], model.posterior(y[:1], physics).samples[:, 0])


def test_positions_and_names_can_key_the_noise(images: Tensor, physics: Any, model: inverse.Reconstructor) -> None:
    y = inverse.simulate(images[:2], physics)
    by_place = inverse.Reconstructor("gaussian", method="ddrm", steps=4, samples=4, items="position")
    plain = inverse.sample(y, physics, "gaussian", method="ddrm", steps=4, samples=4)
    assert torch.equal(by_place(y, physics), plain.mean)
    named = model(y, physics, items=["0", "1"])
    assert torch.equal(named, plain.mean)
    nudged = by_place(y + 1e-6 * physics.mask, physics) - by_place(y, physics)
    assert nudged.abs().max() < 1e-4  # finite differences work


def test_the_posterior_and_the_level(images: Tensor, physics: Any, model: inverse.Reconstructor) -> None:
    y = inverse.simulate(images[:2], physics)
    post = model.posterior(y, physics, samples=6)
    assert post.samples.shape == (6, 2, *SHAPE)
    assert post.observation.sigma.tolist() == pytest.approx([0.05, 0.05])
    other = model.posterior(y, physics, sigma=torch.tensor([0.2, 0.3]))
    assert other.observation.sigma.tolist() == pytest.approx([0.2, 0.3])
    assert float(physics.noise_model.sigma) == pytest.approx(0.05)
    fixed = inverse.Reconstructor("gaussian", method="ddrm", steps=4, sigma=0.2)
    assert fixed.posterior(y, physics).observation.sigma.tolist() == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize(
    "noise",
    [deepinv.physics.ZeroNoise(), deepinv.physics.PoissonGaussianNoise(), deepinv.physics.noise.RicianNoise(sigma=0.1)],
    ids=["none", "poisson-gaussian", "rician"],
)
def test_noise_that_is_not_gaussian_is_refused(
    images: Tensor, physics: Any, model: inverse.Reconstructor, noise: Any
) -> None:
    y = inverse.simulate(images[:1], physics)
    physics.noise_model = noise
    with pytest.raises(InputError, match=f"{type(noise).__name__}; allowed: Gaussian noise with a sigma"):
        model(y, physics)
    assert model(y, physics, sigma=0.05).shape == (1, *SHAPE)


def test_what_deepinv_passes_changes_nothing_and_a_typo_is_refused(
    images: Tensor, physics: Any, model: inverse.Reconstructor
) -> None:
    y = inverse.simulate(images[:1], physics)
    assert torch.equal(model(y, physics, update_parameters=True, x_gt=images[:1]), model(y, physics))
    with pytest.raises(UsageError, match="did you mean 'sigma'"):
        model(y, physics, sigm=0.1)
    with pytest.raises(UsageError, match="convergence curves"):
        model(y, physics, x_gt=images[:1], compute_metrics=True)
    with pytest.raises(inverse.errors.InverseError, match="step"):
        inverse.Reconstructor("gaussian", method="ddrm", stepz=4)
    with pytest.raises(UsageError, match="position"):
        inverse.Reconstructor("gaussian", items="place")  # type: ignore[arg-type]


class Small(torch.nn.Module):
    """A denoiser with a weight and a dropout, which would be random in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.5))
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        share = 0.0625 / (0.0625 + torch.as_tensor(sigma).reshape(-1, *[1] * (x.ndim - 1)) ** 2)
        return self.weight + share * self.dropout(x - self.weight)


def test_it_is_a_module(images: Tensor, physics: Any) -> None:
    y = inverse.simulate(images[:1], physics)
    model = inverse.Reconstructor(Small(), method="diffpir", steps=3, samples=2)
    assert list(model.state_dict()) == ["network.weight"]
    before = model(y, physics)
    assert model.train().training
    assert not model.network.training
    assert torch.equal(model(y, physics), before)
    twin = copy.deepcopy(model)
    twin.load_state_dict({"network.weight": torch.tensor(0.9)})
    assert not torch.equal(twin(y, physics), before)
    assert torch.equal(model(y, physics), before)
    assert next(model.to(torch.device("meta")).network.parameters()).device.type == "meta"


def test_inference_mode_does_not_stop_methods_that_differentiate(images: Tensor, physics: Any) -> None:
    model = inverse.Reconstructor("gaussian", method="pigdm", steps=3, samples=1)
    with torch.inference_mode():
        y = inverse.simulate(images[:1], physics)
        inside = model(y, physics)
    assert torch.equal(inside, model(y.clone(), physics))


def test_deepinv_plots_and_measures_its_output(images: Tensor, physics: Any, model: inverse.Reconstructor) -> None:
    y = inverse.simulate(images[:2], physics)
    post = model.posterior(y, physics)
    assert SSIM()(post.mean, images[:2]).shape == (2,)
    shown = {"mean": post.mean, "deviation": post.std, "measured": y}
    figure = deepinv.utils.plot(shown, show=False, return_fig=True)
    assert [axis.get_title() for axis in figure.axes[:3]] == list(shown)
    pyplot.close(figure)
