"""What a failure says is the same wherever the run folder is."""

import pytest

from inverse.runs.ledger import renamed


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("out of memory with one sample at a time", "out", "out of memory with one sample at a time"),
        ("cannot write out/restored/a.png", "out", "cannot write OUT/restored/a.png"),
        ("/tmp/out/std/a.png: no space; /tmp/out.", "/tmp/out", "OUT/std/a.png: no space; OUT."),
        ("/tmp/outer/a.png and '/tmp/out'", "/tmp/out", "/tmp/outer/a.png and 'OUT'"),
        ("holds the state of another scene", "a", "holds the state of another scene"),
        ("/data/out/a.png", "out", "/data/out/a.png"),
        ("runs/x/a.png.bak runs/x/a.png", "runs/x/a.png", "runs/x/a.png.bak OUT"),
    ],
)
def test_paths_and_not_words_are_renamed(text: str, path: str, said: str) -> None:
    assert renamed(text, path, "OUT") == said
