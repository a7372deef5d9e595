"""``inverse prior convert``: what it makes opens and answers.

What is broken or dangerous ends in three lines, exit code 5, and nothing run.
"""

from __future__ import annotations

import builtins
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from deepinv.models import NCSNpp
from safetensors.torch import save_file
from torch import Tensor, nn

import inverse
from inverse.cli.main import cli
from inverse.errors import PriorError
from inverse.priors.adapters import pickles, registry
from inverse.priors.adapters.convert import convert
from inverse.priors.adapters.guided_diffusion import ADMNetwork, adm_network
from inverse.priors.card import read_card

WIDTH = 32


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "home"))
    return tmp_path


def _adm(channels_out: int = 6) -> dict[str, Tensor]:
    """Tensors of a small guided-diffusion network, named as the published ones."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return 0.1 * torch.randn(*shape, generator=generator)

    tensors: dict[str, Tensor] = {}

    def layer(name: str, *shape: int) -> None:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = draw(*shape), draw(shape[0])

    def res(name: str, cin: int) -> None:
        layer(f"{name}.in_layers.0", cin)
        layer(f"{name}.in_layers.2", WIDTH, cin, 3, 3)
        layer(f"{name}.emb_layers.1", 2 * WIDTH, 4 * WIDTH)
        layer(f"{name}.out_layers.0", WIDTH)
        layer(f"{name}.out_layers.3", WIDTH, WIDTH, 3, 3)
        if cin != WIDTH:
            layer(f"{name}.skip_connection", WIDTH, cin, 1, 1)

    layer("time_embed.0", 4 * WIDTH, WIDTH)
    layer("time_embed.2", 4 * WIDTH, 4 * WIDTH)
    layer("input_blocks.0.0", WIDTH, 3, 3, 3)
    for name in ("input_blocks.1.0", "input_blocks.2.0", "input_blocks.3.0", "middle_block.0", "middle_block.2"):
        res(name, WIDTH)
    layer("middle_block.1.norm", WIDTH)
    layer("middle_block.1.qkv", 3 * WIDTH, WIDTH, 1)
    layer("middle_block.1.proj_out", WIDTH, WIDTH, 1)
    for index in range(4):
        res(f"output_blocks.{index}.0", 2 * WIDTH)
    res("output_blocks.1.1", WIDTH)
    layer("out.0", WIDTH)
    layer("out.2", channels_out, WIDTH, 3, 3)
    return tensors


def run(*args: Any) -> Result:
    return CliRunner().invoke(cli, ["prior", "convert", *[str(arg) for arg in args]], prog_name="inverse")


def refused(*args: Any) -> str:
    result = run(*args)
    assert result.exit_code == 5, result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) <= 3
    return result.output


HEADS = ("-s", "num_head_channels=16")


@pytest.mark.parametrize("wrapping", ["plain", "ema", "state_dict, prefix", "legacy", "safetensors"])
def test_a_checkpoint_becomes_a_prior_of_its_name(tmp_path: Path, wrapping: str) -> None:
    tensors, file = _adm(), tmp_path / "model.pt"
    if wrapping == "safetensors":
        save_file(tensors, file)
    elif wrapping == "legacy":
        torch.save(tensors, file, _use_new_zipfile_serialization=False)
    else:
        content = {
            "plain": tensors,
            "ema": {"ema": tensors, "model": {key: 0 * value for key, value in tensors.items()}, "step": 3},
            "state_dict, prefix": {
                "state_dict": {f"model.diffusion_model.{k}": v for k, v in tensors.items()},
                "epoch": 1,
            },
        }[wrapping]
        torch.save(content, file)
    result = run(file, "--name", "mine", *HEADS, "--licence", "MIT", "-s", "data_range=[0, 255]")
    assert result.exit_code == 0, result.output
    prior = inverse.open_prior("mine")
    card = prior.card
    assert (card.adapter, card.licence, card.channels, card.stride, card.data_range) == (
        "guided-diffusion",
        "MIT",
        3,
        2,
        (0.0, 255.0),
    )
    assert card.sigma_min == pytest.approx(0.01 * 127.5, rel=1e-3)
    assert card.data_var == pytest.approx(0.0625 * 255**2)
    assert card.sigma_start == pytest.approx(80 * 127.5)
    network, _ = adm_network(tensors, ADMNetwork(num_head_channels=16))
    x = 255 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    sigma = torch.tensor([3.0, 90.0])
    z, level = x / 127.5 - 1, (sigma / 127.5).reshape(-1, 1, 1, 1)
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    power = torch.cumprod(1 - betas, 0)
    grid = ((1 - power) / power).sqrt().log()
    step = torch.from_numpy(np.interp(level.flatten().double().log().numpy(), grid.numpy(), np.arange(1000)))
    expected = z - level * network(z / (1 + level**2).sqrt(), step)[:, :3]
    assert torch.allclose(prior(x, sigma) / 127.5 - 1, expected, atol=1e-5)


def test_it_restores(tmp_path: Path) -> None:
    torch.save(_adm(), tmp_path / "m.pt")
    assert run(tmp_path / "m.pt", "--name", "m", *HEADS).exit_code == 0
    physics = inverse.build_operator("random-mask", shape=(3, 16, 16), missing=0.5, noise=0.05)
    y = inverse.simulate(torch.full((1, 3, 16, 16), 0.4), physics, items=["a"])
    post = inverse.sample(y, physics, "m", method="pigdm", samples=1, steps=2, items=["a"], sigma_max=1.0)
    assert bool(post.mean.isfinite().all())


def test_to_a_file_in_half_precision(tmp_path: Path) -> None:
    torch.save(_adm(), tmp_path / "m.pt")
    out = tmp_path / "v1.2"
    assert run(tmp_path / "m.pt", "--name", "m", *HEADS, "-s", "dtype=float16", "-o", out).exit_code == 0
    card = read_card(tmp_path / "v1.2.yaml")
    assert (
        card.bytes == (tmp_path / "v1.2.safetensors").stat().st_size < 1.2 * sum(2 * v.numel() for v in _adm().values())
    )
    half = inverse.open_prior(tmp_path / "v1.2.yaml")
    whole = convert(tmp_path / "m.pt", name="m", settings={"num_head_channels": 16})
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(half(x, 0.1), registry.open_weights(*whole)(x, 0.1), atol=5e-3)
    again = run(tmp_path / "m.pt", "--name", "m", *HEADS, "-o", out)
    assert again.exit_code == 7
    assert run(tmp_path / "m.pt", "--name", "m", *HEADS, "-o", out, "--overwrite").exit_code == 0
    assert "embedded" in refused(tmp_path / "m.pt", "--name", "photo")


def test_a_flow_is_asked_for(tmp_path: Path) -> None:
    torch.save({"ema_model": _adm(3)}, tmp_path / "f.pt")
    assert run(tmp_path / "f.pt", "--name", "f", "--kind", "flow", *HEADS, "-s", "sigma_max=5").exit_code == 0
    card = inverse.open_prior("f").card
    assert (card.adapter, card.sigma_max, card.sigma_start) == ("flow", 5, 5)


class Payload:
    """What a hostile file does when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return os.system, (f"touch {self.marker}",)


class Source:
    """The same through ``exec``."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return builtins.exec, (f"__import__('pathlib').Path({str(self.marker)!r}).touch()",)


@pytest.mark.parametrize("payload", [Payload, Source])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_payload_is_never_run(tmp_path: Path, form: str, payload: Any) -> None:
    marker, file = tmp_path / "run", tmp_path / "model.pt"
    content = {"state_dict": _adm(), "extra": payload(marker)}
    if form == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    assert "--i-trust-this-file" in refused(file, "--name", "m", *HEADS)
    assert not marker.exists()
    result = run(file, "--name", "m", "--i-trust-this-file", *HEADS)
    assert result.exit_code == 0, result.output
    assert not marker.exists()
    inverse.open_prior("m")


def test_the_payload_would_run(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Source(tmp_path / "run")))
    assert (tmp_path / "run").exists()


def _persistent(module: nn.Module, class_name: str, reconstruct: Any, source: str, extra: dict[str, Any]) -> Any:
    """A module as ``torch_utils.persistence`` pickles it: its source code as text beside its state."""

    class Record:
        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return reconstruct, (
                {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state},
            )

    children: OrderedDict[str, Any] = OrderedDict()
    for name, child in module._modules.items():
        if isinstance(child, nn.ModuleDict):
            plain = nn.ModuleDict()
            for key, part in child._modules.items():
                plain._modules[key] = _persistent(part, type(part).__name__, reconstruct, source, {})  # type: ignore[assignment]
            children[name] = plain
        else:
            children[name] = (
                None if child is None else _persistent(child, type(child).__name__, reconstruct, source, {})
            )
    state = {
        "training": False,
        "_parameters": module._parameters,
        "_buffers": module._buffers,
        "_modules": children,
        **extra,
    }
    return Record()


def _edm_pickle(path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NCSNpp(
            img_resolution=16,
            model_channels=128,
            channel_mult=(1, 1),
            num_blocks=1,
            attn_resolutions=(8,),
            pretrained=None,
            pixel_std=0.5,
            _was_trained_on_minus_one_one=True,
            **options,
        )
    utils, persistence = types.ModuleType("torch_utils"), types.ModuleType("torch_utils.persistence")

    def reconstruct(meta: Any) -> Any:
        exec(meta["module_src"])

    reconstruct.__module__, reconstruct.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = reconstruct  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_utils", utils)
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", persistence)
    source = f"open({str(marker)!r}, 'w')"
    outer = nn.Module()
    outer.model = model
    record = _persistent(
        outer, "EDMPrecond", reconstruct, source, {"sigma_data": 0.5, "img_channels": 3, "label_dim": 0}
    )
    path.write_bytes(pickle.dumps({"ema": record, "loss_fn": None, "augment_pipe": None}))
    return model.eval().requires_grad_(False)


def test_an_edm_pickle_is_read_without_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, marker = tmp_path / "edm.pkl", tmp_path / "run"
    model = _edm_pickle(file, marker, monkeypatch)
    assert "names code" in refused(file, "--name", "edm")
    result = run(file, "--name", "edm", "--i-trust-this-file", "--licence", "CC BY-NC-SA 4.0")
    assert result.exit_code == 0, result.output
    assert not marker.exists()
    prior = inverse.open_prior("edm")
    assert (prior.card.adapter, prior.card.sigma_max, prior.card.sigma_data) == ("edm", 40.0, 0.5)
    x, sigma = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0.05, 2.0])
    assert torch.allclose(prior(x, sigma), model(x, sigma), atol=1e-5)


def test_an_edm_pickle_with_classes_asks_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _edm_pickle(tmp_path / "edm.pkl", tmp_path / "run", monkeypatch, label_dim=4)
    assert "-s label=N" in refused(tmp_path / "edm.pkl", "--name", "edm", "--i-trust-this-file")
    assert run(tmp_path / "edm.pkl", "--name", "edm", "--i-trust-this-file", "-s", "label=3").exit_code == 0


def test_inert_objects_hold_what_they_were_given() -> None:
    content = pickle.dumps({"a": types.SimpleNamespace(b=[1, {2}]), "c": complex(1, 2)})
    found = pickles.InertUnpickler(__import__("io").BytesIO(content)).load()
    assert found["a"].path == "types.SimpleNamespace"
    assert found["a"].state == {"b": [1, {2}]}
    assert found["c"].args == (1.0, 2.0)


@pytest.mark.parametrize("trust", [False, True])
def test_broken_files(tmp_path: Path, trust: bool) -> None:
    def message(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return refused(tmp_path / name, "--name", "m", *HEADS, *(["--i-trust-this-file"] if trust else []))

    torch.save(_adm(), tmp_path / "good.pt")
    good = (tmp_path / "good.pt").read_bytes()
    assert "truncated" in message("cut.pt", good[: len(good) // 2])
    assert "truncated" in message("head.pt", good[:100])
    assert "empty" in message("empty.pt", b"")
    assert "no PyTorch checkpoint" in message("text.pt", b"hello, this is not a checkpoint")
    torch.save(_adm(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    old = (tmp_path / "old.pt").read_bytes()
    assert "damaged" in message("oldcut.pt", old[: len(old) // 2])
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    (tmp_path / "flip.pt").write_bytes(flipped)
    assert run(tmp_path / "flip.pt", "--name", "flip", *HEADS).exit_code in (0, 5)
    assert "none.pt" in refused(tmp_path / "none.pt", "--name", "m")
    assert "folder" in refused(tmp_path, "--name", "m")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\x80\x02}.")
        archive.writestr("m/data/0", bytes(50_000_000))
    assert file.stat().st_size < 100_000
    assert "unpacks to 50,000,00" in refused(file, "--name", "m")


def test_tensors_larger_than_their_file(tmp_path: Path) -> None:
    torch.save({**_adm(), "out.2.bias": torch.zeros(1).expand(2**40)}, tmp_path / "wide.pt")
    assert "larger than the file" in refused(tmp_path / "wide.pt", "--name", "m", *HEADS)
    with pytest.raises(pickle.UnpicklingError, match="larger than its storage"):
        pickles._tensor(_typed(4), 0, (2, 3), (3, 1))


def _typed(count: int) -> Any:
    return torch.storage.TypedStorage(wrap_storage=torch.UntypedStorage(4 * count), dtype=torch.float32, _internal=True)


def test_weights_that_are_not_a_prior(tmp_path: Path) -> None:
    def message(content: Any, *args: str) -> str:
        torch.save(content, tmp_path / "m.pt")
        return refused(tmp_path / "m.pt", "--name", "m", *HEADS, *args)

    good = _adm()
    assert "NaN" in message({**good, "out.0.bias": torch.full((WIDTH,), torch.nan)})
    assert "infinite" in message({**good, "out.0.bias": torch.full((WIDTH,), torch.inf)})
    assert "too large for float16" in message({**good, "out.0.bias": torch.full((WIDTH,), 1e6)}, "-s", "dtype=float16")
    assert "lacks the tensor 'time_embed.2.weight'" in message(
        {k: v for k, v in good.items() if k != "time_embed.2.weight"}
    )
    assert "does not fit" in message({**good, "out.0.bias": torch.zeros(5)})
    assert "no part of the network" in message({**good, "input_blocks.1.0.norm9.weight": torch.zeros(5)})
    assert "holds no weights" in message({"step": 3})
    assert "holds no weights" in message([1, 2])
    assert "not a network of a known kind" in message({"conv.weight": torch.zeros(3)})
    assert "not a network of a known kind" in message(good, "--kind", "edm")
    assert "did you mean 'schedule'" in message(good, "-s", "shedule=cosine")
    assert "schedule" in message(good, "-s", "schedule=square")
    assert "data_range" in message(good, "-s", "data_range=[1, 0]")
    assert "data_var" in message(good, "-s", "data_var=-1")
    assert "dtype" in message(good, "-s", "dtype=int8")
    torch.save(good, tmp_path / "m.pt")
    assert run(tmp_path / "m.pt", "--name", "m", "-s", "schedule").exit_code == 2
    assert "num_head_channels" in refused(tmp_path / "m.pt", "--name", "m")
    assert "prior name" in refused(tmp_path / "m.pt", "--name", "Bad Name")


def test_torchscript_is_code(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.pt", "w") as archive:
        archive.writestr("s/data.pkl", b"\x80\x02}.")
        archive.writestr("s/constants.pkl", b"\x80\x02).")
    for trust in ([], ["--i-trust-this-file"]):
        assert "TorchScript" in refused(tmp_path / "s.pt", "--name", "m", *trust)


def test_it_is_an_ordinary_error_in_python(tmp_path: Path) -> None:
    with pytest.raises(PriorError) as caught:
        convert(tmp_path / "none.pt", name="m", settings={})
    assert caught.value.exit_code == 5
