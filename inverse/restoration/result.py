"""The result of one item: `ItemResult`, a row of ``items.csv`` with types."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

from inverse.posterior import words
from inverse.posterior.words import Doubt
from inverse.priors.mismatch import foreign
from inverse.sampling.methods import in_words, methods

if TYPE_CHECKING:
    from inverse.posterior.posterior import Cost
    from inverse.priors.card import Card

__all__ = ["COLUMNS", "FINISHED", "NO_SCORE", "ItemResult", "Made", "sound", "typed"]


#: States of items that have a result: ``unusable`` are those that explain nothing.
FINISHED = ("done", "unusable")


class Solved(Protocol):
    """An item that was solved: a `Posterior`, or a scene of tiles."""

    @property
    def method(self) -> dict[str, object]:
        """The method and its parameters."""

    @property
    def cost(self) -> Cost:
        """What it took."""


@dataclass(frozen=True)
class Made:
    """What was written for an item."""

    files: dict[str, str]  # path in the run folder to sha256
    restored: str  # which of them is the restored picture
    clipped: float  # fraction of values an integer format could not hold


def _setting(**default: Any) -> Any:
    """A number that describes the item or the machine, and is no result that runs are compared by."""
    return field(metadata={"setting": True}, **default)


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """What is known of an item that is done. Its fields are the columns of ``items.csv``, in their order.

    A field that is None is left out of the row. Images and samples are not here: `inverse.runs.folder.Kept` holds them.
    """

    item: str
    status: str = "done"
    restored: str = ""  # the restored file, below the run folder
    height: int = _setting()
    width: int = _setting()
    channels: int = _setting()
    samples: int = _setting()
    method: str  # in words
    noise_sigma: float = _setting()  # data units
    noise_estimated: bool  # from the measurement
    misfit: float  # chi^2 / m, mean over the samples; NaN without noise
    data_share: float  # mean over the image
    calibrated: bool  # std and quantiles are recalibrated
    clipped: float = _setting(default=0.0)  # fraction of the values that the file's integers could not hold
    forward: float  # network evaluations
    vjp: float  # vector-Jacobian products of the network
    a: float = _setting()  # applications of the operator
    at: float = _setting()  # and of its adjoint
    seconds: float  # of sampling
    peak_bytes: int = _setting()
    sha256: str = ""  # of the restored file
    r_hat: float | None = None  # of chains: 95 % of the values are below
    ess: float | None = None  # of chains: 95 % of the values are above
    log_evidence: float | None = None  # of particles
    particles: float | None = None  # that carry the weight at the end, mean of the samples
    particles_lowest: float | None = None  # and at the worst level
    surprise: float | None = None  # of the prior, see `inverse.priors.mismatch`
    whiteness: float | None = None  # of the samples' residuals, see `inverse.posterior.evidence`
    correlation: float | None = None
    regions: str | None = None  # the largest region that comes from the prior, a sentence
    tiles: str | None = None  # how a scene was tiled
    mismatch: str | None = None  # what is foreign to the prior, a sentence
    unusable: str | None = None  # why the result must not be used, a sentence
    scores: Mapping[str, float] = field(default_factory=dict)  # by the truth: a column each
    note: str = ""

    @classmethod
    def of(
        cls,
        item: str,
        solved: Solved,
        *,
        shape: tuple[int, ...],
        noise: tuple[float, bool],
        card: Card | None,
        values: tuple[float, float, float],
        notes: Iterable[str],
        **known: Any,
    ) -> ItemResult:
        """The result of an item in memory, or of a scene of tiles.

        Args:
            item: Its id.
            solved: Its method and cost.
            shape: (C, H, W) of the restored image.
            noise: The noise level in data units, and whether it was estimated.
            card: Of the prior.
            values: Smallest and largest value of the measurement, and the fraction of them outside the recipe's range.
            notes: Sentences; empty ones are left out.
            **known: The other fields.
        """
        channels, height, width = shape
        low, high, outside = values
        cost: dict[str, Any] = solved.cost.as_dict()
        mismatch = "" if card is None else foreign(card, channels=channels, low=low, high=high, outside=outside)
        return cls(
            item=item,
            height=height,
            width=width,
            channels=channels,
            method=in_words(str(solved.method["kind"]), solved.method),
            noise_sigma=noise[0],
            noise_estimated=noise[1],
            mismatch=mismatch or None,
            note="; ".join(note for note in notes if note),
            **cost,
            **known,
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ItemResult:
        """The result that a row of a marker or of ``items.csv`` holds; what a row lacks is NaN, 0 or empty."""
        known = {name: row[name] for name in _TYPES if name in row}
        scores = {name: value for name, value in row.items() if name not in _TYPES}
        return cls(**{**_EMPTY, **known}, scores=scores)

    def row(self) -> dict[str, Any]:
        """The columns but the item and its status, in a marker's order: numbers, scores, files."""
        values = {name: getattr(self, name) for name in _ROW}
        row = {name: value for name, value in values.items() if value is not None}
        return {**row, **self.scores, **{name: getattr(self, name) for name in _LAST}}

    def written(self, made: Made) -> ItemResult:
        """With what was written for it."""
        return replace(self, restored=made.restored, sha256=made.files.get(made.restored, ""), clipped=made.clipped)

    @property
    def coverage90(self) -> float | None:
        """Share of the truth that the 90 % intervals hold."""
        return self.scores.get("coverage90")

    @property
    def point_estimate(self) -> bool:
        """Whether its samples are estimates and no draws of a posterior."""
        spec = methods().get(self.method.partition(",")[0])
        return spec is not None and spec.point_estimate

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What stands against taking it at its word."""
        return words.doubts(self.row(), point_estimate=self.point_estimate)

    @property
    def evidence(self) -> list[str]:
        """What it says of itself without a truth, a sentence each."""
        return words.evidence(self.row(), point_estimate=self.point_estimate)


_FIELDS = {column.name: column for column in fields(ItemResult) if column.name != "scores"}
_TYPES = {name: str(column.type).removesuffix(" | None") for name, column in _FIELDS.items()}
_EMPTY = {
    name: {"str": "", "int": 0, "bool": False, "float": math.nan}[_TYPES[name]]
    for name, column in _FIELDS.items()
    if column.default is MISSING
}

#: The columns that every run has; those of results that some items have stand before ``note``, the last.
COLUMNS = tuple(name for name, column in _FIELDS.items() if "None" not in str(column.type))

#: Columns that are no result that runs are compared by.
NO_SCORE = frozenset(
    name for name, column in _FIELDS.items() if column.metadata.get("setting") or _TYPES[name] in ("str", "bool")
)

_LAST = ("restored", "sha256", "clipped", "note")
_FIRST = ("height", "width", "channels", "samples", "method", "noise_sigma", "noise_estimated", "calibrated")
_ROW = tuple(name for name in dict.fromkeys((*_FIRST, *_FIELDS)) if name not in ("item", "status", *_LAST))


def sound(row: object) -> bool:
    """Whether this is a row of an item that is done: values of the types of their columns, scores numbers."""
    if not isinstance(row, Mapping):
        return False
    numbers, kinds = (int, float), {"str": str, "bool": bool}
    return all(isinstance(value, kinds.get(_TYPES.get(str(name), ""), numbers)) for name, value in row.items())


def typed(column: str, text: str) -> Any:
    """The value of a column of ``items.csv`` from its text; columns that are none of `ItemResult` are scores."""
    kind = _TYPES.get(column, "")
    if kind in ("str", "bool"):
        return text if kind == "str" else text == "True"
    try:
        return int(float(text)) if kind == "int" else float(text)
    except ValueError:  # a column of another version
        return text
