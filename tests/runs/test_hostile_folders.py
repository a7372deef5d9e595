"""Names and run folders that nobody would choose: bytes, control characters, formulas, long paths, damaged files."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from inverse.cli.main import cli
from inverse.errors import Failure, InputError, InverseError, OutputError, UsageError, printable
from inverse.io.read_write import read
from inverse.io.sources import find
from inverse.restoration.plan import Plan
from inverse.runs.folder import RunFolder
from inverse.runs.ledger import Ledger
from inverse.storage.files import csv_bytes, read_csv, read_json, write_json
from inverse.storage.paths import output_folder
from tests.conftest import picture

EXACT = ("-s", "prior.name=gaussian", "-s", "method.kind=exact", "-s", "calibration=none", "-s", "noise.sigma=0.1")
LEAN = ("--keep", "misfit", "--samples", 1)
NAMES = ["a.png", "=cmd|' C calc'!A0.png", "-1+1.png", "e\x1b[31mRED\x1b]0;pwn\x07.png", "two\nlines.png"]
BYTES = os.fsdecode(b"bad\xff.png")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path, Result]:
    """A folder of pictures with such names, its run, and what the command said."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "in").mkdir()
    first = picture(folder / "first.png", size=(16, 16))
    for name in [*NAMES, BYTES]:
        shutil.copy(first, folder / "in" / name)
    answer = call("restore", "denoise", folder / "in", "-o", folder / "out", *EXACT, *LEAN)
    return folder / "in", folder / "out", answer


def test_a_name_of_other_bytes_fails_alone(finished):
    source, out, answer = finished
    assert answer.exit_code == 1
    run = RunFolder.open(out)
    assert {row["item"] for row in run.done} == set(NAMES)
    (failure,) = run.failures
    assert failure["code"] == 4
    assert r"bad\xff.png: its name is not UTF-8" in failure["reason"]
    assert "defect" not in answer.output
    again = call("restore", "denoise", source, "-o", out, *EXACT, *LEAN)
    assert f"{len(NAMES)} of {len(NAMES) + 1} items are done already" in again.output


def test_one_draw_has_no_folder_of_uncertainty(tmp_path):
    image = picture(tmp_path / "a.png", size=(16, 16))
    noise = ("-s", "noise.sigma=0.1", "-s", "prior.name=gaussian", "-s", "method={kind: diffpir, steps: 2}")
    noise += ("-s", "calibration=none")
    answer = call("restore", "denoise", image, "-o", tmp_path / "out", *noise, *LEAN)
    assert (tmp_path / "out" / "restored" / "a.png").is_file()
    assert not (tmp_path / "out" / "std").exists()
    assert "uncertainty" not in answer.output


def test_a_figure_takes_any_name(tmp_path):
    name = "$\\frac$ 日本 \x1b.png"  # formulas, letters that the font lacks, control characters
    shutil.copy(picture(tmp_path / "a.png", size=(16, 16)), tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        answer = call("restore", "denoise", tmp_path / name, "-o", tmp_path / "out", *EXACT)
    assert answer.exit_code == 0, answer.output
    assert r"$\frac$ 日本 \x1b.png" in answer.output
    assert (tmp_path / "out" / "items" / name / "figure.png").is_file()


def test_simulate_names_it_too(finished, tmp_path):
    answer = call("simulate", "denoise", finished[0], "-o", tmp_path / "sim", "-s", "noise.sigma=0.1")
    assert answer.exit_code == 1
    assert r"failed: bad\xff.png: its name is not UTF-8" in answer.output


def test_nothing_printed_commands_the_terminal(finished):
    source, out, answer = finished
    hostile = source / NAMES[3]
    said = [answer.output, call("info", hostile).output, call("evaluate", out, source, "-m", "psnr").output]
    said.append(call("check", "denoise", hostile, *EXACT).output)
    said.append(call("check", "denoise", source / "a.png", "-s", 'prior.name="\\e[2Jx"').output)
    said.append(call("check", "denoise", source / "a.png", "-s", '{"\\e[2J\\n\\n\\nx": 3}=3').output)
    said.append(call("info", source / "no\x1b]0;x\x07\n\n\nsuch.png").output)
    for text in said:
        assert not any(ord(letter) < 32 and letter != "\n" for letter in text), repr(text)
    assert r"e\x1b[31mRED\x1b]0;pwn\x07.png" in said[1]
    assert r"two\nlines.png" in call("info", source / NAMES[4]).output


def test_a_message_has_three_lines_whatever_the_name():
    for name in ("a\nb\nc\nd", "\x9b2J", "\u202egnp.exe", "\u2028", os.fsdecode(b"\xff")):
        with pytest.raises(InputError) as caught:
            read(name)
        assert str(caught.value).startswith(f"{printable(name)}: no such file\n")
        assert len(str(caught.value).splitlines()) == 2
        line = Failure.of(name, "read", ValueError(name)).line
        assert line == printable(line)
    assert printable("Bildschirm\u202ffoto 日本 é.png") == "Bildschirm\u202ffoto 日本 é.png"


def test_formulas_are_no_formulas_and_come_back(tmp_path):
    names = ["=1+1", "+x", "-x", "@x", "\tx", "'=x", "''x", "'x", "x=1", "", "\uff1dx", "-1", "+1e5"]
    (tmp_path / "t.csv").write_bytes(csv_bytes([{"item": name, "value": -1.5} for name in names], ["item", "value"]))
    lines = (tmp_path / "t.csv").read_text()
    assert not [line for line in lines.splitlines()[1:] if line[:1] in "=@" or line[:2] in ("+x", "-x")]
    assert [row["item"] for row in read_csv(tmp_path / "t.csv")] == names
    assert all(row["value"] == "-1.5" for row in read_csv(tmp_path / "t.csv"))


def test_json_holds_a_name_of_other_bytes(tmp_path):
    write_json(tmp_path / "a.json", {"item": BYTES, "é": 1})
    assert read_json(tmp_path / "a.json") == {"item": BYTES, "é": 1}


def test_paths_that_no_file_can_have(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png", size=(16, 16))
    long = "x" * 300
    assert call("restore", "denoise", "a.png", "-o", long, *EXACT).exit_code == 7
    assert call("simulate", "denoise", "a.png", "-o", long).exit_code == 7
    assert call("restore", "denoise", "a.png", "-o", "a\0b", *EXACT).exit_code == 2
    assert call("restore", "denoise", f"{long}.png", "-o", "o", *EXACT).exit_code == 4
    for verb in (("info", long), ("evaluate", long, "a.png"), ("report", long)):
        answer = call(*verb)
        assert answer.exit_code == 4, answer.output
        assert "bug" not in answer.output
    (tmp_path / "list").write_bytes(b"\0\n")
    assert call("restore", "denoise", "@list", "-o", "o", *EXACT).exit_code == 4
    with pytest.raises(UsageError, match="NUL"):
        output_folder("a\0b")
    with pytest.raises(OutputError, match="too long"):
        output_folder(long)
    with pytest.raises(InputError, match="NUL"):
        find(["a\0b"])
    (tmp_path / "list").write_text(f"{long}.png\na.png\n")
    answer = call("restore", "denoise", "@list", "-o", "o2", *EXACT)
    assert answer.exit_code == 1
    assert (tmp_path / "o2" / "restored" / "a.png").is_file()


def test_what_a_run_writes_is_no_input_of_it(tmp_path):
    picture(tmp_path / "a.png", size=(16, 16))
    answer = call("restore", "denoise", tmp_path, "-o", tmp_path, *EXACT)
    assert answer.exit_code == 4
    assert "lies in the output folder" in answer.output


DAMAGE = {
    "run.json": [b"", b"[]", b"null", b'{"recipe": 3}', b'{"recipe": {"operator": 3}}', b"\xff\xfe", b"[" * 9000],
    "items.csv": [b"", b"\xff\xfe\x00", b"a,b\n1,2\n", b"item,status\n../../etc,done\n", b'item,status\n"a.png'],
    "failures.csv": [b"\xff\xfe\x00", b"item,code\na,b\n", b"item,reason,code\na,b,-\n"],
}


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_damaged_files_of_a_run_are_named_and_written_anew(finished, tmp_path, name):
    source, made, _ = finished
    for content in DAMAGE[name]:
        out = tmp_path / "out"
        shutil.copytree(made, out)
        (out / name).write_bytes(content)
        for command in (("report", out), ("evaluate", out, source, "-m", "psnr"), ("compare", out, made)):
            answer = call(*command)
            assert answer.exit_code == 4, (content, answer.output)
            assert "bug" not in answer.output
        shutil.rmtree(out)


@pytest.mark.parametrize(
    ("key", "value"),
    [("metrics", [3]), ("cost", {"a": "x"}), ("evidence", {"a": 3}), ("noise", {"a": 1}), ("seed", "x")],
)
def test_values_of_run_json_of_another_kind(finished, tmp_path, key, value):
    shutil.copytree(finished[1], tmp_path / "out")
    facts = read_json(tmp_path / "out" / "run.json")
    (tmp_path / "out" / "run.json").write_text(json.dumps({**facts, key: value}))
    with pytest.raises(InputError, match=f"'{key}' is not what a run writes"):
        RunFolder.open(tmp_path / "out")


@pytest.mark.parametrize(
    "content",
    [
        '{"a":' * 3000 + "1" + "}" * 3000,
        '{"schema": 1}',
        '{"schema": 1, "terms": 3, "items": 3}',
        '{"schema": 1, "terms": {"recipe": 3}, "items": [{"item": []}]}',
    ],
)
def test_a_damaged_plan_is_made_anew(finished, tmp_path, content):
    shutil.copytree(finished[1], tmp_path / "out")
    (tmp_path / "out" / ".inverse" / "plan.json").write_text(content)
    assert Plan.load(tmp_path / "out" / ".inverse") is None
    answer = call("restore", "denoise", finished[0], "-o", tmp_path / "out", *EXACT, *LEAN)
    assert f"{len(NAMES)} of" in answer.output
    assert answer.exit_code == 1


def test_markers_that_no_run_wrote_are_no_results(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[1], out)
    ledger = Ledger(out, {})
    outside = tmp_path / "precious"
    outside.write_text("x")
    for content in ('{"files": {"../precious": "x"}}', '{"files": 3}', '{"files": {}, "row": {"height": "x"}}', "[]"):
        for marker in (out / ".inverse" / "done").iterdir():
            marker.write_text(content)
            assert ledger.marker(marker.stem) is None
            ledger.forget(marker.stem)
        assert outside.exists()
        answer = call("restore", "denoise", finished[0], "-o", out, *EXACT, *LEAN)
        assert answer.exit_code == 1
        assert f"restored     {len(NAMES)} of {len(NAMES) + 1}" in answer.output
    for failed in (out / ".inverse" / "failed").iterdir():
        failed.write_text('{"item": 3}')
        assert ledger.failure(failed.stem) is None


def test_errors_are_ours(finished):
    with pytest.raises(InverseError):
        RunFolder.open(finished[0])
