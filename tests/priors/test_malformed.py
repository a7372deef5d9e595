"""Files that are no prior.

Each ends in exit code 5 and at most three lines, runs nothing, asks for little memory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import re
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load, save
from skimage.io import imsave

from inverse.cli.main import cli
from inverse.priors.card import Card, card_text
from inverse.priors.models.unet import UNet, UNetConfig

CONFIG = UNetConfig(channels=(16,), blocks=(1,), embedding=16)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet(CONFIG).state_dict()


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INVERSE_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


def _card(**fields: Any) -> Card:
    known: dict[str, Any] = {
        "name": "tiny",
        "title": "A tiny network",
        "kind": "network",
        "licence": "CC0",
        "channels": 3,
        "data_var": 0.06,
        "sigma_min": 0.01,
        "sigma_max": 4.0,
        "minimum_size": 8,
        "stride": 2,
        "network": CONFIG.as_dict(),
    }
    return Card(**{**known, **fields})


def _pair(content: bytes, **fields: Any) -> str:
    """Weights and a card that names their true hash and size."""
    Path("tiny.safetensors").write_bytes(content)
    known = {"weights": "tiny.safetensors", "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    Path("tiny.yaml").write_text(card_text(_card(**{**known, **fields})))
    return "tiny.yaml"


def _file(header: Any, data: bytes = b"", *, length: int | None = None) -> str:
    """A file with any header, under a card that names its true hash."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _pair(struct.pack("<Q", len(text) if length is None else length) + text + data)


def _entry(begin: int, end: int, shape: Any = None, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


def _pickle(name: str) -> str:
    Path(name).write_bytes(pickle.dumps(_Payload()))
    return name


def _torch_zip(name: str) -> str:
    torch.save({"a": _Payload()}, name)
    return name


def _zip_bomb(name: str) -> str:
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb", "w") as member:
        for _ in range(64):
            member.write(bytes(2**20))
    return name


def _named(name: str, make: Callable[[Path], Any]) -> str:
    make(Path(name))
    return name


def _changed(state: dict[str, torch.Tensor], **tensors: torch.Tensor) -> bytes:
    return save({**state, **{name.replace("__", "."): value for name, value in tensors.items()}})


def _nan(state: dict[str, torch.Tensor], value: float, dtype: torch.dtype = torch.float32) -> str:
    bad = state["embed.0.bias"].to(dtype).clone()
    bad[3] = value
    return _pair(_changed(state, embed__0__bias=bad))


def _flipped(state: dict[str, torch.Tensor]) -> str:
    name = _pair(save(state))
    content = bytearray(Path("tiny.safetensors").read_bytes())
    content[-1] ^= 1
    Path("tiny.safetensors").write_bytes(content)
    return name


def _yaml(text: str) -> str:
    Path("tiny.yaml").write_text(text)
    return "tiny.yaml"


def _edited(state: dict[str, torch.Tensor], old: str, new: str) -> str:
    name = _pair(save(state))
    text = Path(name).read_text()
    assert old in text
    return _yaml(text.replace(old, new))


def _sparse(_: Any) -> str:
    """A header that is true of a file of 8 TB, of which nothing is on the disk."""
    size = 2**43
    text = json.dumps({"a": _entry(0, size)}).encode()
    with open("tiny.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)
    card = _card(weights="tiny.safetensors", sha256="0" * 64)
    return _yaml(card_text(card))


TWICE = b"{" + b",".join([b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'] * 2) + b"}"
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)

CASES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], str], str]] = {
    # the file
    "empty": (lambda s: _pair(b""), "is empty"),
    "seven bytes": (lambda s: _pair(b"\x01" * 7), "truncated or not safetensors"),
    "a folder": (lambda s: _named("tiny.safetensors", Path.mkdir), "is a folder"),
    "a pipe": (lambda s: _named("tiny.safetensors", os.mkfifo), "not a regular file"),
    "a circle of links": (lambda s: _named("tiny.safetensors", lambda p: p.symlink_to(p)), "lead in a circle"),
    "a device": (lambda s: _named("tiny.safetensors", lambda p: p.symlink_to("/dev/zero")), "not a regular file"),
    "missing file": (lambda s: "absent.safetensors", "No such file"),
    "missing weights": (
        lambda s: _named(_pair(b"x"), lambda p: Path("tiny.safetensors").unlink()),
        "cannot be read|are missing",
    ),
    "a card that is a pipe": (lambda s: _named("tiny.yaml", os.mkfifo), "not a regular file"),
    "text": (lambda s: _pair(b"hello, these are no weights"), "not safetensors"),
    "a web page": (lambda s: _pair(b"<!DOCTYPE html><html>404</html>"), "web page"),
    "a Git LFS pointer": (lambda s: _pair(b"version https://git-lfs.github.com/spec/v1\noid"), "Git LFS pointer"),
    "gzip": (lambda s: _pair(gzip.compress(save(s))), "gzip"),
    "HDF5": (lambda s: _pair(b"\x89HDF\r\n\x1a\n" + bytes(64)), "HDF5"),
    "a zip bomb": (lambda s: _zip_bomb("tiny.safetensors"), "zip archive"),
    "a zip bomb called .pt": (lambda s: _zip_bomb("tiny.pt"), "pickle runs code"),
    "a pickle called .safetensors": (lambda s: _pickle("tiny.safetensors"), "is a pickle"),
    "a pickle called .pt": (lambda s: _pickle("tiny.pt"), "pickle runs code"),
    "a pickle called .pkl": (lambda s: _pickle("tiny.pkl"), "pickle runs code"),
    "a pickle called .ckpt": (lambda s: _pickle("tiny.ckpt"), "pickle runs code"),
    "a checkpoint called .safetensors": (lambda s: _torch_zip("tiny.safetensors"), "zip archive"),
    "a checkpoint called .PTH": (lambda s: _torch_zip("tiny.PTH"), "pickle runs code"),
    "a pickle called .yaml": (lambda s: _pickle("tiny.yaml"), "not a text file"),
    "numpy": (lambda s: _named("tiny.npy", lambda p: np.save(p, np.ones(3))), "no kind of prior|unknown prior"),
    # the header
    "truncated": (lambda s: _pair(save(s)[:-100]), "truncated"),
    "truncated in the header": (lambda s: _pair(save(s)[:60]), "truncated"),
    "bytes after the end": (lambda s: _pair(save(s) + bytes(8)), "too long"),
    "header of 2^60 bytes": (lambda s: _file({"a": _entry(0, 4)}, bytes(4), length=2**60), "truncated or not"),
    "header of 2^64 - 1 bytes": (lambda s: _file({"a": _entry(0, 4)}, bytes(4), length=2**64 - 1), "truncated or not"),
    "header larger than allowed": (lambda s: _file(b" " * (2**24 + 1)), "allowed: at most"),
    "header is not JSON": (lambda s: _file(b"{'a': 1}"), "not JSON"),
    "header is not text": (lambda s: _file(b"{\xff\xfe\xff}"), "not JSON"),
    "header is a list": (lambda s: _file([1, 2, 3]), "no table"),
    "header nested deep": (
        lambda s: _file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "nested too deeply|not JSON",
    ),
    "header with a number of a million digits": (lambda s: _file(b'{"a":' + b"9" * 1_000_000 + b"}"), "not JSON"),
    "a name twice": (lambda s: _file(TWICE, bytes(4)), "twice"),
    "no tensors": (lambda s: _file({"__metadata__": {}}), "no tensors"),
    "metadata of numbers": (lambda s: _file({"__metadata__": {"a": 1}, "b": _entry(0, 4)}, bytes(4)), "table of texts"),
    "tensor without a shape": (
        lambda s: _file({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4)),
        "needs dtype",
    ),
    "dtype unknown": (lambda s: _file({"a": _entry(0, 4, [1], "F31")}, bytes(4)), "dtype 'F31'"),
    "dtype a list": (lambda s: _file({"a": _entry(0, 4, [1], ["F32"])}, bytes(4)), "dtype"),
    "overlapping offsets": (lambda s: _file({"a": _entry(0, 8), "b": _entry(4, 12)}, bytes(12)), "overlap"),
    "a gap between offsets": (lambda s: _file({"a": _entry(0, 4), "b": _entry(8, 12)}, bytes(12)), "gap"),
    "negative offsets": (lambda s: _file({"a": _entry(-4, 0)}, bytes(4)), "byte positions"),
    "offsets past the end": (lambda s: _file({"a": _entry(0, 4000)}, bytes(4)), "truncated"),
    "offsets backwards": (lambda s: _file({"a": _entry(8, 4, [1])}, bytes(8)), "is not the"),
    "offsets as fractions": (
        lambda s: _file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0.0, 4.0]}}, bytes(4)),
        "byte positions",
    ),
    "shape that is not its bytes": (lambda s: _file({"a": _entry(0, 4, [7])}, bytes(4)), "is not the"),
    "negative sizes": (lambda s: _file({"a": _entry(0, 4, [-1, -1])}, bytes(4)), "list of at most"),
    "huge shapes": (lambda s: _file({"a": _entry(0, 4, [2**40, 2**40])}, bytes(4)), "is not the"),
    "sizes whose product overflows": (
        lambda s: _file({"a": _entry(0, 4, [2**62, 2**2 + 1, 4])}, bytes(4)),
        "is not the",
    ),
    "a thousand axes": (lambda s: _file({"a": _entry(0, 4, [1] * 1000)}, bytes(4)), "list of at most"),
    "sizes that are true": (lambda s: _file({"a": _entry(0, 4, [True])}, bytes(4)), "list of at most"),
    "8 TB declared and sparse": (_sparse, "memory"),
    # the tensors
    "one bit changed": (_flipped, "its card says"),
    "NaN": (lambda s: _nan(s, float("nan")), "NaN or infinite"),
    "infinity": (lambda s: _nan(s, float("inf")), "NaN or infinite"),
    "infinity in float16": (lambda s: _nan(s, 1e9, torch.float16), "NaN or infinite"),
    "missing tensors": (
        lambda s: _pair(save({k: v for k, v in s.items() if k != "head.weight"})),
        "missing head.weight",
    ),
    "extra tensors": (lambda s: _pair(_changed(s, spare=torch.zeros(3))), "unexpected spare"),
    "wrong shapes": (lambda s: _pair(_changed(s, embed__0__bias=torch.zeros(17))), "embed.0.bias has 17, expected 16"),
    "integer weights": (lambda s: _pair(_changed(s, embed__0__bias=torch.zeros(16, dtype=torch.int32))), "holds int32"),
    "weights of another network": (lambda s: _pair(save({"w": torch.zeros(2, 2)})), "does not fit the network"),
    # the card
    "card without sha256": (lambda s: _pair(save(s), sha256=None), "no sha256"),
    "card with another sha256": (lambda s: _pair(save(s), sha256="0" * 64), "its card says 0000"),
    "card with half a sha256": (lambda s: _edited(s, hashlib.sha256(save(s)).hexdigest(), "abc123"), "64 hexadecimal"),
    "card with wrong bytes": (lambda s: _pair(save(s), bytes=12), "its card says 12"),
    "card is not YAML": (lambda s: _yaml("name: [unclosed\n  - {"), "is not YAML"),
    "card is empty": (lambda s: _yaml(""), "not a table"),
    "card is a list": (lambda s: _yaml("- 1\n- 2\n"), "not a table"),
    "card with unknown fields": (lambda s: _edited(s, "licence:", "license: MIT\nlicence:"), "license"),
    "card without a licence": (lambda s: _edited(s, "licence: CC0\n", ""), "licence"),
    "card with a key twice": (lambda s: _edited(s, "licence:", "licence: MIT\nlicence:"), "is not YAML"),
    "card of aliases that explode": (lambda s: _yaml(ALIASES), "aliases"),
    "card that holds itself": (lambda s: _yaml("a: &a [*a]\n"), "aliases"),
    "card with a tag that runs code": (
        lambda s: _yaml("name: !!python/object/apply:os.system ['touch executed']\n"),
        "is not YAML",
    ),
    "card nested deep": (lambda s: _yaml("a: " + "[" * 20_000 + "]" * 20_000), "nested deeper"),
    "card of 1 MB": (lambda s: _yaml("name: " + "x" * 2**20), "allowed: at most"),
    "card with a path in weights": (lambda s: _edited(s, "weights: tiny", "weights: ../../etc/tiny"), "not a path"),
    "card with an absolute path in weights": (
        lambda s: _edited(s, "weights: tiny", "weights: /etc/tiny"),
        "not a path",
    ),
    "card with NaN": (lambda s: _edited(s, "mean: 0.5", "mean: .nan"), "mean"),
    "card with an empty range": (
        lambda s: _edited(s, "data_range: [0.0, 1.0]", "data_range: [1.0, 1.0]"),
        "low < high",
    ),
    "card of a network of a trillion channels": (
        lambda s: _pair(save(s), network={**CONFIG.as_dict(), "channels": [10**12]}),
        "not a network of this package",
    ),
    "card of a network of a billion blocks": (
        lambda s: _pair(save(s), network={**CONFIG.as_dict(), "blocks": [10**9]}),
        "not a network of this package",
    ),
    "card of a network of words": (
        lambda s: _pair(save(s), network={"channels": "many"}),
        "not a network of this package",
    ),
    "card of another network": (
        lambda s: _pair(save(s), network={**CONFIG.as_dict(), "embedding": 32}),
        "does not fit the network",
    ),
    "card of an adapter that is not there": (lambda s: _pair(save(s), adapter="../../evil"), "no adapter"),
    "card of a patch prior over a network": (lambda s: _pair(save(s), kind="patch"), "do not hold"),
    "card of a callable": (lambda s: _pair(save(s), kind="callable"), "cannot be opened"),
    "card with the wrong units": (lambda s: _pair(save(s), mean=300.0), "standard deviations from its mean"),
    # a file that should hold its own card
    "weights without a card in them": (
        lambda s: _named("tiny.safetensors", lambda p: p.write_bytes(save(s))),
        "no card",
    ),
    "card in the file is not JSON": (
        lambda s: _named("tiny.safetensors", lambda p: p.write_bytes(save(s, {"card": "{"}))),
        "not JSON",
    ),
    "card in the file is not a card": (
        lambda s: _named("tiny.safetensors", lambda p: p.write_bytes(save(s, {"card": "{}"}))),
        "the card in it: name",
    ),
    "card in the file nested deep": (
        lambda s: _named("tiny.safetensors", lambda p: p.write_bytes(save(s, {"card": "[" * 90_000}))),
        "not JSON",
    ),
}


def _check(result: Any, expected: str) -> None:
    assert result.exit_code == 5, (result.output, result.exception)
    lines = result.stderr.strip().splitlines()
    assert 1 <= len(lines) <= 3, result.stderr
    assert re.search(expected, result.stderr), result.stderr
    assert "Traceback" not in result.output
    assert max(len(line) for line in lines) < 300


def test_the_whole_file_that_the_others_spoil_is_in_order(state) -> None:
    assert CliRunner().invoke(cli, ["prior", "verify", _pair(save(state))]).exit_code == 0
    buffer = io.BytesIO(Path("tiny.safetensors").read_bytes())
    assert set(load(buffer.getvalue())) == set(state)


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_file_is_refused(case, state) -> None:
    make, expected = CASES[case]
    name = make(state)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _check(CliRunner().invoke(cli, ["prior", "verify", name]), expected)
    added = CliRunner().invoke(cli, ["prior", "add", name])
    if case != "card with the wrong units":  # only a look at its answers tells
        assert added.exit_code == 5, added.output
        assert len(added.stderr.strip().splitlines()) <= 3
        assert not list(Path("home").glob("priors/*.yaml"))
    # ru_maxrss is in KiB; the largest file here is 16 MiB, read whole and taken apart
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 * 1024
    assert not Path("executed").exists()


@pytest.mark.parametrize("case", ["a pipe", "truncated", "a pickle called .pt", "NaN", "card of aliases that explode"])
def test_restoring_with_it_says_the_same(case, state) -> None:
    imsave("a.png", np.full((16, 16, 3), 90, np.uint8), check_contrast=False)
    make, expected = CASES[case]
    name = make(state)
    _check(CliRunner().invoke(cli, ["restore", "denoise", "a.png", "-o", "out", "-s", f"prior.name={name}"]), expected)
    assert not Path("executed").exists()
