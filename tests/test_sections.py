"""Sections: read from repeats and double bars, kept by every format, and told to a model."""

from dataclasses import replace

import numpy as np
import pytest

from composer.io import formats
from composer.music.keys import Key
from composer.music.score import END, KeySignature, Score, Text, TimeSignature, Track, make_notes
from composer.music.score_json import score_from_json, score_to_json
from composer.music.sections import name_in_order, name_sections
from composer.request import Request
from composer.testing.grammars import check_grammar, check_infilling
from composer.testing.sequences import draw
from composer.testing.tokenizers import check_tokenizer
from composer.tokens import bar_sections
from composer.tokens.bar_grammar import Field
from composer.types import Piece, Span
from composer_notation.sections import find_starts, name_played_sections
from composer_notation.unfolding import Signs, find_order
from composer_remi.tokenizer import Remi
from composer_voices.tokenizer import Voices

Q = 480
TUNE = Voices(names=("Tune",), steps_per_quarter=4, sections=True)
BAND = Remi(steps_per_quarter=4, sections=True)

# --- as they are played -----------------------------------------------------------------------------------------------

PLAIN, OPENS, CLOSES = Signs(), Signs(opens=True), Signs(times=2)
FIRST, SECOND = Signs(endings=(1,), times=2, begins_ending=True), Signs(endings=(2,), begins_ending=True)


def show_sections(signs, doubles=(), short=(), music=None):
    """The measures played, each section after its letter: `A:abab B:c`."""
    order = find_order(signs)
    count = len(signs)
    starts = find_starts(signs, [index in doubles for index in range(count)])
    names = name_played_sections(order, starts, [index in short for index in range(count)], music or range(count))
    shown = (
        "".join([f" {names[place]}:" if place in names else "", chr(97 + index)]) for place, index in enumerate(order)
    )
    return "".join(shown).strip()


@pytest.mark.parametrize(
    ("signs", "options", "expected"),
    [
        ([PLAIN, PLAIN, PLAIN], {}, "abc"),  # one section: none
        ([PLAIN, CLOSES, PLAIN, CLOSES], {}, "A:ab A:ab B:cd B:cd"),
        ([PLAIN, PLAIN, PLAIN], {"doubles": {1}}, "A:ab B:c"),
        ([OPENS, PLAIN, CLOSES, PLAIN], {"doubles": {0}}, "A:abc A:abc B:d"),  # not within a repeat
        ([OPENS, FIRST, SECOND, PLAIN], {}, "A:ab A:ac B:d"),  # one letter, whatever the ending
        ([PLAIN, Signs(times=3)], {}, "A:ab A:ab A:ab"),
        ([PLAIN, CLOSES, PLAIN, CLOSES], {"short": {0, 2}}, "a A:ba A:bc B:dc B:d"),  # after the pickup
        ([PLAIN, OPENS, CLOSES], {"short": {0}}, "a A:bc A:bc"),  # a pickup is no section
        ([PLAIN] * 4, {"doubles": {1}, "music": "xyxy"}, "A:ab A:cd"),  # written twice
        ([PLAIN, Signs(fine=True), Signs(jump="beginning")], {"doubles": {1}}, "A:ab B:c A:ab"),
    ],
)
def test_a_section_begins_at_each_repeat_and_double_bar(signs, options, expected):
    assert show_sections(signs, **options) == expected


def test_names_go_on_after_z():
    assert name_in_order("abca") == ["A", "B", "C", "A"]
    assert name_in_order(range(28))[25:] == ["Z", "AA", "AB"]


# --- files ------------------------------------------------------------------------------------------------------------

ABC = "X:1\nT:Jig\nM:4/4\nL:1/4\nK:G\nD|GABc|d3:|\n|:B|dcBA|G3:|\n"
KERN = "**kern\n*M2/4\n4c\n4d\n=:|!\n4e\n4f\n=||\n4g\n4a\n==\n*-\n"


def write(path, text):
    path.write_text(text)
    return formats.read(path)


def show_marks(score):
    """The sections, each with the quarter note at which it begins."""
    return [(marker.text, marker.tick / Q) for marker in score.markers]


def test_abc_has_its_repeats_as_sections(tmp_path):
    assert show_marks(write(tmp_path / "jig.abc", ABC)) == [("A", 1), ("A", 9), ("B", 17), ("B", 25)]


def test_labels_of_a_file_are_its_own(tmp_path):
    score = write(tmp_path / "tune.abc", "X:1\nM:4/4\nL:1/4\nK:C\n[P:Verse]CDEF|[P:Chorus]GABc||cBAG|]\n")
    assert show_marks(score) == [("Verse", 0), ("Chorus", 4)]


def test_kern_has_its_repeats_and_double_bars_as_sections(tmp_path):
    assert show_marks(write(tmp_path / "piece.krn", KERN)) == [("A", 0), ("A", 2), ("B", 4), ("C", 6)]


@pytest.mark.parametrize("suffix", [".musicxml", ".abc", ".mid"])
def test_every_format_keeps_them(tmp_path, suffix):
    score = write(tmp_path / "jig.abc", ABC)
    formats.write([Piece(score, {})], tmp_path / f"jig{suffix}")
    assert formats.read(tmp_path / f"jig{suffix}").markers == score.markers
    assert score_from_json(score_to_json(score)).markers == score.markers


XML = """<score-partwise><part-list><score-part id="P1"><part-name>Tune</part-name></score-part></part-list>
<part id="P1">{}</part></score-partwise>"""
TIME = "<attributes><divisions>1</divisions><time><beats>2</beats><beat-type>4</beat-type></time></attributes>"
NOTE = "<note><pitch><step>{}</step><octave>4</octave></pitch><duration>2</duration></note>"
BACK = '<barline location="right"><repeat direction="backward"/></barline>'
DOUBLE = '<barline location="right"><bar-style>light-light</bar-style></barline>'


def test_musicxml_has_its_repeats_and_double_bars_as_sections(tmp_path):
    bars = [TIME + NOTE.format("C"), NOTE.format("D") + BACK, NOTE.format("E") + DOUBLE, NOTE.format("F")]
    text = XML.format("".join(f"<measure>{bar}</measure>" for bar in bars))
    score = write(tmp_path / "piece.musicxml", text)
    assert show_marks(score) == [("A", 0), ("A", 4), ("B", 8), ("C", 10)]


# --- tokens -----------------------------------------------------------------------------------------------------------


def make_line(quarters, sections=(), upbeat=0):
    """A line of quarter notes, with sections at these quarters; a pitch for each place in the bar."""
    notes = make_notes((Q * n, Q, 60 + (n - upbeat) % 4, 80) for n in range(quarters))
    markers = tuple(Text(Q * at, name) for at, name in sections)
    sign, key = (TimeSignature(0, 4, 4),), (KeySignature(0, Key(0)),)
    return Score((Track(notes, "Tune"),), (), sign, key, upbeat=upbeat * Q, markers=markers)


AABB = make_line(33, [(1, "A"), (9, "A"), (17, "B"), (25, "B")], upbeat=1)


SHORT = make_line(13, [(1, "A"), (5, "A")], upbeat=1)


def name_tokens(tokenizer, tokens, kinds=("Section", "Bar")):
    names = (tokenizer.vocabulary[token] for token in tokens)
    return " ".join(name for name in names if name.startswith(kinds))


def test_a_section_tells_its_bars_without_the_pickup():
    tokens = TUNE.encode(make_line(17, [(1, "A"), (9, "B")], upbeat=1))
    assert name_tokens(TUNE, tokens) == "Section_2 Bar_5 Bar_4 Bar_3 Section_2 Bar_2 Bar_1"


@pytest.mark.parametrize(
    ("quarters", "marks", "expected"),
    [
        (16, [], "Section_None"),  # without marks
        (16, [0], "Section_4"),
        (16, [8], "Section_2 Section_2"),  # music before the first mark is a section
        (16, [0, 7.8], "Section_2 Section_2"),  # the bar line nearest to a mark
        (4 * 33, [0], "Section_None"),  # too long
        (4 * 34, [0, 4 * 33], "Section_None Section_1"),
    ],
)
def test_the_sections_of_a_score(quarters, marks, expected):
    score = make_line(quarters, [(at, "A") for at in marks])
    assert name_tokens(TUNE, TUNE.encode(score), "Section") == expected


@pytest.mark.parametrize(
    ("quarters", "marks", "expected"),
    [
        (12, [], "Section_None"),
        (12, [0], "Section_None"),
        (12, [0, 8], "Section_2 Section_2"),  # as the one before
        (24, [0, 8], "Section_2 Section_None"),  # longer already
    ],
)
def test_the_last_section_of_an_open_piece(quarters, marks, expected):
    tokens = TUNE.encode(make_line(quarters, [(at, "A") for at in marks]), ends=False)
    assert name_tokens(TUNE, tokens, "Section") == expected


@pytest.mark.parametrize("tokenizer", [TUNE, BAND])
def test_decoded_sections_have_one_letter_for_the_same_music(tokenizer):
    decoded = tokenizer.decode(tokenizer.encode(AABB))
    assert show_marks(decoded) == [("A", 1), ("A", 9), ("A", 17), ("A", 25)]  # all bars are alike
    assert not tokenizer.decode(tokenizer.encode(make_line(16))).markers


def test_sections_are_named_by_their_notes_up_to_the_last_bar():
    score = make_line(48, [(at, "?") for at in (0, 16, 32)])
    notes = score.tracks[0].notes
    notes["pitch"][28], notes["pitch"][33] = 72, 72  # the last bar of the second section; the first bar of the third
    assert [marker.text for marker in name_sections(score).markers] == ["A", "A", "B"]


def test_silent_bars_at_the_end_belong_to_the_last_section():
    score = replace(make_line(16), markers=(Text(0, "A"), Text(24 * Q, END)))
    tokens = TUNE.encode(score)
    assert name_tokens(TUNE, tokens, "Section") == "Section_6"
    assert TUNE.decode(tokens).markers == score.markers


def test_a_model_sees_how_many_bars_are_left_in_the_section():
    grammar, tokens = TUNE.grammar, TUNE.encode(make_line(17, [(1, "A"), (9, "B")], upbeat=1))
    place = [column.name for column in grammar.columns].index("section")
    seen = grammar.make_inputs(grammar.compute_states(tokens))[:, place]
    bars = [TUNE.vocabulary[token].startswith("Bar") for token in tokens]
    assert seen[np.flatnonzero(bars) + 1].tolist() == [3, 2, 1, 2, 1]  # the pickup is before the first of two


def count_sections(tokenizer, tokens):
    """The bars that each section was said to have, and has."""
    said, found = [], []
    for token in tokens:
        kind, _, value = tokenizer.vocabulary[token].partition("_")
        if kind == "Section":
            said.append(int(value) if value != "None" else None)
            found.append(0)
        elif kind == "Bar":
            found[-1] += 1
    found[0] -= tokenizer.vocabulary[tokens[2]] != "Upbeat_0"
    return said, found


@pytest.mark.parametrize("tokenizer", [TUNE, BAND])
@pytest.mark.parametrize("request_", [Request(bars=7), Request(bars=12), Request(most_bars=20)])
def test_every_section_has_its_bars_and_the_last_one_ends_with_the_piece(tokenizer, request_):
    for tokens in draw(tokenizer, request_, 8):
        said, found = count_sections(tokenizer, tokens)
        assert all(one in (None, other) for one, other in zip(said, found, strict=True))
        assert said[1:].count(None) == 0 or found[0] > bar_sections.LONGEST


def test_a_request_for_fewer_bars_than_a_primers_section_takes_precedence():
    primer = TUNE.encode(make_line(32, [(0, "A"), (4, "B")]))[:-1]  # Section_1, Section_7
    cut = primer[: np.flatnonzero(np.isin(primer, [TUNE.vocabulary.index("Bar_6")]))[0]]
    request = Request(bars=1, primer=tuple(map(int, cut)), primer_ticks=8 * Q)
    assert all(name_tokens(TUNE, tokens).endswith("Bar_1") for tokens in draw(TUNE, request, 4))


def test_fixed_notes_keep_the_sections_of_their_score():
    spans = [Span(0, 4 * Q), Span(12 * Q, 2**40)]  # the first bar, and from the fourth bar on
    marked = make_line(32, [(0, "A"), (8, "A"), (16, "B")])
    for tokens in draw(TUNE, Request(bars=8), 8, mask=TUNE.grammar.fix_notes(marked, spans)):
        assert name_tokens(TUNE, tokens, "Section") == "Section_2 Section_2 Section_4"
    for tokens in draw(TUNE, Request(bars=5), 8, mask=TUNE.grammar.fix_notes(marked, spans[:1])):
        assert name_tokens(TUNE, tokens, "Section") == "Section_2 Section_2 Section_1"
    free = draw(TUNE, Request(bars=8), 8, mask=TUNE.grammar.fix_notes(make_line(32), spans))
    assert len({name_tokens(TUNE, tokens, "Section") for tokens in free}) > 1


def test_without_sections_nothing_is_new():
    plain = replace(TUNE, sections=False)
    assert not any(token.startswith("Section") for token in plain.vocabulary)
    assert "section" not in {column.name for column in plain.grammar.columns}
    assert plain.decode(plain.encode(AABB)).markers == ()
    assert np.array_equal(plain.encode(AABB), plain.encode(replace(AABB, markers=())))
    assert (plain.grammar.compute_states(plain.encode(AABB))[:, Field.SECTION] == 0).all()


@pytest.mark.parametrize("tokenizer", [TUNE, BAND])
def test_the_contract_holds_with_sections(tokenizer):
    check_tokenizer(tokenizer, [SHORT, make_line(8)])
    check_infilling(tokenizer, [SHORT])
    check_grammar(tokenizer, rows=12)
