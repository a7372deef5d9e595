"""The catalogue of priors, the user's store, and files that carry a prior elsewhere: through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open

import inverse
from inverse.cli.main import cli
from inverse.errors import PriorError
from inverse.priors.adapters.guided_diffusion import ADMSettings
from inverse.priors.card import Card, card_text, embedded, read_card, remote
from inverse.priors.catalogue import cards
from inverse.priors.header import digest
from inverse.priors.models.unet import UNet, UNetConfig
from inverse.priors.store import save_prior, store_folder, stored
from inverse.priors.weights import read_tensors

CONFIG = UNetConfig(channels=(16,), blocks=(1,), embedding=16)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INVERSE_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


def _run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    return result


def _tiny(name: str = "tiny") -> tuple[Card, dict[str, torch.Tensor]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = UNet(CONFIG).state_dict()
    card = Card(
        name=name,
        title="A tiny network",
        kind="network",
        licence="CC0",
        channels=3,
        data_var=0.06,
        sigma_min=0.01,
        sigma_max=4.0,
        minimum_size=8,
        stride=2,
        network=CONFIG.as_dict(),
    )
    return card, state


def test_list_says_where_each_is_and_under_which_licence() -> None:
    save_prior(*_tiny())
    rows = {row["name"]: row for row in json.loads(_run("prior", "list", "--json").stdout)}
    assert {name: rows[name]["where"] for name in ("photo", "tiny", "adm-imagenet-256")} == {
        "photo": "embedded",
        "tiny": "store",
        "adm-imagenet-256": "remote",
    }
    assert all(row["licence"] for row in rows.values())
    text = _run("prior", "list").stdout
    assert "licence" in text.splitlines()[0]
    assert "tiny" in _run("list", "priors").stdout


def test_a_broken_card_in_the_store_breaks_nothing_else() -> None:
    save_prior(*_tiny())
    (store_folder() / "bad.yaml").write_text("name: [")
    assert "bad.yaml is left out" in _run("prior", "list").stderr
    assert set(stored()) == {"tiny"}
    assert "bad" in _run("prior", "verify", "bad", code=5).stderr
    rows = json.loads(_run("prior", "verify", "--json", code=5).stdout)
    assert {row["name"]: row["ok"] for row in rows}["bad"] is False


def test_every_card_of_the_package_is_whole() -> None:
    for name, card in {**embedded(), **remote()}.items():
        assert card.name == name
        assert card.licence
        assert card.weights is None or (card.sha256 and card.bytes)
    assert all(card.url and card.url.startswith("https://") for card in remote().values())


def test_the_remote_cards_settings_are_their_adapters() -> None:
    for card in remote().values():
        levels = ADMSettings(**(card.network or {})).discrete().levels
        assert (card.sigma_min * card.gain, card.sigma_max * card.gain) == pytest.approx(
            (float(levels[0]), float(levels[-1])), rel=1e-4
        )


def test_list_show_and_validate_import_no_torch(tmp_path) -> None:
    save_prior(*_tiny())
    (tmp_path / "r.yaml").write_text("extends: deblur\nprior: {name: tiny}\n")
    code = (
        "import sys; from click.testing import CliRunner; from inverse.cli.main import cli\n"
        "for a in ('prior list', 'prior show tiny', 'prior --help', 'recipe validate r.yaml', 'list priors'):\n"
        "    r = CliRunner().invoke(cli, a.split()); assert r.exit_code == 0, r.output\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_a_saved_prior_is_opened_by_its_name() -> None:
    card, state = _tiny()
    path = save_prior(card, state)
    saved = read_card(path)
    assert (saved.weights, saved.sha256) == ("tiny.safetensors", digest(path.with_suffix(".safetensors")))
    prior = inverse.open_prior("tiny")
    wide = inverse.open_prior("tiny", data_range=(0, 100))
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(wide(100 * x, 20.0) / 100, prior(x, 0.2), atol=1e-5)
    loaded = read_tensors(path.with_suffix(".safetensors"), sha256=saved.sha256, bytes=saved.bytes)
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert "tiny" in cards()


@pytest.mark.parametrize("name", ["photo", "Tiny", "../tiny", "a/b", "", ".hidden", "tiny.pt", "x" * 200])
def test_names_that_are_not_allowed(name) -> None:
    card, state = _tiny()
    with pytest.raises(PriorError):
        save_prior(card.model_copy(update={"name": name}), state)
    assert not list(Path.cwd().rglob("*.safetensors"))


def test_a_taken_name_wants_overwrite() -> None:
    card, state = _tiny()
    save_prior(card, state)
    with pytest.raises(PriorError, match="overwrite"):
        save_prior(card, state)
    save_prior(card.model_copy(update={"title": "Another"}), state, overwrite=True)
    assert stored()["tiny"].title == "Another"


def test_one_file_carries_a_prior_to_another_machine(tmp_path, monkeypatch) -> None:
    save_prior(*_tiny())
    _run("prior", "export", "tiny", "-o", "carried.safetensors")
    with safe_open("carried.safetensors", "pt") as file:
        assert json.loads(file.metadata()["card"])["licence"] == "CC0"
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    here, sha256 = inverse.open_prior("tiny")(x, 0.2), stored()["tiny"].sha256
    assert torch.equal(inverse.open_prior("carried.safetensors")(x, 0.2), here)
    assert inverse.open_prior("carried.safetensors").card.sha256 == sha256
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "elsewhere"))
    _run("prior", "add", "carried.safetensors")
    assert stored()["tiny"].sha256 == sha256
    assert torch.equal(inverse.open_prior("tiny")(x, 0.2), here)
    assert "in order" in _run("prior", "verify", "tiny").stdout
    _run("prior", "add", "carried.safetensors", code=5)
    _run("prior", "add", "carried.safetensors", "--name", "other")
    assert set(stored()) == {"tiny", "other"}
    _run("prior", "export", "tiny", "-o", "carried.safetensors", code=7)
    _run("prior", "export", "tiny", "-o", "carried.pt", code=2)
    _run("prior", "export", "gaussian", "-o", "gaussian.safetensors", code=5)


def test_the_embedded_network_travels_under_another_name() -> None:
    _run("prior", "export", "photo", "-o", "photo.safetensors")
    assert "--name" in _run("prior", "add", "photo.safetensors", code=5).stderr
    _run("prior", "add", "photo.safetensors", "--name", "photo-copy")
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(inverse.open_prior("photo-copy")(x, 0.2), inverse.open_prior("photo")(x, 0.2))


def test_a_card_with_weights_beside_it_is_added(tmp_path) -> None:
    path = save_prior(*_tiny())
    card = read_card(path).model_copy(update={"name": "moved", "weights": "w.safetensors"})
    (tmp_path / "w.safetensors").write_bytes(path.with_suffix(".safetensors").read_bytes())
    (tmp_path / "moved.yaml").write_text(card_text(card))
    _run("prior", "add", "moved.yaml")
    assert stored()["moved"].weights == "moved.safetensors"


def test_a_store_that_cannot_be_written_to_says_so(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    _run("prior", "export", "photo", "-o", "p.safetensors")
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "file"))
    assert "INVERSE_HOME" in _run("prior", "add", "p.safetensors", "--name", "p", code=7).stderr


def test_a_remote_prior_is_never_downloaded_by_opening_it() -> None:
    with pytest.raises(PriorError, match="not on this machine") as caught:
        inverse.open_prior("adm-ffhq-256")
    assert "inverse prior add adm-ffhq-256" in str(caught.value)


def test_offline_says_what_to_carry_here() -> None:
    message = _run("prior", "add", "adm-ffhq-256", code=5).stderr
    card = remote()["adm-ffhq-256"]
    assert all(str(part) in message for part in (card.weights, card.url, card.sha256, "inverse prior add"))
    assert len(message.strip().splitlines()) <= 3


def test_show_takes_names_and_files() -> None:
    save_prior(*_tiny())
    _run("prior", "export", "tiny", "-o", "t.safetensors")
    assert json.loads(_run("prior", "show", "t.safetensors", "--json").stdout)["where"] == "file"
    assert "in this machine's store" in _run("prior", "show", "tiny").stdout
    assert "did you mean 'photo'" in _run("prior", "show", "phto", code=5).stderr
