"""One writer per run folder, by `flock`: it goes with its process, so a killed run leaves no stale lock.

A run holds ``.inverse/lock`` alone. The shards of one run share it, all with the same number of shards, and each holds
``.inverse/lock.I-of-N`` alone; shards that start together take their share one after the other, by
``.inverse/start.lock``. The files stay; what they say (process, machine) is for the message only.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from inverse.errors import OutputError

__all__ = ["claim", "hold", "run_lock"]


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"{path.parent.parent}: cannot be written: {reason}", "choose a folder you may write to with -o"
        ) from error


def _try(stream: IO[str], mode: int) -> bool:
    try:
        fcntl.flock(stream.fileno(), mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(stream: IO[str], shards: int) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(json.dumps({"process": os.getpid(), "machine": platform.node(), "shards": shards}) + "\n")
    stream.flush()


def _read(stream: IO[str]) -> dict[str, object]:
    stream.seek(0)
    try:
        content = json.loads(stream.read())
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _busy(owner: dict[str, object], what: str) -> OutputError:
    who = f"process {owner['process']} on {owner['machine']}" if "process" in owner else "another process"
    return OutputError(f"{what} is being written by {who}", "wait for it to end, or choose another folder with -o")


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold a lock file alone, waiting for it if need be."""
    with _open(path) as stream:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
        yield


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold a piece of work alone, waiting for it if need be; the file is gone afterwards.

    A worker that was given up for lost may still be at it: whoever takes the work over waits until it has finished or
    died.
    """
    while True:
        with _open(path) as stream:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
            try:
                current = os.fstat(stream.fileno()).st_ino == path.stat().st_ino
            except FileNotFoundError:
                current = False
            if not current:
                continue  # whoever held it removed the file that we waited for
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


@contextmanager
def run_lock(folder: Path, *, shard: tuple[int, int] | None = None) -> Iterator[None]:
    """Hold a run folder, alone or as shard (I, N) of it.

    Raises:
        OutputError: If another run, the same shard, or a shard of another division holds it (exit code 7).
    """
    with ExitStack() as stack:
        stream = stack.enter_context(_open(folder / "lock"))
        if shard is None:
            if not _try(stream, fcntl.LOCK_EX):
                raise _busy(_read(stream), "the output folder")
            _sign(stream, 0)
            yield
            return
        with hold(folder / "start.lock"):  # share the folder with the other shards; the first says how many there are
            if _try(stream, fcntl.LOCK_EX):
                _sign(stream, shard[1])
            owner = _read(stream)
            if not _try(stream, fcntl.LOCK_SH) or owner.get("shards") != shard[1]:
                raise _busy(owner, "the output folder")
        own = stack.enter_context(_open(folder / f"lock.{shard[0]}-of-{shard[1]}"))
        if not _try(own, fcntl.LOCK_EX):
            raise _busy(_read(own), f"shard {shard[0]}/{shard[1]} of the output folder")
        _sign(own, shard[1])
        yield
