"""From arguments to items: files, folders, globs and list files.

An item's id is its POSIX path relative to its argument, suffix kept:

* a file: its name (of ``FILE::INNER``, one array of a file, the file's; a folder that is one item, a Zarr store or a
  satellite product, is a file here);
* a folder: the path below it (files of a known suffix, hidden ones left out);
* a glob: the path below the folder in front of its first wildcard;
* ``@list.txt``: the path below the list's own folder, else the name. One path a line, ``#`` starts a comment.

Two arguments that give the same id are an error, never an overwrite.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inverse.errors import InputError, UsageError, printable
from inverse.io.registry import formats
from inverse.storage.files import is_unicode
from inverse.storage.paths import is_store, locate
from inverse.storage.regular import read_small_text

__all__ = ["Source", "check_name", "find", "match"]


@dataclass(frozen=True)
class Source:
    """An item before it is read."""

    item: str  # its id, unique in the run
    path: Path  # it may be missing, which is that item's failure


def find(arguments: Iterable[str | Path], *, exclude: Path | None = None) -> list[Source]:
    """All items of the arguments, in order, folders and globs sorted.

    ``exclude`` is a folder to leave out: the output, when it lies inside an input folder.

    Raises:
        UsageError: If two items have the same id.
        InputError: If a glob, a folder or a list gives nothing.
    """
    items: dict[str, Source] = {}
    for argument in arguments:
        if str(argument) == "":
            raise InputError(
                "an input with an empty name", "is a variable of the shell not set? the current folder is ."
            )
        if "\0" in str(argument):
            raise InputError(f"{str(argument)!r}: holds a NUL character", "no path has one")
        everything = list(_expand(str(argument)))
        sources = [source for source in everything if not _inside(source.path, exclude)]
        shown = printable(PurePosixPath(str(argument)).name or str(argument))
        if everything and not sources:
            raise InputError(
                f"all that is in '{shown}' lies in the output folder",
                "give another folder with -o: what a run writes is no input of it",
            )
        if not sources:
            shown, allowed = (
                printable(PurePosixPath(str(argument)).name or str(argument)),
                ", ".join(sorted(set(_suffixes()))),
            )
            raise InputError(f"nothing to read in '{shown}'", f"allowed: files ending in {allowed}")
        for source in sources:
            other = items.get(source.item)
            if other is not None and other.path.resolve() != source.path.resolve():
                raise UsageError(
                    f"two inputs would be written to '{printable(source.item)}'",
                    "give the folder that holds both, or restore them into two folders",
                )
            items.setdefault(source.item, source)
    for item in items:
        parent = next((str(above) for above in PurePosixPath(item).parents if str(above) in items), None)
        if parent is not None:
            raise UsageError(
                f"'{printable(item)}' lies below '{printable(parent)}', which is a file",
                "restore them into two folders",
            )
    return list(items.values())


def check_name(item: str) -> None:
    """Refuse an item whose name cannot be written down in a table, a page or a file's metadata.

    Raises:
        InputError: It is not UTF-8.
    """
    if not is_unicode(item):
        raise InputError(f"{printable(item)}: its name is not UTF-8, so no table can hold it", "rename the file")


def _suffixes(*, folders: bool = False) -> tuple[str, ...]:
    """The endings of all formats, or of those whose items are folders."""
    return tuple(suffix for spec in formats().values() if spec.folder or not folders for suffix in spec.suffixes)


def _inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _expand(argument: str) -> Iterator[Source]:
    path = Path(argument)
    outer, inner = locate(argument)
    # os.path, because a name that is too long for the file system is a failure of that item, no error here
    if argument.startswith("@") and not os.path.exists(path):
        yield from _listed(Path(argument[1:]))
    elif inner is not None and glob.has_magic(str(outer)) and not os.path.exists(outer):
        for source in _expand(str(outer)):
            yield Source(source.item, Path(f"{source.path}::{inner}"))
    elif inner is not None or is_store(path):
        yield Source(outer.name, path)
    elif os.path.isdir(path):
        yield from _below(path, sorted(path.rglob("*")))
    elif not os.path.exists(path) and glob.has_magic(argument):
        parts = path.parts
        fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
        root = Path(*parts[:fixed]) if fixed else Path()
        yield from _below(root, sorted(Path(name) for name in glob.glob(argument, recursive=True)))
    else:
        yield Source(path.name, path)


def _below(root: Path, paths: Iterable[Path]) -> Iterator[Source]:
    suffixes, folders = _suffixes(), _suffixes(folders=True)
    stores: set[Path] = set()  # a folder stands before what is in it
    for path in paths:
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") for part in relative.parts)
        inside = any(part.lower().endswith(folders) for part in relative.parts[:-1])
        if hidden or inside or any(parent in stores for parent in path.parents):
            continue
        if is_store(path):
            stores.add(path)
            yield Source(relative.as_posix(), path)
        elif path.name.lower().endswith(suffixes) and path.is_file():
            yield Source(relative.as_posix(), path)


def _listed(path: Path) -> Iterator[Source]:
    try:
        lines = read_small_text(path).splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise InputError(f"cannot read the list {path.name}: {reason}", "give one path a line, in UTF-8") from error
    for line in lines:
        name = line.split("#", 1)[0].strip()
        if not name:
            continue
        if "\0" in name:
            raise InputError(f"the list {path.name} holds a NUL character", "give one path a line, in UTF-8")
        listed, _ = locate(name)
        if listed.is_absolute():
            folder = path.parent.resolve()
            inside = listed.is_relative_to(folder)
            yield Source(listed.relative_to(folder).as_posix() if inside else listed.name, Path(name))
        else:
            inside = ".." not in listed.parts
            yield Source(listed.as_posix() if inside else listed.name, path.parent / name)


def match(items: Iterable[str], candidates: Iterable[str]) -> dict[str, str]:
    """Pair ids by relative path, then by path without suffix, then by a stem that is unique on both sides.

    Never by sorted position: a missing file would shift every pair after it.
    """
    items, candidates = list(items), list(candidates)
    pairs = {item: item for item in items if item in set(candidates)}
    keys: tuple[Callable[[str], str], ...] = (
        lambda name: str(PurePosixPath(name).with_suffix("")),
        lambda name: PurePosixPath(name).stem,
    )
    for key in keys:
        taken = set(pairs.values())
        open_items = _unique((name for name in items if name not in pairs), key)
        open_candidates = _unique((name for name in candidates if name not in taken), key)
        pairs |= {item: open_candidates[stem] for stem, item in open_items.items() if stem in open_candidates}
    return pairs


def _unique(names: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return {stem: group[0] for stem, group in groups.items() if len(group) == 1}
