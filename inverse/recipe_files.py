"""Where recipes are: those that are shipped, by name, and a user's own, by path."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from inverse.errors import RecipeError, did_you_mean

__all__ = ["recipe_text", "shipped", "shipped_folder"]


def shipped_folder() -> Path:
    """Where the shipped recipes and their calibrations are."""
    return Path(str(resources.files("inverse.recipes")))


def shipped() -> dict[str, str]:
    """The shipped recipes: name to text."""
    folder = resources.files("inverse.recipes")
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    texts = {entry.name.removesuffix(".yaml"): entry.read_text("utf-8") for entry in found}
    return dict(sorted(texts.items()))


def recipe_text(recipe: str | os.PathLike[str], *, folder: Path | None = None) -> tuple[str, str, Path]:
    """A recipe's text, the label of its file in messages, and the folder that its relative files are in.

    Args:
        recipe: A shipped recipe's name, or a path.
        folder: Where a relative path starts (default: the folder of work).

    Raises:
        RecipeError: There is no such recipe; the message suggests one.
    """
    given = os.fspath(recipe)
    is_path = given.endswith((".yaml", ".yml", ".json")) or "/" in given or os.sep in given
    if not is_path and given in shipped():
        return shipped()[given], f"{given}.yaml", shipped_folder()
    path = (folder or Path()) / given
    try:
        return path.read_text("utf-8"), given, path.parent
    except FileNotFoundError:
        names = did_you_mean(given, shipped())
        raise RecipeError(
            f"no recipe '{given}'", names if not is_path else "no such file; inverse list recipes"
        ) from None
    except UnicodeDecodeError:
        raise RecipeError(f"{given}: not a recipe: the file is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{given}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
