"""Click groups that load a command when it is called, suggest on a typo, and end every error in its exit code."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from types import FrameType
from typing import Any, NoReturn

import click

from inverse.errors import InputError, InverseError, MemoryLimitError, UsageError, did_you_mean, printable

__all__ = ["Group", "LazyGroup", "MainGroup", "bare_help"]

INTERRUPTED = 130
BUG = "this is a bug: 'inverse -v ...' shows where it happened"
_PATHS = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EINVAL)


class Group(click.Group):
    """A group that suggests a command where one is misspelt."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was meant."""
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            raise click.UsageError(f"no command '{name}'; {did_you_mean(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


def bare_help(ctx: click.Context) -> None:
    """A group called without a command shows its help and succeeds."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


class LazyGroup(Group):
    """A group of verbs, name to (``module:attribute``, line of help); each is imported when called, not for help."""

    def __init__(self, *args: Any, verbs: Mapping[str, tuple[str, str]] | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.verbs = dict(verbs or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in their order."""
        return [*self.verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in self.verbs:
            return None
        module, _, attribute = self.verbs[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def _rows(self) -> list[tuple[str, str]]:
        return [(name, text) for name, (_, text) in self.verbs.items()]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of verbs, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(self._rows())


class MainGroup(LazyGroup):
    """The top group: verbs by dotted path, `plugins` by the entry points of that group, all errors as exit codes."""

    def __init__(self, *args: Any, plugins: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.plugins = plugins

    def _extra(self) -> dict[str, metadata.EntryPoint]:
        found = metadata.entry_points(group=self.plugins) if self.plugins else ()
        return {entry.name: entry for entry in found if entry.name not in self.verbs}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our verbs in their order, then the plugins'."""
        return [*self.verbs, *sorted(self._extra())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb or a plugin."""
        entry = self._extra().get(cmd_name)
        if cmd_name in self.verbs or entry is None:
            return super().get_command(ctx, cmd_name)
        try:
            loaded: click.Command = entry.load()
        except Exception as error:
            raise InverseError(
                f"the command '{cmd_name}' of {_package(entry)} cannot be loaded: {type(error).__name__}: {error}",
                "update or remove that package",
            ) from error
        return loaded

    def _rows(self) -> list[tuple[str, str]]:
        return super()._rows() + [(name, f"from {_package(entry)}") for name, entry in sorted(self._extra().items())]

    def _run(self, args: Sequence[str] | None, *others: Any, **settings: Any) -> Any:
        if any("\0" in text for text in args or ()):
            raise UsageError("an argument holds a NUL character", "no path and no name has one")
        return super().main(args, *others, **settings)

    def main(self, args: Sequence[str] | None = None, *others: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run, and exit with the documented code; a user's mistake never shows a traceback."""
        run = partial(self._run, args, *others, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        with _terminable():
            return _exit(run)


def _exit(run: Callable[[], Any]) -> NoReturn:
    try:
        code = run()
    except InverseError as error:
        _fail(error, str(error), error.exit_code)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "inverse"
        _fail(error, f"{error.format_message()}\ntry '{path} --help'", error.exit_code)
    except click.ClickException as error:
        _fail(error, error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        _fail(error, "interrupted; what is finished is kept, the same command does the rest", INTERRUPTED)
    except MemoryError as error:
        _fail(error, "out of memory\ntry a smaller --batch, or --tile", MemoryLimitError.exit_code)
    except OSError as error:
        # a path that no file can have, or one that may not be looked at: what writes has its own errors
        if error.errno not in _PATHS or error.filename is None:
            _fail(error, f"{type(error).__name__}: {error}\n{BUG}", 1)
        shown = os.fsdecode(error.filename)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        _fail(error, f"{shown}: cannot be read: {error.strerror}\ncheck the path", InputError.exit_code)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        _fail(error, f"{type(error).__name__}: {text}\n{BUG}", 1)
    sys.exit(code if isinstance(code, int) and not isinstance(code, bool) else 0)


def _fail(error: BaseException, message: str, code: int) -> NoReturn:
    if logging.getLogger("inverse").isEnabledFor(logging.DEBUG):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    lines = [line for line in printable(message, lines=True).split("\n") if line.strip()][:3]
    click.echo("error: " + "\n".join(lines), err=True)
    sys.exit(code)


def _package(entry: metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, which a cluster sends before it kills, ends a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
