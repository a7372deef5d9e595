"""The fit of a recalibration, its finite-sample factors, its file, and what it is refused for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inverse.calibration.recalibration import Map, fit
from inverse.calibration.statistics import Prediction, spread_skill, student_factor
from inverse.errors import InputError, RecipeError, UsageError
from inverse.evaluation.calibration_figure import draw
from inverse.evaluation.calibration_findings import calibrate
from inverse.evaluation.calibration_fit import checked, cross_fitted
from inverse.recipes.calibration_file import ASSUMES, MEANING, CalibrationFile, Licence, read_calibration, unfit


def images(count: int, *, factor: float, seed: int, samples: int = 4, size: int = 24) -> list[Prediction]:
    """Images whose errors vary within and between images, and whose samples spread ``factor`` times as much."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        own = np.exp(0.3 * rng.standard_normal())
        scale = own * np.exp(rng.uniform(-2, 0, (1, size, size)))
        draws = factor * scale * rng.standard_normal((samples, 1, size, size))
        truth = scale * rng.standard_normal((1, size, size))
        found.append(Prediction(f"{seed}-{index}", truth, draws.mean(0), draws.std(0, ddof=1), samples, draws))
    return found


@pytest.mark.parametrize(("factor", "word"), [(0.5, "overconfident"), (2.0, "underconfident")])
def test_a_wrong_spread_is_named_and_mended_on_new_images(factor: float, word: str) -> None:
    first, second = images(40, factor=factor, seed=0), images(40, factor=factor, seed=1)
    before = calibrate(second)
    assert before.says()[0].startswith(word)
    found = fit(first)
    mended = [found.apply(one) for one in second]
    after = calibrate(mended)
    assert 0.88 < after.coverage.at(0.9)[0] < 0.92
    assert np.abs(after.coverage.values - after.coverage.levels).max() < 0.03
    assert "recalibrated" in after.says()[1]
    spread, error = spread_skill(mended)
    assert np.allclose(error / spread, 1, atol=0.2)
    check = checked(second, [found] * len(second))
    assert check.coverage90 == pytest.approx(after.coverage.at(0.9)[0])
    assert check.coverage90_low < check.coverage90 < check.coverage90_high


def test_the_map_is_monotone_and_goes_on_in_proportion() -> None:
    found = fit(images(12, factor=0.5, seed=0))
    grid = np.geomspace(found.raw[0] / 100, found.raw[-1] * 100, 400)
    values = found.std(grid)
    assert (np.diff(values) > 0).all() or (np.diff(values) >= 0).all()
    assert values[-1] / grid[-1] == pytest.approx(found.calibrated[-1] / found.raw[-1])
    assert values[0] / grid[0] == pytest.approx(found.calibrated[0] / found.raw[0])
    assert found.std(np.zeros(3)).tolist() == [0, 0, 0]


def test_the_guarantees_are_those_of_their_papers() -> None:
    """Conformal risk control by its definition; a share of new images that split conformal promises."""
    first = images(30, factor=0.5, seed=0)
    found = fit(first)
    place = found.levels.index(0.9)
    scores = [np.abs(one.error) / found.std(one.std) for one in first]

    def risk(factor: float) -> float:
        return float(np.mean([(score > factor).mean() for score in scores]))

    n, guaranteed = len(first), found.guaranteed[place]
    assert guaranteed is not None
    assert guaranteed > found.factors[place]
    assert n / (n + 1) * risk(guaranteed) + 1 / (n + 1) <= 0.1 < n / (n + 1) * risk(0.99 * guaranteed) + 1 / (n + 1)
    assert risk(found.factors[place]) == pytest.approx(0.1, abs=1e-3)
    assert found.guaranteed[found.levels.index(0.99)] is None
    held = checked(images(200, factor=0.5, seed=2), [found] * 200)
    assert held.images90 is not None
    assert held.images90 > 0.9 - 3 * (0.09 / 30) ** 0.5
    assert found.sure is not None
    assert found.sure.factors[place] == guaranteed
    assert checked(images(200, factor=0.5, seed=2), [found.sure] * 200).coverage90 > 0.9
    few = fit(first[:8])
    assert few.guaranteed[place] is None
    assert few.sure is None
    assert few.image[place] is None


def test_intervals_between_and_beyond_the_levels_of_the_table() -> None:
    found = Map((1.0,), (2.0,), (0.5, 0.9), (0.7, 1.6), (None, None), (None, None), 5)
    assert found.factor(0.9) == 1.6
    assert found.factor(0.7) == pytest.approx(1.15)
    assert found.factor(0.99) == pytest.approx(1.6 * student_factor(0.99, 0) / student_factor(0.9, 0))
    needed = replace(images(1, factor=1, seed=0)[0], table=((0.5, 0.9), (0.7, 1.6)))
    assert np.allclose(needed.halfwidth(0.9), 1.6 * needed.std)


def test_every_image_is_checked_by_a_map_it_had_no_part_in() -> None:
    given = images(20, factor=0.5, seed=0)
    sources = [str(index // 2) for index in range(20)]
    maps = cross_fitted(given, sources)
    assert [own.images for own in maps] == [16] * 20
    for index, own in enumerate(maps):
        others = [one for one, made in zip(given, maps, strict=True) if made != own]
        assert own == fit(others)
        assert given[index] not in others
        assert maps[index ^ 1] == own, "both images of a source are in the same group"
    assert checked(given, maps, sources).coverage90 == pytest.approx(0.9, abs=0.02)


def test_groups_hold_like_images() -> None:
    smooth = [replace(one, mean=one.mean * 0.01) for one in images(10, factor=1, seed=0)]
    given = [*smooth, *images(10, factor=1, seed=1)]
    maps = cross_fitted(given)
    for own in maps:
        group = [one.item for one, made in zip(given, maps, strict=True) if made == own]
        assert sum(item.startswith("0-") for item in group) == 2


def test_too_few_images_are_refused() -> None:
    with pytest.raises(InputError, match="too few") as caught:
        cross_fitted(images(7, factor=1, seed=0))
    assert caught.value.exit_code == 4
    with pytest.raises(InputError, match="one source"):
        cross_fitted(images(8, factor=1, seed=0), ["a"] * 8)
    with pytest.raises(InputError, match="recalibrated already"):
        cross_fitted([fit(images(8, factor=1, seed=0)).apply(one) for one in images(8, factor=1, seed=0)])


def masked(count: int, *, seed: int) -> list[Prediction]:
    """Images of which a fifth is missing: there the samples spread a third of the error, elsewhere all of it."""
    rng = np.random.default_rng(seed)
    found = []
    for one in images(count, factor=1, seed=seed):
        share = np.where(rng.uniform(size=one.truth.shape) < 0.2, 0.01, 0.99)
        truth = one.mean + (one.truth - one.mean) * np.where(share < 0.5, 3, 1)
        found.append(replace(one, truth=truth, share=share))
    return found


def test_what_the_prior_decides_has_a_map_of_its_own() -> None:
    """One map for all holds 90 % on average, and far less where it matters."""
    first, second = masked(30, seed=0), masked(30, seed=1)
    blind = fit([replace(one, share=None) for one in first])
    assert not blind.needs_share
    alike = checked(second, [blind] * 30)
    assert alike.coverage90 == pytest.approx(0.9, abs=0.02)
    assert alike.prior90 < 0.75
    assert alike.data90 > 0.93
    found = fit(first)
    assert found.needs_share
    known = checked(second, [found] * 30)
    assert known.coverage90 == pytest.approx(0.9, abs=0.02)
    assert known.prior90 == pytest.approx(0.9, abs=0.03)
    assert known.data90 == pytest.approx(0.9, abs=0.03)
    with pytest.raises(UsageError, match="data share"):
        found.std(first[0].std)


def by_share(count: int, *, seed: int) -> list[Prediction]:
    """Images whose samples spread the less of their error the less the data decide."""
    shares = np.linspace(0.05, 0.45, count)
    found = []
    for one, share in zip(images(count, factor=1, seed=seed), shares, strict=True):
        own = (share / (1 - share)) ** -0.4
        truth = one.mean + own * (one.truth - one.mean)
        found.append(replace(one, truth=truth, share=np.full_like(truth, share)))
    return found


def test_images_that_the_data_decide_less_of_have_a_factor_of_their_own() -> None:
    first, second = by_share(40, seed=0), by_share(40, seed=1)
    conditions = [str(4 * index // 40) for index in range(40)]
    blind = fit([replace(one, share=None) for one in first])
    assert checked(second, [blind] * 40, conditions=conditions).conditions90[0] < 0.84
    found = fit(first)
    assert found.power == pytest.approx(-0.4, abs=0.15)
    after = checked(second, [found] * 40, conditions=conditions)
    assert after.coverage90 == pytest.approx(0.9, abs=0.02)
    assert 0.86 < after.conditions90[0] < after.conditions90[1] < 0.94
    extreme = np.full_like(first[0].truth, 0.0)
    assert np.allclose(found.std(first[0].std, extreme), found.std(first[0].std, extreme + found.shares[0]))
    half = found.of_image(float(first[0].share.mean())).std(first[0].std[:, :12], first[0].share[:, :12])
    assert np.array_equal(half, found.std(first[0].std, first[0].share)[:, :12])


def test_a_factor_that_is_chance_is_shrunk_away() -> None:
    rng = np.random.default_rng(0)
    given = [
        replace(one, share=np.full_like(one.truth, rng.uniform(0.1, 0.4))) for one in images(40, factor=0.5, seed=0)
    ]
    assert abs(fit(given).power) < 0.08


def test_one_map_where_the_prior_decides_hardly_anything() -> None:
    given = [
        replace(one, share=np.where(np.arange(576).reshape(1, 24, 24) < 20, 0.1, 0.9))
        for one in images(12, factor=1, seed=0)
    ]
    assert fit(given) == fit([replace(one, share=None) for one in given])


LICENCE = {
    "operator": "denoise", "method": {"kind": "diffpir", "steps": 4}, "prior": "gaussian",
    "prior_sha256": "", "samples": 4,
    "data": {"range": [0, 1], "transfer": "srgb"},
}  # fmt: skip


def file(**changes: object) -> dict[str, object]:
    found = fit(images(12, factor=0.5, seed=0))
    return {
        "inverse_calibration": 1, "title": "t", "licence": LICENCE, "noise": [0.01, 0.05],
        "truths": "none", "varied": "nothing",
        "images": 12, "split": "none", "assumes": list(ASSUMES), "meaning": MEANING,
        "std": {
            "raw": found.raw, "calibrated": found.calibrated, "prior_raw": found.raw,
            "prior_calibrated": found.calibrated,
        },
        "intervals": {
            "levels": found.levels, "applied": "point", "factors": found.factors, "factors_point": found.factors,
            "factors_guaranteed": found.guaranteed, "factors_image": found.image,
        },
        "before": None, "after": None, **changes,
    }  # fmt: skip


def test_the_file_is_read_back_and_says_what_it_is_worth(tmp_path: Path) -> None:
    made = CalibrationFile.model_validate(file())
    (tmp_path / "c.json").write_text(made.to_json())
    read = read_calibration(tmp_path / "c.json")
    assert np.allclose(read.map.factors, made.map.factors, rtol=1e-5)
    assert read.map.guaranteed[-1] is None
    assert read.says() == "90 % intervals recalibrated on 12 images, not checked"
    after = {"images": 12, "coverage50": 0.5, "coverage90": 0.901, "data90": 0.91, "prior90": 0.88}
    assert CalibrationFile.model_validate(file(after=after)).says() == (
        "90 % intervals recalibrated on 12 images: they hold 90.1 % of images left out of the fit, on average "
        "(91 % where the data decide, 88 % where the prior does)"
    )
    assert read.map.prior_raw == pytest.approx(made.map.prior_raw, rel=1e-5)
    assert "noise 0.2 is beyond the 0.01 to 0.05" in read.outside(0.2)
    assert read.outside(0.03) == ""
    assert max(len(line) for line in made.to_json().splitlines()) < 400


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no JSON"),
        ("[1]", "not a calibration file"),
        ('{"a": 1}', "not a calibration file"),
        (json.dumps(file(inverse_calibration=2)), "inverse_calibration: Input should be 1"),
        (json.dumps(file(extra=1)), "extra"),
        (json.dumps(file(std={"raw": [2, 1], "calibrated": [1, 2]})), "raw must increase"),
        (json.dumps(file(std={"raw": [1, 2], "calibrated": [2, 1]})), "must not decrease"),
        (json.dumps(file(std={"raw": [1, 2], "calibrated": [1, -2]})), "greater than 0"),
        (json.dumps(file(std={"raw": [1], "calibrated": [1], "prior_raw": [1]})), "as long"),
        (json.dumps(file(std={"raw": [1], "calibrated": [float("nan")]})), "std.calibrated.0"),
        (
            json.dumps(file(
                    intervals={
                        "levels": [0.9], "applied": "point", "factors": [1, 2], "factors_point": [1],
                        "factors_guaranteed": [1], "factors_image": [1],
                    }
                )),
            "columns of different lengths",
        ),
        ("\x00\xff", "no JSON"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_a_recipe_error_of_three_lines(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(RecipeError, match=part) as caught:
        read_calibration(tmp_path / "c.json")
    assert caught.value.exit_code == 3
    assert len(str(caught.value).splitlines()) <= 3
    with pytest.raises(RecipeError, match="cannot be read"):
        read_calibration(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"operator": "gaussian-blur"}, "it is of operator denoise, the run's is gaussian-blur"),
        ({"samples": 8}, "it is of 4 samples, the run draws 8"),
        ({"method": {"kind": "pigdm", "steps": 4}}, "method.kind diffpir, the run's is pigdm"),
        ({"method": {"kind": "diffpir", "steps": 9}}, "method.steps 4, the run's is 9"),
        ({"prior": "photo"}, "prior gaussian, the run's is photo"),
        ({"prior_sha256": "ff"}, "other weights of gaussian"),
        ({"data": {"range": [0, 1], "transfer": "linear"}}, "data.transfer srgb, the run's is linear"),
        ({}, ""),
    ],
)
def test_a_licence_ends_where_the_run_differs(change: dict[str, object], why: str) -> None:
    own, other = Licence.model_validate(LICENCE), Licence.model_validate({**LICENCE, **change})
    assert why in unfit(own, other)
    assert bool(unfit(own, other)) == bool(why)


def test_the_figure_is_a_picture_with_and_without_samples() -> None:
    few = images(3, factor=0.5, seed=0)
    for given in (few, [replace(one, samples=None) for one in few[:1]]):
        found = calibrate(given)
        assert draw(found, "title").startswith(b"\x89PNG")
        assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["items"] == len(given)
