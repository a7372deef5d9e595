"""Downloads from a server on this machine: resumed, verified, made once, never offline; what comes of a checkpoint."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from inverse.cli.main import cli
from inverse.errors import OutputError, PriorError
from inverse.priors import add as adding
from inverse.priors import catalogue
from inverse.priors.card import Card
from inverse.priors.download import cached, fetch, offline

CONTENT = bytes(range(256)) * 4096


class _Server(ThreadingHTTPServer):
    content = CONTENT
    cuts = 0
    ranges = True
    status = 200
    kind = "application/octet-stream"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str | None] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.requests.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Type", server.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts:
            server.cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[_Server]:
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("INVERSE_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    found = _Server()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def _card(server: _Server, content: bytes = CONTENT, **fields: Any) -> Card:
    known: dict[str, Any] = {
        "name": "far",
        "title": "A file elsewhere",
        "kind": "network",
        "licence": "CC0",
        "data_var": 0.06,
        "sigma_min": 0.01,
        "sigma_max": 4.0,
        "weights": "far.pt",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "url": f"http://127.0.0.1:{server.server_port}/far.pt",
    }
    return Card(**{**known, **fields})


def _parts(tmp_path: Path) -> list[Path]:
    return list(tmp_path.rglob("*.part"))


def test_a_file_is_fetched_once_and_then_found_without_a_request(server, monkeypatch) -> None:
    card = _card(server)
    path = fetch(card)
    assert path.read_bytes() == CONTENT
    monkeypatch.setenv("INVERSE_OFFLINE", "1")
    assert fetch(card) == path
    assert len(server.requests) == 1


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_cut_connection_is_resumed(server, tmp_path, size) -> None:
    server.cuts = 2
    assert fetch(_card(server, bytes=size)).read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.requests == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]
    assert not _parts(tmp_path)


def test_a_later_run_resumes_what_is_there(server, tmp_path) -> None:
    server.cuts = 4
    with pytest.raises(PriorError, match="running this again resumes"):
        fetch(_card(server))
    there = _parts(tmp_path)[0].stat().st_size
    assert fetch(_card(server)).read_bytes() == CONTENT
    assert server.requests[-1] == f"bytes={there}-"


def test_a_server_without_ranges_starts_again(server) -> None:
    server.cuts, server.ranges = 1, False
    assert fetch(_card(server)).read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_dropped(server) -> None:
    card = _card(server, bytes=None)
    place = fetch(card)
    place.rename(place.with_name(place.name + ".part"))
    with place.with_name(place.name + ".part").open("ab") as file:
        file.write(b"more")
    server.content = CONTENT[:100]  # whatever is asked for starts past the end

    def answer(self: _Handler) -> None:
        self.server.requests.append(self.headers.get("Range"))
        if self.headers.get("Range"):
            self.send_error(416)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Handler, "do_GET", answer)
        assert fetch(card).read_bytes() == CONTENT


def test_another_file_is_deleted_and_said_so(server, tmp_path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(PriorError, match="another sha256, and was deleted"):
        fetch(_card(server))
    assert not _parts(tmp_path)
    assert cached(_card(server)) is None


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_says_how_to_carry_the_file_here(server, status) -> None:
    server.status = status
    card = _card(server)
    with pytest.raises(PriorError, match=str(status)) as caught:
        fetch(card)
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    assert all(str(part) in message for part in (card.weights, card.url, card.sha256, "inverse prior add"))


def test_a_web_page_in_its_place_is_refused(server) -> None:
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(PriorError, match="web page"):
        fetch(_card(server))


def test_more_or_less_than_the_card_says_is_refused(server, tmp_path) -> None:
    server.content = CONTENT * 2
    with pytest.raises(PriorError, match="the server's file has"):
        fetch(_card(server))
    assert not _parts(tmp_path)


def test_no_server_at_all(server) -> None:
    with pytest.raises(PriorError, match="no connection"):
        fetch(_card(server, url="http://127.0.0.1:9/far.pt"))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_other_addresses_are_refused(server, url) -> None:
    with pytest.raises(PriorError, match="allowed: https"):
        fetch(_card(server, url=url))


@pytest.mark.parametrize("variable", ["INVERSE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_makes_no_request(server, monkeypatch, variable) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(PriorError, match="offline"):
        fetch(_card(server))
    assert not server.requests
    monkeypatch.setenv(variable, "0")
    assert not offline()


def test_two_at_once_download_once(server) -> None:
    card = _card(server)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(card), range(4)))
    assert len(set(paths)) == 1
    assert len(server.requests) == 1


def test_a_damaged_cache_is_fetched_again(server) -> None:
    card = _card(server)
    path = fetch(card)
    path.write_bytes(b"damaged")
    assert fetch(card).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_cache_that_cannot_be_written_to(server, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INVERSE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="INVERSE_HOME"):
        fetch(_card(server))


def _checkpoint(tmp_path: Path) -> tuple[bytes, dict[str, torch.Tensor]]:
    tensors = {"input_blocks.0.0.weight": torch.zeros(4, 3, 3, 3)}
    torch.save(tensors, tmp_path / "c.pt")
    return (tmp_path / "c.pt").read_bytes(), tensors


@pytest.mark.parametrize("way", ["downloaded", "carried here"])
def test_a_published_checkpoint_becomes_a_prior(server, tmp_path, monkeypatch, way) -> None:
    content, tensors = _checkpoint(tmp_path)
    server.content = content
    card = _card(server, content, adapter="guided-diffusion", network={"num_head_channels": 32})
    for module in (adding, catalogue):
        monkeypatch.setattr(module, "remote", lambda: {"far": card})
    asked: list[Any] = []

    def convert(path: Path, **settings: Any) -> tuple[Card, dict[str, torch.Tensor]]:
        asked.append((path.read_bytes() == content, settings["kind"], settings["settings"]))
        return card, tensors

    monkeypatch.setattr(adding, "convert", convert)
    what = "far" if way == "downloaded" else str(tmp_path / "c.pt")
    result = CliRunner().invoke(cli, ["prior", "add", what])
    assert result.exit_code == 0, result.output
    assert asked == [(True, "guided-diffusion", {"num_head_channels": 32})]
    saved = catalogue.find("far")
    assert (saved.where, saved.card.weights) == ("store", "far.safetensors")
    assert saved.card.sha256 != card.sha256
    assert len(server.requests) == (way == "downloaded")
    again = CliRunner().invoke(cli, ["prior", "add", "far"])
    assert again.exit_code == 5
    assert "the store has" in again.stderr
