"""The page as a file: what is in it, what is not, and how large it is."""

import base64
import hashlib
import io
import json
import re
import zlib

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from inverse.cli.main import cli
from inverse.errors import InputError, OutputError
from inverse.report.figures import write_figures
from inverse.report.images import LEVELS, Scale, map_url, picture_url, ticks
from inverse.report.items import colour_bands
from inverse.report.page import write_report
from inverse.report.verdicts import Verdicts

CALIBRATION = {
    "schema": 1,
    "items": 3,
    "levels": [0.1, 0.5, 0.9],
    "coverage": [0.08, 0.4, 0.77],
    "coverage_low": [0.05, 0.3, 0.7],
    "coverage_high": [0.1, 0.5, 0.85],
    "tarp": {"levels": [0.1, 0.5, 0.9], "coverage": [0.2, 0.5, 0.8]},
    "sbc": {"counts": [5, 2, 2, 6], "expected": 3.75, "band": [1, 8]},
    "spread_skill": {"spread": [0.01, 0.03], "error": [0.02, 0.05]},
    "z_std": 1.3,
    "says": ["the 90 % intervals hold 77 % of the true values"],
    "per_item": [{"item": "a.png", "coverage90": 0.77}],
}


def blocks(page):
    """The data blocks of a page by name."""
    found = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', page, flags=re.S)
    return {name: json.loads(text) for name, text in found}


def decoded(url):
    kind, text = url.removeprefix("data:image/").split(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert image.format == kind.upper()
    return image


@pytest.fixture(scope="module")
def page(run_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert write_report(run_folder, out=out, truth=run_folder.parent / "photos") == out
    return out.read_text(encoding="utf-8")


def test_the_policy_allows_this_style_and_this_script_and_nothing_else(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("style", "script"):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", page, flags=re.S)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    assert " style=" not in page


def test_names_of_files_are_text(page, nasty):
    assert "<script>alert" not in page
    assert "<b>tiny" not in page
    assert "Holes in &lt;b&gt;tiny&lt;/b&gt; pictures &amp; $items" in page
    assert nasty in {entry["item"] for entry in blocks(page)["run"]["items"]}


def test_no_path_and_no_user_is_in_the_page(page, run_folder):
    assert str(run_folder.parent) not in page
    assert "/root" not in page
    assert "/home/" not in page


def test_the_worst_is_first_and_says_why(page):
    data = blocks(page)
    listed = data["run"]["items"]
    scores = [entry["numbers"]["psnr"] for entry in listed]
    assert scores == sorted(scores)
    assert data["run"]["orderedBy"] == "lowest PSNR first"
    first = data["item-0"]
    assert first["item"] == listed[0]["item"]
    assert first["place"].startswith("worst of 3 by PSNR")
    assert first["faults"]
    assert first["command"].startswith("inverse restore recipe.yaml ")


def test_failures_and_provenance_are_on_the_page(page):
    assert "3 of 4 items restored, 1 failed." in page
    assert "broken.png" in page
    for text in (
        "Recipe hash",
        "Licence of the prior",
        "operator: {kind: random-mask",
        "inverse restore recipe.yaml",
        "seed 3",
    ):
        assert text in page
    assert "not recalibrated" in page
    definitions = {metric["name"]: metric["definition"] for metric in blocks(page)["run"]["metrics"]}
    assert "data_range=1" in definitions["psnr"]


def test_pictures_and_maps_hold_the_values_of_the_run(page, run_folder):
    import h5py

    data = blocks(page)
    number = next(i for i, entry in enumerate(data["run"]["items"]) if entry["item"] == "a.png")
    item = data[f"item-{number}"]
    with h5py.File(run_folder / "items" / "a.png" / "posterior.h5") as file:
        mean, std, observed = (np.asarray(file[name]) for name in ("mean", "std", "observed"))
    shown = {entry["name"]: entry for entry in item["pictures"]}
    assert set(shown) == {"measurement", "restored", "truth"}
    restored = np.moveaxis(np.asarray(decoded(shown["restored"]["src"])), -1, 0) / 255
    assert np.abs(restored - mean.clip(0, 1)).max() < 0.51 / 255
    measured = np.asarray(decoded(shown["measurement"]["src"]))
    assert (measured[observed[0] == 0] == (204, 214, 230)).all()
    maps = {entry["name"]: entry for entry in item["maps"]}
    assert {"std", "error", "data_share", "invented", "residual"} <= set(maps)
    entry = maps["std"]
    index = np.asarray(decoded(entry["src"]))
    read = entry["low"] + (entry["high"] - entry["low"]) * index / (LEVELS - 1)
    spread = np.sqrt(np.square(std).mean(0)).clip(entry["low"], entry["high"])
    assert np.abs(read - spread).max() <= 0.501 * (entry["high"] - entry["low"]) / (LEVELS - 1)
    assert len(item["samples"]["src"]) == len(item["samples"]["misfit"]) == 3


def test_residual_histogram_is_a_density(page):
    drawn = {entry["name"]: entry for entry in blocks(page)["item-0"]["histograms"]}
    entry = drawn["residual"]
    assert entry["normal"]
    width = (entry["high"] - entry["low"]) / len(entry["series"][0]["density"])
    assert sum(entry["series"][0]["density"]) * width == pytest.approx(1, abs=0.01)


def test_calibration_is_shown_where_it_is(copied):
    assert blocks(write_report(copied).read_text())["run"]["calibration"] is None
    (copied / "calibration.json").write_text(json.dumps(CALIBRATION))
    text = write_report(copied).read_text()
    shown = blocks(text)["run"]["calibration"]
    assert shown["coverage"] == CALIBRATION["coverage"]
    assert "per_item" not in shown
    number = next(i for i, entry in enumerate(blocks(text)["run"]["items"]) if entry["item"] == "a.png")
    assert blocks(text)[f"item-{number}"]["calibration"] == [
        ["share of the truth in 90 % intervals (0.9 expected)", 0.77]
    ]


@pytest.mark.parametrize("applied", [True, False])
def test_the_page_says_whether_a_run_was_recalibrated(copied, applied):
    says = (
        "90 % intervals recalibrated on 7 images" if applied else "intervals are not recalibrated: it is of 4 samples"
    )
    facts = json.loads((copied / "run.json").read_text())
    known = {"file": "calibrations/deblur.json", "applied": applied, "says": says}
    (copied / "run.json").write_text(json.dumps(facts | {"calibration": known}))
    text = write_report(copied).read_text()
    shown = re.sub(r"<script.*?</script>", "", text, flags=re.S).lower()
    assert says.lower() in shown
    assert ("recalibrated by deblur.json" in shown) == applied
    assert "own, not recalibrated" not in shown
    assert ["Intervals", says] in blocks(text)["item-0"]["made"]


def test_what_a_run_did_not_keep_is_left_out(copied):
    import h5py

    with h5py.File(copied / "items" / "a.png" / "posterior.h5", "a") as file:
        for name in set(file) - {"mean"}:
            del file[name]
    (copied / "items" / "sub" / "b.png" / "posterior.h5").write_bytes(b"cut")
    data = blocks(write_report(copied).read_text())
    found = {data[f"item-{i}"]["item"]: data[f"item-{i}"] for i in range(3)}
    assert [entry["name"] for entry in found["a.png"]["pictures"]] == ["restored"]
    assert found["a.png"]["maps"] == []
    assert found["a.png"]["samples"] is None
    assert found["sub/b.png"]["pictures"] == []
    assert "cannot be read" in found["sub/b.png"]["reduced"]


def test_pages_stay_in_their_budget_and_say_what_it_cost(fabricate):
    folder = fabricate(2000)
    path = write_report(folder, max_megabytes=5)
    assert path.stat().st_size <= 5e6
    data = blocks(path.read_text())
    assert len(data["run"]["items"]) == 2000
    assert len(data["item-0"]["pictures"]) == 2
    shown = [data[f"item-{i}"] for i in range(2000)]
    assert all(item["item"] and item["command"] for item in shown)
    assert sum("--max-mb" in item["reduced"] for item in shown) > 1000


def test_thirty_items_are_shown_whole(fabricate):
    path = write_report(fabricate(30))
    assert path.stat().st_size < 30e6
    data = blocks(path.read_text())
    assert all(len(data[f"item-{i}"]["maps"]) >= 4 and data[f"item-{i}"]["reduced"] == "" for i in range(30))


def test_another_file_is_not_overwritten(run_folder, tmp_path):
    other = tmp_path / "mine.html"
    other.write_text("my notes")
    with pytest.raises(OutputError, match="no report"):
        write_report(run_folder, out=other)
    assert other.read_text() == "my notes"
    write_report(run_folder, out=other, overwrite=True)
    assert write_report(run_folder, out=other) == other


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        write_report(tmp_path)


def test_command_writes_page_and_figures(copied):
    (copied / "calibration.json").write_text(json.dumps(CALIBRATION))
    lines = (copied / "items.csv").read_text().splitlines(keepends=True)
    (copied / "items.csv").write_text(lines[0] + next(line for line in lines if line.startswith("a.png")))
    facts = json.loads((copied / "run.json").read_text())
    (copied / "run.json").write_text(json.dumps(facts | {"counts": {"done": 1, "failed": 0, "pending": 0}}))
    result = CliRunner().invoke(cli, ["report", str(copied), "--figures", "pdf"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == str(copied / "report.html")
    written = copied / "figures" / "a.png.pdf"
    texts = pdf_text(written.read_bytes())
    assert "measurement" in texts
    assert "psnr" in texts.lower()
    assert "Coverage of intervals" in pdf_text((copied / "figures" / "calibration.pdf").read_bytes())
    bad = CliRunner().invoke(cli, ["report", str(copied / "items")])
    assert bad.exit_code == 4
    assert len(bad.stderr.splitlines()) <= 3


def pdf_text(content):
    """The strings that a PDF shows."""
    found = []
    for match in re.finditer(rb"stream\r?\n(.*?)endstream", content, flags=re.S):
        try:
            text = zlib.decompress(match[1]).decode("latin-1")
        except zlib.error:
            continue
        for shown in re.findall(r"\[(.*?)\]\s*TJ", text, flags=re.S):
            found.append("".join(re.findall(r"\(((?:\\.|[^\\)])*)\)", shown)))
    return "\n".join(found)


def test_figures_as_png_do_not_touch_those_of_the_run(copied):
    before = (copied / "items" / "a.png" / "figure.png").read_bytes()
    written = next(write_figures(copied, kind="png"))
    assert written.parent == copied / "figures"
    assert (copied / "items" / "a.png" / "figure.png").read_bytes() == before
    assert written.read_bytes().startswith(b"\x89PNG")


def test_a_picture_is_clipped_for_the_screen_and_says_how_much():
    image = np.zeros((1, 10, 10), np.float32)
    image[0, :2] = 2.0
    image[0, 2] = -1.0
    url, clipped = picture_url(image, (0.0, 1.0), side=640)
    assert clipped == pytest.approx(0.3)
    assert np.asarray(decoded(url))[0, 0].tolist() == [255, 255, 255]


def test_a_map_is_averaged_over_what_was_observed():
    values = np.full((64, 64), 9.0, np.float32)
    values[:, ::2] = 0.5
    observed = np.zeros((64, 64), bool)
    observed[:32, ::2] = True
    url, beyond = map_url(values, Scale(0.0, 1.0, "viridis"), side=16, observed=observed)
    index = np.asarray(decoded(url))
    assert index.shape == (16, 16)
    assert (np.abs(index[:8] - 0.5 * (LEVELS - 1)) <= 0.5).all()
    assert (index[8:] == LEVELS).all()
    assert beyond == 0


def test_ticks_are_round_and_inside():
    assert ticks(0.0, 1.0) == [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")]
    assert all(0 <= place <= 1 for place, _ in ticks(-0.0131, 0.0131))


@pytest.mark.parametrize(
    ("channels", "names", "expected"),
    [
        (1, (), (0,)),
        (2, (), (0,)),
        (3, (), (0, 1, 2)),
        (4, (), (0, 1, 2)),
        (6, (), (2, 1, 0)),
        (4, ("B2 blue", "B3 green", "B4 red", "B8 nir"), (2, 1, 0)),
        (3, ("B8", "B4", "B3"), (0, 1, 2)),
    ],
)
def test_bands_shown_as_colours(channels, names, expected):
    assert colour_bands(channels, names) == expected


def row(item, **changes):
    base = {"item": item, "method": "ddrm", "misfit": 1.0, "data_share": 0.5, "clipped": 0.0}
    return base | changes


def test_without_truth_the_worst_is_what_explains_its_measurement_worst():
    rows = [row("good"), row("far", misfit=1.8), row("near", misfit=1.15), row("mixed", r_hat=1.5)]
    verdicts = Verdicts.of(rows, ["psnr"])
    assert [entry["item"] for entry in verdicts.order] == ["far", "near", "mixed", "good"]
    assert verdicts.metrics == ()
    assert [fault.badge for fault in verdicts.faults(rows[1])] == ["misfit 1.80"]
    assert [fault.badge for fault in verdicts.faults(rows[3])] == ["chains not mixed"]
    assert verdicts.faults(rows[0]) == []


def test_intervals_and_scores_that_are_off_are_faults():
    scores = (30.0, 30.5, 29.8, 30.2, 22.0)
    rows = [row(str(i), psnr=score, coverage90=0.9) for i, score in enumerate(scores)]
    rows[1]["coverage90"] = 0.6
    verdicts = Verdicts.of(rows, ["psnr", "ssim"])
    assert verdicts.order[0]["item"] == "4"
    assert [fault.badge for fault in verdicts.faults(rows[4])] == ["low PSNR"]
    assert [fault.badge for fault in verdicts.faults(rows[1])] == ["intervals hold 60 %"]
    assert verdicts.place(rows[4]) == "worst of 5 by PSNR: 22, median of the run 30"
    assert "something speaks against 2 of 5: their badges name it" in verdicts.summary
