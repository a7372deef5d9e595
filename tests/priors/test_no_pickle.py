"""A recipe's prior never downloads unasked and never opens a pickle, whatever lies in a cache."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from deepinv import models
from deepinv.models import DRUNet

from inverse.cli.main import cli
from inverse.errors import PriorError
from inverse.priors.adapters import deepinv as adapter
from inverse.priors.adapters import registry
from inverse.priors.adapters.checkpoint import read_checkpoint
from tests.conftest import picture


class Hostile:
    """Makes a folder where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.mark,)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a download, or a pickle that is opened")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for place, name in ((torch, "load"), (torch.hub, "load_state_dict_from_url"), (socket.socket, "connect")):
        monkeypatch.setattr(place, name, never)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def place(cache: Path, name: str, content: Any) -> Path:
    torch.save(content, cache / adapter.PUBLISHED[name].name)
    return cache / adapter.PUBLISHED[name].name


@pytest.mark.parametrize("name", sorted(adapter.PUBLISHED))
def test_a_file_of_the_cache_is_not_opened(tmp_path: Path, cache: Path, name: str) -> None:
    if not hasattr(models, name):
        pytest.skip("not in this deepinv")
    with pytest.raises(PriorError, match="nothing is downloaded unasked") as caught:
        registry.open_spec(f"deepinv:{name.lower()}")
    assert adapter.PUBLISHED[name].url in str(caught.value)
    path = place(cache, name, Hostile(tmp_path / "executed"))
    with pytest.raises(PriorError, match="was not opened") as caught:
        registry.open_spec(f"deepinv:{name.lower()}")
    for text in (str(path), adapter.PUBLISHED[name].url, hashlib.sha256(path.read_bytes()).hexdigest()):
        assert text in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3
    assert not (tmp_path / "executed").exists()


def test_every_class_with_weights_asks_for_them(cache: Path) -> None:
    import inspect

    kinds = [kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, models.Denoiser)]
    for kind in kinds:
        if "pretrained" in inspect.signature(kind).parameters:
            with pytest.raises(PriorError, match="nothing is downloaded unasked"):
                registry.open_spec(f"deepinv:{kind.__name__.lower()}")


def test_the_known_file_is_read_without_torch_load(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.random.fork_rng(devices=[]):
        model = DRUNet(in_channels=3, out_channels=3, nc=(8, 8, 16, 16), nb=2, pretrained=None)
    path = place(cache, "DRUNet", model.state_dict())
    known = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(adapter.PUBLISHED, "DRUNet", adapter.PUBLISHED["DRUNet"]._replace(sha256=known))
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(registry.open_spec("deepinv:drunet")(x, 0.1), model(x, 0.1), atol=1e-5)


@pytest.mark.parametrize("command", ["check", "restore", "dry run"])
def test_a_recipe_runs_no_code_of_a_cache(tmp_path: Path, cache: Path, command: str) -> None:
    place(cache, "DRUNet", Hostile(tmp_path / "executed"))
    image = picture(tmp_path / "a.png")
    recipe = tmp_path / "r.yaml"
    recipe.write_text('extends: denoise\nprior: {name: "deepinv:drunet"}\n')
    arguments = ["check", recipe, image] if command == "check" else ["restore", recipe, image, "-o", tmp_path / "out"]
    arguments += ["--dry-run"] if command == "dry run" else []
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 5, result.output
    assert "drunet_deepinv_color_finetune_22k.pth" in result.output
    assert "huggingface.co" in result.output
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("trust", [False, True])
def test_a_checkpoint_is_read_without_its_code(tmp_path: Path, cache: Path, trust: bool, legacy: bool) -> None:
    path = tmp_path / "a.pt"
    hostile = {"state_dict": {"w": torch.ones(2, 3)}, "x": Hostile(tmp_path / "executed")}
    torch.save(hostile, path, _use_new_zipfile_serialization=not legacy)
    if trust:
        assert torch.equal(read_checkpoint(path, trust=True)[0]["w"], torch.ones(2, 3))
    else:
        with pytest.raises(PriorError, match="names code"):
            read_checkpoint(path)
    assert not (tmp_path / "executed").exists()
    torch.save({"w": torch.ones(2).bfloat16(), "size": torch.Size([1]), "set": {1}}, path)
    assert read_checkpoint(path)[0]["w"].dtype == torch.bfloat16


def test_check_fetches_nothing_from_a_hub(tmp_path: Path, cache: Path) -> None:
    image = picture(tmp_path / "a.png")
    for name in ("diffusers:owner/name", "azula:adm/ffhq_256x256", "azula:edm/cifar10_uncond"):
        result = CliRunner().invoke(cli, ["check", "denoise", str(image), "-s", f"prior.name={name}"])
        assert result.exit_code == 5, result.output


def test_azulas_plugins_that_unpickle_are_refused(cache: Path) -> None:
    pytest.importorskip("azula")
    with pytest.raises(PriorError, match="open pickles"):
        registry.open_spec("azula:edm/cifar10_uncond")
