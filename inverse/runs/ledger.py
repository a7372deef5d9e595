"""The ledger of a run, which says what is done and what failed, and the schedule of what is left.

``done/<unit>.json`` is written after everything it names. A marker counts only if it was made from the same recipe,
prior and input, and if every file it names is on disk with the same content: a truncated or edited output is redone.

An executor takes units from the schedule and says which have ended, done or failed. The merge of an item follows as
soon as all its blocks are there; where shards share an item, whoever ends its last block finds the others' markers, and
merges.
"""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from inverse.errors import Failure, InputError
from inverse.restoration.plan import Plan, Terms, Unit, item_name, split
from inverse.restoration.result import sound
from inverse.storage.files import file_hash, read_json, write_json

__all__ = ["Ledger", "Schedule", "renamed"]


def renamed(text: str, path: str, shown: str) -> str:
    """A message that calls a path otherwise.

    A relative path of one word, such as ``out``, is renamed only where it is a folder of another path.
    """
    end = r"(?![\w-]|\.\w)" if os.sep in path else f"(?={re.escape(os.sep)})"
    return re.sub(rf"(?<![\w./-]){re.escape(path)}{end}", lambda _: shown, text)


_FAILURE = tuple(Failure.__dataclass_fields__)


def _inside(path: str) -> bool:
    """Whether a marker's path is one below the run folder: what it names can be deleted."""
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts and "\0" not in path


class Ledger:
    """The markers and failures of a run folder.

    Args:
        out: The run folder.
        key: What a marker must have been made from, whatever the item: recipe and prior hashes, kept data sets.
    """

    def __init__(self, out: Path, key: Mapping[str, Any]) -> None:
        self.out = out
        self.key = dict(key)
        self.done = out / ".inverse" / "done"
        self.failed = out / ".inverse" / "failed"

    @classmethod
    def of(cls, out: Path, terms: Terms) -> Ledger:
        """The ledger of a run of these terms."""
        return cls(out, {"recipe": terms.recipe, "prior": terms.prior, "keep": list(terms.keep)})

    def mark(self, name: str, source: str, files: Mapping[str, str], **facts: Any) -> None:
        """Record that `name` is done: `files` maps paths in the run folder to their sha256."""
        write_json(self.done / f"{name}.json", {**self.key, "input": source, "files": dict(files), **facts})

    def valid(self, name: str, source: str) -> dict[str, Any] | None:
        """The marker of `name` if it holds: same key, same input, every file present and unchanged."""
        marker = self.marker(name)
        if marker is None or marker.get("input") != source:
            return None
        if any(marker.get(name) != value for name, value in self.key.items()):
            return None
        for path, sha256 in marker["files"].items():
            try:
                if file_hash(self.out / path) != sha256:
                    return None
            except InputError:
                return None
        return marker

    def marker(self, name: str) -> dict[str, Any] | None:
        """The marker of `name` as it is on disk, unchecked."""
        marker = read_json(self.done / f"{name}.json")
        files = None if marker is None else marker.get("files")
        if not isinstance(files, dict) or not all(_inside(path) for path in files):
            return None
        assert marker is not None
        return marker if "row" not in marker or sound(marker["row"]) else None

    def finished(self, name: str, source: str) -> dict[str, Any] | None:
        """The marker of an item that is done, if it holds."""
        marker = self.valid(name, source)
        return marker if marker is not None and "row" in marker else None

    def forget(self, name: str) -> None:
        """Remove a marker, and the files only it names."""
        marker = self.marker(name)
        for path in marker["files"] if marker else ():
            (self.out / path).unlink(missing_ok=True)
        (self.done / f"{name}.json").unlink(missing_ok=True)

    def fail(self, name: str, failure: Failure) -> None:
        """Record a failure; the next success of the same name removes it."""
        write_json(self.failed / f"{name}.json", asdict(failure))

    def clear(self, name: str) -> None:
        """Forget a failure."""
        (self.failed / f"{name}.json").unlink(missing_ok=True)

    def failure(self, name: str) -> Failure | None:
        """The failure recorded for `name`."""
        content = read_json(self.failed / f"{name}.json")
        if content is None or set(content) != set(_FAILURE) or not isinstance(content["code"], int):
            return None
        said: dict[str, Any] = {key: value if key == "code" else str(value) for key, value in content.items()}
        return Failure(**said)


class Schedule:
    """The units of a run that are not done.

    Args:
        plan: What the run computes.
        ledger: What is done.
        units: This run's part of the units, or of some inputs.
    """

    def __init__(self, plan: Plan, ledger: Ledger, units: Iterable[Unit]) -> None:
        self.plan, self.ledger = plan, ledger
        units = list(units)
        self.done = {
            item.item
            for item in (plan.item(name) for name in dict.fromkeys(unit.item for unit in units))
            if item is not None and ledger.finished(item_name(item.item), item.sha256)
        }
        todo = [unit for unit in units if unit.item not in self.done]
        self._begin_anew(todo)
        self.samples = sum(unit.stop - unit.start for unit in todo)
        self._left = Counter(unit.item for unit in todo)
        self._waiting = deque(todo)
        for item in self.done:
            blocks = split(self.plan.item(item), plan.terms.samples)  # type: ignore[arg-type]
            if len(blocks) > 1 and any(ledger.marker(unit.name) for unit in blocks):
                self._waiting.append(_merge(blocks))  # killed between the merge and the end of the blocks

    def _begin_anew(self, todo: list[Unit]) -> None:
        """Share tiles again where an earlier run failed, or ran out of memory: what it left would stop our workers."""
        for unit in todo:
            if unit.part is not None and (self.ledger.marker(unit.name) or {}).get("complete") is False:
                self.ledger.forget(unit.name)
        for name in {unit.item for unit in todo if unit.part is not None}:
            for unit in split(self.plan.item(name), self.plan.terms.samples):  # type: ignore[arg-type]
                self.ledger.clear(unit.name)

    def take(self) -> Unit | None:
        """The next unit; None where there is none now. One that ends can make another."""
        return self._waiting.popleft() if self._waiting else None

    def ended(self, unit: Unit) -> None:
        """A unit was done, or failed."""
        if unit.merge:
            return
        self._left[unit.item] -= 1
        item = self.plan.item(unit.item)
        if self._left[unit.item] or item is None:
            return
        blocks = split(item, self.plan.terms.samples)
        markers = (self.ledger.marker(block.name) for block in blocks)
        if len(blocks) > 1 and all(marker and marker.get("input") == item.sha256 for marker in markers):
            self._waiting.appendleft(_merge(blocks))


def _merge(blocks: list[Unit]) -> Unit:
    return Unit(blocks[0].item, 0, blocks[-1].stop, merge=True)
