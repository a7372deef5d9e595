"""`inverse tune`: what it tries, that it never tunes on what it evaluates on, and that it resumes."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from inverse.cli.main import cli
from inverse.errors import InputError, RecipeError, UsageError
from inverse.recipes.recipe import load
from inverse.tuning.search import Choice, Range, ScoredSetting, parse, propose
from inverse.tuning.tuner import split, tune

RECIPE: dict[str, Any] = {
    "operator": {"kind": "denoise"},
    "noise": {"sigma": 0.1},
    "prior": {"name": "gaussian"},
    "method": {"kind": "diffpir", "steps": 4, "lam": 30.0},
    "run": {"samples": 4, "seed": 3},
}


@pytest.fixture
def truths(tmp_path: Path) -> Path:
    """Eight pictures that the prior knows: white noise of mean 0.5 and deviation 0.2."""
    folder = tmp_path / "truth"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        values = np.clip(0.5 + 0.2 * rng.standard_normal((24, 24)), 0, 1)
        Image.fromarray(np.rint(255 * values).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))


@pytest.mark.parametrize("search", ["plain", "tpe"])
def test_a_bad_value_is_found_and_the_gain_holds(truths: Path, tmp_path: Path, search: str) -> None:
    if search == "tpe":
        pytest.importorskip("optuna")
    out = tmp_path / "out"
    found = tune(RECIPE, truths, params=["lam=0.1:100:log"], out=out, trials=8, search=search)
    assert found.evaluation[1] < found.evaluation[0]
    assert found.gain[0] == pytest.approx(found.evaluation[0] - found.evaluation[1])
    assert 0 < found.gain[1] <= found.gain[0] <= found.gain[2]
    assert "holds on images it was not tuned on" in found.says[-2]
    assert "4 images make a rough interval" in found.says[-1]
    made = load(out / "recipe.yaml")
    assert made.params["lam"] == found.best["method.lam"] < 30
    assert made.operator == load(RECIPE).operator
    assert "# gain" in (out / "recipe.yaml").read_text()
    rows = table(out)
    assert len(rows) == 9
    assert float(rows[0]["method.lam"]) == 30.0
    assert min(float(row["score"]) for row in rows) == pytest.approx(found.tuning[1])


def test_the_two_sets_share_no_file(truths: Path, tmp_path: Path) -> None:
    tune(RECIPE, truths, params=["lam=0.1:100:log"], out=tmp_path / "out", trials=1)
    facts = json.loads((tmp_path / "out/tune.json").read_text())
    assert set(facts["tuning"]) | set(facts["evaluation"]) == {f"{i}.png" for i in range(8)}
    assert not set(facts["tuning"]) & set(facts["evaluation"])
    assert len(facts["tuning"]) == 4
    assert set(facts["result"]["per_image"]["own"]) == set(facts["evaluation"])
    # what the evaluation images show changes no trial
    other = tmp_path / "other"
    other.mkdir()
    for i in range(8):
        with Image.open(truths / f"{i}.png") as image:
            changed = image.rotate(90) if f"{i}.png" in facts["evaluation"] else image
            changed.save(other / f"{i}.png")
    tune(RECIPE, other, params=["lam=0.1:100:log"], out=tmp_path / "again", trials=1)
    first, second = ([row["score"] for row in table(tmp_path / name)] for name in ("out", "again"))
    assert first == second


def test_an_interrupted_search_goes_on_as_if_it_had_not_stopped(
    truths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = ["lam=0.1:100:log", "zeta=0.1:1"]
    whole = tune(RECIPE, truths, params=params, out=tmp_path / "whole", trials=6, search="plain")
    tune(RECIPE, truths, params=params, out=tmp_path / "parts", trials=2, search="plain")
    parts = tmp_path / "parts/trials.csv"
    parts.write_text(parts.read_text() + "3,0.5")  # killed while it wrote
    from inverse.tuning.bench import TuningBench

    scored: list[tuple[str, ...]] = []
    before = TuningBench.score

    def counted(self: TuningBench, values: Any, items: Any) -> Any:
        scored.append(tuple(items))
        return before(self, values, items)

    monkeypatch.setattr(TuningBench, "score", counted)
    again = tune(RECIPE, truths, params=params, out=tmp_path / "parts", trials=6, search="plain")
    assert len(scored) == 4 + 2  # the four that were missing, and twice the evaluation set
    assert again.best == whole.best
    assert again.gain == whole.gain

    def numbers(name: str) -> list[tuple[str, ...]]:
        return [tuple(row[key] for key in ("method.lam", "method.zeta", "score")) for row in table(tmp_path / name)]

    assert numbers("parts") == numbers("whole")
    with pytest.raises(RecipeError, match="another metric"):
        tune(RECIPE, truths, params=params, out=tmp_path / "parts", metric="psnr")
    with pytest.raises(RecipeError, match="another recipe"):
        tune({**RECIPE, "noise": {"sigma": 0.2}}, truths, params=params, out=tmp_path / "parts", search="plain")


def test_given_measurements_and_another_metric(truths: Path, tmp_path: Path) -> None:
    from inverse.restoration.simulate import simulate_files

    simulate_files(RECIPE, truths, out=tmp_path / "sim")
    (tmp_path / "sim/measured/7.tif").unlink()
    found = tune(
        RECIPE, truths, params=["steps=2,4,6"], out=tmp_path / "out", trials=3, metric="psnr",
        measured=tmp_path / "sim/measured", search="plain",
    )  # fmt: skip
    assert not (tmp_path / "out/simulated").exists()
    assert found.tuning[1] >= found.tuning[0]
    assert found.best["method.steps"] in (2, 4, 6)
    facts = json.loads((tmp_path / "out/tune.json").read_text())
    assert (len(facts["tuning"]), len(facts["evaluation"])) == (3, 4)


def test_the_recipe_that_is_written_extends_the_given_one(truths: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(load(RECIPE).to_yaml())
    found = tune(path, truths, params=["lam=0.1:100:log"], out=tmp_path / "out", trials=3, search="plain")
    text = (tmp_path / "out/recipe.yaml").read_text()
    assert "extends: ../mine.yaml" in text
    assert load(tmp_path / "out/recipe.yaml").params["lam"] == found.best["method.lam"]
    base = tmp_path / "above.yaml"
    base.write_text("extends: mine.yaml\nmethod: {steps: 3}\n")
    tune(base, truths, params=["lam=0.1:100:log"], out=tmp_path / "two", trials=1, search="plain")
    assert load(tmp_path / "two/recipe.yaml").params["steps"] == 3


def test_fewer_than_four_images_are_refused(truths: Path, tmp_path: Path) -> None:
    for i in range(3, 8):
        (truths / f"{i}.png").unlink()
    with pytest.raises(InputError, match="3 images: no split"):
        tune(RECIPE, truths, params=["lam=0.1:100:log"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_split_is_of_names_alone() -> None:
    names = [f"{i}.png" for i in range(9)]
    assert split(names) == split(names[::-1])
    assert split(names, seed=1) != split(names)
    assert [len(part) for part in split(names)] == [4, 5]


def test_parameters_are_typed_by_the_recipe() -> None:
    recipe = load("deblur")
    assert parse("lam=0.1:10:log", recipe) == Range("method.lam", 0.1, 10, True, False)
    assert parse("steps=10:40", recipe) == Range("method.steps", 10, 40, False, True)
    assert parse("operator.sigma=1:3", recipe).key == "operator.sigma"
    assert parse("boundary=free,reflect", recipe) == Choice("operator.boundary", ("free", "reflect"))
    assert Range("k", 1, 100, True, False).at(0.5) == pytest.approx(10)
    assert Range("k", 1, 9, False, True).at(0.5) == 5
    for value in (0.1, 1.0, 7.5):
        one = Range("k", 0.1, 10, True, False)
        assert one.at(one.place(value)) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("lamb=1:2", RecipeError, "did you mean 'lam'"),
        ("method.lamb=1:2", RecipeError, "did you mean 'method.lam'"),
        ("lam", UsageError, "name=lo:hi"),
        ("lam=2:1", UsageError, "lo < hi"),
        ("lam=0:1:log", UsageError, "lo above 0"),
        ("lam=a:b", UsageError, "lo:hi"),
        ("steps=1.5:3", UsageError, "whole"),
        ("lam=-1:2", RecipeError, "lam"),
        ("lam=1,1", UsageError, "two or more"),
        ("boundary=free,fre", RecipeError, "boundary"),
        ("run.seed=1:9", RecipeError, "no 'run.seed'"),
    ],
)
def test_what_cannot_be_searched_is_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        parse(text, load("deblur"))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize("search", ["plain", "tpe"])
def test_the_search_finds_a_minimum(search: str) -> None:
    """Of (log x - log 2)^2 + (y - 0.3)^2 + [z != "b"], with trials that fail."""
    if search == "tpe":
        pytest.importorskip("optuna")
    axes = [
        Range("x", 0.1, 100, True, False),
        Range("y", 0, 1, False, False),
        Choice("z", ("a", "b", "c")),
    ]
    trials = [ScoredSetting({"x": 50.0, "y": 0.9, "z": "a"}, 14.0)]
    for _ in range(40):
        values = propose(axes, trials, search=search, seed=1)
        assert values == propose(axes, trials, search=search, seed=1)
        loss = math.log(values["x"] / 2) ** 2 + (values["y"] - 0.3) ** 2 + (values["z"] != "b")
        trials.append(ScoredSetting(values, math.nan if len(trials) == 3 else loss))
    assert min(trial.loss for trial in trials if math.isfinite(trial.loss)) < 0.3
    assert len({json.dumps(dict(trial.values)) for trial in trials}) > 25


def test_the_command_line(truths: Path, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(load(RECIPE).to_yaml())
    arguments = ["tune", str(tmp_path / "r.yaml"), str(truths), "-o", str(tmp_path / "out"), "--trials", "1"]
    found = CliRunner().invoke(cli, [*arguments, "--param", "lam=0.1:100:log", "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["trials"] == 1
    for given, code in (
        (["--param", "lamb=1:2"], 3),
        (["--param", "lam=1"], 2),
        (["--param", "lam=1:2", "--metric", "coverage90"], 2),
        (["--param", "lam=1:2", "--samples", "1"], 2),
        (["--param", "lam=1:2", "--param", "lam=1:3"], 2),
    ):
        bad = CliRunner().invoke(cli, [*arguments, *given])
        assert bad.exit_code == code, bad.output
        assert "Traceback" not in bad.output
