from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inverse.errors import InputError, UsageError
from inverse.io.sources import find, match


def ids(*arguments: Any, **settings: Any) -> list[str]:
    return [source.item for source in find(arguments, **settings)]


def test_folder_gives_relative_paths_sorted(photos: Path) -> None:
    (photos / "notes.txt").write_text("no")
    (photos / ".hidden.png").write_text("no")
    assert ids(photos) == ["a.png", "b.png", "sub/a.png", "sub/c.png"]


def test_file_glob_and_list(photos: Path) -> None:
    assert ids(photos / "sub/c.png") == ["c.png"]
    assert ids(f"{photos}/**/a.png") == ["a.png", "sub/a.png"]
    (photos / "list.txt").write_text("sub/a.png # a comment\n\nb.png\n")
    assert ids(f"@{photos}/list.txt") == ["sub/a.png", "b.png"]


def test_output_inside_the_input_is_left_out(photos: Path) -> None:
    assert ids(photos, exclude=photos / "sub") == ["a.png", "b.png"]


def test_collision_is_a_usage_error(photos: Path) -> None:
    with pytest.raises(UsageError, match=r"'a\.png'"):
        find([photos / "a.png", photos / "sub" / "a.png"])
    assert ids(photos / "a.png", photos / "a.png") == ["a.png"]


@pytest.mark.parametrize("argument", ["nothing*.png", "@missing.txt"])
def test_nothing_to_read(argument: str) -> None:
    with pytest.raises(InputError):
        find([argument])


def test_a_missing_file_is_an_item(tmp_path: Path) -> None:
    assert ids(tmp_path / "gone.png") == ["gone.png"]


def test_match_by_path_then_stem_never_by_position() -> None:
    assert match(["x/a.png", "b.png"], ["x/a.tif", "b.png", "c.png"]) == {"b.png": "b.png", "x/a.png": "x/a.tif"}
    assert match(["deep/q.png"], ["q.tif", "z.tif"]) == {"deep/q.png": "q.tif"}
    assert match(["a.png"], ["b.png"]) == {}
    assert match(["1/a.png", "2/a.png"], ["a.tif"]) == {}
