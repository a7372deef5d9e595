"""Suites as files: what is wrong is said with its line, as in recipes.

The shipped ones are valid, and cheap to check.
"""

import subprocess
import sys

import pytest

from inverse.benchmark.peers.registry import PEERS
from inverse.benchmark.suite import load_suite, shipped_suites
from inverse.errors import RecipeError

GOOD = """\
schema: 1
images: [skimage:chelsea]
methods:
  slow: {kind: diffpir, steps: 5}
  fast: ddrm
peers: [skimage-wiener, {name: deepinv-dpir, evaluations: 5}]
tasks:
  deblur:
    operator: {kind: gaussian-blur, sigma: 2, boundary: circular}
    noise: 0.02
  holes:
    operator: {kind: random-mask, missing: 0.7}
    noise: 0.02
    methods: {fast: {kind: pigdm, steps: 4}}
    peers: [skimage-biharmonic]
"""

GOLDEN = {
    ("tasks:", "taks:"): "s.yaml:7: unknown key 'taks'",
    ("    noise: 0.02\n  holes", "    noise: auto\n  holes"): (
        "s.yaml:10: noise: 'auto' is not allowed in a suite\nallowed: the standard deviation of Gaussian noise, "
        "a number > 0"
    ),
    ("sigma: 2,", "sgima: 2,"): "s.yaml:9: unknown key 'operator.sgima' (given 2)\ndid you mean 'sigma'?",
    ("steps: 5}", "stps: 5}"): "s.yaml:4: unknown key 'method.stps' (given 5)\ndid you mean 'steps'?",
    ("steps: 5}", "steps: 0}"): "s.yaml:4: method.steps: 0 is not allowed\nallowed: >= 1",
    ("fast: ddrm", "fast: drdm"): "s.yaml:5: unknown method.kind 'drdm'\ndid you mean 'ddrm'?",
    ("fast: ddrm", "a/b: ddrm"): "s.yaml:5: methods: the name 'a/b' is not allowed\nallowed: letters",
    ("skimage-wiener", "skimage-weiner"): "s.yaml:6: no peer 'skimage-weiner'\ndid you mean 'skimage-wiener'?",
    (
        "evaluations: 5",
        "evalutions: 5",
    ): "s.yaml:6: unknown key 'peers.1.evalutions' (given '5')\ndid you mean 'evaluations'?",
    ("    noise: 0.02\n  holes", "  holes"): "s.yaml:8: missing key 'tasks.deblur.noise'\nit has no default: add it",
    ("schema: 1", "schema: 1\ncrop: -3"): "s.yaml:2: crop: -3 is not allowed\nallowed: >= 0",
    ("schema: 1", "schema: 1\nproblems: [white-msk]"): "s.yaml:2: no problem 'white-msk'\ndid you mean 'white-mask'?",
    ("images: [skimage:chelsea]\n", ""): "s.yaml:7: task 'deblur' has no images\ngive images: [...]",
    ("skimage-wiener,", "skimage-wiener, skimage-wiener,"): "s.yaml:8: two rows are named 'scikit-image Wiener'",
    (
        GOOD,
        "- a\n",
    ): "s.yaml: a suite is a mapping of keys to values, this is a list\nsee 'inverse show suite photo-small'",
    (GOOD, "title: nothing\n"): "s.yaml: there is nothing to do\ngive tasks, or problems",
}


@pytest.mark.parametrize(
    ("change", "message"), list(GOLDEN.items()), ids=[f"{old[:12]}>{new[:12]}" for old, new in GOLDEN]
)
def test_what_is_wrong_is_said_with_its_line(change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = GOOD.replace(*change)
    assert text != GOOD
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_suite("s.yaml")
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_task_lays_its_methods_over_those_of_the_suite(tmp_path):
    (tmp_path / "s.yaml").write_text(GOOD)
    first, second = load_suite(tmp_path / "s.yaml").tasks
    assert [row.name for row in first.rows] == ["slow", "fast", "scikit-image Wiener", "deepinv DPIR, 5 evaluations"]
    assert [row.name for row in second.rows] == ["slow", "fast", "scikit-image biharmonic"]
    assert [row.recipe.method.kind for row in second.rows[:2]] == ["diffpir", "pigdm"]
    assert first.rows[3].evaluations == 5
    assert first.rows[2].evaluations is None


def test_several_priors_are_several_tasks(tmp_path):
    (tmp_path / "s.yaml").write_text(GOOD + "priors: [photo, {name: gaussian}]\n")
    names = [task.name for task in load_suite(tmp_path / "s.yaml").tasks]
    assert names == ["deblur, photo", "deblur, gaussian", "holes, photo", "holes, gaussian"]


def test_a_suite_that_is_not_there_is_suggested():
    with pytest.raises(RecipeError, match="did you mean 'photo-small'"):
        load_suite("photo-smal")


def test_the_shipped_suites_are_valid_and_checked_without_torch():
    code = (
        "import sys; from inverse.benchmark.suite import load_suite, shipped_suites\n"
        "for name in shipped_suites(): assert load_suite(name).tasks\n"
        "bad = {'torch', 'deepinv', 'skimage'} & set(sys.modules); assert not bad, bad; print(*shipped_suites())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["exact", "mri-small", "photo-small", "satellite-small"], done.stderr


def test_the_images_of_the_shipped_suites_are_there():
    from inverse.benchmark.images import find_images

    for name in shipped_suites():
        suite = load_suite(name)
        for task in suite.tasks:
            assert len(find_images(task.images, suite.folder)) == len(task.images)


def test_names_of_problems_and_peers_are_those_that_exist():
    from inverse.benchmark.suite import problem_names
    from inverse.exact.gaussian import PROBLEMS
    from inverse.exact.mixture import CELLS

    assert problem_names() == (*PROBLEMS, *(f"mixture-{d}-{measured}" for d, measured in CELLS))
    assert all(callable(one.load()) for one in PEERS.values() if not one.missing)
