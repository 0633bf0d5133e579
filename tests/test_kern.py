"""Humdrum kern: what stands in the columns is what the score holds, however they split, join and repeat."""

import random
import warnings
from contextlib import suppress

import pytest
from kerntables import RandomPiece, table

from composer.errors import LeftOutWarning, ReadingWarning, UnreadableFile
from composer.io import formats
from composer.music.score import Tempo, TimeSignature, compute_bars
from composer_notation.bargrid import round_to_ticks
from composer_notation.kern.spines import MOST_COLUMNS
from composer_notation.kern.tokens import GRID, read_bar, read_key, read_length, read_time_signature
from composer_notation.reader import NotationReader

Q = 480  # ticks of a quarter note


@pytest.fixture
def read(tmp_path):
    """Reads a table, or bytes, as a file of kern; what is said of it is an error unless a test expects it."""

    def reading(content):
        path = tmp_path / "piece.krn"
        path.write_bytes(content if isinstance(content, bytes) else table(content).encode())
        with warnings.catch_warnings():
            warnings.simplefilter("error", ReadingWarning)
            return formats.read_with(NotationReader(), path)

    return reading


@pytest.fixture
def read_and_listen(tmp_path):
    """Reads a table, and gives what was said of it beside the score."""

    def reading(content):
        path = tmp_path / "piece.krn"
        path.write_text(table(content))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ReadingWarning)
            return formats.read_with(NotationReader(), path), [warning.message for warning in said]

    return reading


def rows(track):
    """Notes as (start, length, pitch), in quarter notes."""
    return [(n["start"] / Q, n["duration"] / Q, int(n["pitch"])) for n in track.notes]


def heard(score):
    """The notes of all tracks, by start and pitch."""
    return sorted(row for track in score.tracks for row in rows(track))


def melody(score):
    """The pitches of a score in one voice."""
    return [pitch for *_, pitch in heard(score)]


PIECE = """
    !!!OTL@@DE: Befiehl du deine Wege, h&ouml;r
    **kern      **dynam  **kern
    *Ibass      *        *I"Violino I
    *clefF4     *        *clefG2
    *k[b-]      *        *k[b-]
    *d:         *        *d:
    *M3/4       *        *M3/4
    *MM96       *        *MM96
    4D          .        8dd
    .           .        8ee
    =1          =1       =1
    2.D         .        [2ff
    .           .        4ff]
    =2          =2       =2
    2.D 2.A     .        2.dd
    ==          ==       ==
    *-          *-       *-
"""


def test_a_piece_is_read_from_the_top(read):
    score = read(PIECE)
    assert score.title == "Befiehl du deine Wege, hör"
    assert [(track.name, track.program) for track in score.tracks] == [("Violino I", 40), ("Bass", 52)]
    assert (score.upbeat, score.time_signatures, score.tempos) == (Q, (TimeSignature(0, 3, 4),), (Tempo(0, 96.0),))
    assert [str(signature.key) for signature in score.key_signatures] == ["Dm"]
    assert rows(score.tracks[0]) == [(0, 0.5, 74), (0.5, 0.5, 76), (1, 3, 77), (4, 3, 74)]
    assert rows(score.tracks[1]) == [(0, 1, 50), (1, 3, 50), (4, 3, 50), (4, 3, 57)]


# --- columns that split and join --------------------------------------------------------------------------------------


def test_a_column_splits_in_three_and_joins_at_once(read):
    score = read("""
        **kern
        *M2/4
        =1
        *^
        *    *^
        2c   2e  2g
        *v   *v  *v
        =2
        2d
        ==
        *-
    """)
    assert heard(score) == [(0, 2, 60), (0, 2, 64), (0, 2, 67), (2, 2, 62)]
    assert [rows(track)[0][2] for track in score.tracks] == [60, 64, 67]


def test_columns_split_again_after_they_joined(read):
    score = read("""
        **kern  **kern
        *M2/4   *M2/4
        =1      =1
        *       *^
        4C      4c      4d
        4E      4e      4f
        *       *v      *v
        =2      =2
        *       *^
        *       *       *^
        4F      4g      4a  4b
        4G      4g      4a  4b
        *       *v      *v  *
        *       *v      *v
        =3      =3
        2A      2cc
        ==      ==
        *-      *-
    """)
    assert score.note_count == 16
    assert heard(score)[-2:] == [(4, 2, 57), (4, 2, 72)]


@pytest.mark.parametrize("following", ["2D  2d", "2D"])
def test_neighbours_that_join_are_as_many_columns_as_the_next_line_has(read, following):
    count = len(following.split())
    score = read(f"""
        **kern  **kern
        *M2/4   *M2/4
        *^      *^
        2C      2E      2c  2e
        *v      *v      *v  *v
        {following}
        {"==  " * count}
        {"*-  " * count}
    """)
    assert heard(score)[:4] == [(0, 2, 48), (0, 2, 52), (0, 2, 60), (0, 2, 64)]
    assert score.note_count == 4 + count


def test_a_column_splits_while_its_note_sounds_and_joins_while_one_does(read):
    score = read("""
        **kern  **kern
        *M4/4   *M4/4
        4C      1c
        4D      .
        *       *^
        4E      .       2e
        4F      .       .
        =       =       =
        2C      2c      2.e
        *       *v      *v
        2C      2d
        ==      ==
        *-      *-
    """)
    upper = [row for track in score.tracks[:2] for row in rows(track)]
    assert sorted(upper) == [(0, 4, 60), (2, 2, 64), (4, 2, 60), (4, 3, 64), (6, 2, 62)]


def test_columns_change_places_and_stay_the_same_parts(read):
    score = read("""
        **kern    **kern
        *I"low    *I"high
        *M2/4     *M2/4
        2C        2c
        *x        *x
        2d        2D
        ==        ==
        *-        *-
    """)
    assert {track.name: rows(track) for track in score.tracks} == {
        "high": [(0, 2, 60), (2, 2, 62)],
        "low": [(0, 2, 48), (2, 2, 50)],
    }


def test_columns_begin_and_end_in_the_middle(read):
    score = read("""
        **kern
        *M2/4
        2C
        *+
        *       **kern
        2D      2f
        *-      *
        2g
        ==
        *-
    """)
    assert [rows(track) for track in score.tracks] == [[(2, 2, 65), (4, 2, 67)], [(0, 2, 48), (2, 2, 50)]]


def test_a_voice_may_be_silent_without_a_rest(read):
    score = read("""
        **kern
        *M4/4
        *^
        4c      2e
        4d      .
        4e      .
        4f      4a
        *v      *v
        =
        1c
        ==
        *-
    """)
    assert heard(score) == [(0, 1, 60), (0, 2, 64), (1, 1, 62), (2, 1, 64), (3, 1, 65), (3, 1, 69), (4, 4, 60)]


def test_of_two_readings_the_first_is_played(read_and_listen):
    score, (said,) = read_and_listen("""
        **kern
        *M2/4
        *strophe
        *^
        *S/sic  *S/ossia
        4c      4e
        *v      *v
        *S-
        4d
        ==
        *-
    """)
    assert (melody(score), said.counts) == ([60, 62], {"notes of alternative readings": 1})


@pytest.mark.parametrize("seed", range(100))
def test_random_music_is_read_as_it_was_written(read, seed):
    piece = RandomPiece(random.Random(seed))
    score = read(piece.text.encode())
    found = {f"column {i}": [] for i in range(piece.columns)}
    for track in score.tracks:
        found[track.name[:8]] += [(int(n["start"]), int(n["duration"]), int(n["pitch"])) for n in track.notes]
    for i, notes in enumerate(piece.notes):
        expected = [
            (round_to_ticks(start), round_to_ticks(start + length) - round_to_ticks(start), pitch)
            for start, length, pitch in notes
        ]
        assert sorted(found[f"column {i}"]) == sorted(expected), f"column {i} of\n{piece.text}"
    assert list(compute_bars(score).starts[:2]) == [0, piece.bar * Q]


# --- ties -------------------------------------------------------------------------------------------------------------


def test_a_tie_leads_over_a_join_and_a_split(read):
    score = read("""
        **kern
        *M2/4
        =1
        *^
        [2c     2e
        *v      *v
        =2
        2c_
        =3
        *^
        2a      2c]
        *v      *v
        ==
        *-
    """)
    assert heard(score) == [(0, 2, 64), (0, 6, 60), (4, 2, 69)]


def test_the_notes_of_a_chord_are_tied_one_by_one(read):
    score = read("""
        **kern
        *M2/4
        2c [2e
        =
        2c 2e]
        ==
        *-
    """)
    assert heard(score) == [(0, 2, 60), (0, 4, 64), (2, 2, 60)]


def test_a_tie_leads_from_a_column_into_the_one_it_is_joined_to(read):
    score = read("""
        **kern  **kern
        *M2/4   *M2/4
        2C      [2c
        *v      *v
        2c]
        ==
        *-
    """)
    assert heard(score) == [(0, 2, 48), (0, 4, 60)]


def test_a_tie_without_an_end_leads_to_the_next_note_and_one_to_nothing_is_none(read_and_listen):
    score, (said,) = read_and_listen("""
        **kern
        *M2/4
        [4c
        4c
        =
        [4d
        4e]
        ==
        *-
    """)
    assert heard(score) == [(0, 2, 60), (2, 1, 62), (3, 1, 64)]
    assert "ties without an end (1)" in str(said)


def test_a_repeat_makes_no_ties(read):
    score = read("""
        **kern
        *M2/4
        =!|:
        4c
        [4c
        =:|!
        2c]
        ==
        *-
    """)
    assert heard(score) == [(0, 1, 60), (1, 1, 60), (2, 1, 60), (3, 3, 60)]


# --- repeats and sections ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "closes", "opens"),
    [
        ("=", False, False),
        ("==", False, False),
        ("=1-", False, False),
        ("=7;", False, False),
        ("=||", False, False),
        ("==:|!", True, False),
        ("=:|!", True, False),
        ("=12:|!", True, False),
        ("=:|", True, False),
        ("=:!", True, False),
        ("=:|!;", True, False),
        ("=!|:", False, True),
        ("=3!|:", False, True),
        ("=|:", False, True),
        ("=:|!|:", True, True),
        ("=:!:", True, True),
        ("=:||:", True, True),
        ("=:!!:", True, True),
        ("=::", True, True),
    ],
)
def test_repeat_signs_of_bar_lines(text, closes, opens):
    assert read_bar(text)[:2] == (closes, opens)


@pytest.mark.parametrize(
    ("text", "is_double"), [("=", False), ("=12", False), ("=||", True), ("=3||", True), ("==", True)]
)
def test_double_bar_lines(text, is_double):
    assert read_bar(text).is_double is is_double


@pytest.mark.parametrize(
    ("lines", "played"),
    [
        ("=1 2c =2 2d ==:|!", "cdcd"),
        ("=1 2c =:|!|: 2d =:|! 2e ==", "ccdde"),
        ("=1 2c =!|: 2d =2 2e =:|! 2f ==", "cdedef"),
        ("4c =1 2d =:|! 2e ==", "cdcde"),
        ("*>[A,B,A] *>A =1 2c =2 *>B 2d ==", "cdc"),
        ("*>[A,A,B] *>norep[A,B] *>A =1 2c =:|! *>B 2d ==", "ccd"),
        ("*>[A,A1,A,A2] *>A =1 2c *>A1 2d =:|! *>A2 2e ==", "cdce"),
        ("=1 2c *>[B,B] =2 *>B 2d ==", "cdd"),
        ("*>[A,B] *>Form>X *>A 2c *>Form>Y 2d *>B 2e ==", "cde"),
        ("*>A =1 2c =2 *>A1 2d =:|! *>A2 2e ==", "cdce"),
        ("=!|: 2c *>1st_ending 2d =:|! *>2nd_ending 2e ==", "cdce"),
        ("*>norep[A] *>A =1 2c =:|! 2d ==", "ccd"),
        ("*thru *>[A,A] *>A 2c =:|! *>A 2c ==", "cc"),
        ("=1 2c !!LO:TX:b:t=Fine =2 2d !!LO:TX:a:B:t=D.C._al_Fine ==", "cdc"),
        ("=1 2c =2 !LO:TX:t=segno 2d =3 !LO:TX:t=Fine 2e =4 !LO:TX:t=D.S._al_Fine 2f ==", "cdefde"),
        ("=1 2c !!LO:TX:t=To_Coda =2 2d !!LO:TX:t=D.C._al_Coda =3 !!LO:TX:t=Coda 2e ==", "cdce"),
        ("=1 2c *Fine =2 2d *D.C. ==", "cdc"),
    ],
)
def test_sections_and_repeats_are_played(read, lines, played):
    text = "\n".join(["**kern", "*M2/4", *(line.replace("_", " ") for line in lines.split()), "*-", ""])
    letters = {60: "c", 62: "d", 64: "e", 65: "f"}
    assert "".join(letters[pitch] for pitch in melody(read(text.encode()))) == played


@pytest.mark.parametrize(
    ("lines", "played", "reason"),
    [
        ("*>[A,Z] *>A 2c =:|! 2d ==", [60, 60, 62], "names some that are missing"),
        ("=1 2c =2 2d !!LO:TX:t=D.S. ==", [60, 62], "a jump to a segno that is missing"),
    ],
)
def test_what_leads_nowhere_is_said(read_and_listen, lines, played, reason):
    score, (said,) = read_and_listen("\n".join(["**kern", "*M2/4", *lines.split(), "*-"]))
    assert melody(score) == played
    assert reason in str(said)


def test_a_section_that_is_never_played_is_said(read_and_listen):
    score, (said,) = read_and_listen("**kern\n*>[A]\n*>A\n=1\n1c\n=2\n*>B\n1d\n=3\n1e\n==\n*-")
    assert melody(score) == [60]
    assert said.counts == {"measures that its list of sections never plays": 2}


# --- lengths, metres, keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quarters"),
    [
        ("4", 1), ("8.", 0.75), ("2..", 3.5), ("1", 4), ("0", 8), ("00", 16), ("000", 32), ("0.", 12), ("12", 1 / 3),
        ("6.", 1), ("3%2", 8 / 3), ("1%2", 8), ("40%3", 0.3), ("20", 0.2), ("14", 2 / 7), (".8", 0.75),
    ],
)  # fmt: skip
def test_lengths(text, quarters):
    assert read_length(f"({text}cc#L") / GRID == pytest.approx(quarters, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "metre"),
    [
        ("*M3/4", (3, 4)), ("*M12/8", (12, 8)), ("*M4/2", (4, 2)), ("*M2+3/8", (5, 8)), ("*M3/8+2/4", (7, 8)),
        ("*M4/0", (8, 1)), ("*M3/3%2", (8, 4)), ("*M0/4", None), ("*M65/4", None), ("*M4/3", None), ("*M3", None),
        ("*M999999999/4", None), ("*M" + "9+" * 9999 + "9/4", None),
    ],
)  # fmt: skip
def test_metres(text, metre):
    assert read_time_signature(text) == metre


@pytest.mark.parametrize(
    ("text", "fifths", "mode"),
    [("*G:", 1, "major"), ("*b-:", -5, "minor"), ("*F#:", 6, "major"), ("*D:dor", 0, "dorian"),
     ("*G:mix", 0, "mixolydian"), ("*e:phr", 0, "phrygian")],
)  # fmt: skip
def test_keys(text, fifths, mode):
    assert read_key(text) == (fifths, mode)


def test_a_key_signature_is_the_key_of_the_notes_and_changes(read):
    score = read("""
        **kern
        *k[f#]
        *M2/4
        =1
        4E
        4B
        =2
        4F#
        4E
        =3
        *F:
        *k[b-]
        2F
        ==
        *-
    """)
    assert [(signature.tick, str(signature.key)) for signature in score.key_signatures] == [(0, "Em"), (4 * Q, "F")]


def test_measures_that_a_repeat_cuts_and_a_metre_in_the_middle(read):
    score = read("""
        **kern
        *M3/4
        4c
        =1
        2d
        =:|!
        4e
        =2
        2.f
        *M2/4
        2g
        ==
        *-
    """)
    assert score.upbeat == Q
    assert score.time_signatures == (TimeSignature(0, 3, 4), TimeSignature(10 * Q, 2, 4))
    assert melody(score) == [60, 62, 60, 62, 64, 65, 67]


def test_a_piece_without_bar_lines_has_the_bars_of_its_metre(read):
    score = read("**kern\n*M2/4\n4c\n4d\n4e\n4f\n4g\n*-")
    assert score.time_signatures == (TimeSignature(0, 2, 4),)
    assert list(compute_bars(score).starts) == [0, 2 * Q, 4 * Q, 6 * Q]


def test_a_part_at_written_pitch_is_read_as_it_sounds(read):
    score = read("**kern  **kern\n*ITrd1c2  *Trd1c2\n*k[]  *k[f#c#]\n*C:  *D:\n*M2/4  *M2/4\n2c  2d\n==  ==\n*-  *-")
    assert heard(score) == [(0, 2, 60), (0, 2, 60)]
    assert [str(signature.key) for signature in score.key_signatures] == ["C"]


def test_lengths_may_stand_in_a_column_of_their_own(read):
    score = read("**recip  **kern\n*M3/4  *M3/4\n4  E e\n8  c\n8  d\n4  r\n==  ==\n*-  *-")
    assert heard(score) == [(0, 1, 52), (0, 1, 64), (1, 0.5, 60), (1.5, 0.5, 62)]


def test_notes_of_a_chord_may_have_one_length_or_several(read):
    assert heard(read("**kern\n*M2/4\n4c e g\n2C 4c\n*-")) == [
        (0, 1, 60), (0, 1, 64), (0, 1, 67), (1, 1, 60), (1, 2, 48)
    ]  # fmt: skip


def test_columns_that_do_not_fit_together_stand_where_most_have_them(read_and_listen):
    score, (said,) = read_and_listen("""
        **kern  **kern  **kern
        *M2/4   *M2/4   *M2/4
        4c      8e      4g
        4d      4f      4a
        =       =       =
        2c      2e      2g
        ==      ==      ==
        *-      *-      *-
    """)
    assert [start for start, *_ in rows(score.tracks[1])] == [0, 1, 2]
    assert "(1) stand where most columns put them" in str(said)


# --- what else a file may hold ----------------------------------------------------------------------------------------


def test_what_has_no_place_in_a_score_is_counted(read_and_listen):
    score, (said,) = read_and_listen("""
        **kern          **text-it  **dynam  **harm  **odd
        *MM[Allegro]    *       *        *       *
        *M4/4           *       *        *       *
        *ped            *       *        *       *
        8eq             .       .        .       .
        4ccT            la      p        I       x
        4@16@e          lu      f        .       y
        4R              .       .        .       .
        4c              la      .        .       .
        =               =       =        =       =
        4cccccccccc     .       .        .       .
        4?              .       .        .       .
        2rgg            .       .        .       .
        *-              *-      *-       *-      *-
    """)
    assert isinstance(said, LeftOutWarning)
    assert said.counts == {
        "tempos without a number": 1,
        "pedal marks": 1,
        "grace notes": 1,
        "ornaments": 1,
        "lyrics": 3,
        "dynamics": 2,
        "harmonic analyses": 1,
        "entries of other columns": 2,
        "tremolos": 1,
        "notes without a pitch": 1,
        "notes beyond the range of MIDI": 1,
        "tokens that are no notes": 1,
    }
    assert heard(score) == [(0, 1, 72), (1, 1, 64), (3, 1, 60)]


def test_chord_symbols(read):
    score = read("**kern  **mxhm\n*M4/4  *\n2c  C major\n2e  B- minor-seventh/F#\n==  ==\n*-  *-")
    assert [(chord.tick, chord.text) for chord in score.chords] == [(0, "C"), (2 * Q, "Bbm7/F#")]


def test_tempos_come_back_with_what_they_stand_over(read):
    score = read("**kern\n*M2/4\n*MM60\n=1\n2c\n*MM90.5\n=2\n2d\n=:|!\n2e\n*-")
    assert score.tempos == (Tempo(0, 60), Tempo(2 * Q, 90.5), Tempo(4 * Q, 60), Tempo(6 * Q, 90.5))


def test_of_several_pieces_the_first_is_read_and_that_is_said(read_and_listen):
    score, (said,) = read_and_listen("**kern\n4c\n*-\n!!!OTL: Another\n**kern\n4d\n*-")
    assert (melody(score), score.title) == ([60], "piece")
    assert "holds 2 pieces" in str(said)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace("\t", "\t\t"),
        lambda text: text.replace("\n", "\t\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("**kern\t**dynam\t", "**kern  **dynam "),
        lambda text: text.removesuffix("*-\t*-\t*-\n"),
        lambda text: text + "\x1a",
    ],
)
def test_files_of_other_programs(read, change):
    assert read(change(table(PIECE)).encode()) == read(PIECE)


def test_old_files_are_in_latin_1(read):
    assert read(table(PIECE).replace("&ouml;", "ö").encode("latin-1")).title.endswith("hör")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a diary", "is not Humdrum kern; line 1"),
        ("", "is not Humdrum kern"),
        ("**text\nla\n*-", "is not Humdrum kern"),
        ("**kern\n*-", "contains no notes"),
        ("**kern  **kern\n4c 4d\n*-  *-", r"too few columns in line 2 \(1 for 2\)"),
        ("**kern\n4c  4d\n*-", "too many columns in line 2"),
        ("**kern\n" + "0000......c\n" * 4000 + "*-", "more than 100,000 bars"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(read, content, reason):
    with pytest.raises(UnreadableFile, match=rf"piece\.krn: [^\n]*{reason}[^\n]*\.$"):
        read(content)


def test_a_file_that_is_cut_short_anywhere_is_read_or_refused(read):
    text = table(PIECE).encode()
    for end in range(0, len(text), 7):
        with suppress(UnreadableFile, ReadingWarning):
            read(text[:end])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("**kern\n" + "".join("\t".join(["*^"] * 2**n) + "\n" for n in range(11)), f"{MOST_COLUMNS:,} columns"),
        ("**kern\n4c\n" + "*+\n*\t**kern\n*\t*-\n4c\n" * 2000, "2,000 columns that begin"),
        ("**kern\n" + "4c\n" * 1_000_000, "1,000,000 tokens"),
        ("**kern\n" + ("4c " * 3000 + "\n") * 170, "500,000 notes"),
        ("**kern\n*>[" + "A," * 99 + "A]\n*>A\n" + "128c\n" * 6000, "500,000 notes, repeats played"),
        ("**kern\n*>[" + "A," * 99_999 + "A]\n*>A\n128c\n", "50,000 measures"),
        ("**kern\n" + "=:|!|:\n4c\n" * 30_000, "50,000 measures"),
        ("**kern\n" + "=\n128c\n" * 50_001, "50,000 measures"),
        ("**kern\n" + "*k[f#]\n128c\n*k[]\n128c\n" * 5001, "10,000 key signatures"),
        ("**kern\t**kern\n" + "".join(f"{n}c\t{20_003 - n}c\n" for n in range(1, 12_000)), "10,000 rows"),
    ],
)
def test_a_hostile_file_is_refused_in_one_sentence(read, text, reason):
    with pytest.raises(UnreadableFile, match=rf"piece\.krn: [^\n]*{reason}[^\n]*\.$"):
        read(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "**kern\n*M4/4\n" + "=\n1c\n" * 8000,
        "**kern\n*M64/1\n" + "=\n9999999c\n" * 5000,
        "**kern\n" + "\n".join(f"*>L{n}" for n in range(50_000)) + "\n4c\n",
        "**kern\n" + "*^\n*v\t*v\n" * 20_000 + "4c\n",
        "**kern\n" + "@" * 9999 + "\n" + "1" * 9999 + "c\n" + "4c\n",
        "!!!OTL: " + "&amp;" * 100_000 + "\n**kern\n4c\n",
    ],
    ids=["short measures", "tiny measures", "labels", "splits", "long tokens", "title"],
)
def test_a_hostile_file_that_can_be_read_is_read(read_and_listen, text):
    score, _ = read_and_listen(text)
    assert score.note_count
