"""Coupled tiles: the same sample as of the whole scene, whatever the tile; refused where that cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

import inverse
from inverse.errors import RecipeError, UsageError
from inverse.io.tiling import Tiling, Window
from inverse.numerics.rng import Rng
from inverse.operators.build import build_operator
from inverse.priors.card import Card
from inverse.scenes.coupled import sample_scene
from inverse.scenes.state import Raster, State


class Small:
    """A random network that sees 6 pixels, of stride 2, and is not symmetric."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.first = 0.2 * torch.randn(8, 3, 3, 3, generator=generator)
        self.last = 0.2 * torch.randn(3, 8, 3, 3, generator=generator)
        self.card = Card(
            name="small", title="", kind="callable", licence="none", channels=3, mean=0.45, data_var=0.07,
            sigma_min=0.002, sigma_max=1.0, stride=2, receptive_field=6, spectrum_exponent=2.0, symmetry="dihedral",
        )  # fmt: skip

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        level = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1, 1, 1)
        h = functional.conv2d(
            functional.pad(x - 0.5, (0, width % 2, 0, height % 2), mode="reflect"), self.first, padding=1
        )
        h = functional.interpolate(torch.tanh(functional.avg_pool2d(h, 2)), scale_factor=2)
        known = 0.07 / (0.07 + level**2)
        detail = 0.2 * functional.conv2d(h, self.last, padding=1)[..., :height, :width]
        return 0.45 + known * (x - 0.45) + (1 - known) * detail


PRIOR = Small()
RESIDUAL = {"covariance": "residual", "products": 0.5}
CASES = [
    ("denoise", {}, "diffpir", {}, (150, 203)),
    ("random-mask", {"missing": 0.6}, "diffpir", {}, (192, 192)),
    ("gap-mask", {"pattern": "slc-off"}, "ddnm", {}, (150, 203)),
    ("random-mask", {"missing": 0.6}, "ddrm", {}, (150, 203)),
    ("random-mask", {"missing": 0.6}, "dds", {}, (192, 192)),
    ("random-mask", {"missing": 0.6}, "mpgd", {}, (150, 203)),
    ("random-mask", {"missing": 0.6}, "pigdm", RESIDUAL, (150, 203)),
    ("denoise", {}, "auto", {"quality": "draft"}, (130, 192)),
    ("downsample", {"factor": 4}, "ddnm", {}, (192, 136)),
    ("downsample", {"factor": 4}, "pigdm", RESIDUAL, (136, 192)),
    ("gaussian-blur", {"sigma": 0.8, "boundary": "free"}, "diffpir", {}, (150, 203)),
    ("gaussian-blur", {"sigma": 0.8, "boundary": "free"}, "ddnm", {}, (192, 192)),
    ("sensor", {"factor": 2}, "diffpir", {}, (150, 204)),
    ("sensor", {"factor": 1}, "diffpir", {}, (150, 203)),
    ("downsample", {"factor": 2, "filter": "bicubic"}, "diffpir", {}, (192, 192)),
    ("downsample", {"factor": 4, "filter": "gaussian"}, "ddnm", {}, (192, 136)),
]


def problem(kind, operator, shape, sigma=0.05):
    physics = build_operator(kind, shape=(3, *shape), noise=sigma, **operator)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, shape[0] // 16 + 1, shape[1] // 16 + 1, generator=generator)
    image = functional.interpolate(coarse, size=shape, mode="bicubic")
    return inverse.simulate(image, physics), physics


@pytest.mark.parametrize(("kind", "operator", "method", "params", "shape"), CASES)
def test_tiles_are_the_whole_cut_up(kind, operator, method, params, shape, tmp_path):
    y, physics = problem(kind, operator, shape)
    given = {"method": method, "steps": None if method == "auto" else 4, "samples": 2, "seed": 3, **params}
    given = {name: value for name, value in given.items() if value is not None}
    whole = inverse.sample(y, physics, PRIOR, shape=(3, *shape), items=["a"], **given)
    tiled = sample_scene(y, physics, PRIOR, folder=tmp_path, tile=64, item="a", keep_samples=True, **given)
    for index in range(2):
        assert np.abs(tiled.sample(index) - whole.states[index, 0].numpy()).max() < 1e-4
    assert np.abs(tiled.mean() - whole.mean[0].numpy()).max() < 1e-4
    assert np.abs(tiled.std() - whole.std[0].numpy()).max() < 1e-4
    np.testing.assert_allclose(tiled.misfit, whole.misfit[:, 0], rtol=1e-3)
    assert tiled.method == whole.method


def test_arrays_of_a_tile_are_what_is_known_of_the_whole(tmp_path):
    y, physics = problem("gaussian-blur", {"sigma": 0.8, "boundary": "free"}, (150, 203))
    given = {"samples": 2, "steps": 3, "seed": 3}
    whole = inverse.sample(y, physics, PRIOR, shape=(3, 150, 203), **given)
    post = sample_scene(y, physics, PRIOR, folder=tmp_path, tile=64, keep_samples=True, **given)
    place = replace(whole, crop=physics.output_crop)
    (tile,) = post.tiles()
    assert tile.size == tuple(y.shape[-2:])
    arrays = post.arrays(tile)
    for name, expected in (("mean", place.mean[0]), ("std", place.std[0])):
        assert np.abs(arrays[name] - expected.numpy()).max() < 1e-4
    assert arrays["residual"].shape == tuple(y.shape[1:])
    assert post.tiled == "coupled, 64"
    assert set(post.told()) == {"whiteness", "correlation"}
    post.close()


def test_auto_takes_what_has_coupled_tiles(tmp_path):
    y, physics = problem("sensor", {"factor": 2}, (130, 136), sigma=0.02)
    given = {"samples": 1, "seed": 3}
    alone = inverse.sample(y, physics, PRIOR, method="auto", quality="draft", **given)
    tiled = sample_scene(y, physics, PRIOR, folder=tmp_path, tile=64, method="auto", quality="draft", **given)
    assert alone.method["kind"] == "dds"  # which stops its solve early
    name = tiled.method["kind"]
    assert name in ("ddnm", "diffpir")
    params = {key: value for key, value in tiled.method.items() if key != "kind" and value is not None}
    whole = inverse.sample(y, physics, PRIOR, method=name, **given, **params)
    assert np.abs(tiled.mean() - whole.mean[0].numpy()).max() < 1e-4


def test_a_halo_that_is_too_small_leaves_a_seam(tmp_path):
    """The test above can fail: without a halo it does."""
    y, physics = problem("denoise", {}, (150, 203))
    whole = inverse.sample(y, physics, PRIOR, samples=1, steps=4)
    tiled = sample_scene(y, physics, PRIOR, folder=tmp_path, tile=64, halo=0, samples=1, steps=4)
    assert np.abs(tiled.mean() - whole.mean[0].numpy()).max() > 1e-3


def test_killed_anywhere_it_ends_with_the_same_bytes(tmp_path):
    y, physics = problem("random-mask", {"missing": 0.5}, (130, 130))
    given = {"tile": 64, "samples": 2, "steps": 3, "method": "pigdm", **RESIDUAL}
    sure = sample_scene(y, physics, PRIOR, folder=tmp_path / "a", **given)
    calls = 0

    class KilledError(Exception):
        pass

    def kill(done, total):
        nonlocal calls
        calls += 1
        if calls % 13 == 0:
            raise KilledError

    for _ in range(40):
        try:
            found = sample_scene(y, physics, PRIOR, folder=tmp_path / "b", progress=kill, **given)
            break
        except KilledError:
            continue
    assert np.array_equal(found.mean(), sure.mean())
    assert np.array_equal(found.std(), sure.std())
    assert np.array_equal(found.misfit, sure.misfit)
    # a tile in flight is done again, no more
    assert calls <= 9 * 2 * (2 + 2 * 3) * 13 / 12 + 2


def test_a_folder_of_other_settings_is_refused(tmp_path):
    y, physics = problem("denoise", {}, (130, 130))
    sample_scene(y, physics, PRIOR, folder=tmp_path, tile=64, samples=1, steps=2)
    with pytest.raises(RecipeError, match="seed"):
        sample_scene(y, physics, PRIOR, folder=tmp_path, tile=64, samples=1, steps=2, seed=1)


@pytest.mark.parametrize(
    ("kind", "operator", "method", "params", "said"),
    [
        ("gaussian-blur", {"sigma": 1.0, "boundary": "circular"}, "diffpir", {}, "no coupled tiles"),
        ("denoise", {}, "pnp-dm", {}, "whole scene"),
        ("denoise", {}, "pigdm", {}, "covariance=residual"),
        ("denoise", {}, "pigdm", {**RESIDUAL, "kernel": "heun"}, "kernel"),
    ],
)
def test_what_is_not_local_is_refused_with_the_reason(kind, operator, method, params, said, tmp_path):
    y, physics = problem(kind, operator, (130, 130))
    with pytest.raises(RecipeError, match=said) as caught:
        sample_scene(y, physics, PRIOR, folder=tmp_path, tile=64, samples=1, method=method, **params)
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_a_tile_that_does_not_fit(tmp_path):
    y, physics = problem("denoise", {}, (130, 130))
    with pytest.raises(UsageError, match="100"):
        sample_scene(y, physics, PRIOR, folder=tmp_path, tile=100, samples=1)


def test_noise_of_a_window_is_the_scene_s():
    whole = Rng(1, ["a"], [2]).normal(torch.zeros(1, 2, 200, 150), step=3, stream="kernel")
    part = Rng(1, ["a"], [2], (56, 72)).normal(torch.zeros(1, 2, 90, 70), step=3, stream="kernel")
    assert torch.equal(part, whole[..., 56:146, 72:142])


def test_windows_end_where_the_rest_is_whole_strides():
    tiling = Tiling((203, 150), 64, 8)
    assert len(tiling) == 12
    for tile in tiling.tiles():
        window = tiling.window(tile, 10)
        assert window.top % 8 == window.left % 8 == 0
        assert (203 - window.bottom) % 8 == (150 - window.right) % 8 == 0
        assert window.top <= max(0, tile.top - 10)
        assert window.bottom >= min(203, tile.bottom + 10)


def test_a_raster_holds_what_was_written(tmp_path):
    raster = Raster(tmp_path / "a.f32", (2, 50, 40))
    values = np.arange(2 * 10 * 7, dtype=np.float32).reshape(2, 10, 7)
    raster.write(Window(5, 3, 15, 10), values)
    assert np.array_equal(raster.read(Window(5, 3, 15, 10)), values)
    assert np.array_equal(raster.read(Window(14, 9, 16, 11))[:, 0, 0], values[:, 9, 6])
    raster.close()


def test_a_tile_counts_once_its_pixels_are_there(tmp_path):
    state = State(tmp_path, (1, 128, 128), Tiling((128, 128), 64, 8), {"a": 1})
    todo = state.todo(0)
    first, second = next(todo)[0], next(todo)[0]
    todo.close()
    assert (first, second) == (0, 1)
    assert [number for number, _ in state.todo(0)] == [1, 2, 3]
    assert state.turn == 1
    state.close()


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_antithetic_samples_of_a_scene_are_those_of_the_whole(samples, tmp_path):
    y, physics = problem("random-mask", {"missing": 0.6}, (150, 192))
    given = {"method": "diffpir", "steps": 3, "samples": samples, "seed": 3, "antithetic": True}
    whole = inverse.sample(y, physics, PRIOR, items=["a"], **given)
    for keep in (False, True):
        tiled = sample_scene(
            y, physics, PRIOR, folder=tmp_path / str(keep), tile=64, item="a", keep_samples=keep, **given
        )
        assert np.abs(tiled.mean() - whole.mean[0].numpy()).max() < 1e-4
        if samples > 1:
            assert np.abs(tiled.std() - whole.std[0].numpy()).max() < 1e-4
