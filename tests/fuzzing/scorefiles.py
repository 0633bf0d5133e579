"""Scores in which much of what their formats have stands close together."""


def _note(step, length, *, first="", last="", voice=1, octave=4):
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>" if step != "R" else "<rest/>"
    duration = f"<duration>{length}</duration>" if "grace" not in first else ""
    return f"<note>{first}{pitch}{duration}<voice>{voice}</voice>{last}</note>\n"


_HEAD = """<attributes><divisions>6</divisions><key><fifths>-1</fifths><mode>minor</mode></key>
<time><beats>3</beats><beat-type>4</beat-type></time><staves>2</staves>
<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic><octave-change>0</octave-change></transpose></attributes>
<direction><direction-type><metronome><beat-unit>quarter</beat-unit><per-minute>96</per-minute></metronome>
<rehearsal>A</rehearsal></direction-type><sound tempo="96"/></direction>
<harmony><root><root-step>D</root-step><root-alter>0</root-alter></root><kind>minor-seventh</kind></harmony>
"""

_TRIPLET = (
    "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes></time-modification>"
    '<notations><tied type="start"/><tuplet type="start"/></notations>'
)

_MUSICXML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<score-partwise version="3.1">\n<work><work-title>A</work-title></work>\n'
    "<identification><creator>B</creator><miscellaneous>"
    '<miscellaneous-field name="composer">{"request": {"seed": 3}}</miscellaneous-field></miscellaneous>'
    "</identification>\n<part-list>"
    '<score-part id="P0"><part-name>Piano</part-name><score-instrument id="I"><instrument-name>Piano</instrument-name>'
    '</score-instrument><midi-instrument id="I"><midi-channel>1</midi-channel><midi-program>1</midi-program>'
    '</midi-instrument></score-part>\n<score-part id="P1"><part-name>Drums</part-name></score-part></part-list>\n'
    '<part id="P0">\n<measure number="0" implicit="yes">' + _HEAD + _note("A", 6) + "</measure>\n"
    '<measure number="1"><barline location="left"><repeat direction="forward"/></barline>'
    + _note("D", 12, last='<notations><tied type="start"/><fermata/></notations>')
    + _note("F", 12, first="<chord/>")
    + _note("D", 6, last='<notations><tied type="stop"/><ornaments><trill-mark/></ornaments></notations>')
    + "<backup><duration>18</duration></backup><forward><duration>6</duration></forward>\n"
    + _note("A", 12, voice=2, octave=3)
    + '</measure>\n<measure number="2"><barline location="left"><ending number="1" type="start"/></barline>'
    + _note("E", 2, last=_TRIPLET)
    + _note("F", 2, last=_TRIPLET)
    + _note("G", 2, last=_TRIPLET)
    + _note("B", 6, first='<grace slash="yes"/>')
    + _note("R", 12)
    + '<barline location="right"><ending number="1" type="stop"/><repeat direction="backward" times="2"/></barline>'
    '</measure>\n<measure number="3"><barline location="left"><ending number="2" type="start"/></barline>'
    "<attributes><time><beats>6</beats><beat-type>8</beat-type></time></attributes>\n"
    + _note("D", 18, last='<dot/><lyric number="1"><text>la</text></lyric>')
    + '<direction><sound dacapo="yes" fine="yes"/></direction>'
    '<barline location="right"><ending number="2" type="stop"/><bar-style>light-heavy</bar-style></barline></measure>\n'
    '</part>\n<part id="P1"><measure number="0">'
    "<note><unpitched><display-step>E</display-step><display-octave>4</display-octave></unpitched>"
    "<duration>6</duration></note></measure></part>\n</score-partwise>\n"
)

_KERN = """!!!OTL: A
!!!COM: B
**kern\t**kern\t**dynam
*Ibass\t*Iflt\t*
*k[b-]\t*k[b-]\t*
*d:\t*d:\t*
*M3/4\t*M3/4\t*
*MM96\t*MM96\t*
4D\t8ddL\t.
.\t8eeJ\tp
=1\t=1\t=1
*^\t*\t*
2.D\t4A\t[2.ff\t.
*v\t*v\t*\t*
=2:|!|:\t=2:|!|:\t=2
*>A\t*>A\t*>A
4.DD 4.D\t12ddL\t.
.\t12ee\t.
.\t12ffJ\tf
4.r\t4qgg\t.
.\t2.ff]\t.
==\t==\t==
*-\t*-\t*-
"""

_ABC = """X:1
T:A
C:B
M:6/8
L:1/8
Q:3/8=80
P:AAB
V:1 name="Flute" clef=treble
V:2 name="Bass" clef=bass transpose=-12
K:Ador
%%MIDI program 73
V:1
P:A
e|:"Am"A3 Bcd|[1edc (3B2c_e :|[2 A2>B3- B [ceg]2|
P:B
[M:3/4][K:Bb]{gf}e2 z2 ~f=B|(A-A2) x Z2||"^slowly"[Q:1/4=60]^c4 d/e//f3/2 !trill!g|w: la la
V:2
|:A,6|A,,3 C3:|A,6|[K:C]C,2 D,2 E,2|Z3|]
"""

_SMALL_KERN = "**kern\n*M4/4\n4c\n4d\n4e\n4f\n=\n1c\n*-\n"
_SMALL_ABC = "X:1\nT:B\nM:4/4\nL:1/4\nK:C\nCDEF|C4|]\n"
_SMALL_XML = (
    '<score-partwise>\n<part-list><score-part id="P"><part-name>A</part-name></score-part></part-list>\n<part id="P">\n'
    '<measure number="1"><attributes><divisions>1</divisions></attributes>\n'
    + _note("C", 4) + '</measure>\n<measure number="2">' + _note("D", 4) + "</measure>\n</part>\n</score-partwise>\n"
)  # fmt: skip

SCORES = {".musicxml": (_MUSICXML, _SMALL_XML), ".krn": (_KERN, _SMALL_KERN), ".abc": (_ABC, _SMALL_ABC)}
