"""Players of columns: Humdrum's instrument codes as names and programs of General MIDI.

The codes are listed at https://www.humdrum.org/guide/append2/.
"""

from __future__ import annotations

from composer_notation.instruments import CHOIR, find_program

_CODES = {
    "soprn": "Soprano", "cant": "Soprano", "mezzo": "Mezzo-Soprano", "calto": "Alto", "alto": "Alto", "tenor": "Tenor",
    "ctenor": "Countertenor", "barit": "Baritone", "bass": "Bass", "vox": "Voice", "feme": "Female Voice",
    "male": "Male Voice", "nfant": "Child's Voice", "recit": "Recitative", "lyrsp": "Lyric Soprano",
    "drmsp": "Dramatic Soprano", "colsp": "Coloratura Soprano", "heltn": "Heldentenor", "lyrtn": "Lyric Tenor",
    "bspro": "Basso Profondo", "bscan": "Basso Cantante", "false": "Falsetto", "castr": "Castrato",
}  # fmt: skip
_PLAYED = {
    "piano": ("Piano", 0), "forte": ("Fortepiano", 0), "rhode": ("Electric Piano", 4), "cemba": ("Harpsichord", 6),
    "clavi": ("Clavichord", 7), "clest": ("Celesta", 8), "glock": ("Glockenspiel", 9), "vibra": ("Vibraphone", 11),
    "marim": ("Marimba", 12), "xylo": ("Xylophone", 13), "campn": ("Church Bells", 14), "caril": ("Church Bells", 14),
    "chime": ("Tubular Bells", 14), "dulc": ("Dulcimer", 15), "psalt": ("Psaltery", 15), "zithr": ("Zither", 15),
    "hammd": ("Electric Organ", 16), "organ": ("Pipe Organ", 19), "porta": ("Portative Organ", 19),
    "reedo": ("Reed Organ", 20), "accor": ("Accordion", 21), "armon": ("Harmonica", 22), "ctina": ("Concertina", 23),
    "guitr": ("Guitar", 24), "liuto": ("Lute", 24), "archl": ("Archlute", 24), "tiorb": ("Theorbo", 24),
    "cetra": ("Cittern", 24), "quitr": ("Gittern", 24), "ukule": ("Ukulele", 24), "mando": ("Mandolin", 25),
    "eguit": ("Electric Guitar", 26), "bguit": ("Electric Bass", 33), "violn": ("Violin", 40), "violp": ("Violin", 40),
    "kit": ("Kit", 40), "rebec": ("Rebec", 40), "viola": ("Viola", 41), "viold": ("Viola d'Amore", 41),
    "viols": ("Treble Viol", 41), "violt": ("Tenor Viol", 42), "violb": ("Bass Viol", 42), "cello": ("Violoncello", 42),
    "cbass": ("Contrabass", 43), "arpa": ("Harp", 46), "timpa": ("Timpani", 47), "tromp": ("Trumpet", 56),
    "cornt": ("Cornet", 56), "corno": ("Cornett", 56), "flugh": ("Flugelhorn", 56), "tromt": ("Trombone", 57),
    "tromb": ("Bass Trombone", 57), "tuba": ("Tuba", 58), "cor": ("Horn", 60), "saxN": ("Sopranino Saxophone", 64),
    "saxS": ("Soprano Saxophone", 64), "saxA": ("Alto Saxophone", 65), "saxT": ("Tenor Saxophone", 66),
    "saxR": ("Baritone Saxophone", 67), "saxB": ("Bass Saxophone", 67), "saxC": ("Contrabass Saxophone", 67),
    "oboe": ("Oboe", 68), "oboeD": ("Oboe d'Amore", 68), "chlms": ("Shawm", 68), "chlma": ("Shawm", 68),
    "chlmt": ("Shawm", 68), "cangl": ("English Horn", 69), "fagot": ("Bassoon", 70), "fag_c": ("Contrabassoon", 70),
    "krums": ("Crumhorn", 70), "kruma": ("Crumhorn", 70), "krumt": ("Crumhorn", 70), "krumb": ("Crumhorn", 70),
    "rackt": ("Racket", 70), "sarus": ("Sarrusophone", 70), "clars": ("Clarinet", 71), "clarp": ("Clarinet", 71),
    "clara": ("Alto Clarinet", 71), "clarb": ("Bass Clarinet", 71), "baset": ("Basset Horn", 71),
    "calam": ("Chalumeau", 71), "picco": ("Piccolo", 72), "fife": ("Fife", 72), "flt": ("Flute", 73),
    "flt_a": ("Alto Flute", 73), "flt_b": ("Bass Flute", 73), "fltds": ("Recorder", 74), "fltdn": ("Recorder", 74),
    "fltda": ("Recorder", 74), "fltdt": ("Recorder", 74), "fltdb": ("Recorder", 74), "panpi": ("Pan Flute", 75),
    "shaku": ("Shakuhachi", 77), "ocari": ("Ocarina", 79), "synth": ("Synthesizer", 81), "sitar": ("Sitar", 104),
    "banjo": ("Banjo", 105), "shami": ("Shamisen", 106), "koto": ("Koto", 107), "bagpS": ("Bagpipes", 109),
    "bagpI": ("Bagpipes", 109), "steel": ("Steel Drum", 114),
}  # fmt: skip
_FAMILIES = {"vox": CHOIR, "str": 48, "bras": 61}


def find_player(name: str, code: str, family: str) -> tuple[str, int]:
    """Find the name and the General MIDI program of a column: by its code, else by its name, else by its family."""
    sung = _CODES.get(code)
    usual, program = (sung, CHOIR) if sung else _PLAYED.get(code, ("", None))
    if program is None:
        by_name = find_program(name)
        program = _FAMILIES.get(family, 0) if by_name is None else by_name
    return name or usual, program
