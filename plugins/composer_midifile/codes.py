"""Numbers of the format: kinds of meta events, and statuses of messages.

Sources: Standard MIDI Files 1.0, RP-001; MIDI 1.0 Detailed Specification, MIDI Manufacturers Association 1996.
"""

TEXT, NAME, INSTRUMENT, LYRIC, MARKER, CUE = 1, 3, 4, 5, 6, 7
PORT, END_OF_TRACK, TEMPO, SMPTE_OFFSET, TIME_SIGNATURE, KEY_SIGNATURE = 0x21, 0x2F, 0x51, 0x54, 0x58, 0x59

META_SIZES = {0x20: 1, PORT: 1, END_OF_TRACK: 0, TEMPO: 3, SMPTE_OFFSET: 5, TIME_SIGNATURE: 4, KEY_SIGNATURE: 2}
"""Bytes of the meta events of a fixed size."""

NOTE_OFF, NOTE_ON, AFTERTOUCH, CONTROLLER, PROGRAM, BEND = 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xE0
SYSEX, SYSEX_REST, META = 0xF0, 0xF7, 0xFF
