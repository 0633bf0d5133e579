"""Files from outside are opened only if they are files, and read in bounded time and memory, whoever reads them."""

import os
import socket

import pytest

from composer.errors import BadModelFile, UnreadableFile
from composer.opening import open_regular, read_bytes

# --- what is opened ---------------------------------------------------------------------------------------------------


def put_pipe(path):
    os.mkfifo(path)


def put_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


OTHERS = {
    "is a named pipe, not a file": put_pipe,
    "is a socket, not a file": put_socket,
    "is a device, not a file": lambda path: path.symlink_to("/dev/zero"),
    "is a folder": lambda path: path.mkdir(),
    "there is no such file": lambda path: path.symlink_to(path.with_name("nowhere.mid")),
    "cannot be opened (Too many levels of symbolic links)": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("why", OTHERS)
@pytest.mark.parametrize("opens", [open_regular, lambda path, *error: read_bytes(path, 100, *error)])
def test_what_is_no_regular_file_is_refused_in_a_sentence_and_not_waited_for(why, opens, tmp_path):
    path = tmp_path / "x.mid"
    OTHERS[why](path)
    with pytest.raises(UnreadableFile) as caught:
        opens(path)
    assert str(caught.value) == f"{path}: {why}."
    with pytest.raises(BadModelFile):
        opens(path, BadModelFile)


def test_a_file_is_read_whole_up_to_the_size_that_is_asked_for(tmp_path):
    path = tmp_path / "x.mid"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with open_regular(path) as file:
        assert file.read() == b"12345"
    with pytest.raises(UnreadableFile, match=r"x\.mid: is larger than 4 bytes\."):
        read_bytes(path, 4)


def test_a_file_without_end_takes_no_memory(tmp_path):
    path = tmp_path / "x.mid"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UnreadableFile, match=r"is larger than 1 MiB\."):
        read_bytes(path, 2**20)
