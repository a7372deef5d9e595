"""What is to be done, in order: the units of a run, and the merge of an item as soon as all its blocks are there.

An executor takes units from here and says which have ended, done or failed. Where shards share an item, whoever ends its last block finds the
others' markers, and merges.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from inverse.ledger import Ledger
from inverse.plan import Plan, Unit, item_name, split

__all__ = ["Schedule"]


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
            if item is not None and ledger.valid(item_name(item.item), item.sha256)
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
        """Tiles are shared again where an earlier run failed, or ran out of memory: what it left would stop this one's workers."""
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
