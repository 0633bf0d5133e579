"""Piano rolls: every frame of a file is in its scores, on the side that the file gives; what is no roll is refused."""

import numpy as np
import pytest
from click.testing import CliRunner
from music import notes, roll, save_rolls, tune_roll

from composer.data.corpus import build
from composer.errors import BadOption, UnreadableFile
from composer.music.score import Text
from composer.plugins.registry import registry
from composer_pianorolls import matfile, trial
from composer_pianorolls.dataset import PianoRolls, make_score

Q = 480  # ticks of a quarter note


@pytest.fixture
def rolls(tmp_path, monkeypatch):
    """A folder to work in, with a file of three rolls to train, one to validate and two to test."""
    monkeypatch.chdir(tmp_path)
    save_rolls("set.mat", *([tune_roll(10 * side + n) for n in range(count)] for side, count in enumerate((3, 1, 2))))
    return tmp_path


def test_frames_in_a_row_are_one_note_and_a_frame_is_a_quarter():
    [track] = make_score(roll((60, 64), (60,), (), (60, 67), (60, 67)), Q).tracks
    assert notes(track) == [(0, 2, 60), (0, 1, 64), (3, 2, 60), (3, 2, 67)]


def test_the_keys_of_a_piano_from_the_first_to_the_last():
    [track] = make_score(roll((21,), (108,)), Q).tracks
    assert notes(track) == [(0, 1, 21), (1, 1, 108)]


def test_a_roll_comes_back_from_its_score():
    frames = np.random.default_rng(0).random((200, 88)) < 0.4
    frames[[0, 1, -1]] = False
    score = make_score(frames.astype(np.int8), 240)
    again = np.zeros((score.length // 240, 88), dtype=bool)
    for start, duration, pitch, _ in score.tracks[0].notes.tolist():
        again[start // 240 : (start + duration) // 240, pitch - 21] = True
    assert np.array_equal(again, frames)


def test_silence_at_the_end_of_a_roll_is_part_of_its_length():
    quiet, sounding = make_score(roll((), (60,), (), ()), Q), make_score(roll((), (60,)), Q)
    assert (quiet.end, quiet.length) == (2 * Q, 4 * Q)
    assert quiet.markers == (Text(4 * Q, "end"),)
    assert (sounding.end, sounding.length, sounding.markers) == (2 * Q, 2 * Q, ())
    assert make_score(roll((), ()), Q).length == 2 * Q


def test_the_rolls_of_a_file_are_named_by_their_side(rolls):
    dataset = PianoRolls("set.mat")
    assert dataset.list_sources() == ["train/0001", "train/0002", "train/0003", "valid/0001", "test/0001", "test/0002"]
    [(name, score)] = dataset.read("test/0002")
    assert name == score.title == "test/0002"
    assert score == make_score(tune_roll(21), Q)
    assert "not stated" in dataset.licence
    assert "ICML 2012" in dataset.citation


def test_the_sides_of_a_file_are_those_of_the_corpus(rolls):
    dataset = PianoRolls("set.mat")
    corpus = build(dataset, registry().make("tokenizers", dataset.tokenizer, **dataset.tokenizer_options))
    sides = {side: corpus.names[corpus.split(side)].tolist() for side in ("train", "valid", "test")}
    assert [len(names) for names in sides.values()] == [3, 1, 2]
    assert all(name.startswith(f"{side}/") for side, names in sides.items() for name in names)


def test_frames_may_be_shorter_than_a_quarter(rolls):
    dataset = registry().make("datasets", "piano-rolls", file="set.mat", frames_per_quarter="2")
    [(_, score)] = dataset.read("train/0001")
    assert score.length == 8 * Q / 2
    with pytest.raises(BadOption, match="frames_per_quarter must divide 480; 7 does not"):
        registry().make("datasets", "piano-rolls", file="set.mat", frames_per_quarter="7")


def test_a_file_that_has_changed_is_read_again(rolls):
    before = PianoRolls("set.mat").fingerprint("train/0001")
    save_rolls("set.mat", *([tune_roll(n) for n in range(count)] for count in (4, 1, 1)))
    assert len(PianoRolls("set.mat").list_sources()) == 6
    assert PianoRolls("set.mat").fingerprint("train/0001") != before


def test_what_is_no_roll_is_refused_and_is_not_the_end_of_the_others(rolls):
    odd = [tune_roll(0).T, tune_roll(0) * 2, tune_roll(0) * 0.5, "words", roll((60,)).astype(float)]
    save_rolls("odd.mat", odd, [tune_roll(1)], [tune_roll(2)])
    dataset = PianoRolls("odd.mat")
    pieces = dict(piece for source in dataset.list_sources() for piece in dataset.read(source))
    errors = {name: str(piece) for name, piece in pieces.items() if isinstance(piece, Exception)}
    assert errors == {
        "train/0001": "is a matrix of 88 x 8, and a roll is of frames x 88.",
        "train/0002": "has values other than 0 and 1.",
        "train/0003": "has values other than 0 and 1.",
        "train/0004": "is not a matrix of numbers.",
    }
    assert len(pieces) == 7


def mat(**variables):
    from scipy.io import savemat

    savemat("x.mat", variables)


def cells(*rolls):
    found = np.empty((1, len(rolls)), dtype=object)
    found[0, :] = rolls
    return found


SIDES = {f"{side}data": cells(tune_roll(0)) for side in ("train", "valid", "test")}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: b"", "is not a MATLAB file of version 5 to 7"),
        (lambda data: b"not a file of MATLAB" * 20, "is not a MATLAB file of version 5 to 7"),
        (lambda data: data[:124] + b"\x00\x02IM" + data[128:], "is not a MATLAB file of version 5 to 7"),  # 7.3
        (lambda data: data[:200], "is damaged"),
        (lambda data: data[:128], "has no traindata"),
        (lambda data: data[:300] + bytes(40) + data[340:], "is damaged"),
    ],
    ids=["empty", "text", "version 7.3", "cut short", "header alone", "zeros inside"],
)
def test_a_file_that_is_no_matlab_file_is_refused_in_a_sentence(rolls, spoil, said):
    (rolls / "bad.mat").write_bytes(spoil((rolls / "set.mat").read_bytes()))
    with pytest.raises(UnreadableFile, match=rf"^bad\.mat: {said}") as caught:
        PianoRolls("bad.mat").list_sources()
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_variables_that_are_missing_or_no_cells_are_named(rolls):
    mat(**{name: value for name, value in SIDES.items() if name != "validdata"})
    with pytest.raises(
        UnreadableFile, match=r"x\.mat: has no validdata; rolls are in traindata, validdata and testdata"
    ):
        PianoRolls("x.mat").list_sources()
    mat(**{**SIDES, "testdata": tune_roll(0)})
    with pytest.raises(UnreadableFile, match=r"x\.mat: testdata is not a cell array"):
        PianoRolls("x.mat").list_sources()


@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_that_would_fill_the_memory_is_refused_before_it_does(rolls, monkeypatch, compressed):
    from scipy.io import savemat

    savemat("zeros.mat", {"traindata": np.zeros((1000, 1000))}, do_compression=compressed)
    monkeypatch.setattr(matfile, "LARGEST", 2**22)
    monkeypatch.setattr(matfile, "_load_variables", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(UnreadableFile, match=r"zeros\.mat: is too large for a set of piano rolls; at most 4 MB"):
        PianoRolls("zeros.mat").list_sources()


def test_a_file_that_is_not_there_is_a_clear_mistake(rolls):
    for name in ("nowhere.mat", "."):
        with pytest.raises(BadOption, match=r"no such file; give a \.mat file of piano rolls"):
            PianoRolls(name).list_sources()


# --- a trial of several architectures ---------------------------------------------------------------------------------

TINY = """
dataset = "piano-rolls:set.mat"
tokenizer = {name = "frames", in_c = true, lookback = [2, 4]}
architecture = {name = "lstm", hidden_size = 8, embedding_size = 8, layers = 1}
training = {evaluations = 2, batch_size = 2, chunk = 16}
"""


def test_a_trial_keeps_every_run_and_does_none_twice(rolls, monkeypatch):
    monkeypatch.setattr(trial, "TRIED", (1, 2))
    (rolls / "tiny.toml").write_text(TINY)
    asked = ["tiny.toml", "--results", "runs.jsonl", "--architectures", "lstm,mingru", "--minutes", "0"]
    first = CliRunner().invoke(trial.main, [*asked, "--seeds", "1"], catch_exceptions=False).output
    again = CliRunner().invoke(trial.main, [*asked, "--seeds", "2"], catch_exceptions=False).output
    rows = trial.read(rolls / "runs.jsonl")
    assert [(row["architecture"], row["seed"]) for row in rows] == [
        ("lstm", 0),
        ("mingru", 0),
        ("lstm", 1),
        ("mingru", 1),
    ]
    assert trial.make_table(rows[:2]) == first.splitlines()[-4:]
    assert trial.make_table(rows) == again.splitlines()[-4:]
    assert all(row["test"]["frames"] == 2 * 7 for row in rows)  # two rolls of eight frames, the first not scored


def test_a_trial_puts_the_best_first(rolls):
    def row(name, nats):
        return {
            "architecture": name,
            "parameters": 1000,
            "seconds": 300,
            "training": {"steps": 10},
            "test": {"nats_per_frame": nats},
        }

    assert trial.make_table([row("worse", 2.0), row("better", 1.0), row("better", 1.5)])[2:] == [
        "| `better` | 1,000 | 10 | 5.0 | 1.250 | 1.000, 1.500 |",
        "| `worse` | 1,000 | 10 | 5.0 | 2.000 | 2.000 |",
    ]
