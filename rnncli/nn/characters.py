"""Words and their characters: a small core reads each word's characters, a large one the sentence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnncli.cells import State, spec_of
from rnncli.data.batch import Batch
from rnncli.nn.frontends import TokenEmbedding
from rnncli.nn.heads import joined
from rnncli.nn.model import Outputs
from rnncli.nn.recurrent import Core, run


class WordsAndCharacters(nn.Module):
    """Each step's input: the word's embedding, concatenated with the last states of `characters` over its characters.

    The bidirectional form is the tagger of Plank, Søgaard, Goldberg 2016 (arXiv:1604.05529). Batches have the
    characters as extra["characters"] (T, B, longest word), ids from 1, padded with 0.
    """

    def __init__(
        self, words: TokenEmbedding, letters: nn.Embedding, characters: Core, rnn: Core, head: nn.Module, engine: str
    ) -> None:
        super().__init__()
        self.words = words
        self.letters = letters
        self.characters = characters
        self.rnn = rnn
        self.head = head
        self.engine = engine

    def forward(self, batch: Batch, state: State | None = None) -> Outputs:
        words = self.words.vectors(batch.inputs)  # (T, B, embedding_size)
        x = self.spelled(batch.extra["characters"], words)
        output, last = run(self.rnn, x, batch.lengths, state, engine=self.engine)
        return Outputs(self.head(output, last, batch.lengths), last, batch.lengths)

    def spelled(self, characters: Tensor, words: Tensor) -> Tensor:
        """words (T, B, embedding_size), concatenated with the features of their characters (T, B, longest): (T, B,
        both)."""
        spec = spec_of(self.characters)
        assert spec is not None
        lengths = characters.ne(0).sum(2)  # (T, B), 0 after a sequence's end
        inside = lengths > 0
        letters = self.letters(characters[inside].t())  # (longest, N, character embedding size), N words in the batch
        _, last = run(self.characters, letters, lengths[inside], engine=self.engine)
        spelling = words.new_zeros(*inside.shape, spec.output_size)
        spelling[inside] = joined(last, spec.output_size).to(spelling.dtype)
        return torch.cat((words, spelling), dim=2)
