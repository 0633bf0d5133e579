"""Generation: pieces from requests, of every kind.

composer.py      a model in Python, with a method for each task
tasks.py         requests, continuations, infills and forms side by side
generator.py     a model ready to generate, and pieces from requests
backends.py      the inference backend of a request
continuation.py  new music after a primer
primers.py       primers from files and typed notes
infilling.py     new music around fixed notes
accompanying.py  new parts beside given ones
humanizing.py    given notes as a player's: new loudness and timing
form_spec.py     the sections of a form
form.py          pieces in sections
readings.py      fixed music as a model reads it: transposed, in other bars, quantised
defaults.py      samplers that a new request has unasked
annotating.py    symbols on finished pieces, such as chords
presets.py       named sets of options, such as hymn
finishing.py     transforms and rules of finished pieces
degeneration.py  loops, and their limits
ranking.py       the best of several pieces
streaming.py     a piece while it is generated
options.py       options by the names that the command line and Python share
"""
