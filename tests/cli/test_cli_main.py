"""The command: help, exit codes, errors of at most three lines, lazy imports."""

import os
import signal
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from inverse.cli import options
from inverse.cli.group import MainGroup
from inverse.cli.main import VERBS, cli
from inverse.errors import InputError, OutputError


def run(*args):
    return CliRunner().invoke(cli, list(args), prog_name="inverse")


def failed(result, code, *words):
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 3
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def test_bare_and_help_are_the_same_and_succeed():
    bare, asked = run(), run("--help")
    assert (bare.exit_code, asked.exit_code) == (0, 0)
    assert bare.stdout == asked.stdout
    for name, (_, text) in VERBS.items():
        assert f"{name}  " in bare.stdout
        assert text in bare.stdout
    assert "inverse restore deblur photo.png -o out" in bare.stdout


def test_version():
    assert run("--version").stdout.startswith("inverse ")


def test_unknown_commands_and_options_suggest():
    failed(run("lst"), 2, "no command 'lst'; did you mean 'list'?", "inverse --help")
    failed(run("recipe", "validat"), 2, "did you mean 'validate'?", "inverse recipe --help")
    failed(run("list", "--jsn"), 2, "--jsn", "inverse list --help")
    failed(run("recipe", "resolve"), 2, "Missing argument 'RECIPE'")


@pytest.mark.parametrize("name", ["info", "list", "show", "recipe"])
def test_every_verb_has_help(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: inverse {name}")


def group(error):
    @click.group(cls=MainGroup)
    @click.option("-v", "verbose", is_flag=True)
    def main(verbose):
        import logging

        logging.getLogger("inverse").setLevel(logging.DEBUG if verbose else logging.INFO)

    @main.command()
    def fail():
        if isinstance(error, int):
            return error
        raise error

    main.verbs["fail"] = ("", "")
    main.get_command = lambda ctx, name: fail
    return main


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("a.png: broken", "copy it again"), 4, "error: a.png: broken\ncopy it again\n"),
        (OutputError("x\ny\nz", "w"), 7, "error: x\ny\nz\n"),
        (ValueError("some\nlong\ntext"), 1, "error: ValueError: some long text\nthis is a bug: 'inverse -v"),
        (MemoryError(), 6, "error: out of memory\n"),
        (KeyboardInterrupt(), 130, "error: interrupted; what is finished is kept"),
        (click.ClickException("no"), 1, "error: no\n"),
    ],
)
def test_every_error_has_its_code_and_no_traceback(error, code, words):
    result = CliRunner().invoke(group(error), ["fail"])
    assert result.exit_code == code
    assert result.stderr.lstrip("\n").startswith(words)
    assert len(result.stderr.strip().splitlines()) <= 3


def test_verbose_shows_the_traceback():
    result = CliRunner().invoke(group(ValueError("x")), ["-v", "fail"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_verb_returns_its_exit_code(code):
    assert CliRunner().invoke(group(code), ["fail"]).exit_code == code


def test_sigterm_is_an_interruption(tmp_path):
    script = (
        "import time, click\n"
        "from inverse.cli.group import MainGroup\n"
        "@click.group(cls=MainGroup)\n"
        "def main(): pass\n"
        "@click.command()\n"
        "def wait():\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "main.verbs['wait'] = ('', '')\n"
        "main.get_command = lambda ctx, name: wait\n"
        "main(['wait'])\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in errors


def test_a_closed_pipe_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -c 'from inverse.cli.main import main; main()' recipe schema | head -c 11",
        shell=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == '{\n  "$schem'
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "script",
    [
        "import inverse",
        "import inverse.recipes.recipe",
        "cli(['--help'])",
        "cli(['list', 'recipes'])",
        "cli(['list', 'operators'])",
        "cli(['list', 'methods'])",
        "cli(['show', 'operator', 'gaussian-blur'])",
        "cli(['recipe', 'validate', 'deblur'])",
        "cli(['recipe', 'schema'])",
    ],
)
def test_torch_and_deepinv_stay_away(script):
    code = (
        "import sys, contextlib, io\nended = 0\n"
        + ("from inverse.cli.main import cli\n" if "cli(" in script else "")
        + f"try:\n    with contextlib.redirect_stdout(io.StringIO()):\n        {script}\n"
        "except SystemExit as end:\n    ended = end.code\n"
        "print(*sorted({'torch', 'deepinv', 'torchmetrics', 'skimage', 'scipy'} & set(sys.modules)))\nsys.exit(ended)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_what_can_be_kept_is_what_is_written():
    from inverse.restoration.write_item import KEEP

    assert options.KEPT == KEEP


def test_shared_options_parse_and_refuse():
    seen = {}

    @click.command()
    @options.output
    @options.overrides
    @options.samples
    @options.seed
    @options.device
    @options.batch
    @options.tile
    @options.shard
    @options.executor
    @options.dry_run
    @options.overwrite
    @options.strict
    @options.json
    @options.progress
    @options.truth
    @options.keep
    def verb(**values):
        seen.update(values)

    def call(*args):
        return CliRunner().invoke(verb, ["-o", "out", *args])

    assert call().exit_code == 0
    assert {key: value for key, value in seen.items() if value} == {
        "output": seen["output"], "device": "auto", "executor": "serial", "progress": "auto",
    }  # fmt: skip
    good = (
        "-s a=1 --set b=2 --samples 3 --seed 0 --device cuda:1 --batch 4 --tile off --shard 2/8 --executor dask://h:1"
    )
    assert call(*good.split(), "--keep", "samples,mean", "--json").exit_code == 0
    assert seen["overrides"] == ("a=1", "b=2")
    assert (seen["samples"], seen["seed"], seen["device"]) == (3, 0, "cuda:1")
    assert (seen["batch"], seen["tile"], seen["shard"]) == (4, "off", (2, 8))
    assert (seen["executor"], seen["keep"], seen["as_json"]) == ("dask://h:1", ("samples", "mean"), True)
    for bad in (
        "--shard 0/4", "--shard 5/4", "--shard 1", "--batch 0", "--batch x", "--tile 8", "--device gpu", "--samples 0",
        "--seed -1", "--executor ray", "--keep sample", "--progress no",
    ):  # fmt: skip
        assert call(*bad.split()).exit_code == 2, bad
    assert "did you mean 'samples'?" in call("--keep", "sample").stderr
