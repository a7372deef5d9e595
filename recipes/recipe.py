"""Recipes: what is solved and how, as data.

A recipe is one YAML 1.2 file of plain values: never code, never a class name. It names an operator, its noise, a prior
and a method, each by ``kind`` or ``name``, and may extend one other recipe. Every error is at most three lines and says
the file and line, the key, the value given, and what is allowed. Shipped recipes are found by name, a user's own by
path. Nothing here imports torch or deepinv.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    create_model,
    model_validator,
)

from inverse.errors import RecipeError, did_you_mean, printable
from inverse.metrics.registry import metric, metrics
from inverse.operators.noise.spec import GaussianNoise, Noise
from inverse.operators.spec import PATH
from inverse.recipes.levels import require_level
from inverse.recipes.messages import explain
from inverse.recipes.sections import (
    OPERATOR_DEFAULTS,
    Data,
    FileFormat,
    Output,
    Prior,
    RunSection,
    format_of_output,
    keys_of,
    method_models,
    operator_models,
    union,
)
from inverse.recipes.yaml_layers import Layer, Origin, Where, dump, merge, parse_mapping, parse_overrides
from inverse.storage.regular import read_small_text

__all__ = ["RECIPE_LIMIT", "Recipe", "load", "load_layer", "recipe_text", "schema", "shipped", "shipped_folder"]

_DEFAULTS: dict[str, Any] = {
    "schema": 1,
    "noise": {"kind": "gaussian", "sigma": "auto"},
    "prior": {"name": "photo"},
    "method": {"kind": "diffpir"},
}
#: Bytes of a recipe: reading one of this size takes seconds.
RECIPE_LIMIT = 128 * 2**10
_WEIGHTS = (".safetensors", ".pt", ".pth", ".npz", ".npy", ".h5", ".yaml")


class Recipe(BaseModel):
    """A validated recipe. Make one with `load`.

    `operator` and `method` are models with a ``kind`` and that kind's parameters as attributes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)

    version: Literal[1] = Field(default=1, alias="schema", description="version of this file format")
    title: str = Field(default="", description="one line for reports")
    operator: SerializeAsAny[BaseModel] = Field(description="the forward operator")
    noise: Noise = Field(default_factory=GaussianNoise)
    prior: Prior = Field(default_factory=Prior)
    method: SerializeAsAny[BaseModel] = Field(description="the posterior sampler")
    data: Data = Field(default_factory=Data)
    run: RunSection = Field(default_factory=RunSection)
    metrics: list[str] = Field(default=["psnr", "ssim"], description="computed where a truth is given")
    output: Output = "mean"
    format: FileFormat = "own"
    calibration: Annotated[str | None, BeforeValidator(lambda given: None if given == "none" else given)] = Field(
        default=None,
        min_length=1,
        description="a file of 'inverse calibrate --save' that std and quantiles are recalibrated by; none: they are "
        "the samples' own",
    )

    _format_as_output = model_validator(mode="before")(format_of_output)
    _name: str = PrivateAttr("recipe")
    _folders: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """The shipped recipe's name, or the file's stem."""
        return self._name

    @property
    def assumes_operator(self) -> bool:
        """Whether the operator is a shipped recipe's own, untouched."""
        return self._name in shipped() and bool(load(self._name).operator == self.operator)

    @property
    def method_kind(self) -> str:
        """Name of the method."""
        kind: str = self.method.kind  # type: ignore[attr-defined]
        return kind

    @property
    def params(self) -> dict[str, Any]:
        """The method's parameters without its kind, ``steps`` included: what `inverse.sample` takes."""
        return self.method.model_dump(exclude={"kind"})

    @property
    def files(self) -> dict[str, Path]:
        """Where the recipe's files are, by key path. For opening them only: never write these paths down."""
        plain = self._given()
        paths = {key: Path(folder, _get(plain, key)).expanduser() for key, folder in self._folders.items()}
        calibration = paths.get("calibration")
        if calibration is not None and not calibration.is_file():
            shipped_one = shipped_folder() / plain["calibration"]
            if shipped_one.is_file():  # a resolved recipe, in a folder of its own, still means the one that is shipped
                paths["calibration"] = shipped_one
        return paths

    def resolved(self) -> dict[str, Any]:
        """Every value, defaults included, as plain data. Paths are as given; an absolute one becomes its name."""
        plain = self._given()
        for key in self._folders:
            given = Path(_get(plain, key))
            if given.is_absolute() or str(given).startswith("~"):
                _set(plain, key, given.name)
        return plain

    def located(self) -> dict[str, Any]:
        """`resolved` with files where they are: for `build_operator` and `open_prior`, never for an output."""
        plain = self._given()
        for key, path in self.files.items():
            _set(plain, key, str(path))
        return plain

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON of `resolved`, each file entering by its content instead of its name."""
        plain = self._given()
        for key, path in self.files.items():
            if path.is_file():
                _set(plain, key, f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_yaml(self) -> str:
        """The resolved recipe as a file that loads to the same hash."""
        return dump(self.resolved())

    def _given(self) -> dict[str, Any]:
        plain: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        for name, unset in (("calibration", None), ("format", "own")):
            if plain[name] == unset:  # so that recipes of before there were such keys keep their hash
                del plain[name]
        return plain

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by value, as the class is made at run time; folders absolute, as a worker may stand elsewhere."""
        plain = self._given()
        folders = {
            key: folder if _get(plain, key).startswith("~") else os.path.abspath(folder)
            for key, folder in self._folders.items()
        }
        return _rebuild, (plain, self._name, folders)


def _rebuild(data: dict[str, Any], name: str, folders: dict[str, str]) -> Recipe:
    recipe = recipe_model().model_validate(data)
    recipe._name, recipe._folders = name, dict(folders)
    return recipe


def _at_hand(name: str) -> str:
    """A metric's name, if what it needs is there: a run must not end for want of it."""
    reason, hint = metric(name).missing()
    if reason:
        raise ValueError(f"{reason}; {hint}")
    return name


@cache
def recipe_model() -> type[Recipe]:
    """`Recipe` with the operators, methods and metrics that are installed."""
    names: Any = Annotated[Literal[tuple(metrics(of=("image", "samples")))], AfterValidator(_at_hand)]
    fields: dict[str, Any] = {
        "operator": (union(operator_models()), Field(description="the forward operator")),
        "method": (union(method_models()), Field(description="the posterior sampler")),
        "metrics": (list[names], Field(default=["psnr", "ssim"], description="computed where a truth is given")),
    }
    return cast(type[Recipe], create_model("Recipe", __base__=Recipe, **fields))


def load(recipe: str | os.PathLike[str] | Mapping[str, Any] | Recipe, overrides: Iterable[str] = ()) -> Recipe:
    """Load, merge and validate a recipe.

    Args:
        recipe: A shipped recipe's name, a path, a mapping, or a `Recipe`.
        overrides: ``key.path=value`` texts; values are YAML. One that changes a ``kind`` drops what the new kind lacks.

    Raises:
        RecipeError: Anything is wrong with it.
    """
    if not isinstance(recipe, str | os.PathLike | Mapping | Recipe):
        raise RecipeError(f"a recipe of type {type(recipe).__name__}", "allowed: a name, a path, a mapping")
    if not isinstance(overrides, Iterable):
        raise RecipeError(f"overrides: {overrides!r}"[:100], "allowed: texts, such as 'method.steps=50'")
    name = recipe.name if isinstance(recipe, Recipe) else "recipe" if isinstance(recipe, Mapping) else Path(recipe).stem
    label = os.fspath(recipe) if isinstance(recipe, str | os.PathLike) else name
    layer = Layer(_DEFAULTS, Origin(label, Path()))
    if isinstance(recipe, Recipe):
        marks: dict[Where, Origin] = {
            tuple(_steps(key)): Origin(name, Path(folder)) for key, folder in recipe._folders.items()
        }
        layer = merge(layer, Layer(recipe._given(), Origin(name, Path()), marks), keys_of)
    elif isinstance(recipe, Mapping):
        layer = merge(layer, parse_mapping(dump(_plain(recipe)), label="recipe", folder=Path()), keys_of)
    else:
        layer = merge(layer, _with_base(*recipe_text(recipe)), keys_of)
    layer = merge(layer, parse_overrides(overrides), keys_of)
    return _validated(layer, name)


def _plain(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping as plain data.

    Raises:
        RecipeError: It holds itself, or a key that is no text.
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(recipe), default=str))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(f"the mapping is no recipe: {' '.join(str(error).split())[:120]}") from error
    return plain


def load_layer(layer: Layer, name: str) -> Recipe:
    """A recipe from values that are a part of another file, such as a task of a suite, whose lines errors name.

    Raises:
        RecipeError: As `load`.
    """
    return _validated(merge(Layer(_DEFAULTS, layer.origin), layer, keys_of), name)


def _with_base(text: str, label: str, folder: Path) -> Layer:
    layer = parse_mapping(text, label=label, folder=folder)
    base = layer.data.pop("extends", None)
    if base is None:
        return layer
    where = layer.at(("extends",)).label
    if not isinstance(base, str) or not base:
        raise RecipeError(f"{where}: extends: expected a recipe's name or path, given {base!r}")
    try:
        base_text, base_label, base_folder = recipe_text(base, folder=folder)
        below = parse_mapping(base_text, label=base_label, folder=base_folder)
    except RecipeError as error:
        raise RecipeError(f"{where}: extends: {error.message}", error.hint) from None
    if "extends" in below.data:
        raise RecipeError(f"{where}: extends: '{base}' itself extends a recipe: only one level is allowed")
    return merge(below, layer, keys_of)


def _validated(layer: Layer, name: str) -> Recipe:
    if "extends" in layer.data:
        said = f"{layer.at(('extends',)).label}: extends cannot be overridden"
        raise RecipeError(said, "write a recipe file that extends it instead")
    if isinstance(operator := layer.data.get("operator"), dict):
        layer.data["operator"] = _with_defaults(operator)
    try:
        recipe = recipe_model().model_validate(layer.data)
    except ValidationError as error:
        raise explain(error, layer, keys_of) from None
    try:
        json.dumps(recipe._given(), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RecipeError(f"{layer.origin.label}: a text in it is not valid Unicode", "write it plainly") from None
    require_level(recipe.noise, recipe.data, layer)
    recipe._name = name
    recipe._folders = {key: str(layer.at(tuple(_steps(key))).folder) for key in _file_keys(recipe)}
    for key, path in recipe.files.items():
        if key.startswith("operator.") and not path.is_file():
            label = layer.at(tuple(_steps(key))).label
            start = "the current folder" if label.startswith("-s") else "the recipe's folder"
            raise RecipeError(f"{label}: {key}: no file '{_get(layer.data, key)}'", f"the path starts at {start}")
    return recipe


def _with_defaults(operator: dict[str, Any]) -> dict[str, Any]:
    """The recipe's own defaults; of a chain, those of its first operator."""
    parts = operator.get("operators")
    if operator.get("kind") == "chain" and isinstance(parts, list) and parts and isinstance(parts[0], dict):
        return {**operator, "operators": [_with_defaults(parts[0]), *parts[1:]]}
    known = keys_of("operator", operator.get("kind")) or frozenset()
    return {key: value for key, value in OPERATOR_DEFAULTS.items() if key in known} | operator


def _file_keys(recipe: Recipe) -> list[str]:
    keys = _paths_in(recipe.operator.model_dump(), "operator")
    prior = recipe.prior.name
    if ":" not in prior and ("/" in prior or prior.endswith(_WEIGHTS)):
        keys.append("prior.name")
    return [*keys, "calibration"] if recipe.calibration is not None else keys


def _paths_in(operator: Mapping[str, Any], prefix: str) -> list[str]:
    """The keys of an operator that name files, those of the parts of a chain included."""
    fields = operator_models()[operator["kind"]].model_fields
    extras = {name: fields[name].json_schema_extra for name in fields}
    keys = [
        f"{prefix}.{name}"
        for name, extra in extras.items()
        if isinstance(extra, dict) and extra.get(PATH) and operator.get(name)
    ]
    for index, part in enumerate(operator.get("operators", ())):
        keys += _paths_in(part, f"{prefix}.operators.{index}")
    return keys


def _steps(key: str) -> list[str | int]:
    return [int(step) if step.isdigit() else step for step in key.split(".")]


def _get(plain: Mapping[str, Any], key: str) -> str:
    value: Any = plain
    for step in _steps(key):
        value = value[step]
    return str(value)


def _set(plain: dict[str, Any], key: str, value: str) -> None:
    *above, last = _steps(key)
    section: Any = plain
    for step in above:
        section = section[step]
    section[last] = value


def schema() -> dict[str, Any]:
    """The JSON schema of a recipe file, for editors."""
    made = recipe_model().model_json_schema(by_alias=True)
    made["properties"]["extends"] = {
        "type": "string",
        "description": "a recipe to start from: a shipped name or a path",
    }
    made["required"] = ["operator"]
    for part in made["$defs"].values():
        for name, value in OPERATOR_DEFAULTS.items():
            part.get("properties", {}).get(name, {}).update(default=value)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def shipped_folder() -> Path:
    """Where the shipped recipes and their calibrations are."""
    return Path(str(resources.files("inverse.recipes")))


def shipped() -> dict[str, str]:
    """The shipped recipes: name to text."""
    files = (entry for entry in resources.files("inverse.recipes").iterdir() if entry.name.endswith(".yaml"))
    return dict(sorted((entry.name.removesuffix(".yaml"), entry.read_text("utf-8")) for entry in files))


def recipe_text(recipe: str | os.PathLike[str], *, folder: Path | None = None) -> tuple[str, str, Path]:
    """A recipe's text, the label of its file in messages, and the folder that its relative files are in.

    Args:
        recipe: A shipped recipe's name, or a path.
        folder: Where a relative path starts (default: the folder of work).

    Raises:
        RecipeError: There is no such recipe; the message suggests one.
    """
    given = os.fspath(recipe)
    if not given:
        raise RecipeError("no recipe ''", did_you_mean(given, shipped()))
    shown = printable(given)
    is_path = given.endswith((".yaml", ".yml", ".json")) or "/" in given or os.sep in given
    if not is_path and given in shipped():
        return shipped()[given], f"{given}.yaml", shipped_folder()
    path = (folder or Path()) / given
    try:
        return read_small_text(path, limit=RECIPE_LIMIT), given, path.parent
    except FileNotFoundError:
        hint = "no such file; inverse list recipes" if is_path else did_you_mean(given, shipped())
        raise RecipeError(f"no recipe '{shown}'", hint) from None
    except UnicodeDecodeError:
        raise RecipeError(f"{shown}: not a recipe: the file is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{shown}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
