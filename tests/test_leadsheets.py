"""Lead sheets: a melody and chord symbols in one sequence, each new to the other, or both."""

from dataclasses import replace

import numpy as np
import pytest
from music import BAR, QUARTER, line, score, words

from composer.errors import BadOption, CannotExpress, RequestWarning, UnreadableFile
from composer.generation.generator import Generator
from composer.io import formats
from composer.model import save
from composer.music.chords import find_nearest_quality, parse_chord, spell_chord
from composer.music.keys import parse_key
from composer.music.score import ChordSymbol
from composer.music.transposing import transpose_score
from composer.request import Request, SamplerSpec
from composer.testing import check_fixed_notes, check_grammar, check_infilling, check_tokenizer, make_random_model
from composer.types import CHORDS, Piece, Span
from composer_leadsheet.symbols import QUALITIES
from composer_leadsheet.tokenizer import LeadSheet, make_lead_sheet
from composer_leadsheets.dataset import make_sheet

SMALL = {"steps_per_quarter": 4, "time_signatures": ("4/4",)}


def symbols(*pairs):
    """Chord symbols of (quarter, text)."""
    return tuple(ChordSymbol(int(at * QUARTER), text) for at, text in pairs)


def list_symbols(music):
    return [(one.tick / QUARTER, one.text) for one in music.chords]


def sheet(*pairs, key="C"):
    """Two bars of a tune with chord symbols."""
    return score(line((60, 2), (64, 2), (67, 4), name="Melody"), key=key, chords=symbols(*pairs))


@pytest.fixture(scope="module")
def model():
    return make_random_model("gru", "leadsheet", SMALL, hidden_size=16, embedding_size=16)


@pytest.fixture(scope="module")
def generator(model):
    return Generator(model)


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_symbols_stand_before_the_melody_at_their_place_as_in_c():
    tokenizer = LeadSheet()
    music = sheet((0, "D"), (2, "A7/C#"), (6, "N.C."), key="D")
    assert words(tokenizer, tokenizer.encode(sheet(key="D"))).partition("Bar_2 ")[2] == (
        "Position_0 Tone_58 Position_24 Tone_62 Bar_1 Position_0 Tone_65 EOS_None"
    )
    assert words(tokenizer, tokenizer.encode(music)).partition("Bar_2 ")[2] == (
        "Position_0 Root_0 Quality_major Tone_58 Position_24 Root_7 Quality_7 Bass_4 Tone_62 "
        "Bar_1 Position_0 Tone_65 Position_24 Root_None Hold_None EOS_None"
    )


def test_a_lead_sheet_comes_back_with_the_nearest_quality_spelled_in_its_key():
    tokenizer, music = LeadSheet(), make_lead_sheet()
    kept = tokenizer.decode(tokenizer.encode(music))
    assert kept.tracks == music.tracks
    assert [(one.tick, one.text.replace("C13", "C13#11")) for one in kept.chords] == [
        (one.tick, one.text) for one in music.chords
    ]


def test_all_keys_are_one():
    tokenizer, music = LeadSheet(), make_lead_sheet()
    here, there = tokenizer.encode(music), tokenizer.encode(transpose_score(music, 1))
    assert [tokenizer.vocabulary[token] for token in there[here != there]] == ["Key_F#"]


def test_of_symbols_that_nobody_knows_root_and_third_count():
    tokenizer = LeadSheet()
    found = tokenizer.decode(tokenizer.encode(sheet((0, "Am?!"), (2, "H7"), (3, "Cmaj7#"), (4, "G"))))
    assert list_symbols(found) == [(0, "Am"), (3, "C"), (4, "G")]


@pytest.mark.parametrize(
    ("key", "root", "quality", "bass", "name"),
    [
        ("C", 1, "", 1, "Db"), ("C", 1, "dim7", 1, "C#dim7"), ("Eb", 11, "7", 11, "B7"), ("Gb", 11, "", 11, "Cb"),
        ("F", 2, "7", 6, "D7/F#"), ("E", 3, "m7b5", 3, "D#m7b5"), ("Am", 8, "dim", 8, "G#dim"),
        ("F#", 10, "m", 10, "A#m"), ("D", 7, "m", 10, "Gm/Bb"), ("Bb", 4, "dim", 10, "Edim/Bb"),
        ("B", 4, "maj7", 4, "Emaj7"),
    ],
)  # fmt: skip
def test_a_chord_is_spelled_as_its_key_is(key, root, quality, bass, name):
    assert str(spell_chord(root, quality, bass, parse_key(key))) == name
    assert parse_chord(name) == spell_chord(root, quality, bass, parse_key(key))


@pytest.mark.parametrize(
    ("quality", "nearest"),
    [("m7", "m7"), ("maj9", "maj7"), ("add9", ""), ("7#9", "7"), ("69", "6"), ("9sus4", "7sus4"), ("11", "9")],
)
def test_a_quality_without_a_token_becomes_the_nearest(quality, nearest):
    assert find_nearest_quality(quality, QUALITIES) == nearest


@pytest.mark.parametrize("qualities", [(), ("",) * 2, ("min7",), ("x",)])
def test_qualities_that_are_none_are_refused(qualities):
    with pytest.raises(ValueError, match="qualities must be such as m, dim"):
        LeadSheet(qualities=qualities)


def test_music_in_parts_is_refused():
    with pytest.raises(CannotExpress, match="there are 2 parts"):
        LeadSheet().encode(score(line((60, 4)), line((48, 4))))


def test_the_contract_is_kept():
    tokenizer = LeadSheet(lookback=(1,), recall=True, sections=True, time_signatures=("3/4", "4/4"))
    check_tokenizer(tokenizer, [make_lead_sheet(), sheet((1, "F"))])
    check_grammar(tokenizer, rows=8)
    check_infilling(LeadSheet(**SMALL), [make_lead_sheet()])


def test_what_is_fixed_stays_and_the_other_is_free():
    music = sheet((0, "C"), (2, "F/A"), (5, "N.C."))
    kept, pieces = check_fixed_notes(LeadSheet(**SMALL), music, [Span(0, 10**9, CHORDS)], rows=8)
    assert all(piece.chords == kept.chords for piece in pieces)
    assert len({len(piece.tracks[0].notes) for piece in pieces}) > 1
    kept, pieces = check_fixed_notes(LeadSheet(**SMALL), music, [Span(0, 10**9, 0)], rows=8)
    assert all(piece.tracks == kept.tracks for piece in pieces)
    assert len({piece.chords for piece in pieces}) > 1


def test_a_fixed_stretch_begins_with_the_chord_in_force():
    music = sheet((0, "G"), (6, "C"))
    _, pieces = check_fixed_notes(LeadSheet(**SMALL), music, [Span(BAR, 10**9, CHORDS)], rows=8)
    for piece in pieces:
        before = [text for at, text in list_symbols(piece) if at < 4]
        after = [one for one in list_symbols(piece) if one[0] >= 4]
        assert after == ([(6, "C")] if before[-1:] == ["G"] else [(4, "G"), (6, "C")])


def test_a_track_that_does_not_exist_cannot_be_kept():
    with pytest.raises(BadOption, match="there is no track 1"):
        LeadSheet().grammar.fix_notes(sheet(), [Span(0, BAR, 1)])


# --- both directions --------------------------------------------------------------------------------------------------


def chain(text, **more):
    return Request(bars=3, seed=1, samplers=(SamplerSpec("chords", {"chords": text, **more}),))


def test_given_chords_are_written_by_the_model_and_its_notes_are_free(generator):
    """In edition 1 nothing is written onto pieces: what stands there are the model's own symbols."""
    from composer.generation.generator import generate

    pieces = generate(generator, [replace(chain("Dm7 G7/B | C#9 | N.C.", edition=1), index=n) for n in range(4)])
    for piece in pieces:
        start = piece.score.upbeat / QUARTER
        found = [(at - start, parse_chord(text).tones) for at, text in list_symbols(piece.score)]
        names = ("Dm7", "G7/B", "C#9", "N.C.")
        assert found == [(at, parse_chord(name).tones) for at, name in zip((0, 2, 4, 8), names, strict=True)]
    notes = np.concatenate([piece.score.tracks[0].notes["pitch"] for piece in pieces])
    assert len(np.unique(notes % 12)) > 8


def test_typed_symbols_stay_as_they_are_typed_also_in_forms(generator):
    from composer.generation.form_spec import Form
    from composer.generation.tasks import make

    request = replace(chain("C7alt | Gbmaj9", edition=2), bars=2)
    [piece] = make(generator, [Form.parse(request, "AAB")])
    start = piece.score.upbeat / QUARTER
    assert [(at - start, text) for at, text in list_symbols(piece.score)] == [
        (4 * bar, ("C7alt", "Gbmaj9")[bar % 2]) for bar in range(6)
    ]


def test_chords_to_a_melody_leave_it_alone(run, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    save(model, tmp_path / "sheets.safetensors")
    music = replace(sheet((0, "C"), key="F"), tempos=())
    formats.write([Piece(music)], tmp_path / "tune.musicxml")
    few = ("--model", "sheets.safetensors", "--particles", 4)
    with pytest.warns(RequestWarning, match="the melody has a chord symbol already; new ones take their place"):
        assert run("chords", "tune.musicxml", "lead.musicxml", *few, "--seed", 1).status == 0
    written = formats.read(tmp_path / "lead.musicxml")
    assert np.array_equal(written.tracks[0].notes, music.tracks[0].notes)
    assert written.chords != music.chords
    asked = ("lead.musicxml", "only.musicxml", *few, "--seed", 2)
    assert run("fill", *asked, "--voice", "melody").status == 0
    assert formats.read(tmp_path / "only.musicxml").chords == written.chords
    assert run("fill", *asked, "--voice", "chords", "--force").status == 0
    assert formats.read(tmp_path / "only.musicxml").tracks == written.tracks
    assert "there is: chords, melody" in run("fill", *asked, "--voice", "bass", "--force").err
    assert "`composer chords` writes" in run("harmonize", "tune.musicxml", "x.mid", *few).err


def test_rewritten_bars_have_new_symbols_and_the_others_keep_theirs(generator):
    from composer.generation.infilling import plan_gap
    from composer.generation.tasks import make

    music = score(line(*[(60, 4)] * 6), chords=symbols((0, "C"), (6, "Dm7"), (9, "E7alt"), (14, "F"), (20, "H7")))
    with pytest.warns(RequestWarning, match="taken in part: H7"):
        wanted = plan_gap(generator, music, Request(seed=3), bars=(3, 4), particles=4)
    found = list_symbols(make(generator, [wanted])[0].score)
    assert [one for one in found if one[0] < 8 or one[0] > 16] == [(0, "C"), (6, "Dm7"), (20, "H7")]
    assert (9, "E7alt") not in found
    assert [text for at, text in found if at <= 16][-1] == "F"


def test_a_model_without_symbols_writes_none(run, tmp_path):
    ran = run("chords", "C4 D4 E4/2 C4", tmp_path / "x.mid", "--model", "chorales")
    assert (ran.status, "this model writes no chord symbols; choose one that does" in ran.err) == (2, True)


def test_symbols_of_the_model_can_be_played(generator):
    from composer.generation.annotating import check_comp

    check_comp(generator.tokenizer.token_info, Request())
    with pytest.raises(BadOption, match="--comp plays the chords"):
        check_comp(replace(generator.tokenizer.token_info, qualities=()), Request())


# --- reading ----------------------------------------------------------------------------------------------------------


HARMONY = "<harmony><root><root-step>{}</root-step></root><kind>{}</kind>{}</harmony>"
NOTE = "<note><pitch><step>C</step><octave>5</octave></pitch><duration>{}</duration></note>"


@pytest.mark.parametrize(
    ("music", "found"),
    [
        ("DG8", [(0, "D"), (2, "G")]),
        ("DGA8", [(0, "D"), (1, "G"), (2, "A")]),
        ("D4G4", [(0, "D"), (2, "G")]),
        ("DG2A6", [(0, "D"), (0.5, "G"), (1, "A")]),
        ("Dg8", [(0, "D"), (3, "G")]),
    ],
)
def test_symbols_before_one_note_share_its_length(tmp_path, music, found):
    """Digits are notes, in eighths; a small letter is a symbol with an offset of six eighths."""
    offset = "<offset>6</offset>"
    parts = [
        NOTE.format(sign)
        if sign.isdecimal()
        else HARMONY.format(sign.upper(), "major", "" if sign.isupper() else offset)
        for sign in music
    ]
    text = (
        "<score-partwise><part-list><score-part id='P1'><part-name>Lead</part-name></score-part></part-list>"
        "<part id='P1'><measure number='1'><attributes><divisions>2</divisions><time><beats>4</beats>"
        f"<beat-type>4</beat-type></time></attributes>{''.join(parts)}</measure></part></score-partwise>"
    )
    (tmp_path / "lead.musicxml").write_text(text)
    assert list_symbols(formats.read(tmp_path / "lead.musicxml")) == found


def test_sheets_have_a_key_and_no_repeated_symbols():
    minor = score(line((69, 2), (71, 2), (69, 4)), chords=symbols((0, "Am"), (2, "E7"), (3, "E7"), (4, "Ami")))
    found = make_sheet(minor)
    assert str(found.key_signatures[0].key) == "Am"
    assert list_symbols(found) == [(0, "Am"), (2, "E7"), (4, "Ami")]
    assert str(make_sheet(replace(minor, key_signatures=())).key_signatures[0].key) == "Am"
    assert str(make_sheet(sheet((0, "Am"), (4, "C"))).key_signatures[0].key) == "C"
    with pytest.raises(UnreadableFile, match="has no chord symbols"):
        make_sheet(sheet((0, "?")))
