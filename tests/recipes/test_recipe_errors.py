"""The messages, word for word: file and line, key, value, what is allowed; at most three lines, exit code 3."""

import pytest

from inverse.errors import RecipeError
from inverse.recipes.recipe import load

SIGMA = (
    "allowed: auto (estimated from the measurement; other estimates: wavelet, background), or a number >= 0 in "
    "data units, "
    "or a list of numbers > 0, one for each band"
)

GOLDEN = {
    "operator: {kind: gaussian-blur,\n  sgima: 2}\n": (
        "r.yaml:2: unknown key 'operator.sgima' (given 2)\ndid you mean 'sigma'?"
    ),
    "operator: {kind: gaussian-blur,\n  sigma: -2}\n": "r.yaml:2: operator.sigma: -2 is not allowed\n",
    "operator: {kind: gaussain-blur}\n": (
        "r.yaml:1: unknown operator.kind 'gaussain-blur'\ndid you mean 'gaussian-blur'?"
    ),
    "operator: {sigma: 2}\n": "r.yaml:1: missing key 'operator.kind'\nallowed: ",
    "title: x\n": "r.yaml: missing key 'operator'\n",
    "": "r.yaml: a recipe is a mapping of keys to values, this is empty\n",
    "- a\n": "r.yaml: a recipe is a mapping of keys to values, this is a list\n",
    "a: b: c\n": "r.yaml:1: not valid YAML: mapping values are not allowed here\n",
    "title: a\ntitle: b\n": 'r.yaml:2: not valid YAML: found duplicate key "title"',
    "operator: !!python/object:os.system x\n": "r.yaml:1: not valid YAML: could not determine a constructor",
    "operator: denoise\noperatr: 1\nmethd: 3\n": (
        "r.yaml:2: unknown key 'operatr' (given 1)\ndid you mean 'operator'?\nand 1 more problem"
    ),
    "operator: denoise\nsteps: 3\n": "r.yaml:2: unknown key 'steps' (given 3)\ndid you mean 'method.steps'?",
    "operator: denoise\nnoise:\n  sigma: -0.1\n": f"r.yaml:3: noise.sigma: -0.1 is not allowed\n{SIGMA}",
    "operator: denoise\nnoise: {sigma: .nan}\n": f"r.yaml:2: noise.sigma: nan is not allowed\n{SIGMA}",
    "operator: denoise\nnoise: {sigma: .inf}\n": f"r.yaml:2: noise.sigma: inf is not allowed\n{SIGMA}",
    "operator: denoise\nnoise: -1\n": f"r.yaml:2: noise.sigma: -1 is not allowed\n{SIGMA}",
    "operator: denoise\nnoise: {kind: poison}\n": "r.yaml:2: unknown noise.kind 'poison'\ndid you mean 'poisson'?",
    "operator: denoise\nmethod: {kind: diffpir,\n  steps: 2.5}\n": (
        "r.yaml:3: method.steps: 2.5 is not allowed\nallowed: a whole number"
    ),
    "operator: denoise\nmethod: {kind: diffpir, steps: 0}\n": "r.yaml:2: method.steps: 0 is not allowed\nallowed: >= 1",
    "operator: denoise\nmethod: {kind: dps, form: x}\n": (
        "r.yaml:2: method.form: 'x' is not allowed\nallowed: 'consistent' or 'paper'"
    ),
    "operator: denoise\nmethod: {kind: difpir}\n": "r.yaml:2: unknown method.kind 'difpir'\ndid you mean 'diffpir'?",
    "operator: denoise\ndata: {range: [1, 0]}\n": (
        "r.yaml:2: data.range: [1, 0] is not allowed\nallowed: two finite numbers, the smaller first, such as [0, 1]"
    ),
    "operator: denoise\ndata: {range: [1]}\n": "r.yaml:2: data.range: [1] is not allowed\n",
    "operator: denoise\nrun: {batch: 0}\n": (
        "r.yaml:2: run.batch: 0 is not allowed\nallowed: auto, or a whole number >= 1"
    ),
    "operator: denoise\nrun: {samples: 0}\n": "r.yaml:2: run.samples: 0 is not allowed\nallowed: >= 1",
    "operator: denoise\nrun: 4\n": "r.yaml:2: run: 4 is not allowed\nallowed: a mapping",
    "operator: denoise\nmetrics: [psnr,\n  ssmi]\n": "r.yaml:3: metrics.1: 'ssmi' is not allowed\nallowed: 'psnr'",
    "operator: [7]\n": (
        "r.yaml:1: operator.operators: [7] is not allowed\nallowed: a list of operators, each a mapping with a kind"
    ),
    "operator: denoise\nschema: 2\n": "r.yaml:2: schema: 2 is not allowed\nallowed: 1",
    "operator: {kind: file-mask, file: no.png}\n": (
        "r.yaml:1: operator.file: no file 'no.png'\nthe path starts at the recipe's folder"
    ),
    "operator: {kind: box-mask,\n  box: [3, 3]}\n": (
        "r.yaml:2: operator.box: [3, 3] is not allowed\nallowed: a list with more values"
    ),
    "operator: {kind: box-mask,\n  box: [3, 3, a,\n  9]}\n": "r.yaml:2: operator.box.2: 'a' is not allowed\n",
    "operator: {kind: file-mask}\n": "r.yaml:1: missing key 'operator.file'\n",
    "extends: debblur\n": "r.yaml:1: extends: no recipe 'debblur'\ndid you mean 'deblur'?",
    "extends: [deblur]\n": "r.yaml:1: extends: expected a recipe's name or path, given ['deblur']",
}

OVERRIDES = {
    "method.stpes=10": "-s method.stpes=10: unknown key 'method.stpes' (given 10)\ndid you mean 'steps'?",
    "steps=10": "-s steps=10: unknown key 'steps' (given 10)\ndid you mean 'method.steps'?",
    "method.steps": "-s method.steps: expected key=value\nfor example -s method.steps=50",
    "=3": "-s =3: expected key=value\n",
    "operator.=3": "-s operator.=3: expected key=value\n",
    "method.steps=abc": "-s method.steps=abc: method.steps: 'abc' is not allowed\nallowed: a whole number",
    "run.samples=[1": "-s run.samples=[1: the value is not valid YAML: ",
    "noise=-1": f"-s noise=-1: noise.sigma: -1 is not allowed\n{SIGMA}",
    "method.steps.x=3": "-s method.steps.x=3: method.steps: {'x': 3} is not allowed\nallowed: a whole number",
    "extends=denoise": "-s extends=denoise: extends cannot be overridden\n",
    "operator.kind=file-mask": "-s operator.kind=file-mask: missing key 'operator.file'\n",
    "operator={kind: file-mask, file: no.png}": (
        "-s operator={kind: file-mask, file: no.png}: operator.file: no file 'no.png'\n"
        "the path starts at the current folder"
    ),
}


def message(*arguments):
    with pytest.raises(RecipeError) as caught:
        load(*arguments)
    assert caught.value.exit_code == 3
    text = str(caught.value)
    assert len(text.splitlines()) <= 3
    return text


@pytest.mark.parametrize("text", GOLDEN)
def test_of_files(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(text)
    found = message("r.yaml")
    assert found.startswith(GOLDEN[text]), found


@pytest.mark.parametrize("text", OVERRIDES)
def test_of_overrides(text):
    found = message("deblur", [text])
    assert found.startswith(OVERRIDES[text]), found


def test_of_contradicting_overrides():
    assert "set to a plain value before" in message("deblur", ["method.steps=3", "method.steps.x=1"])


def test_of_missing_recipes(tmp_path):
    assert message("deblurr") == "no recipe 'deblurr'\ndid you mean 'deblur'?"
    assert message("nope.yaml") == "no recipe 'nope.yaml'\nno such file; inverse list recipes"
    assert "Is a directory" in message(f"{tmp_path}/")
    (tmp_path / "photo.yaml").write_bytes(b"\x89PNG\xff\xfe")
    assert "not UTF-8 text" in message(tmp_path / "photo.yaml")


def test_of_text_that_is_not_unicode():
    assert "not valid Unicode" in message("deblur", ['title="\\ud800"'])
