"""A piece to watch and to hear in a terminal; it knows no format and no plugin."""
