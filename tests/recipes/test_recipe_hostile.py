"""Recipes, calibrations and suites that someone else wrote: bombs of aliases, pipes and devices, files of any size."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from inverse.benchmark.suite import load_suite
from inverse.errors import InverseError, RecipeError
from inverse.recipes.calibration_file import read_calibration
from inverse.recipes.recipe import RECIPE_LIMIT, load
from inverse.recipes.yaml_layers import EXPANDED, parse_mapping, parse_overrides


def bomb(levels: int, kind: str) -> str:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"] if kind == "list" else ["a: &a {k: x}"]
    for level in range(1, levels):
        below, name = chr(96 + level), chr(97 + level)
        if kind == "list":
            lines.append(f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]")
        elif kind == "mapping":
            lines.append(f"{name}: &{name} {{{','.join(f'k{index}: *{below}' for index in range(9))}}}")
        else:
            lines.append(f"{name}: &{name} {{<<: [{','.join([f'*{below}'] * 9)}], k{level}: x}}")
    return "\n".join(lines)


@pytest.mark.parametrize("kind", ["list", "mapping", "merge"])
def test_a_bomb_of_aliases_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "bomb.yaml"
    path.write_text(bomb(9, kind))
    start = time.process_time()
    with pytest.raises(RecipeError, match="aliases"):
        load(path)
    with pytest.raises(RecipeError, match="aliases"):
        parse_overrides([f"data={{{bomb(9, kind).replace(chr(10), ', ')}}}"])
    assert time.process_time() - start < 2


def test_aliases_of_a_long_text_count_its_length():
    text = f"x: &x {'y' * 10_000}\nz: [{','.join(['*x'] * 1000)}]"
    with pytest.raises(RecipeError, match="aliases"):
        parse_mapping(text, label="r.yaml", folder=Path())


def test_aliases_that_a_person_writes_are_read():
    layer = parse_mapping("a: &a {kind: x}\nb: *a\nc: {<<: *a, d: 1}", label="r.yaml", folder=Path())
    assert layer.data == {"a": {"kind": "x"}, "b": {"kind": "x"}, "c": {"kind": "x", "d": 1}}


def test_a_long_document_without_aliases_is_read():
    rows = ",".join(["1"] * 2 * EXPANDED)
    assert len(parse_mapping(f"a: [{rows}]", label="r.yaml", folder=Path()).data["a"]) == 2 * EXPANDED


def test_a_value_that_holds_itself_is_refused():
    for text in ("a: &a [*a]", "a: &a {b: {c: *a}}"):
        with pytest.raises(RecipeError, match="holds itself"):
            parse_mapping(text, label="r.yaml", folder=Path())


def special(folder: Path, kind: str) -> Path:
    if kind == "device":
        return Path("/dev/zero")
    if kind == "link":
        (folder / "link.yaml").symlink_to("/dev/zero")
        return folder / "link.yaml"
    os.mkfifo(folder / "pipe.yaml")
    return folder / "pipe.yaml"


@pytest.mark.parametrize("kind", ["device", "link", "pipe"])
def test_a_pipe_or_device_is_no_recipe_calibration_or_suite(tmp_path, kind):
    path = special(tmp_path, kind)
    other = tmp_path / "other.yaml"
    other.write_text(f"extends: {path}\n")
    for read in (
        lambda: load(path),
        lambda: load(other),
        lambda: read_calibration(path),
        lambda: load_suite(str(path)),
    ):
        with pytest.raises(InverseError, match="expected a file") as caught:
            read()
        assert caught.value.exit_code == 3


def test_a_recipe_is_not_larger_than_a_person_writes(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_text("#" * (RECIPE_LIMIT + 1))
    with pytest.raises(RecipeError, match="larger than 128 KiB"):
        load(path)
