"""What is no file is refused at once: pipes, devices and sockets, wherever a file is read."""

from __future__ import annotations

import os
import socket

import pytest
from click.testing import CliRunner

from inverse.cli.main import cli
from inverse.io.sources import find
from inverse.storage.files import file_hash, read_json
from inverse.storage.regular import read_regular, read_small_text


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path / "pipe.png"


def test_a_pipe_a_device_a_socket_and_a_folder_are_no_files(tmp_path, pipe, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        for path in (pipe, "/dev/zero", "socket", tmp_path):
            with pytest.raises(OSError, match=r"expected a file|Is a directory"):
                read_regular(path)


def test_a_text_has_a_limit_and_plain_lines(tmp_path):
    (tmp_path / "a").write_bytes(b"a\r\nb\rc\n")
    assert read_small_text(tmp_path / "a") == "a\nb\nc\n"
    with pytest.raises(OSError, match="larger"):
        read_small_text(tmp_path / "a", limit=6)
    with pytest.raises(ValueError, match="null"):
        read_small_text("a\0b")


def test_a_pipe_is_no_image_no_list_and_no_json(tmp_path, pipe):
    with pytest.raises(Exception, match="expected a file") as caught:
        find([f"@{pipe}"])
    assert caught.value.exit_code == 4
    with pytest.raises(Exception, match="expected a file"):
        file_hash(pipe)
    assert read_json(pipe) is None
    answer = CliRunner().invoke(cli, ["info", str(pipe)])
    assert answer.exit_code == 4
    assert "a pipe, expected a file" in answer.output


def test_json_of_any_depth_is_damaged_not_a_crash(tmp_path):
    (tmp_path / "deep.json").write_text('{"a":' * 5000)
    assert read_json(tmp_path / "deep.json") is None
    (tmp_path / "deep.json").write_text("[" * 100_000 + "]" * 100_000)
    assert read_json(tmp_path / "deep.json") is None
