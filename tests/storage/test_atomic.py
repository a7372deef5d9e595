"""A file is whole or absent, and failures are exit code 7. These tests work as root."""

import os
import resource
import signal

import pytest

from inverse.errors import OutputError
from inverse.storage.files import atomic_bytes, part_path


def refused(path, words, **options):
    with pytest.raises(OutputError) as caught:
        atomic_bytes(path, b"new", **options)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3
    assert caught.value.exit_code == 7


def test_writes_and_makes_folders(tmp_path):
    atomic_bytes(tmp_path / "a" / "b" / "c.json", b"{}")
    assert (tmp_path / "a" / "b" / "c.json").read_bytes() == b"{}"
    assert os.listdir(tmp_path / "a" / "b") == ["c.json"]


def test_part_names_keep_the_suffix(tmp_path):
    assert part_path(tmp_path / "photo.tar.gz").name == ".photo.tar.part.gz"
    assert part_path("x/photo.png").as_posix() == "x/.photo.part.png"


def test_never_clobbers_unless_told(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    refused(path, "already exists")
    assert path.read_bytes() == b"old"
    atomic_bytes(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"


def test_a_file_as_parent(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    refused(tmp_path / "file" / "a.txt", "cannot be written")
    refused(tmp_path / "file" / "b" / "a.txt", "a part of this path is a file")
    refused(tmp_path, "is a folder", overwrite=True)


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OutputError, match="File too large"):
            atomic_bytes(path, b"x" * 100_000, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch, error):
    def fail(handle):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        atomic_bytes(tmp_path / "a.bin", b"x")
    assert os.listdir(tmp_path) == []
