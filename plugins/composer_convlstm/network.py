"""The network around convolutional LSTMs: pitches lie on an axis, and all else is given to every pitch alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from composer_convlstm.axis import NOWHERE, PitchAxis
from composer_convlstm.layers import ConvLstmLayer
from composer_recurrent.dropout import Dropout
from composer_recurrent.network import sum_rows

Parts = tuple[Tensor, ...]

AT_ONCE = 64
"""Steps computed at once where no gradients are kept, so that long pieces take no more memory than short ones."""

OCTAVE = 12

MIDDLE = 60
"""The pitch from which heights are counted, in octaves."""


class ConvLstmNetwork(nn.Module):
    """`model(inputs (B, T, F), state=None) -> (logits (B, T, V), state)`; a state is two tensors (B, layers, P, C).

    Nothing that is learned belongs to one pitch. Music and key that are moved by some semitones move states, and the
    logits of pitches, by as much, apart from what the edges of the axis cut off; not so with a `register`.
    """

    token_columns: Tensor
    other_columns: Tensor
    offsets: Tensor
    tables: Tensor
    place_at: Tensor
    word_at: Tensor
    tonic_at: Tensor
    axis: Tensor
    height: Tensor
    degree_at: Tensor
    written_at: Tensor
    pitched: Tensor
    read_at: Tensor

    def __init__(
        self,
        axis: PitchAxis,
        column_sizes: Sequence[int],
        holds_tokens: Sequence[bool | None],
        layers: Iterable[ConvLstmLayer],
        *,
        width: int,
        embedding_size: int,
        dropout: float,
        register: bool,
    ) -> None:
        super().__init__()
        words, self.places, self.width = len(axis.place), axis.size, width
        of_tokens = [number for number, holds in enumerate(holds_tokens) if holds is not None]
        others = [number for number, holds in enumerate(holds_tokens) if holds is None]
        self._keep_tables(axis, [bool(holds_tokens[number]) for number in of_tokens])
        sizes = torch.tensor([column_sizes[number] for number in others], dtype=torch.int64)
        self._keep("token_columns", of_tokens)
        self._keep("other_columns", others)
        self._keep("offsets", torch.cumsum(sizes, 0) - sizes)
        # What a column says is a vector of the token, times one of the column, number by number.
        self.words = nn.Parameter(torch.empty(words, embedding_size).normal_(std=0.25))
        self.roles = nn.Parameter(torch.empty(len(of_tokens), embedding_size).normal_())
        self.values = nn.Parameter(torch.empty(int(sizes.sum()), embedding_size).normal_(std=0.25))
        self.marks = nn.Parameter(torch.empty(len(of_tokens), width).normal_())
        self.degrees = nn.Parameter(torch.empty(OCTAVE, width).normal_(std=0.25))
        self.register = nn.Parameter(torch.empty(width).normal_(std=0.25)) if register else None
        self.layers = nn.ModuleList(layers)
        self.dropout = Dropout(dropout)
        seen = 2 * width + embedding_size
        self.head = nn.Linear(seen, words)
        self.query = nn.Linear(seen, width)
        self.kinds = nn.Parameter(torch.empty(words, width).normal_(std=width**-0.5))

    def _keep(self, name: str, numbers: object, dtype: torch.dtype = torch.int64) -> None:
        self.register_buffer(name, torch.as_tensor(numbers, dtype=dtype), persistent=False)

    def _keep_tables(self, axis: PitchAxis, follow: Sequence[bool]) -> None:
        """Keep what is known of each token in each column of tokens, one table after the other; and of each logit."""
        words, nowhere = np.arange(len(axis.place)), np.full(len(axis.place), NOWHERE)
        joined = {
            "place_at": [axis.place if moves else nowhere for moves in follow],
            "word_at": [axis.alike if moves else words for moves in follow],
            "tonic_at": [axis.tonic if moves else nowhere for moves in follow],
        }
        for name, tables in joined.items():
            self._keep(name, np.concatenate([*tables, nowhere[:0]]))
        self._keep("tables", len(words) * np.arange(len(follow)))
        self._keep("axis", np.arange(axis.size))
        self._keep("height", (axis.lowest + np.arange(axis.size) - MIDDLE) / OCTAVE, torch.float32)
        # The degree of each place: without a key there is none, in C it is the pitch class.
        self._keep("degree_at", (axis.lowest + np.arange(axis.size) - np.arange(OCTAVE)[:, None]) % OCTAVE)
        self.is_relative, kinds = axis.is_relative, axis.kinds
        self._keep("written_at", np.where(axis.place == NOWHERE, words, axis.alike))  # each key for itself
        self._keep("pitched", kinds)
        nothing = axis.size * len(kinds)  # behind all places
        rank = np.searchsorted(kinds, axis.alike)
        self._keep("read_at", np.where(axis.place == NOWHERE, nothing, axis.place * len(kinds) + rank))

    def forward(self, inputs: Tensor, state: Parts | None = None) -> tuple[Tensor, Parts]:
        """Compute (B, T, V) logits, and the state after the last token."""
        if state is None:
            like = self.words.new_zeros(len(inputs), len(self.layers), self.places, self.width)
            state = (like, like.clone())
        if torch.is_grad_enabled() or inputs.shape[1] <= AT_ONCE:
            return self._run(inputs, state)
        read = []
        for part in inputs.split(AT_ONCE, dim=1):
            logits, state = self._run(part, state)
            read.append(logits)
        return torch.cat(read, dim=1), state

    def _run(self, inputs: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        inputs = inputs.transpose(0, 1)  # time first
        tokens = inputs[..., self.token_columns] + self.tables
        shared = self.dropout(self._embed(inputs, tokens))
        stream, after = self._lay(tokens), []
        for number, layer in enumerate(self.layers):
            hidden, kept = layer(stream, shared, (state[0][:, number], state[1][:, number]))
            stream = stream + self.dropout(hidden.to(stream.dtype))
            after.append(kept)
        logits = self._read(stream, shared)
        hidden, cell = (torch.stack(parts, dim=1) for parts in zip(*after, strict=True))
        return logits.transpose(0, 1), (hidden, cell)

    def _embed(self, inputs: Tensor, tokens: Tensor) -> Tensor:
        """Compute (T, B, E) what is given to all pitches alike."""
        shared = (self.words[self.word_at[tokens]] * self.roles).sum(2)
        if not len(self.other_columns):
            return shared
        rows = (inputs[..., self.other_columns] + self.offsets).flatten(0, 1)
        return shared + sum_rows(self.values, rows).view_as(shared)

    def _lay(self, tokens: Tensor) -> Tensor:
        """Lay tokens on the axis (T, B, P, C): marks of the columns that hold each pitch, and its degree."""
        here = self.place_at[tokens][:, :, None] == self.axis[:, None]  # (T, B, P, columns)
        degrees = self._find_degrees(tokens)
        if self.register is not None:
            degrees = degrees + self.height.to(degrees.dtype)[:, None] * self.register
        return here.to(self.marks.dtype) @ self.marks + degrees

    def _find_degrees(self, tokens: Tensor) -> Tensor:
        """Find the vectors of degrees, (T, B, P, C), or one for all steps where pitches are relative to the tonic."""
        tables = self.degrees[self.degree_at]  # (12, P, C)
        if self.is_relative:
            return tables[0]
        with_none = torch.cat([torch.zeros_like(tables[:1]), tables]).flatten(1)
        tonic = 1 + self.tonic_at[tokens].amax(2) if tokens.shape[2] else tokens.new_zeros(tokens.shape[:2])
        return nn.functional.embedding(tonic, with_none).unflatten(2, tables.shape[1:])

    def _read(self, stream: Tensor, shared: Tensor) -> Tensor:
        """Read the logits (T, B, V): of tokens without a pitch from the whole axis, of others at their pitch, too."""
        seen = torch.cat([stream.mean(2), stream.amax(2), shared.to(stream.dtype)], dim=2)
        asked = (stream @ self.query(seen)[..., None].to(stream.dtype)) * self.width**-0.5
        local = (stream @ self.kinds[self.pitched].t() + asked).flatten(2)
        local = torch.cat([local, torch.zeros_like(local[..., :1])], dim=2)
        return self.head(seen)[..., self.written_at] + local[..., self.read_at]
