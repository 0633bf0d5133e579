"""Form: pieces in sections, such as AABA; it knows scores and gaps in them, and no token.

from composer.generation.form import Form, compose
from composer.generation.generator import open_model
from composer.request import Request

tunes = open_model("tunes")
piece = compose(tunes, [Form.of(Request(seed=7, bars=8), "AABA'")])[0]

How a form is written. The first section is the piece that its request gives without a form. Then comes each new name,
in the order of the form, at its first place: the model has heard all that stands before, and what follows there, if it
is known already, is given, so that the new section leads to it (`composer.generation.infilling`). A section that
nothing known follows, or that is also the last of the form, is written as the end of a piece. `A'` keeps the first half
of `A` (of an odd number of bars the larger part), and its second half is written anew. A section that came out silent
or as another one is drawn again, and so is one with which the piece, as far as it is written, copies more bars than the
request allows and more than it did before. Each section draws from a stream of its own.

Where a section ends. With an upbeat, every section begins with its own, in the bar before its first whole one: a
section is `bars` bars long from there on, and a note that would sound beyond is cut, before a new section as well. Only
the last section of a piece goes on to the end of its last bar, if it has something there. All have the time signature
and the key of the first.

Constraints hold for what is new in every section, and count bars through the piece, as `chords` does: a section is
written on the chords of its first place. `ending` holds where a section is written as the end of a piece, and so at the
end of the whole.
"""

from composer.generation.form.asked import Form, parse_form
from composer.generation.form.composing import check, compose, pieces

__all__ = ["Form", "check", "compose", "parse_form", "pieces"]
