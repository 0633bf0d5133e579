"""Pictures: notes are where they sound, tracks keep their colours, and no piece is too odd to be drawn or refused."""

from dataclasses import replace
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from music import BAR, QUARTER, drums, line, score
from PIL import Image

from composer.errors import BadOption, CannotWrite
from composer.io import formats
from composer.music.score import ChordSymbol, Score, Tempo, Text, TimeSignature, Track, make_notes
from composer.types import Piece
from composer_picture import roll, shapes
from composer_picture.shapes import DARK, LIGHT, THEMES, Boxes, Words

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "\"></text><script>alert('1')</script>&amp;\x00\x1b[31m\ud800\u202e"

TWO = score(
    line((72, 1), (76, 1), (0, 1), (72, 1), name="High"),
    line((48, 4), (50, 2), name="Low"),
    drums((0, 36), (1, 38), velocity=120),
    tempos=(Tempo(0, 96.0),),
    title="Two voices",
)


def rgb(colour):
    return tuple(bytes.fromhex(colour[1:]))


def notes_drawn(drawing, colour):
    """Middles of the boxes of a colour that are notes: as wide as a quarter at least, or of drums."""
    return [
        ((left + right) / 2, (top + bottom) / 2, right - left)
        for shape in drawing.shapes
        if isinstance(shape, Boxes) and shape.colour == colour
        for left, top, right, bottom in shape.rectangles
    ]


@pytest.mark.parametrize("theme", THEMES)
def test_each_note_has_its_tracks_colour_where_it_sounds(tmp_path, theme):
    path = tmp_path / "two.png"
    formats.write([Piece(TWO)], path, theme=theme, scale="1.5")
    image = Image.open(path)
    drawing = roll.draw_piece(Piece(TWO), THEMES[theme], width=1200)
    assert image.size == (1800, round(drawing.height * 1.5))
    assert image.getpixel((2, 2)) == rgb(THEMES[theme].background)
    for number, count in ((0, 3), (1, 2)):
        middles = [place for place in notes_drawn(drawing, THEMES[theme].tracks[number]) if place[2] > 50]
        assert len(middles) == count
        for x, y, _ in middles:
            assert image.getpixel((round(x * 1.5), round(y * 1.5))) == rgb(THEMES[theme].tracks[number])


def test_higher_is_higher_later_is_further_right_and_longer_is_longer():
    drawing = roll.draw_piece(Piece(TWO), LIGHT, width=1200)
    first, second, fourth = [place for place in notes_drawn(drawing, LIGHT.tracks[0]) if place[2] > 50]
    low = [place for place in notes_drawn(drawing, LIGHT.tracks[1]) if place[2] > 50]
    assert first[0] < second[0] < fourth[0]
    assert second[1] < first[1] == fourth[1] < low[0][1]
    assert low[0][2] == pytest.approx(4 * first[2], abs=6)
    assert (fourth[0] - first[0]) == pytest.approx(3 * (second[0] - first[0]), abs=1)


def test_what_is_written_on_it():
    music = replace(TWO, markers=(Text(0, "Verse"), Text(BAR, "end")), chords=(ChordSymbol(0, "Dm7"),), upbeat=QUARTER)
    made_by = {"model": "tunes", "request": {"seed": 7, "index": 2}, "title": "By hand"}
    drawing = roll.draw_piece(Piece(music, made_by), LIGHT, width=1200)
    said = [shape.text for shape in drawing.shapes if isinstance(shape, Words)]
    for text in ("By hand", "High", "Low", "Drums", "Verse", "Dm7", "C4", "C5", "Kick", "Snare", "velocity", "0", "1"):
        assert text in said, text
    assert "end" not in said
    assert "tunes  ·  seed 7  ·  index 2  ·  2 bars  ·  4/4  ·  C major  ·  96 bpm" in said
    assert shapes.make_title(Piece(replace(TWO, title=""), {**made_by, "title": ""})) == "tunes, seed 7, index 2"


def test_louder_is_taller():
    loud = replace(TWO, tracks=(line((60, 1), velocity=127), line((60, 1), velocity=30)))
    drawing = roll.draw_piece(Piece(loud), LIGHT, width=1200)
    heights = [
        shape.rectangles[0, 3] - shape.rectangles[0, 1]
        for colour in LIGHT.tracks[:2]
        for shape in drawing.shapes
        if isinstance(shape, Boxes) and shape.colour == colour and shape.rectangles[0, 2] - shape.rectangles[0, 0] == 2
    ]
    assert heights[0] == pytest.approx(heights[1] * 127 / 30, abs=1.5)


def test_a_change_of_metre_is_said_at_its_bar():
    music = score(line((60, 20)), metres=((0, 4, 4), (BAR * 2, 3, 4)))
    drawing = roll.draw_piece(Piece(music), LIGHT, width=1200)
    words = {shape.text: shape.x for shape in drawing.shapes if isinstance(shape, Words)}
    assert words["3"] < words["3/4"] < words["4"]


def test_bars_go_to_rows(tmp_path):
    music = score(line(*[(60 + n % 12, 1) for n in range(128)]))
    sizes = []
    for bars in (4, 8, 16):
        formats.write([Piece(music)], tmp_path / "rows.png", bars=bars, width=800, scale=1)
        sizes.append(Image.open(tmp_path / "rows.png").size)
    assert [wide for wide, _ in sizes] == [800] * 3
    assert sizes[0][1] > sizes[1][1] > sizes[2][1]


def test_many_pieces_are_small_rolls_in_a_grid(tmp_path):
    for count, (rows, columns) in {2: (1, 2), 10: (3, 4)}.items():
        formats.write([Piece(TWO)] * count, tmp_path / "all.png", scale=1)
        image = np.all(np.asarray(Image.open(tmp_path / "all.png")) == rgb(LIGHT.tracks[0]), axis=2)
        cells = [cell for row in np.array_split(image, rows) for cell in np.array_split(row, columns, axis=1)]
        assert [bool(cell.any()) for cell in cells] == [number < count for number in range(len(cells))]
        formats.write([Piece(TWO)] * count, tmp_path / "all.roll.svg")
        tree = fromstring((tmp_path / "all.roll.svg").read_text())
        assert [text.text for text in tree.iter(f"{SVG}text")].count("Two voices") == count
    with pytest.raises(CannotWrite, match=r"a picture shows at most 400 pieces, and there are 401\."):
        formats.write([Piece(TWO)] * 401, tmp_path / "no.png")
    with pytest.raises(CannotWrite, match=r"no piece to draw\."):
        formats.write([], tmp_path / "no.png")


@pytest.mark.parametrize("count", [1, 2])
def test_names_from_outside_are_text_and_nothing_else(tmp_path, count):
    music = replace(
        TWO,
        tracks=(replace(TWO.tracks[0], name=HOSTILE), *TWO.tracks[1:]),
        markers=(Text(0, HOSTILE),),
        chords=(ChordSymbol(0, HOSTILE),),
        title=HOSTILE,
    )
    piece = Piece(music, {"model": HOSTILE, "request": {"seed": HOSTILE, "index": HOSTILE}})
    formats.write([piece] * count, tmp_path / "x.roll.svg")
    formats.write([piece] * count, tmp_path / "x.png", scale=1)
    tree = fromstring((tmp_path / "x.roll.svg").read_text(encoding="utf-8"))
    assert {element.tag.removeprefix(SVG) for element in tree.iter()} <= {"svg", "title", "rect", "g", "text", "path"}
    assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on") or "href" in name]


def test_no_notes_is_a_picture_that_says_so(tmp_path):
    for pieces in ([Piece(Score())], [Piece(Score((Track(make_notes([])),))), Piece(Score())]):
        formats.write(pieces, tmp_path / "none.roll.svg")
        formats.write(pieces, tmp_path / "none.png", scale=1)
        assert (tmp_path / "none.roll.svg").read_text().count(">no notes<") == len(pieces)


def test_twenty_thousand_tracks_are_a_bounded_picture(tmp_path):
    tracks = tuple(Track(make_notes([(number % 960, 240, 30 + number % 70, 80)])) for number in range(20_000))
    formats.write([Piece(Score(tracks))], tmp_path / "many.roll.svg")
    text = (tmp_path / "many.roll.svg").read_text()
    assert len(text) < 2_000_000
    assert ">Track 1<" in text
    assert ">and 19,988 more<" in text


def test_ten_hours_are_a_bounded_picture():
    count = 10 * 3600 * 2
    notes = [(n * QUARTER, QUARTER, 40 + n % 50, 80) for n in range(count)]
    drawing = roll.draw_piece(Piece(Score((Track(make_notes(notes)),))), LIGHT, width=1200)
    assert drawing.height < 5_000
    assert sum(len(shape.rectangles) for shape in drawing.shapes if isinstance(shape, Boxes)) < 250_000
    assert sum(isinstance(shape, Words) for shape in drawing.shapes) < 1_000


def test_a_piece_of_too_many_bars_is_refused_in_one_sentence(tmp_path):
    far = Score((Track(make_notes([(10**12, 480, 60, 80)])),))
    for pieces in ([Piece(far)], [Piece(TWO), Piece(far)]):
        with pytest.raises(CannotWrite, match=r"x\.png: cannot be drawn: the piece has more than 100000 bars\.$"):
            formats.write(pieces, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"theme": "drak"}, "unknown theme 'drak': did you mean 'dark'"),
        ({"width": 20}, "width is 20, and must be from 400 to 8000"),
        ({"scale": 9}, "scale is 9, and must be from 0.5 to 4"),
        ({"bars": -1}, "bars is -1, and must be 0 or more"),
    ],
)
def test_options_that_no_picture_has(tmp_path, options, said):
    with pytest.raises(BadOption, match=said):
        formats.write([Piece(TWO)], tmp_path / "x.png", **options)


def test_odd_music_is_drawn(tmp_path):
    """One lane, all pitches, all drums, notes of no length, odd metres, an upbeat longer than a row."""
    everything = Track(make_notes([(0, 0, pitch, 1) for pitch in range(128)]))
    odd = [
        Score((everything, replace(everything, is_drum=True))),
        Score((Track(make_notes([(5, 1, 127, 127)]), is_drum=True),)),
        Score((everything,), time_signatures=(TimeSignature(0, 64, 1), TimeSignature(7, 1, 64)), upbeat=9_999),
    ]
    for number, music in enumerate(odd):
        formats.write([Piece(music)], tmp_path / f"{number}.png", scale=0.5, width=400)
        assert Image.open(tmp_path / f"{number}.png").size[1] < 4_000


def test_colours_stand_out_from_their_ground():
    for theme in (LIGHT, DARK):
        for ground in (theme.lane, theme.dark_lane):
            assert min(contrast(colour, ground) for colour in theme.tracks) > 3
            assert contrast(theme.muted, theme.background) > 4.5


def contrast(one, other):
    """As WCAG 2.2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = np.array(rgb(colour)) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
