"""The command ``inverse``: one verb a module, imported when it is called."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from contextlib import suppress

import click

from inverse import __version__
from inverse.cli.echo import coloured, painted
from inverse.cli.group import MainGroup, bare_help
from inverse.errors import printable

__all__ = ["cli", "main"]

VERBS = {
    "restore": ("inverse.cli.restore:restore", "Restore files: posterior mean, uncertainty and evidence."),
    "simulate": ("inverse.cli.simulate:simulate", "Make measurements of known pictures by a recipe."),
    "evaluate": ("inverse.cli.evaluate:evaluate", "Compare files with the truth."),
    "report": ("inverse.cli.report:report", "Make the page of a run: pictures, evidence, provenance."),
    "benchmark": ("inverse.cli.benchmark:benchmark", "Measure methods on a suite, beside other packages."),
    "calibrate": ("inverse.cli.calibrate:calibrate", "Say whether the uncertainty of a run holds, with known truths."),
    "compare": ("inverse.cli.compare:compare", "Compare runs of the same inputs, image by image."),
    "tune": ("inverse.cli.tune:tune", "Find a recipe's parameters on pictures with a known truth."),
    "check": ("inverse.cli.check:check", "Check a recipe, and whether it fits an input, before running it."),
    "info": ("inverse.cli.info.command:info", "Say what a file is and which recipes fit it."),
    "list": ("inverse.cli.catalogue:list_", "List operators, methods, priors, recipes, formats, suites ..."),
    "show": ("inverse.cli.catalogue:show", "Show one of them in full."),
    "prior": ("inverse.cli.prior.group:prior", "Find, check, convert, train and fit priors."),
    "recipe": ("inverse.cli.recipe:recipe", "Make, validate and resolve recipes."),
}


@click.group(
    cls=MainGroup,
    verbs=VERBS,
    plugins="inverse.commands",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 some items failed, 2 usage, 3 recipe, 4 input, 5 prior, 6 memory, 7 output, "
    "130 interrupted (run again to resume).",
)
@click.version_option(__version__, "-V", "--version", prog_name="inverse", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", count=True, help="Log more; also show tracebacks.")
@click.option("-q", "--quiet", count=True, help="Log warnings only; twice, errors only.")
@click.pass_context
def cli(ctx: click.Context, verbose: int, quiet: int) -> None:
    """From a measurement to its posterior: restored images that say how sure they are.

    \b
    inverse restore deblur photo.png -o out      restore one photograph
    inverse restore inpaint photos/ -o out       or a folder of them
    inverse list recipes                         what there is to choose from
    """  # noqa: D301
    _log_to_stderr(logging.INFO - 10 * verbose + 10 * quiet)
    bare_help(ctx)


class _Plain(logging.Formatter):
    """Lines whose control characters, as names of files may hold them, are escapes."""

    def __init__(self, form: str, *, colours: bool = False) -> None:
        super().__init__(form)
        self.colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; on a terminal failures and doubts are red and yellow, and labels bold."""
        line = printable(super().format(record), lines=True)
        return painted(line, failed=record.levelno >= logging.WARNING) if self.colours else line


def _log_to_stderr(level: int) -> None:
    logger = logging.getLogger("inverse")
    for handler in [handler for handler in logger.handlers if handler.get_name() == "inverse-cli"]:
        logger.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name("inverse-cli")
    handler.setFormatter(_Plain("%(message)s", colours=coloured(sys.stderr)))
    logger.addHandler(handler)
    logger.setLevel(min(max(level, logging.DEBUG), logging.CRITICAL))


def main() -> None:
    """The console script.

    The interpreter's own way out takes apart all that torch and deepinv hold: that lasts longer than an interrupted
    command may, and some of their libraries complain. The operating system frees it all, so the last act is a flush.
    """
    status: object = 0
    try:
        cli(prog_name="inverse")
    except SystemExit as end:
        status = end.code
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status if isinstance(status, int) else 0 if status is None else 1)
