"""Files from outside are opened only if they are files, and read in bounded time and memory, whoever reads them."""

import os
import re
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep, thread_time

import pytest
from walks import walk

from composer.data.encoding import encode_sources
from composer.errors import BadModelFile, LeftOutWarning, UnreadableFile
from composer.io import bounds, formats, isolation
from composer.music.score import Score
from composer.plugins import offers, registry
from composer.storage.opening import open_regular, read_bytes
from composer.types import SupportsLint, SupportsProvenance

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
    "no such file": lambda path: path.symlink_to(path.with_name("nowhere.mid")),
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


# --- in this process --------------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch):
    """Bounds that are reached in a moment."""
    monkeypatch.setattr(bounds, "SECONDS", 0.2)
    monkeypatch.setattr(bounds, "MEMORY", 2**26)
    monkeypatch.setattr(bounds, "EVERY", 0.02)


def spin(*_):
    while True:
        pass


def spin_whatever_happens(*_):
    while True:
        try:
            spin()
        except Exception:
            continue


def backtrack(*_):
    re.match(r"(a|aa)+$", "a" * 200 + "b")


def fill(*_):
    held = []
    while True:
        held.append(b"x" * 2**24)


@pytest.mark.parametrize(
    ("act", "seconds", "why"),
    [
        (spin, 0.2, "takes more than 0.2 seconds"),
        (spin_whatever_happens, 0.2, "takes more than 0.2 seconds"),
        (backtrack, 0.2, "takes more than 0.2 seconds"),
        (fill, 20.0, "takes more than 0.0625 GiB of memory"),
    ],
)
def test_what_takes_too_much_is_stopped_and_the_next_is_not(act, seconds, why, soon, monkeypatch, tmp_path):
    monkeypatch.setattr(bounds, "SECONDS", seconds)
    (tmp_path / "x.mid").write_bytes(b"x")
    for _ in range(2):
        with pytest.raises(UnreadableFile, match=rf"x\.mid: {why} to be read\.$"):
            formats.call_reader(act, tmp_path / "x.mid")
        assert bounds.run_bounded(sum, [1, 2]) == 3
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_each_of_many_calls_has_a_time_of_its_own(soon):
    def work():
        began = thread_time()
        while thread_time() - began < 0.1:
            pass

    with bounds.keep_timer() as watches:
        assert watches
        for _ in range(4):
            bounds.run_bounded(work)
        with pytest.raises(bounds.OutOfBounds):
            bounds.run_bounded(lambda: [work() for _ in range(9)])
        sleep(0.1)  # nobody is looked at


def test_a_timer_of_somebody_else_is_left_alone(soon):
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        assert bounds.run_bounded(lambda: signal.getitimer(signal.ITIMER_REAL)[0]) > 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(bounds.run_bounded, sum, [1, 2]).result() == 3


def test_a_piece_that_takes_too_long_to_be_written_as_tokens_is_refused(soon, monkeypatch, tokenizer):
    encoded = tokenizer.encode(walk(0))
    monkeypatch.setattr(type(tokenizer), "encode", lambda self, score: spin() if score.title == "0" else encoded)

    class Two:
        def read(self, source):
            yield source, Score(title=source)

    result = encode_sources(Two(), tokenizer, ["0", "1"])
    assert [piece.name for piece in result.kept] == ["1"]
    assert result.refused[0].reason == "takes more than 0.2 seconds to be written as tokens."


# --- a reader of somebody else's --------------------------------------------------------------------------------------

STRANGER = '''
"""A reader that does what a file says, which is nothing good."""

import os
import signal
import sys
import time
import warnings
from dataclasses import dataclass

from composer import hookimpl
from composer.errors import LeftOutWarning, ReadingWarning, UnreadableFile
from composer.music.score import Score, Track, make_notes
from composer.types import Finding

COMPOSER_API = 1


class Odd(BaseException):
    """Nobody knows it."""


class Own(UnreadableFile):
    """Known to those alone who have this module."""

    def __init__(self, path, what):
        super().__init__(f"{path}: is {what}.")


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def spin():
    while True:
        pass


def fill():
    bytearray(2**31)


def recurse():
    recurse()


def fail(error):
    raise error


DOES = {
    "spin": spin,
    "sleep": lambda: time.sleep(1_000),
    "fill": fill,
    "crash": crash,
    "exit": lambda: sys.exit(3),
    "leave": lambda: os._exit(0),
    "stop": lambda: fail(KeyboardInterrupt()),
    "odd": lambda: fail(Odd()),
    "wrong": lambda: fail(ValueError("it is wrong")),
    "own": lambda: fail(Own("x", "mine")),
    "deep": recurse,
    "talk": lambda: (print("hello", flush=True), os.write(1, b"hello"), sys.stdin.read()),
    "warn": lambda: (
        warnings.warn(LeftOutWarning("x", {"lyrics": 3})),
        warnings.warn("x: a repeat was mended.", ReadingWarning),
        warnings.warn("old", DeprecationWarning),
    ),
}


@dataclass(frozen=True)
class Stranger:
    """Reads `.odd` files."""

    pitch: int = 60

    def __call__(self, path):
        word, *more = path.read_text().split()
        if word != "note":
            DOES[word]()
        if word == "nothing":
            return None
        notes = make_notes([(480 * n, 480, self.pitch + n * len(more) % 12, 80) for n in range(8)])
        return Score((Track(notes),), title=str(os.getpid()))

    def read_provenance(self, path):
        return {"by": str(self(path).title)}

    def halves(self, path):
        yield "first", self(path)
        yield "second", self(path)


@hookimpl
def register_readers():
    """Offer it."""
    return {".odd": Stranger}
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder in which that plugin is installed."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "stranger.py").write_text(STRANGER)
    (info := folder / "stranger-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[composer]\nstranger = stranger\n")
    return folder


@pytest.fixture
def odd(site, tmp_path, monkeypatch):
    """`odd("crash")`: a file that makes the reader crash; reading may take a second."""
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(isolation, "SECONDS", 1.0)
    registry._build_registry.cache_clear()
    offers._load_kind.cache_clear()

    def put(content, name="x.odd"):
        (tmp_path / name).write_text(content)
        return tmp_path / name

    yield put
    registry._build_registry.cache_clear()
    offers._load_kind.cache_clear()
    sys.modules.pop("stranger", None)


REFUSED = {
    "spin": "takes more than 1 seconds to be read.",
    "sleep": "takes more than 1 seconds to be read.",
    "fill": "takes more than 1 GiB of memory to be read.",
    "crash": "crashed the plugin 'stranger' (signal 11); tell those who made it.",
    "leave": "crashed the plugin 'stranger' (exit status 0); tell those who made it.",
    "exit": "cannot be read",
    "stop": "cannot be read",
    "odd": "cannot be read",
    "wrong": "cannot be read",
    "deep": "is nested too deeply to be read.",
    "own": "is mine.",
}


@pytest.mark.parametrize("word", REFUSED)
def test_whatever_a_reader_does_is_one_sentence(odd, word, capfd):
    began = monotonic()
    with pytest.raises(UnreadableFile) as caught:
        formats.read(odd(word))
    assert REFUSED[word] in str(caught.value)
    assert type(caught.value) is UnreadableFile
    assert str(caught.value).isprintable()
    assert monotonic() - began < 60
    assert capfd.readouterr() == ("", "")


def test_what_a_reader_reads_comes_back_with_its_warnings(odd, capfd):
    with pytest.warns(LeftOutWarning) as said:
        score = formats.read(odd("warn"), pitch=72)
    assert score.tracks[0].notes["pitch"].tolist() == [72] * 8
    assert [str(warning.message) for warning in said] == ["x: left out: lyrics (3).", "x: a repeat was mended."]
    assert said[0].message.counts == {"lyrics": 3}
    assert formats.read(odd("talk")).note_count == 8
    assert capfd.readouterr().out == ""


def test_every_method_of_a_reader_is_called_in_the_other_process_and_it_stays_for_the_next_file(odd):
    path = odd("note")
    reader = formats.make_reader(path)
    home = reader(path).title
    assert home != str(os.getpid())
    assert isinstance(reader, SupportsProvenance)
    assert not isinstance(reader, SupportsLint)
    assert formats.read_provenance(path) == {"by": home}
    assert [name for name, _ in formats.call_reader(reader.halves, path)] == ["first", "second"]
    with pytest.raises(UnreadableFile, match="crashed"):
        formats.read(odd("crash"))
    assert formats.read(odd("note")).title != home


def test_a_file_that_comes_after_one_that_spoilt_the_process_is_read_by_another(odd):
    formats.read(path := odd("note"))
    isolation._process.process.kill()
    isolation._process.process.wait()
    assert formats.read(path).note_count == 8


def test_what_is_no_score_is_refused(odd, monkeypatch):
    monkeypatch.setattr(isolation, "_ask", lambda *_: isolation._Answer(result=[1]))
    with pytest.raises(UnreadableFile, match="something else than a score"):
        formats.read(odd("note"))


def test_a_folder_goes_on_whatever_a_reader_does_with_some_of_its_files(odd, run, tmp_path):
    words = ["crash", "spin", "fill", "exit", "warn", *(f"note {'x ' * n}" for n in range(12))]
    for number, word in enumerate(words):
        odd(word, f"{number:02}.odd")
    os.mkfifo(tmp_path / "pipe.mid")
    ran = run("train", f"folder:{tmp_path}", "--steps", "1", "--hidden-size", "8", "--out", tmp_path / "m.safetensors")
    assert ran.status == 0
    assert "13 pieces kept (" in ran.err
    assert ", 5 refused." in ran.err
    assert "  00.odd: crashed the plugin 'stranger' (signal 11); tell those who made it.\n" in ran.err
    assert "  01.odd: takes more than 1 seconds to be read.\n" in ran.err
    assert "  pipe.mid: is a named pipe, not a file.\n" in ran.err
    assert "  left out: lyrics (3 in 1 file).\n" in ran.err
    assert "  mended: a repeat was mended (1 file).\n" in ran.err
    checked = run("check", tmp_path)
    assert checked.status == 2
    assert "\n18 files: 5 with errors, 1 with warnings\n" in checked.out
