"""recipe, list, show and info."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from inverse.cli.main import cli
from inverse.recipes.recipe import load, shipped


def run(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="inverse")


def good(*args):
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def bad(code, *args):
    result = run(*args)
    assert result.exit_code == code, result.output
    assert len(result.stderr.splitlines()) <= 3
    assert result.stderr.startswith("error: ")
    return result.stderr


def test_recipe_without_a_verb_shows_help():
    assert "validate" in good("recipe")


@pytest.mark.parametrize("name", list(shipped()))
def test_validate_every_shipped_recipe(name):
    assert good("recipe", "validate", name).startswith(f"{name}: valid, hash {load(name).hash[:16]}")


def test_validate_many_checks_all(tmp_path):
    (tmp_path / "bad.yaml").write_text("operator: {kind: denoise,\n  x: 1}\n")
    result = run("recipe", "validate", "deblur", tmp_path / "bad.yaml", "denoise")
    assert result.exit_code == 3
    assert len(result.stdout.splitlines()) == 2
    assert "bad.yaml:2: unknown key 'operator.x'" in result.stderr
    rows = json.loads(run("recipe", "validate", "--json", "deblur", "nope").stdout)
    assert [row["valid"] for row in rows] == [True, False]


def test_validate_names_the_bad_override():
    assert "-s method.stpes=3: unknown key" in bad(3, "recipe", "validate", "deblur", "-s", "method.stpes=3")


def test_resolve_prints_what_loads_to_the_same(tmp_path):
    text = good("recipe", "resolve", "deblur", "-s", "noise=0.02")
    (tmp_path / "r.yaml").write_text(text)
    assert load(tmp_path / "r.yaml").hash == load("deblur", ["noise=0.02"]).hash
    assert json.loads(good("recipe", "resolve", "deblur", "--json")) == load("deblur").resolved()


def test_schema_is_json():
    assert json.loads(good("recipe", "schema"))["title"] == "Recipe"


def test_new_copies_a_shipped_recipe_and_never_overwrites(tmp_path):
    path = tmp_path / "mine.yaml"
    good("recipe", "new", path)
    assert path.read_text() == shipped()["deblur"]
    assert "already exists" in bad(7, "recipe", "new", path)
    good("recipe", "new", path, "--like", "inpaint", "--overwrite")
    assert load(path).hash == load("inpaint").hash
    assert "did you mean 'inpaint'?" in bad(3, "recipe", "new", tmp_path / "x.yaml", "--like", "inpant")
    bad(2, "recipe", "new", tmp_path / "x.yaml", "--like", "deblur", "--operator", "denoise")


@pytest.mark.parametrize("kind", ["denoise", "gaussian-blur", "random-mask", "downsample"])
def test_new_for_an_operator_is_valid(tmp_path, kind):
    path = tmp_path / "mine.yaml"
    good("recipe", "new", path, "--operator", kind)
    assert load(path).operator.kind == kind


def test_new_marks_what_must_be_filled_in(tmp_path):
    path = tmp_path / "mine.yaml"
    good("recipe", "new", path, "--operator", "file-mask")
    assert "operator.file: no file 'CHANGE-ME'" in bad(3, "recipe", "validate", path)
    said = bad(3, "recipe", "new", tmp_path / "x.yaml", "--operator", "gaussian-blurr")
    assert "did you mean 'gaussian-blur'?" in said


@pytest.mark.parametrize("kind", ["operators", "methods", "priors", "recipes", "formats", "metrics"])
def test_list_and_show_everything(kind):
    rows = json.loads(good("list", kind, "--json"))
    names = [row["name"] for row in rows]
    assert names
    table = good("list", kind)
    for row in rows:
        assert row["summary"]
        assert any(line.startswith(row["name"]) for line in table.splitlines())
        assert good("show", kind, row["name"])
        assert json.loads(good("show", kind.removesuffix("s"), row["name"], "--json"))["name"] == row["name"]


def test_list_alone_counts():
    counts = json.loads(good("list", "--json"))
    assert counts["formats"] >= 13
    assert f"{counts['methods']} methods" in good("list")


def test_list_and_show_suggest():
    assert "did you mean 'priors'?" in bad(2, "list", "prios")
    assert "no method 'difpir'\ndid you mean 'diffpir'?" in bad(2, "show", "method", "difpir")


def test_show_gives_parameters_with_bounds_and_recipes_as_files():
    text = good("show", "method", "diffpir")
    assert "steps" in text
    assert "integer >= 1" in text
    assert "default 20" in text
    assert good("show", "recipe", "inpaint") == shipped()["inpaint"]


def test_info_says_what_a_file_is(tmp_path):
    rng = np.random.default_rng(0)
    clean = np.tile(np.linspace(60, 190, 64), (48, 1))[..., None] + np.array([0, 20, 40])
    array = np.clip(clean + rng.normal(0, 25.5, clean.shape), 0, 255).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png", dpi=(300, 300))
    found = json.loads(good("info", tmp_path / "a.png", "--json"))
    assert (found["format"], found["width"], found["height"], found["channels"]) == ("png", 64, 48, 3)
    assert (found["dtype"], found["bits"], found["alpha"]) == ("uint8", 8, False)
    assert found["minimum"] == array.reshape(-1, 3).min(0).tolist()
    assert found["noise"] == pytest.approx(0.1, rel=0.1)
    assert found["recipes"][0]["name"] == "denoise"
    text = good("info", tmp_path / "a.png")
    assert "width" in text
    assert "denoise: noise of about 0." in text


def test_info_suggests_by_what_it_sees(tmp_path):
    array = np.full((40, 40, 3), 120, np.uint8)
    array[:, ::2] = 0
    Image.fromarray(array).save(tmp_path / "holes.png")
    found = json.loads(good("info", tmp_path / "holes.png", "--json"))
    assert found["recipes"][0]["name"] == "inpaint"
    np.save(tmp_path / "five.npy", np.zeros((40, 40, 5), np.float32))
    assert "none of the shipped ones fits" in good("info", tmp_path / "five.npy")


def test_info_of_what_is_no_image(tmp_path):
    assert "no such file" in bad(4, "info", tmp_path / "no.png")
    (tmp_path / "a.png").write_text("hello")
    assert "text, not an image" in bad(4, "info", tmp_path / "a.png")
