"""From a Score to notation. It reads no file.

exporters.py  the exporters
pages.py      measures, staves and marks
staves.py     the staves of tracks, with clefs and voices
grid.py       bars, beats and the times that notation can write
rhythm.py     notes, rests and beams of one voice
spelling.py   the spelling of pitches and drums
musicxml.py   a MusicXML document
partxml.py    a part of it
folding.py    sections that come twice, between repeat signs
fermatas.py   where the phrases of four voices come to rest
above.py      section names, tempos and chord symbols above a part
xmltext.py    text for XML
abc.py        a tune in ABC
"""
