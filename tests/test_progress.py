"""What commands show while they work: on a terminal a line that changes, on a pipe plain lines."""

from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from composer.cli import progress
from composer.cli.progress import _format_refusals, _is_users_own
from composer.cli.tables import print_table
from composer.data.encoding import Refused
from composer.sampling.watching import watch
from composer.training.callbacks import Moment
from composer.training.callbacks import Progress as TrainingProgress
from composer_batch.progress import show_progress
from composer_batch.scheduler import Progress as BatchProgress


@pytest.mark.parametrize(
    ("seconds", "words", "clock"),
    [(0.4, "0 s", "0:00"), (89, "89 s", "1:29"), (720, "12 min", "12:00"), (11_100, "3 h 5 min", "3:05:00")],
)
def test_a_length_of_time_stands_in_words_and_as_on_a_clock(seconds, words, clock):
    assert (progress.format_duration(seconds), progress.format_clock(seconds)) == (words, clock)


@pytest.fixture
def terminal(monkeypatch):
    """Let rich take stderr for a terminal."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Console, "is_terminal", property(lambda self: True))


@pytest.mark.parametrize("width", [5, 5000])
def test_a_table_on_a_pipe_has_whole_cells_and_no_padding(capsys, width):
    print_table("Things", ["name", "what it is"], [["a", "short"], ["b", "x" * width]])
    lines = capsys.readouterr().out.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert [len(line) for line in lines if "b   " in line] == [9 + width]
    assert max(len(line) for line in lines if "─" in line) <= 80


def watch_training():
    """Show a step and a validation."""
    told = TrainingProgress(20, 100, 0.5, 1234.5, 10.0, 65.0, 0.75)
    validated = TrainingProgress(50, 100, 1.0, 1234.5, 10.0, 65.0, 0.75, valid=0.5, best=0.5)
    with progress.show_training() as listener:
        for event, now in (("start", told), ("step", told), ("validation", validated), ("checkpoint", validated)):
            listener(Moment(event, now, dict))


def test_on_a_pipe_a_training_prints_its_validations_alone(capfd):
    watch_training()
    line = "step 50/100 · 1,234 tokens/s · 1:05 left · train 0.750 · valid 0.500 nats/note *\n"
    assert capfd.readouterr() == ("", line)


def test_on_a_terminal_a_training_has_a_line_that_changes(terminal, capfd):
    watch_training()
    shown = capfd.readouterr().err
    assert "valid 0.500 nats/note *" in shown
    assert "\x1b[2K" in shown  # the line that changes is erased


def going(*, made):
    """A batch of ten pieces, some of them made."""
    return BatchProgress(10, Counter(done=made, waiting=10 - made), Counter(), made, 4.0)


def test_a_log_has_a_line_of_a_batch_every_ten_seconds(capfd):
    times = iter([0, 0, 1, 12, 12])
    with show_progress(quiet=False, as_json=False, clock=lambda: next(times)) as report:
        for made in (1, 2, 4):
            report(going(made=made))
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == ("1 of 10 pieces done, 0.2 a second, 36 s left\n4 of 10 pieces done, 1.0 a second, 6 s left\n")


def test_a_quiet_batch_shows_nothing(capfd):
    with show_progress(quiet=True, as_json=False) as report:
        report(going(made=3))
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_a_batch_has_a_line_that_changes(terminal, capfd):
    with show_progress(quiet=False, as_json=False) as report:
        report(going(made=3))
    said = capfd.readouterr()
    assert "3 of 10 pieces done" in said.err
    assert said.out == ""


def test_refusals_of_one_reason_are_one_line_and_those_of_shipped_music_are_none():
    class Built:
        refused = [Refused(f"{n}.mid", f"there are {n} parts.") for n in range(2, 9)] + [Refused("x.mid", "is empty.")]
        folder = Path("corpora")

    assert list(_format_refusals(Built())) == [
        "2.mid, 3.mid, 4.mid and 4 more: there are 2 parts.",
        "x.mid: is empty.",
        f"… all 8 are listed in {Path('corpora/corpus.json')}",
    ]
    assert _is_users_own("folder:mine")
    assert not _is_users_own("tunes")


def test_whoever_waits_for_a_piece_is_told_its_bars(player):
    told = []
    with watch(lambda bar, bars: told.append((bar, bars))):
        player.generate(bars=12, seed=1)
    assert told == sorted(told)
    assert {bars for _, bars in told} <= {0, 12}
    assert told[-1][0] > told[0][0]
    assert progress._describe_work(1, *told[-1]).startswith("writing · 1 piece · bar ")
