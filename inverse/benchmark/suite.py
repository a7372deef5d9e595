"""Suites: methods x operators x priors x images as data, one YAML file.

A task of a suite and one of its methods make a recipe: sections are written as in recipes, checked by the same models,
and a mistake is reported with the same words and the line of the suite's file. Nothing here imports torch or deepinv.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from inverse.benchmark.peers.registry import Peer, peer
from inverse.errors import RecipeError, did_you_mean
from inverse.recipes.messages import explain
from inverse.recipes.recipe import RECIPE_LIMIT, Recipe, load_layer
from inverse.recipes.sections import Section
from inverse.recipes.yaml_layers import Layer, Origin, Where, parse_mapping, spelled_out
from inverse.storage.regular import read_small_text

__all__ = ["FIXTURES", "MethodRow", "Suite", "SuiteTask", "load_suite", "problem_names", "shipped_suites"]

#: Prefix of the images that come with the package.
FIXTURES = "fixture:"
#: How the names of problems of the mixture begin.
MIXTURE = "mixture"

_PRIORS = ("white", "coloured")
_OPERATORS = (
    "denoise", "mask", "blur", "downsample", "free-blur", "mri", "multicoil-mri", "stacked", "composed",
    "composed-mask",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,()+=-]{0,59}")
_SECTIONS = ("operator", "noise", "prior", "method", "data", "run")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | dict) else value


def _peer(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class PeerEntry(Section):
    """A peer of a suite."""

    name: str = Field(description="as docs/benchmarks.md lists them")
    evaluations: int | None = Field(
        default=None, ge=1, description="network evaluations of a sample; default: the suite's, else the peer's own"
    )


Images = Annotated[list[str], BeforeValidator(_listed)]
Peers = list[Annotated[PeerEntry, BeforeValidator(_peer)]]


class TaskModel(Section):
    """What is measured, and how the methods differ from the suite's."""

    operator: Any = Field(description="as in a recipe")
    noise: Any = Field(description="noise level in data units")
    data: Any = Field(default=None, description="as in a recipe; default: the suite's")
    images: Images | None = Field(default=None, description="instead of the suite's")
    crop: int | None = Field(default=None, ge=0, description="instead of the suite's")
    methods: dict[str, Any] = Field(default={}, description="more methods, or other settings of the suite's")
    peers: Peers | None = Field(default=None, description="instead of the suite's")


class SuiteModel(Section):
    """The keys of a suite."""

    version: Literal[1] = Field(default=1, alias="schema", description="version of this file format")
    title: str = Field(default="", description="one line for the page")
    images: Images = Field(default=[], description="files, folders, skimage:NAME or fixture:NAME")
    crop: int = Field(default=0, ge=0, description="side of the square in the middle of an image that is used; 0: all")
    priors: Annotated[list[Any], BeforeValidator(_listed)] = Field(
        default=["photo"], description="names, or as in recipes"
    )
    methods: dict[str, Any] = Field(default={}, description="by the name of their row, each as in a recipe")
    peers: Peers = Field(default=[], description="methods of other packages")
    evaluations: int | None = Field(default=None, ge=1, description="network evaluations of a sample, for the peers")
    data: Any = Field(default=None, description="as in a recipe")
    run: Any = Field(default=None, description="as in a recipe: samples, seed")
    tasks: dict[str, TaskModel] = Field(default={}, description="by the name of their table")
    problems: list[str] = Field(default=[], description="problems with exact posteriors: docs/benchmarks.md")


@dataclass(frozen=True)
class MethodRow:
    """A row of a table: one of our methods, or a peer."""

    name: str
    recipe: Recipe  # what is solved and, for ours, how
    peer: Peer | None = None
    evaluations: int | None = None  # network evaluations of one of a peer's samples


@dataclass(frozen=True)
class SuiteTask:
    """One table of a suite."""

    name: str  # its title
    rows: tuple[MethodRow, ...]  # ours first
    images: tuple[str, ...] = ()  # as given
    crop: int = 0  # side of the square that is used; 0: all
    problem: str = ""  # name of a problem with an exact posterior, in place of images


@dataclass(frozen=True)
class Suite:
    """A validated suite."""

    name: str  # the shipped suite's name, or the file's stem
    title: str  # one line
    tasks: tuple[SuiteTask, ...]  # its tables
    folder: Path  # where relative image paths start


def shipped_suites() -> dict[str, str]:
    """The shipped suites: name to text."""
    folder = resources.files("inverse.benchmark") / "suites"
    files = (file for file in folder.iterdir() if file.name.endswith(".yaml"))
    return dict(sorted((file.name.removesuffix(".yaml"), file.read_text("utf-8")) for file in files))


def problem_names() -> tuple[str, ...]:
    """Problems with exact posteriors: Gaussian ones by prior and operator, mixtures by their numbers of values."""
    mixtures = (f"{MIXTURE}-{d}-{measured}" for d in (8, 80, 800) for measured in (1, 2, 4))
    return (*(f"{prior}-{operator}" for prior in _PRIORS for operator in _OPERATORS), *mixtures)


def load_suite(suite: str | os.PathLike[str]) -> Suite:
    """Load and validate a suite, by a shipped suite's name or a path.

    Raises:
        RecipeError: Anything is wrong with it; the message names the line.
    """
    text, label, folder = _text(os.fspath(suite))
    layer = parse_mapping(text, label=label, folder=folder, example="suite photo-small")
    try:
        model = SuiteModel.model_validate(layer.data)
    except ValidationError as error:
        raise _explained(error, layer) from None
    for where in [("methods",), ("tasks",), *(("tasks", name, "methods") for name in model.tasks)]:
        for name in _at(layer.data, where) or {}:
            if not _NAME.fullmatch(name):
                raise RecipeError(
                    f"{layer.at((*where, name)).label}: {'.'.join(where)}: the name {name!r} is not allowed",
                    "allowed: letters, digits, spaces and . , ( ) + = -, at most 60",
                )
    tasks = (*_tasks(model, layer), *_problems(model, layer))
    if not tasks:
        raise RecipeError(f"{label}: there is nothing to do", "give tasks, or problems")
    return Suite(Path(label).stem, model.title, tuple(tasks), folder)


def _text(given: str) -> tuple[str, str, Path]:
    is_path = given.endswith((".yaml", ".yml", ".json")) or "/" in given or os.sep in given
    if not is_path and given in shipped_suites():
        return shipped_suites()[given], f"{given}.yaml", Path()
    try:
        return read_small_text(given, limit=RECIPE_LIMIT), given, Path(given).parent
    except FileNotFoundError:
        hint = "no such file; inverse list suites" if is_path else did_you_mean(given, shipped_suites())
        raise RecipeError(f"no suite '{given}'", hint) from None
    except UnicodeDecodeError:
        raise RecipeError(f"{given}: not a suite: the file is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{given}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _tasks(model: SuiteModel, layer: Layer) -> Iterator[SuiteTask]:
    for name, task in model.tasks.items():
        images = model.images if task.images is None else task.images
        if not images:
            raise RecipeError(f"{layer.at(('tasks', name)).label}: task '{name}' has no images", "give images: [...]")
        for index, prior in enumerate(model.priors):
            shared: dict[str, Where] = {"operator": ("tasks", name, "operator"), "noise": ("tasks", name, "noise")}
            shared["data"] = ("data",) if task.data is None else ("tasks", name, "data")
            shared |= {"prior": ("priors", index), "run": ("run",)}
            methods: dict[str, Where] = {row: ("methods", row) for row in model.methods}
            methods |= {row: ("tasks", name, "methods", row) for row in task.methods}
            base = _recipe(layer, shared, name)
            _known_noise(base, layer, ("tasks", name, "noise"))
            rows = [MethodRow(row, _recipe(layer, shared | {"method": where}, name)) for row, where in methods.items()]
            where: Where = ("peers",) if task.peers is None else ("tasks", name, "peers")
            entries = model.peers if task.peers is None else task.peers
            rows += [_peer_row(entry, base, model, layer, (*where, k)) for k, entry in enumerate(entries)]
            title = name if len(model.priors) == 1 else f"{name}, {_prior_name(prior)}"
            _require_rows(rows, layer, ("tasks", name))
            crop = model.crop if task.crop is None else task.crop
            yield SuiteTask(title, tuple(rows), tuple(images), crop)


def _problems(model: SuiteModel, layer: Layer) -> Iterator[SuiteTask]:
    for index, name in enumerate(model.problems):
        where: Where = ("problems", index)
        if name not in problem_names():
            raise RecipeError(f"{layer.at(where).label}: no problem '{name}'", did_you_mean(name, problem_names()))
        shared: dict[str, Where] = {"run": ("run",)}
        fixed = {"operator": {"kind": "denoise"}}
        rows = [
            MethodRow(row, _recipe(layer, shared | {"method": ("methods", row)}, name, fixed)) for row in model.methods
        ]
        base = _recipe(layer, shared, name, fixed)
        rows += [_peer_row(entry, base, model, layer, ("peers", k)) for k, entry in enumerate(model.peers)]
        _require_rows(rows, layer, where)
        yield SuiteTask(name, tuple(rows), problem=name)


def _peer_row(entry: PeerEntry, base: Recipe, model: SuiteModel, layer: Layer, where: Where) -> MethodRow:
    try:
        known = peer(entry.name)
    except RecipeError as error:
        raise RecipeError(f"{layer.at(where).label}: {error.message}", error.hint) from None
    evaluations = entry.evaluations or model.evaluations or known.default
    title = known.title + (f", {entry.evaluations} evaluations" if entry.evaluations else "")
    return MethodRow(title, base, known, evaluations if known.prior else None)


def _require_rows(rows: list[MethodRow], layer: Layer, where: Where) -> None:
    names = [row.name for row in rows]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not rows or twice:
        message = f"two rows are named '{twice}'" if twice else f"{where[-1]} has neither methods nor peers"
        raise RecipeError(f"{layer.at(where).label}: {message}", "give each another name" if twice else "give methods")


def _recipe(layer: Layer, sections: Mapping[str, Where], name: str, fixed: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe whose sections are at these places of the suite."""
    data: dict[str, Any] = dict(fixed or {})
    marks: dict[Where, Origin] = {}
    for section, place in sections.items():
        value = _at(layer.data, place)
        if value is None and section not in ("operator", "noise", "method"):
            continue
        data[section] = value
        marks[(section,)] = layer.at(place)
        for where, origin in layer.marks.items():
            if where[: len(place)] == place:
                marks[(section, *where[len(place) :])] = origin
    return load_layer(Layer(spelled_out(data), layer.origin, marks), name)


def _known_noise(recipe: Recipe, layer: Layer, where: Where) -> None:
    noise = recipe.noise
    if noise.kind != "gaussian" or not isinstance(getattr(noise, "sigma", None), float | int) or not noise.sigma:
        raise RecipeError(
            f"{layer.at(where).label}: noise: {_at(layer.data, where)!r} is not allowed in a suite",
            "allowed: the standard deviation of Gaussian noise, a number > 0",
        )


def _prior_name(prior: Any) -> str:
    return Path(str(prior.get("name", "photo") if isinstance(prior, dict) else prior)).stem


def _at(data: Any, where: Where) -> Any:
    for part in where:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _explained(error: ValidationError, layer: Layer) -> RecipeError:
    """An unknown key with the keys of its place; anything else as in a recipe."""
    models: dict[int, type[BaseModel]] = {1: SuiteModel, 3: TaskModel}
    for detail in error.errors():
        where = tuple(detail["loc"])
        dotted = ".".join(str(part) for part in where)
        if detail["type"] == "missing":
            return RecipeError(f"{layer.at(where).label}: missing key '{dotted}'", "it has no default: add it")
        if detail["type"] != "extra_forbidden":
            continue
        model = PeerEntry if "peers" in where else models.get(len(where), SuiteModel)
        names = {field.alias or name for name, field in model.model_fields.items()}
        return RecipeError(
            f"{layer.at(where).label}: unknown key '{dotted}' (given {str(detail['input'])[:60]!r})",
            did_you_mean(str(where[-1]), names),
        )
    return explain(error, layer, lambda *_: None)
