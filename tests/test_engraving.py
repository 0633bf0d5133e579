"""Engraved scores: what is in the score is on the page, once, and pages are files that others read."""

import warnings
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pypdfium2
import pytest
from music import BAR, QUARTER, drums, line, score

from composer.errors import BadOption, CannotWrite, ReadingWarning
from composer.io import formats
from composer.music.score import ChordSymbol, KeySignature, Score, Tempo, Text, Track, make_notes
from composer.types import Piece
from composer_engraving import drawing, engraver
from composer_engraving.drawing import join_pages

SVG = "{http://www.w3.org/2000/svg}"
TUNE = replace(
    score(line((67, 1), (72, 1), (73, 1), (74, 2), (0, 1), (72, 3.5), (71, 0.5), (72, 3)), upbeat=QUARTER),
    title="Größe, Ёлка",
    tempos=(Tempo(0, 96.0),),
    markers=(Text(QUARTER, "Refrain"),),
    chords=(ChordSymbol(QUARTER, "Bb7"),),
)


@pytest.fixture(scope="module")
def chorale():
    """What the shipped model writes."""
    from composer.generation.composer import open_model
    from composer.generation.generator import generate
    from composer.request import Request

    return generate(open_model("chorales"), [Request(seed=7, bars=8)])[0]


@pytest.fixture
def engrave(tmp_path):
    """Writes pieces, without a warning, and gives the path."""

    def write(suffix, *pieces, **options):
        path = tmp_path / f"piece{suffix}"
        with warnings.catch_warnings():
            warnings.simplefilter("error", ReadingWarning)
            formats.write([piece if isinstance(piece, Piece) else Piece(piece) for piece in pieces], path, **options)
        return path

    return write


def count(path, kind):
    """How many elements of a class a file has that show something."""
    root = ElementTree.parse(path).getroot()
    return sum(kind in element.get("class", "").split() and len(element) > 0 for element in root.iter(f"{SVG}g"))


def words(path):
    """What is to be read on a page of SVG."""
    return " ".join("".join(text.itertext()) for text in ElementTree.parse(path).getroot().iter(f"{SVG}text"))


def text_of(document):
    return " ".join(page.get_textpage().get_text_range() for page in document)


def is_dark(document, number=0):
    """The share of a page that is black."""
    shades = document[number].render(scale=0.5).to_numpy()
    return float((shades < 128).mean())


# --- SVG --------------------------------------------------------------------------------------------------------------


def test_every_note_bar_and_accidental_is_on_the_page(engrave, chorale):
    path = engrave(".svg", chorale)
    assert count(path, "measure") == 8
    assert count(path, "note") >= chorale.score.note_count > 100
    tied = engrave(".svg", score(line((60, 3), (62, 2), (64, 2.5), (65, 0.5))))
    assert count(tied, "note") == 4 + 2, "two are written as two tied ones"
    tune = engrave(".svg", TUNE)
    assert (count(tune, "measure"), count(tune, "rest")) == (4, 1)
    assert count(tune, "accid") == 1


def test_what_stands_above_the_music(engrave):
    shown = words(engrave(".svg", TUNE))
    for word in ("Größe, Ёлка", "Refrain", "96", "7"):
        assert word in shown


def test_a_page_is_as_tall_as_its_music_and_of_the_width_asked_for(engrave):
    def size(path):
        root = ElementTree.parse(path).getroot()
        return float(root.get("width").removesuffix("mm")), float(root.get("height").removesuffix("mm"))

    short, long = score(line((60, 4))), score(line(*[(60 + i % 12, 0.5) for i in range(400)]))
    assert size(engrave(".svg", short))[0] == 210
    assert size(engrave(".svg", short))[1] < 70
    assert size(engrave(".svg", long))[1] > 200
    wide, high = size(engrave(".svg", long, width=400, staff=4))
    assert (wide, high < 150) == (400, True)


def test_no_bar_stands_alone_on_the_last_line(engrave):
    for count in range(5, 12):
        drawn = engrave(".svg", score(line(*[(60 + at % 12, 1) for at in range(4 * count)]))).read_text()
        lines = [its.count('class="measure"') for its in drawn.split('class="system"')[1:]]
        assert sum(lines) == count
        assert lines[-1] > 1


def test_pages_are_stacked_where_one_is_not_enough():
    page = '<svg viewBox="0 0 2100 500" xmlns="http://www.w3.org/2000/svg"><g/></svg>'
    root = ElementTree.fromstring(join_pages([page, page]))
    assert root.get("viewBox") == "0 0 2100 1000"
    assert [its.get("y") for its in root] == ["0", "500"]


def test_the_same_piece_is_the_same_file(engrave):
    for suffix in (".svg", ".pdf"):
        assert engrave(suffix, TUNE).read_bytes() == engrave(suffix, TUNE).read_bytes()


# --- PDF --------------------------------------------------------------------------------------------------------------


def test_a_pdf_is_read_by_another_program(engrave):
    document = pypdfium2.PdfDocument(engrave(".pdf", TUNE))
    assert len(document) == 1
    width, height = document[0].get_size()
    assert (round(width / 72 * 25.4), round(height / 72 * 25.4)) == (210, 297)
    shown = text_of(document)
    for word in ("Größe, Ёлка", "Refrain", "96", "B"):
        assert word in shown
    assert document.get_metadata_value("Title") == "Größe, Ёлка"
    assert 0.001 < is_dark(document) < 0.05


def test_a_chorale_has_its_names_and_its_pages(engrave, chorale):
    document = pypdfium2.PdfDocument(engrave(".pdf", chorale, title="Chorale", composer="Nobody"))
    shown = text_of(document)
    for word in ("Chorale", "Nobody", "Soprano", "Alto", "Tenor", "Bass"):
        assert word in shown
    longer = Score(
        tuple(
            replace(
                track,
                notes=make_notes([(int(s) + i * 8 * BAR, *map(int, r)) for i in range(8) for s, *r in track.notes]),
            )
            for track in chorale.score.tracks
        ),
        key_signatures=chorale.score.key_signatures,
    )
    pages = pypdfium2.PdfDocument(engrave(".pdf", longer))
    assert 3 <= len(pages) <= 6
    assert all(is_dark(pages, number) > 0.003 for number in range(len(pages) - 1))
    assert len(pypdfium2.PdfDocument(engrave(".pdf", longer, staff=3.5, paper="a3"))) < len(pages)


def test_notes_are_drawn_where_verovio_puts_them(engrave):
    """Staff lines, note heads and stems of one note, as black on white."""
    document = pypdfium2.PdfDocument(engrave(".pdf", score(line((71, 4)))))
    shades = document[0].render(scale=4).to_numpy()[:, :, 0] < 128
    rows = shades[:, : shades.shape[1] // 2].sum(axis=1)
    lines = [place for place in range(1, len(rows)) if rows[place] > 200 and rows[place - 1] <= 200]
    assert len(lines) == 5
    gaps = [b - a for a, b in pairwise(lines)]
    assert max(gaps) - min(gaps) <= 1
    assert 6.2 <= (lines[-1] - lines[0]) / 4 / 72 * 25.4 <= 6.8, "the height of a staff, in mm"


def test_the_parts_of_svg_that_are_drawn():
    head = '<svg viewBox="0 0 100 50" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    page = drawing.parse_page(
        head + '<defs><g id="E0A4-x"><path transform="scale(1,-1)" d="M1 1h2v2z"/></g></defs>'
        '<svg class="definition-scale" viewBox="0 0 1000 500"><g transform="translate(10, 20)">'
        '<use xlink:href="#E0A4-x" transform="translate(5, 5) scale(2, 2)"/>'
        '<path d="M0 0c1 1 2 2 3 3s1 1 2 2l-1.5.5Q1 1 2 2" fill="none" stroke-width="3"/>'
        '<g class="placeholder"><rect x="1" y="1" width="2" height="2"/></g>'
        '<g class="tempo"><text x="1" y="2" text-anchor="middle" font-size="0px"><tspan font-size="9px">Allegro</tspan>'
        '<tspan font-family="Leipzig" font-size="20px">\ueca5</tspan></text></g></g></svg></svg>'
    )
    glyph, curve, text = page.drawn
    assert (page.width, page.height) == (100, 50)
    assert page.glyphs["E0A4-x"] == (("M", (1, 1)), ("L", (3, 1)), ("L", (3, 3)), ("Z", ()))
    assert glyph.matrix == pytest.approx((0.2, 0, 0, -0.2, 1.5, 2.5))
    assert [command for command, _ in curve.outline] == ["M", "C", "C", "L", "C"]
    assert curve.outline[2] == ("C", (4, 4, 4, 4, 5, 5))
    assert (curve.is_filled, curve.stroke) == (False, 3)
    assert [(run.text, run.size, run.is_bold, run.is_music) for run in text.runs] == [
        ("Allegro", 9, True, False),
        ("\ueca5", 20, True, True),
    ]
    assert text.anchor == "middle"


# --- both -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_every_kind_of_staff_is_engraved(engrave, suffix):
    keyboard = Track(make_notes([(0, 1920, 43, 80), (0, 480, 64, 80), (480, 960, 67, 80), (960, 960, 71, 80)]), "Piano")
    band = score(line((72, 4), name="Flute", program=73), keyboard, drums((0, 36), (1, 38)), metres=((0, 4, 4),))
    changed = replace(band, key_signatures=(*band.key_signatures, KeySignature(960, band.key_signatures[0].key)))
    assert engrave(suffix, changed).stat().st_size > 5_000


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_markup_and_control_characters_do_no_harm(engrave, suffix):
    nasty = '<script>alert(1)</script>&"]]>\x00\x1b[2J\ud800\n日本'
    music = replace(score(line((60, 4), name=nasty), line((60, 4), name=nasty)), markers=(Text(0, nasty),), title=nasty)
    path = engrave(suffix, music)
    if suffix == ".svg":
        assert not list(ElementTree.parse(path).getroot().iter(f"{SVG}script"))
        assert "alert(1)" in words(path)
    else:
        assert "alert(1)" in text_of(pypdfium2.PdfDocument(path))


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_what_cannot_be_engraved_is_refused_in_one_sentence(engrave, suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(engraver, "MOST_NOTES", 7)
    for pieces, said in [
        ([Score()], "contains no notes"),
        ([TUNE, TUNE], "holds one piece, and here are 2"),
        ([score(*[line((60, 1))] * 20_000)], "has 20,000 notes"),
        ([score(line((0, 80_000), (60, 1)))], "has more than 5,000 bars"),
        ([score(*[line((0, 4_000), (60, 1))] * 7)], "its parts have 7,007 bars together"),
    ]:
        monkeypatch.setattr(engraver, "MOST_MEASURES", 5_000)
        with pytest.raises(CannotWrite, match=rf"piece\{suffix}: [^\n]*{said}[^\n]*\.$"):
            engrave(suffix, *pieces)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(engraver, "MOST_NOTES", 7_000)
    with pytest.raises(CannotWrite, match="cannot be written"):
        formats.write([Piece(TUNE)], tmp_path / "no such folder" / f"piece{suffix}")


@pytest.mark.parametrize(
    ("suffix", "options", "said"),
    [
        (".svg", {"staff": 50}, "a staff is 3 to 12 mm high, not 50"),
        (".svg", {"width": 3}, "a page is 80 to 2000 mm wide, not 3"),
        (".pdf", {"paper": "b7"}, "the paper is one of a3, a4, a5, letter, not 'b7'"),
        (".pdf", {"staff": float("nan")}, "not nan"),
    ],
)
def test_sizes_that_no_music_fits_are_refused(engrave, suffix, options, said):
    with pytest.raises(BadOption, match=said):
        engrave(suffix, TUNE, **options)
