"""Flags for what is set most often, refusals and unusable results, colours, progress and completion."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from inverse.cli.echo import coloured, painted
from inverse.cli.main import cli
from inverse.runs.progress import Progress

FAST = ("-s", "prior.name=gaussian", "-s", "method.kind=diffpir", "-s", "method.steps=20", "--samples", "2")


def run(*args: Any) -> Any:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    pixels = np.clip(128 + 60 * rng.standard_normal((32, 40, 3)), 1, 254).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def resolved(out: Path) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads((out / "run.json").read_text())["recipe"]
    return recipe


def test_flags_are_changes_of_the_recipe(photo: Path, tmp_path: Path) -> None:
    mask = np.full((32, 40), 255, np.uint8)
    mask[10:14, 8:20] = 0
    Image.fromarray(mask).save(tmp_path / "m.png")
    out = tmp_path / "o"
    result = run("restore", "inpaint", photo, "-o", out, "--mask", tmp_path / "m.png", "--noise", "0.1", *FAST)
    assert result.exit_code == 0, result.output
    recipe = resolved(out)
    assert recipe["operator"] == {"kind": "file-mask", "file": "m.png"}
    assert recipe["noise"]["sigma"] == 0.1
    result = run("restore", "deblur", photo, "-o", tmp_path / "p", "--sigma", "1.5", "--noise", "0.1", *FAST)
    assert resolved(tmp_path / "p")["operator"]["sigma"] == 1.5, result.output
    result = run("check", "deblur", photo, "--method", "dps", "-s", "prior.name=gaussian")
    assert re.search(r"method +dps", result.output), result.output


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("inpaint",), 4, "nothing says which pixels are missing"),
        (("inpaint", "--mask", "nothing.png"), 4, "no such mask"),
        (("denoise", "--sigma", "2"), 2, "--sigma is the width of a Gaussian blur"),
        (("denoise", "--noise", "lots"), 2, "--noise lots is not valid"),
        (("denoise", "--method", "dips"), 3, "dps"),
        (("denoise", ""), 4, "an input with an empty name"),
        (("denoise", "--truth", ""), 2, "the path is empty"),
        (("denoise", "-o", ""), 2, "the path is empty"),
    ],
)
def test_refusals_come_before_work(flags: Any, code: int, message: str, photo: Path, tmp_path: Path) -> None:
    result = run("restore", flags[0], photo, "-o", tmp_path / "o", "-s", "prior.name=gaussian", *flags[1:])
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_result_that_explains_nothing_is_unusable(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    steps = [value.replace("20", "2") for value in FAST]
    result = run("restore", "deblur", photo, "-o", out, "--noise", "0.0001", "-s", "method.lam=1000", *steps)
    assert result.exit_code == 1, result.output
    assert "unusable: the image does not explain the measurement: misfit" in result.output
    assert "intervals recalibrated" not in result.output
    assert (out / "restored" / "a.png").is_file()  # nothing is lost
    assert "a.png,unusable," in (out / "items.csv").read_text()
    facts = json.loads((out / "run.json").read_text())
    assert facts["counts"] == {"done": 0, "failed": 0, "pending": 0, "unusable": 1}
    assert facts["evidence"]["a.png"][0].startswith("unusable: ")
    assert "intervals recalibrated" not in json.dumps(facts)
    again = run("restore", "deblur", photo, "-o", out, "--noise", "0.0001", "-s", "method.lam=1000", *steps)
    assert (again.exit_code, "already" in again.output) == (1, True)


def test_a_folder_with_truths_prints_its_scores(tmp_path: Path, photo: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(photo.read_bytes())
    result = run("restore", "denoise", folder, "-o", tmp_path / "o", "--truth", folder, "--noise", "0.1", *FAST)
    assert re.search(r"scores +mean PSNR [\d.]+ dB \([\d.]+ to [\d.]+\), SSIM [\d.]+", result.output), result.output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured(Terminal())
    assert not coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(Terminal())
    assert painted("restored     out/a.png") == "\x1b[1mrestored\x1b[0m     out/a.png"
    assert painted("a plain line") == "a plain line"
    assert painted("failed: a.png", failed=True).startswith("\x1b[31m")


def test_progress_has_no_raw_floats() -> None:
    stream = Terminal()
    progress = Progress(3, "auto", stream)
    assert "0 %" in stream.getvalue()  # from the first moment
    for _ in range(7):
        progress.advance("a.png", 0.1 + 0.2)
        progress._bar.refresh()
    progress.close()
    assert re.search(r"\d+ % \|", stream.getvalue())
    assert not re.search(r"\d\.\d{3}", stream.getvalue())


def test_time_left_is_by_the_work_alone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Opening took 30 s, each sample takes 1: what is left was said to be ten times as long."""
    caplog.set_level("INFO", logger="inverse")
    now = [0.0]
    monkeypatch.setattr("inverse.runs.progress.time.monotonic", lambda: now[0])
    progress = Progress(100, "auto", io.StringIO())
    for now[0] in (30.0, 31.0, 41.5):
        progress.advance("a.png", 1.0 if now[0] < 40 else 10.5)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "a.png: 2 % of the run after 31 s, about 1 min 38 s left",
        "a.png: 12 % of the run after 42 s, about 1 min 28 s left",
    ]


def test_version_and_completion() -> None:
    assert run("-V").output == run("--version").output
    environment = {**os.environ, "COMP_WORDS": "inverse restore deb", "COMP_CWORD": "2"}
    script = "from inverse.cli.main import cli; cli(prog_name='inverse')"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**environment, "_INVERSE_COMPLETE": "bash_complete"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["plain,deblur", "plain,deblur-motion", "plain,deblur-shake"]
