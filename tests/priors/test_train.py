"""Training: exact resumption, draws of the step alone, a loss that falls, the verb from images to the store."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load

import inverse
from inverse.cli.main import cli
from inverse.errors import PriorError, RecipeError
from inverse.priors.training import trainer as training
from inverse.priors.training.corpus import Corpus
from inverse.priors.training.draws import Draws
from inverse.priors.training.gathered import Gathered
from inverse.priors.training.schedule import TrainingSchedule, learning_rate
from inverse.priors.training.settings import TrainConfig, parse_settings
from inverse.priors.training.trainer import blank_denoiser, fitted, train

CONFIG = TrainConfig(steps=12, batch=2, crop=16, warmup=2, channels=(8, 8), blocks=(1, 1), held_out=4, every=1e9)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    images = torch.randint(0, 256, (40, 3, 24, 24), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return Corpus(tuple(images), tuple(str(i) for i in range(40)))


def _weights(result) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in result[0].parameters()]


def _same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_killed_and_resumed_is_uninterrupted_bit_for_bit(corpus, tmp_path, monkeypatch) -> None:
    whole = _weights(train(corpus, tmp_path / "whole", CONFIG))
    save, saved = training._save, []

    def killed(path, state):
        save(path, state)
        saved.append(state["step"])
        if len(saved) == 5:
            raise MemoryError

    monkeypatch.setattr(training, "_save", killed)
    often = CONFIG.model_copy(update={"every": 1e-9})
    with pytest.raises(MemoryError):
        train(corpus, tmp_path / "parts", often)
    assert saved == [1, 2, 3, 4, 5]
    monkeypatch.setattr(training, "_save", save)
    assert _same(whole, _weights(train(corpus, tmp_path / "parts", CONFIG)))


def test_a_folder_of_another_training_is_refused(corpus, tmp_path) -> None:
    train(corpus, tmp_path, CONFIG.model_copy(update={"steps": 1}))
    train(corpus, tmp_path, CONFIG.model_copy(update={"steps": 2}))
    with pytest.raises(RecipeError, match="other settings: rate"):
        train(corpus, tmp_path, CONFIG.model_copy(update={"rate": 5e-4}))
    with pytest.raises(RecipeError, match="the images"):
        train(corpus.select(range(30)), tmp_path, CONFIG)


def test_draws_are_a_function_of_seed_and_step(corpus) -> None:
    draws = Draws(corpus, CONFIG, 0.5)
    first, again, other = draws(3), draws(3), draws(4)
    assert _same(first, again)
    assert not torch.equal(first[2], other[2])
    assert not torch.equal(first[2], Draws(corpus, CONFIG.model_copy(update={"seed": 1}), 0.5)(3)[2])
    assert first[0].min() >= -1
    assert first[0].max() <= 1


def test_gathered_crops_are_parts_of_the_images_in_all_orientations() -> None:
    """What a GPU does for all crops of a step at once."""
    rng = torch.Generator().manual_seed(0)
    images = tuple(torch.randint(0, 256, (3, *size), generator=rng, dtype=torch.uint8) for size in ((20, 24), (16, 31)))
    gathered = Gathered.of(Corpus(images, ("a", "b")), torch.device("cpu"))
    found = set()
    for crop in gathered.crops(200, 16, rng, scale=2.0, scaled=0.0):
        turned = [torch.rot90(crop, k, (1, 2)) for k in range(4)]
        for number, image in enumerate(images):
            parts = (image / 255.0).unfold(1, 16, 1).unfold(2, 16, 1).permute(1, 2, 0, 3, 4)
            for k, view in enumerate([*turned, *(part.flip(2) for part in turned)]):
                if bool((parts == view).all((2, 3, 4)).any()):
                    found.add((number, k))
    assert found == {(number, k) for number in range(2) for k in range(8)}


def test_gathered_crops_are_shrunk_from_larger_pieces() -> None:
    ramp = torch.linspace(0, 1, 96, dtype=torch.float32).expand(1, 96, 96).contiguous()
    gathered, rng = Gathered.of(Corpus((ramp,), ("a",)), torch.device("cpu")), torch.Generator().manual_seed(0)
    spans = {s: gathered.crops(64, 32, rng, scale=3.0, scaled=s).flatten(1) for s in (0.0, 1.0)}
    width = {s: (crops.amax(1) - crops.amin(1)) * 95 / 31 for s, crops in spans.items()}
    torch.testing.assert_close(width[0.0], torch.ones(64), rtol=1e-4, atol=1e-4)
    assert sorted({round(float(w), 1) for w in width[1.0]}) == pytest.approx([1.0, 1.7, 2.3, 3.0], abs=0.15)


def test_what_is_drawn_at_once_is_a_function_of_seed_and_step(corpus) -> None:
    draws = Draws(corpus, CONFIG, 0.5, gathers=True)
    first, again, other = draws(3), draws(3), draws(4)
    assert _same(first, again)
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == Draws(corpus, CONFIG, 0.5)(3)[0].shape
    assert -1 <= first[0].min() < -0.5 < 0.5 < first[0].max() <= 1


def test_minutes_decide_over_rate_and_end(corpus, tmp_path) -> None:
    config = CONFIG.model_copy(update={"minutes": 10.0, "cooldown": 0.5, "steps": 3, "rate": 1e-3})
    rates = [TrainingSchedule(config, before=60.0 * minute).rate(5) for minute in (1, 4.9, 7.5, 10)]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 0], abs=1e-6)
    assert not TrainingSchedule(config, before=599.0).over(1000)
    assert TrainingSchedule(config, before=600.0).over(1)
    record = train(corpus, tmp_path, config.model_copy(update={"minutes": 0.02}))[2]
    assert record["step"] > 3
    assert 1 <= record["seconds"] <= 30
    assert record["rate"] < 1e-4


def test_levels_cover_the_whole_range(corpus) -> None:
    config = CONFIG.model_copy(update={"batch": 2000, "spread": 0.2})
    sigma = Draws(corpus, config, 0.5)(0)[1]
    # the exponential of a logarithm in float32 is off by some 1e-6 of itself
    assert float(sigma.min()) >= (1 - 2e-6) * config.sigma_min
    assert float(sigma.max()) <= (1 + 2e-6) * config.sigma_max
    middle = sigma.log().median()
    assert float(middle) == pytest.approx(np.log(0.5) - 0.7, abs=0.1)
    assert float((sigma < 0.02).float().mean()) > 0.03
    assert float((sigma > 4).float().mean()) > 0.02


def test_half_of_the_crops_have_grain_of_their_own_where_asked(corpus) -> None:
    config = CONFIG.model_copy(update={"batch": 400, "grain": 0.1})
    flat = Corpus((torch.full((3, 64, 64), 128, dtype=torch.uint8),), ("a",))
    size = Draws(flat, config, 0.5)(0)[0].flatten(1).std(1) / 2
    size = size[size > 1e-5]
    assert len(size) / 400 == pytest.approx(0.5, abs=0.1)
    assert float(size.max()) == pytest.approx(0.1, rel=0.05)
    assert float(size.mean()) == pytest.approx(0.05, rel=0.1)


def test_complex_crops_have_the_magnitude_of_the_image_and_a_smooth_phase() -> None:
    magnitude = torch.full((1, 64, 64), 0.5)
    config = TrainConfig(image="complex", batch=8, crop=64, gain=1.0, scaled=0.0)
    clean = Draws(Corpus((magnitude,), ("a",), complex=True), config, 0.2)(0)[0]
    assert clean.shape == (8, 2, 64, 64)
    value = torch.complex(clean[:, 0], clean[:, 1])
    assert torch.allclose(value.abs(), torch.full_like(value.abs(), 0.5), atol=1e-6)
    step = (value[:, 1:] * value[:, :-1].conj()).angle().abs()
    assert float(step.max()) < 0.5
    assert float(value.angle().std()) > 0.5


def test_scaled_crops_are_larger_pieces() -> None:
    ramp = torch.linspace(0, 1, 96).expand(1, 96, 96).contiguous()
    plain, shrunk = (
        Draws(Corpus((ramp,), ("a",)), TrainConfig(batch=32, crop=32, scaled=s, scale=3.0), 0.5)(0)[0]
        for s in (0.0, 1.0)
    )
    spans = [(c.amax((1, 2, 3)) - c.amin((1, 2, 3))) for c in (plain, shrunk)]
    assert float(spans[0].max()) == pytest.approx(2 * 31 / 95, abs=0.01)
    assert float(spans[1].max()) > 1.4 * float(spans[0].max())


def test_held_out_images_share_no_source_with_the_others() -> None:
    images = tuple(torch.zeros(3, 8, 8, dtype=torch.uint8) for _ in range(60))
    rest, held = Corpus(images, tuple(f"photo{i % 12}" for i in range(60))).split(8, 0)
    assert not set(rest.sources) & set(held.sources)
    assert len(rest.images) + len(held.images) == 60
    assert 1 <= len(held.images) <= 12


def test_no_global_generator_is_read_or_moved(corpus, tmp_path) -> None:
    short = CONFIG.model_copy(update={"steps": 2})
    first = _weights(train(corpus, tmp_path / "a", short))
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1]  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(99)
        second = _weights(train(corpus, tmp_path / "b", short))
    assert _same(first, second)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    config = TrainConfig(steps=1000, warmup=100, cooldown=0.4, rate=1e-3)
    assert learning_rate(0, config) == pytest.approx(1e-5)
    assert learning_rate(100, config) == learning_rate(599, config) == 1e-3
    assert learning_rate(800, config) == pytest.approx(5e-4)
    assert learning_rate(1000, config) == 0


def test_the_loss_falls_on_smooth_images(tmp_path) -> None:
    ramp = torch.linspace(0, 255, 24).to(torch.uint8).expand(3, 24, 24).contiguous()
    corpus = Corpus((ramp,) * 40, tuple(str(i) for i in range(40)))
    config = CONFIG.model_copy(update={"steps": 60, "batch": 4, "warmup": 5, "rate": 3e-3, "channels": (16, 16)})
    model = train(corpus, tmp_path, config)[0]
    x = ramp[None].float() / 255
    noisy = x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        error = float((model(noisy, 0.2) - x).square().mean())
    linear = 0.25**2 / (0.25**2 + 0.2**2) * 0.2**2
    assert error < 0.8 * linear


def test_weights_of_a_colour_prior_start_one_of_two_channels() -> None:
    colour, pair = (blank_denoiser(CONFIG, n, complex=n == 2, sigma_data=0.5).network for n in (3, 2))
    state = {name: value + 0.1 for name, value in colour.state_dict().items()}
    pair.load_state_dict(fitted(state, pair))
    grey = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    level = torch.zeros(1)
    colour.load_state_dict(state)
    with torch.no_grad():
        two, three = pair(grey.expand(-1, 2, -1, -1), level), colour(grey.expand(-1, 3, -1, -1) * (2 / 3) ** 0.5, level)
    assert torch.allclose(two[:, :1], three.mean(1, keepdim=True), atol=1e-4)
    with pytest.raises(PriorError, match=r"embed\.0"):
        fitted({"head.weight": state["head.weight"]}, pair)


@pytest.mark.parametrize(
    "text", ["rate", "rate=-1", "rat=1", "steps=1.5", "image=colour", "channels=8,8", "sigma_min=9"]
)
def test_a_wrong_setting_is_refused_in_words(text) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_settings([text])
    assert len(str(caught.value).splitlines()) <= 3


SETTINGS = ["steps=30", "batch=2", "crop=16", "warmup=2", "channels=8,8", "blocks=1,1", "held_out=2", "threads=1"]


def _arguments(folder, *more: str) -> list[str]:
    return ["prior", "train", str(folder), "--name", "mine", *(word for s in SETTINGS for word in ("-s", s)), *more]


@pytest.fixture
def photographs(tmp_path):
    folder, rng = tmp_path / "photographs", np.random.default_rng(0)
    folder.mkdir()
    for i in range(8):
        base = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
        Image.fromarray(base).resize((64 + i, 48), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


def test_the_verb_makes_a_prior_that_recipes_find(photographs, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "home"))
    result = CliRunner().invoke(cli, _arguments(photographs, "--licence", "CC0-1.0", "--about", "my garden"))
    assert result.exit_code == 0, result.output
    prior = inverse.open_prior("mine")
    assert (prior.card.licence, prior.card.data, prior.card.channels) == ("CC0-1.0", "my garden", 3)
    assert set(prior.card.psnr) == {"15", "25", "50", "measured_on"}
    assert prior.card.training["steps"] == 30
    assert prior.card.data_var > 0
    assert (tmp_path / "home" / "priors" / "mine.png").stat().st_size > 1000
    tuned = CliRunner().invoke(
        cli,
        [*_arguments(photographs)[:4], "tuned", "--init", "mine", "-s", "steps=2", "-s", "crop=16", "-s", "batch=2"],
    )
    assert tuned.exit_code == 0, tuned.output
    assert inverse.open_prior("tuned").card.network == prior.card.network


def test_the_verb_refuses_what_it_cannot_train_on(photographs, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "home"))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "small.png")
    (tmp_path / "broken.h5").write_bytes(b"no such thing")
    cases = {
        (str(tmp_path / "small.png"), "--name", "x"): 4,
        (str(tmp_path / "broken.h5"), "--name", "x"): 4,
        (str(tmp_path / "nothing"), "--name", "x"): 4,
        (str(photographs), "--name", "photo"): 5,
        (str(photographs), "--name", "x", "--init", "gaussian"): 5,
        (str(photographs), "--name", "x", "-s", "stepz=3"): 3,
    }
    for arguments, code in cases.items():
        result = CliRunner().invoke(cli, ["prior", "train", *arguments])
        assert result.exit_code == code, (arguments, result.output)


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_training_killed_at_a_random_time_ends_with_the_same_weights(photographs, tmp_path, number) -> None:
    def command(home: str) -> tuple[list[str], dict[str, str]]:
        call = "import sys; from inverse.cli.main import main; main()"
        words = _arguments(photographs, "-s", "every=0.01", "--device", "cpu")
        return [sys.executable, "-c", call, *words], {
            **os.environ,
            "INVERSE_HOME": str(tmp_path / home),
            "OMP_NUM_THREADS": "1",
        }

    words, environment = command("whole")
    subprocess.run(words, env=environment, check=True, capture_output=True, timeout=120)
    words, environment = command("parts")
    log = tmp_path / "parts" / "training" / "mine" / "log.jsonl"
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for _ in range(1200):
            if log.exists() and log.read_text().count("\n") >= 3:
                break
            time.sleep(0.05)
        process.send_signal(number)
        code = process.wait(60)
    assert code in ((-9, 0) if number == signal.SIGKILL else (130, 0))
    subprocess.run(words, env=environment, check=True, capture_output=True, timeout=120)
    assert json.loads(log.read_text().splitlines()[-1])["step"] == 30
    first, second = ((tmp_path / home / "priors" / "mine.safetensors").read_bytes() for home in ("whole", "parts"))
    tensors, others = load(first), load(second)
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
