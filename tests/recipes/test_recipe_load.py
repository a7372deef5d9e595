"""Loading, layers, overrides, files and hashes."""

import hashlib
import json
import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from inverse.errors import RecipeError
from inverse.recipes.recipe import Recipe, load, schema, shipped

SHIPPED = {
    "colorize": "colorize",
    "deblur": "gaussian-blur",
    "deblur-motion": "motion-blur",
    "deblur-shake": "camera-shake",
    "deconvolve-microscopy": "airy",
    "dehaze": "haze",
    "demosaic": "demosaick",
    "denoise": "denoise",
    "inpaint": "random-mask",
    "jpeg": "jpeg",
    "low-light": "low-light",
    "phase-retrieval": "phase-retrieval",
    "super-resolution": "downsample",
}
LEVEL_GIVEN = {"colorize", "phase-retrieval"}


def written(folder, text, name="r.yaml"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_what_is_shipped():
    assert list(shipped()) == sorted(shipped())
    assert set(SHIPPED) <= set(shipped())


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_recipes_for_photographs(name):
    recipe = load(name)
    assert recipe.operator.kind == SHIPPED[name]
    assert ("auto" in recipe.noise.model_dump().values()) == (name not in LEVEL_GIVEN)
    assert recipe.prior.name == "photo"
    assert recipe.run.samples == {"low-light": 2, "denoise": 2}.get(name, 4)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_recipe_is_valid_and_round_trips(name, tmp_path):
    recipe = load(name)
    assert recipe.name == name
    assert recipe.title
    assert recipe.method_kind == "auto" or recipe.params["steps"] >= 1
    assert "kind" not in recipe.params
    assert len(recipe.hash) == 64
    again = load(written(tmp_path, recipe.to_yaml()))
    assert again.resolved() == recipe.resolved()
    assert again.hash == recipe.hash
    thawed = pickle.loads(pickle.dumps(recipe))
    assert thawed == recipe
    assert (thawed.hash, thawed.name) == (recipe.hash, name)
    assert json.loads(json.dumps(recipe.resolved())) == recipe.resolved()


def test_a_minimal_recipe_has_every_default(tmp_path):
    recipe = load(written(tmp_path, "operator: denoise\n"))
    assert recipe.resolved() == load({"operator": {"kind": "denoise"}}).resolved()
    assert list(recipe.resolved()) == [
        "schema", "title", "operator", "noise", "prior", "method", "data", "run", "metrics", "output",
    ]  # fmt: skip
    assert recipe.resolved()["noise"] == {"kind": "gaussian", "sigma": "auto"}
    assert recipe.method.kind == "diffpir"


def test_a_real_scene_goes_on_past_the_frame():
    assert load({"operator": {"kind": "gaussian-blur", "sigma": 2}}).operator.boundary == "free"
    assert (
        load({"operator": {"kind": "gaussian-blur", "sigma": 2, "boundary": "circular"}}).operator.boundary
        == "circular"
    )
    assert load("super-resolution", ["operator={kind: motion-blur, length: 9}"]).operator.boundary == "free"
    assert schema()["$defs"]["GaussianBlur"]["properties"]["boundary"]["default"] == "free"


def test_short_forms_are_the_long_ones():
    short = load({"operator": "denoise", "noise": 0.1, "prior": "gaussian", "method": "pigdm"})
    long = load(
        {
            "operator": {"kind": "denoise"},
            "noise": {"kind": "gaussian", "sigma": 0.1},
            "prior": {"name": "gaussian"},
            "method": {"kind": "pigdm"},
        }
    )
    assert short.hash == long.hash


def test_numbers_follow_yaml_1_2(tmp_path):
    recipe = load(written(tmp_path, "operator: denoise\nnoise: {sigma: 1e-3}\ntitle: no\n"))
    assert recipe.noise.sigma == 1e-3
    assert recipe.title == "no"


def test_recipes_are_frozen():
    with pytest.raises(Exception, match="frozen"):
        load("denoise").title = "x"


def test_extends_merges_deeply_and_one_level(tmp_path):
    written(tmp_path, "extends: deblur\nmethod: {steps: 7}\nrun: {seed: 3}\n", "base/one.yaml")
    one = load(tmp_path / "base" / "one.yaml")
    assert one.operator == load("deblur").operator
    assert (one.method.steps, one.run.samples, one.run.seed) == (7, 4, 3)
    assert "extends" not in one.resolved()
    two = written(tmp_path, "extends: base/one.yaml\n")
    with pytest.raises(RecipeError, match="only one level is allowed"):
        load(two)


def test_an_extending_recipe_can_change_the_kind(tmp_path):
    recipe = load(written(tmp_path, "extends: deblur\noperator: {kind: downsample, factor: 2}\nmethod: ddrm\n"))
    assert recipe.operator.kind == "downsample"
    assert recipe.method.kind == "ddrm"
    assert "lam" not in recipe.params


def test_overrides_win_over_the_file_and_later_ones_over_earlier(tmp_path):
    path = written(tmp_path, "operator: denoise\nmethod: {kind: diffpir, steps: 5}\n")
    assert load(path, ["method.steps=6"]).method.steps == 6
    assert load(path, ["method.steps=6", "method.steps=8"]).method.steps == 8
    assert load(path, ["method={steps: 9, lam: 1}"]).params["lam"] == 1
    assert load(path, ["metrics=[psnr]"]).metrics == ["psnr"]
    assert load(path, ["noise=0.05"]).noise.sigma == 0.05
    assert load(path, ["prior=gaussian", "output=sample"]).output == "sample"
    assert load(path, [" method.steps = 3"]).method.steps == 3


def test_a_changed_kind_drops_what_the_new_one_lacks():
    recipe = load("deblur", ["operator.kind=downsample", "operator.factor=2", "method=ddrm", "method.eta=0.5"])
    assert recipe.operator.model_dump()["kind"] == "downsample"
    assert not hasattr(recipe.operator, "sigma")
    assert recipe.params["eta"] == 0.5
    assert recipe.method.steps == 20
    with pytest.raises(RecipeError, match=r"-s operator.sigma=3: unknown key 'operator.sigma'"):
        load("deblur", ["operator.kind=downsample", "operator.factor=2", "operator.sigma=3"])


@settings(max_examples=80, deadline=None)
@given(
    steps=st.integers(1, 100_000),
    sigma=st.one_of(st.just("auto"), st.floats(0, 1e6)),
    lam=st.floats(1e-6, 1e6),
    seed=st.integers(0, 2**63 - 1),
    low=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e6),
    title=st.text(st.characters(exclude_categories=("Cs",), max_codepoint=0xFFFF), max_size=40),
)
@example(steps=1, sigma="auto", lam=1.0, seed=0, low=0.0, width=1.0, title="\x85 \u00e9")
def test_overrides_are_yaml_values(steps, sigma, lam, seed, low, width, title):
    sigma = sigma if sigma == "auto" else sigma / 1e6 * width  # more than the range is refused
    changes = {"method.steps": steps, "noise.sigma": sigma, "method.lam": lam, "run.seed": seed}
    texts = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    texts.append(f"data.range=[{low!r}, {low + width!r}]")
    texts.append(f"title={json.dumps(title)}")
    recipe = load("deblur", texts)
    found = (recipe.method.steps, recipe.noise.sigma, recipe.method.lam, recipe.run.seed)
    assert found == (steps, sigma, lam, seed)
    assert recipe.data.range == (low, low + width)
    assert recipe.title == title
    assert load(YAML(typ="safe", pure=True).load(recipe.to_yaml())).hash == recipe.hash


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=30), st.sampled_from(["", "method.steps=", "operator.sigma=", "run.", "noise=", "prior.name="]))
@example("-_", "method.steps=")
@example("._", "method.steps=")
@example("2001-99-99", "noise=")
@example("&a [*a]", "noise=")
@example("\x1f\n\n", "method.steps=")
def test_any_override_loads_or_is_a_short_recipe_error(text, start):
    said = ""
    try:
        assert isinstance(load("deblur", [start + text]), Recipe)
    except RecipeError as error:
        said = str(error)
    assert len(said.split("\n")) <= 3


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_text_loads_or_is_a_short_recipe_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert len(str(caught.value).split("\n")) <= 3


def test_the_hash_follows_values_and_not_spelling(tmp_path):
    path = written(
        tmp_path, "# comment\noperator:\n  kind: gaussian-blur\n  boundary: free\n  sigma: 2\nextends: deblur\n"
    )
    assert load(path).hash == load("deblur").hash
    assert load("deblur", ["method.steps=21"]).hash != load("deblur").hash


def test_files_start_at_the_recipe_or_at_the_current_folder(tmp_path, monkeypatch):
    written(tmp_path, "one", "masks/a.png")
    written(tmp_path, "two", "a.png")
    recipe = load(written(tmp_path, "operator: {kind: file-mask, file: a.png}\n", "masks/r.yaml"))
    assert recipe.files["operator.file"].read_text() == "one"
    monkeypatch.chdir(tmp_path)
    changed = load(str(tmp_path / "masks" / "r.yaml"), ["operator.file=a.png"])
    assert changed.files["operator.file"].read_text() == "two"
    shipped_one = load("inpaint", ["operator.kind=file-mask", "operator.file=masks/a.png"])
    assert shipped_one.located()["operator"]["file"] == "masks/a.png"
    elsewhere = pickle.loads(pickle.dumps(changed)).files  # a worker has a current folder of its own
    assert elsewhere == {key: path.absolute() for key, path in changed.files.items()}
    assert load(recipe, ["run.seed=3"]).files == recipe.files
    below = load(written(tmp_path, "extends: masks/r.yaml\n"))
    assert below.files["operator.file"].read_text() == "one"


def test_no_absolute_path_is_resolved_and_content_enters_the_hash(tmp_path):
    written(tmp_path, "one", "m.png")
    absolute = load("inpaint", [f"operator={{kind: file-mask, file: {tmp_path}/m.png}}"])
    assert absolute.resolved()["operator"]["file"] == "m.png"
    assert str(tmp_path) not in json.dumps(absolute.resolved()) + absolute.to_yaml()
    assert absolute.located()["operator"]["file"] == f"{tmp_path}/m.png"
    before = absolute.hash
    relative = load(written(tmp_path, "extends: inpaint\noperator: {kind: file-mask, file: m.png}\n"))
    assert relative.hash == before
    written(tmp_path, "two", "m.png")
    assert relative.hash != before


def test_a_prior_of_ones_own_is_a_file(tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"w")
    recipe = load(written(tmp_path, "operator: denoise\nprior: w.safetensors\n"))
    assert recipe.files == {"prior.name": weights}
    assert recipe.located()["prior"]["name"] == str(weights)
    assert recipe.resolved()["prior"]["name"] == "w.safetensors"
    assert load({"operator": "denoise", "prior": "diffusers:google/ddpm"}).files == {}


def test_the_schema_is_a_json_schema_of_every_kind():
    made = json.loads(json.dumps(schema()))
    assert made["$schema"].startswith("https://json-schema.org/")
    assert made["required"] == ["operator"]
    assert made["additionalProperties"] is False
    assert set(made["properties"]["operator"]["discriminator"]["mapping"]) >= set(SHIPPED.values())
    assert set(made["properties"]["method"]["discriminator"]["mapping"]) >= {"dps", "pigdm", "diffpir", "ddrm"}
    assert "extends" in made["properties"]


def test_the_hash_is_documented(tmp_path):
    recipe = load("denoise")
    content = recipe.files["calibration"].read_bytes()
    plain = recipe.resolved() | {"calibration": f"sha256:{hashlib.sha256(content).hexdigest()}"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert recipe.hash == hashlib.sha256(text.encode()).hexdigest()
