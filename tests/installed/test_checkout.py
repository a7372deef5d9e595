"""A plain checkout, beside an installed copy, and as an editable install: the package is found whole in each.

The environment is one of its own, with the dependencies and nothing of this package: neither the wheel nor the editable
install of whoever runs the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

FINDS = "import inverse.operators; import inverse.recipes.recipe; print(inverse.operators.__file__)"
OPENS = f"import inverse; inverse.open_prior('photo'); {FINDS}"
TYPED = """from inverse.operators import build_operator

reveal_type(build_operator)
"""
CONFIG = """[mypy]
follow_imports = skip
[mypy-inverse,inverse.operators,inverse.operators.build,inverse.numerics.*]
follow_imports = silent
"""


def run(python: Path, *arguments: str, cwd: Path, path: Path | None = None) -> str:
    """What a command prints; the environment has no PYTHONPATH but `path`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [str(python), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """An interpreter that has the dependencies: the site-packages of this one, without what its .pth files add."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    python = Path(paths["scripts"], "python")
    Path(paths["purelib"], "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def test_the_root_of_a_plain_checkout_needs_no_install(checkout, python) -> None:
    assert run(python, "-c", OPENS, cwd=checkout).strip() == str(checkout / "inverse" / "operators" / "__init__.py")
    assert "restore" in run(python, "-m", "inverse", "--help", cwd=checkout)
    assert "gaussian-blur" in run(python, "-m", "inverse", "list", "operators", cwd=checkout)


def test_an_installed_copy_does_not_mix_with_the_checkout(checkout, site, python, tmp_path) -> None:
    inside = run(python, "-c", OPENS, cwd=checkout, path=site).strip()
    assert inside == str(checkout / "inverse" / "operators" / "__init__.py")
    outside = run(python, "-c", FINDS, cwd=tmp_path, path=site).strip()
    assert outside == str(site / "inverse" / "operators" / "__init__.py")
    assert "restore" in run(python, "-m", "inverse", "--help", cwd=tmp_path, path=site)


@pytest.fixture(scope="module")
def editable(checkout, python) -> Path:
    """The interpreter, with the checkout installed as ``pip install -e`` does it."""
    build = "import sys; from setuptools.build_meta import build_editable as build; print(build(sys.argv[1]))"
    purelib = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=checkout).strip())
    wheel = run(Path(sys.executable), "-c", build, str(purelib), cwd=checkout).split()[-1]
    shutil.unpack_archive(purelib / wheel, purelib, format="zip")
    return python


def test_an_editable_install_is_found_from_anywhere(checkout, editable, tmp_path) -> None:
    found = run(editable, "-c", FINDS, cwd=tmp_path).strip()
    assert found == str(checkout / "inverse" / "operators" / "__init__.py")
    assert "restore" in run(editable, "-m", "inverse", "--help", cwd=tmp_path)


def test_type_checkers_resolve_an_editable_install(editable, tmp_path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(TYPED, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(CONFIG, encoding="utf-8")
    checked = run(
        Path(sys.executable), "-m", "mypy", "--python-executable", str(editable), "--config-file", "mypy.ini",
        "--cache-dir", str(tmp_path / "cache"), "user.py", cwd=tmp_path,
    )  # fmt: skip
    assert 'Revealed type is "def (' in checked
    assert "shape" in checked
