"""What pieces sound like: instruments, dynamics and rubato, in every command that writes, and not on paper."""

from dataclasses import replace

import numpy as np
import pytest
from music import line, score

from composer.errors import BadOption
from composer.generation import tasks
from composer.generation.finishing import add_flagged, transform_score
from composer.io import formats
from composer.io.formats import read, read_provenance
from composer.music.general_midi import find_program
from composer.music.phrases import find_phrases
from composer.music.score import TICKS_PER_QUARTER, Tempo, Text
from composer.request import Request, Spec
from composer.types import Piece
from composer_transforms.expression import Dynamics, Rubato
from composer_transforms.instruments import Instrument

SCALE = (60, 1), (62, 1), (64, 1), (65, 1), (67, 1), (65, 1), (64, 2)
TUNE = score(line(*SCALE, *SCALE, name="Soprano"), line((48, 4), (50, 4), (48, 4), (50, 4), name="Bass"))


def change(transform, one):
    return transform(one, np.random.default_rng(0))


def velocities(one, track=0):
    return one.tracks[track].notes["velocity"].tolist()


# --- instruments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "program"),
    [("strings", 48), ("organ", 19), ("piano", 0), ("choir", 52), ("French Horn", 60), ("flutes", 73), ("41", 41)],
)
def test_an_instrument_is_a_name_or_a_number(text, program):
    assert find_program(text) == program


@pytest.mark.parametrize(
    ("text", "words"), [("flut", "the nearest is flute"), ("128", "from 0 to 127"), ("", "such as|there are")]
)
def test_a_wrong_instrument_leads_to_the_nearest(text, words):
    with pytest.raises(ValueError, match=words):
        find_program(text)


def test_parts_have_their_own_instruments_and_all_the_rest_another():
    changed = change(Instrument("bass=cello,all=organ"), TUNE)
    assert [track.program for track in changed.tracks] == [19, 42]
    assert [track.program for track in change(Instrument("2=cello"), TUNE).tracks] == [0, 42]


# --- dynamics ---------------------------------------------------------------------------------------------------------


def test_phrases_end_with_long_notes():
    ticks = [(phrase.start, phrase.last, phrase.end) for phrase in find_phrases(TUNE)]
    assert [tuple(tick // TICKS_PER_QUARTER for tick in phrase) for phrase in ticks] == [(0, 6, 8), (8, 14, 16)]


def test_a_line_grows_with_its_phrase_and_bars_begin_louder():
    flat = replace(TUNE, tracks=TUNE.tracks[:1])
    by_beat = velocities(change(Dynamics(contour=0, phrase=0, accents=8), flat))
    assert by_beat[:4] == [88, 80, 84, 80]
    by_phrase = velocities(change(Dynamics(accents=0), flat))[:7]
    assert max(by_phrase) == by_phrase[4]
    assert by_phrase[0] < 80
    assert by_phrase[6] < by_phrase[4]


def test_own_dynamics_stay_and_a_level_moves_them():
    loud = TUNE.tracks[0].notes.copy()
    loud["velocity"] = 60 + np.arange(len(loud))
    own = replace(TUNE, tracks=(replace(TUNE.tracks[0], notes=loud),))
    assert change(Dynamics(), own) == own
    soft = velocities(change(Dynamics("p"), own))
    assert np.diff(soft).tolist() == [1] * 13
    assert abs(np.mean(soft) - 49) < 1


def test_new_pieces_have_dynamics_and_older_requests_are_made_as_they_were(player):
    new = player.generate(bars=2, seed=4)
    old = tasks.make(player, [Request.from_json({"seed": 4, "bars": 2, **player.suggested.to_json()})])[0]
    assert [one["name"] for one in new.provenance["request"]["transforms"]] == ["dynamics"]
    assert {v for track in old.score.tracks for v in track.notes["velocity"].tolist()} == {80}
    assert len({v for track in new.score.tracks for v in track.notes["velocity"].tolist()}) > 2
    assert player.regenerate(new).score == new.score
    assert "transforms" not in player.generate(bars=2, seed=4, dynamics="none").provenance["request"]


def test_a_primer_keeps_its_velocities(player):
    piece = player.generate(primer=score(line((60, 1), (62, 1), (64, 1), (65, 1))), bars=2, seed=1)
    notes = np.concatenate([track.notes for track in piece.score.tracks])
    is_primer = notes["start"] < piece.provenance["request"]["primer_ticks"]
    assert set(notes["velocity"][is_primer].tolist()) == {80}
    assert len(set(notes["velocity"][~is_primer].tolist())) > 1


def test_typed_notes_are_shaped_as_new_ones(run, here, model_file):
    line = "C4 D4 E4 F4 G4 F4 E4 D4"
    assert not run("generate", "on.mid", "--primer", line, "--bars", "2", "--model", model_file, "--quiet").status
    notes = read(here / "on.mid").tracks[0].notes
    assert len(set(notes["velocity"][:8].tolist())) > 2
    assert not run("generate", "same.mid", "--primer", "on.mid", "--bars", "1", "--model", model_file).status
    assert read(here / "same.mid").tracks[0].notes[: len(notes)].tolist() == notes.tolist()


def test_fixed_notes_keep_their_velocities_and_the_instrument_changes_them_all(player):
    filled = player.fill(TUNE, bars=2, seed=1, particles=2, instrument="organ", rubato=True)
    for track in filled.score.tracks:
        fixed = (track.notes["start"] < 1920) | (track.notes["start"] >= 3840)
        assert set(track.notes["velocity"][fixed].tolist()) <= {80}
        assert track.program == 19


def test_options_count_before_what_is_usual():
    assert add_flagged((), {}) == (Spec("dynamics"),)
    assert add_flagged((), {}, usual=False) == ()
    assert add_flagged((Spec("dynamics", {"level": "p"}),), {}) == (Spec("dynamics", {"level": "p"}),)
    assert add_flagged((Spec("comp"),), {"dynamics": "none", "rubato": True}) == (Spec("rubato"), Spec("comp"))
    with pytest.raises(BadOption, match="'loud', which is not pp or p"):
        add_flagged((), {"dynamics": "loud"})


# --- rubato, and paper ------------------------------------------------------------------------------------------------


def test_phrases_slow_down_at_their_ends_and_the_last_one_more():
    slow = change(Rubato(), replace(TUNE, tempos=(Tempo(0, 100),)))
    quarters = [(tempo.tick / TICKS_PER_QUARTER, tempo.bpm) for tempo in slow.tempos]
    assert quarters == [(0, 100), (5, 95), (6, 90), (8, 100), (13, 90), (14, 80)]
    assert slow.tracks == TUNE.tracks


@pytest.mark.parametrize("suffix", [".musicxml", ".abc"])
def test_paper_shows_neither(suffix, here, recwarn):
    score = transform_score(replace(TUNE, tempos=(Tempo(0, 100),)), add_flagged((), {"rubato": True}), (0, 0, 0))
    shaped = {"request": {"transforms": [{"name": "dynamics", "options": {}}]}}
    formats.write([Piece(score, shaped)], f"x{suffix}")
    text = (here / f"x{suffix}").read_text()
    assert text.count("<metronome") + text.count("Q:") == 1
    assert "<dynamics" not in text
    assert "<wedge" not in text
    assert not recwarn


def test_commands_take_them_and_say_so_in_the_file(run, here, model_file):
    model = ("--model", model_file, "--seed", 2)
    asked = ("--instrument", "choir", "--dynamics", "p", "--rubato")
    assert run("generate", "x.mid", *model, "--bars", 2, *asked).status == 0
    transforms = read_provenance(here / "x.mid")["request"]["transforms"]
    assert [one["name"] for one in transforms] == ["dynamics", "instrument", "rubato"]
    assert {track.program for track in read(here / "x.mid").tracks} == {52}
    assert run("regenerate", "x.mid", "y.mid").status == 0
    assert (here / "x.mid").read_bytes() == (here / "y.mid").read_bytes()
    assert "the nearest is flute" in run("generate", "z.mid", *model, "--instrument", "flut").err


# --- repeats ----------------------------------------------------------------------------------------------------------


LAST = (67, 1), (65, 1), (64, 1), (62, 1)
OTHER = (72, 1), (71, 1), (69, 1), (67, 1)


def _make_form(*bars, names, each):
    one = score(line(*(note for bar in bars for note in bar)))
    return replace(one, markers=tuple(Text(n * each * 1920, name) for n, name in enumerate(names)))


@pytest.mark.parametrize("suffix", [".musicxml", ".abc"])
@pytest.mark.parametrize(
    ("bars", "endings"), [((LAST, OTHER, LAST, OTHER, OTHER, LAST), 0), ((LAST, OTHER, LAST, LAST, OTHER, OTHER), 2)]
)
def test_a_section_that_comes_twice_is_written_once_and_played_twice(bars, endings, suffix, here):
    form = _make_form(*bars, names="AAB", each=2)
    formats.write([Piece(form)], f"x{suffix}")
    text = (here / f"x{suffix}").read_text()
    if suffix == ".abc":
        assert text.count(":|") == 1
        assert text.count("[1") + text.count("[2") == endings
    else:
        assert text.count("<measure ") == 4 + endings // 2
        assert text.count('<repeat direction="backward"') == 1
    back = read(here / f"x{suffix}")
    assert np.array_equal(back.tracks[0].notes, form.tracks[0].notes)
    assert [mark.text for mark in back.markers] == list("AAB")


def test_it_is_written_out_where_that_is_asked_for_or_the_sections_differ(here):
    form = _make_form(LAST, OTHER, LAST, OTHER, names="AA", each=2)
    formats.write([Piece(form)], "x.musicxml", repeats=False)
    assert (here / "x.musicxml").read_text().count("<measure ") == 4
    differs = _make_form(LAST, OTHER, OTHER, LAST, names="AA", each=2)
    formats.write([Piece(differs)], "y.musicxml")
    assert "<repeat" not in (here / "y.musicxml").read_text()


@pytest.mark.parametrize(("suffix", "sign"), [(".musicxml", "<fermata"), (".abc", " H")])
def test_four_new_voices_have_fermatas_where_they_rest(suffix, sign, here):
    phrase = (67, 1), (65, 1), (64, 2), (62, 1), (60, 1), (64, 2)
    chorale = score(*(line(*((pitch - 5 * n, beats) for pitch, beats in phrase)) for n in range(4)))
    made_by = {"request": {"seed": 1}}
    formats.write([Piece(chorale, made_by)], f"x{suffix}")
    assert (here / f"x{suffix}").read_text().count(sign) == 4
    formats.write([Piece(chorale, made_by)], f"none{suffix}", fermatas=False)
    formats.write([Piece(chorale)], f"other{suffix}")
    assert not any(sign in (here / f"{name}{suffix}").read_text() for name in ("none", "other"))


def test_the_page_shows_every_bar_that_is_played(here):
    from composer_page import forms

    form = _make_form(LAST, OTHER, LAST, OTHER, names="AA", each=2)
    svg = forms.write_forms(Piece(form), [forms.ENGRAVED]).data[forms.ENGRAVED]
    assert len(forms.find_bars(svg, 4)) == 4
    formats.write([Piece(form)], "x.svg")
    assert (here / "x.svg").read_text().count('class="measure"') in (0, 2)


# --- presets ----------------------------------------------------------------------------------------------------------


def test_a_preset_of_ones_own_stands_for_its_options_and_the_line_counts_before_it(run, here, model_file, monkeypatch):
    monkeypatch.setenv("COMPOSER_CONFIG", str(here))
    own = f'[tiny]\nabout = "two bars"\nmodel = "{model_file}"\nbars = 2\ninstrument = "harp"\ntemperature = 0.5\n'
    (here / "presets.toml").write_text(own)
    listed = run("presets")
    assert "--bars 2 --instrument harp --temperature 0.5" in listed.out
    assert "hymn" in listed.out
    assert "--form AAB --bars 4" in listed.out
    assert run("generate", "x.mid", "--preset", "tiny", "--bars", 1, "--seed", 1).status == 0
    request = read_provenance(here / "x.mid")["request"]
    assert request["bars"] == 1
    assert {"name": "temperature", "options": {"temperature": 0.5}} in request["samplers"]
    assert {track.program for track in read(here / "x.mid").tracks} == {46}


def test_what_is_wrong_with_a_preset_is_one_sentence(run, here, monkeypatch):
    monkeypatch.setenv("COMPOSER_CONFIG", str(here))
    assert "did you mean 'lullaby'?" in run("generate", "x.mid", "--preset", "lulaby").err
    (here / "presets.toml").write_text("[odd]\nbarz = 2\n")
    assert "preset 'odd' has no option 'barz': did you mean 'bars'?" in run("generate", "x.mid", "--preset", "odd").err
    (here / "presets.toml").write_text("[odd")
    assert "cannot be read as TOML" in run("presets").err
