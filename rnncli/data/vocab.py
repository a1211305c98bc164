"""Vocabularies, and tokenization into characters or words."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.records import Json

Kind = Literal["characters", "words", "whitespace", "words-0.1"]  # what a token is; see `tokenize`
WRITTEN: dict[Any, str] = {"words": "words-2", "words-0.1": "words"}  # in files: 0.1 wrote `words` for its own

UNK, PAD, BOS, EOS = "<unk>", "<pad>", "<bos>", "<eos>"


@dataclass(frozen=True)
class Vocab:
    """tokens[i] is the token of id i. specials: the special tokens at the front (`<pad>` ...)."""

    tokens: tuple[str, ...]
    specials: tuple[str, ...] = ()
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {token: i for i, token in enumerate(self.tokens)}
        if len(ids) != len(self.tokens):
            raise ValueError("duplicate token in the vocabulary")
        if self.tokens[: len(self.specials)] != self.specials:
            raise ValueError("special tokens must come first")
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        *,
        specials: Sequence[str] = (),
        min_count: int = 1,
        max_size: int | None = None,
    ) -> Vocab:
        """Specials first, then tokens seen at least min_count times, most frequent first, up to max_size in total.

        Characters are sorted by code point (`hello` gives e h l o), words by decreasing count, ties by text. A special
        that also occurs in the data (`<unk>` in prepared texts) is the same token. Raises DataError if these limits
        leave only special tokens: there would be nothing to learn.
        """
        seen = sorted((-n, token) for token, n in counts.items() if n >= min_count and token not in specials)
        if max_size is not None:
            seen = seen[: max(0, max_size - len(specials))]
        ordered = [token for _, token in seen]
        if not ordered and not counts.keys() <= set(specials):
            raise _nothing_left(max(n for token, n in counts.items() if token not in specials), min_count)
        if all(len(token) == 1 for token in ordered):
            ordered.sort()
        return cls((*specials, *ordered), tuple(specials))

    def __len__(self) -> int:
        return len(self.tokens)

    def __str__(self) -> str:
        return f"{len(self)} ({_some(self.tokens, 8)})"

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def id(self, token: str) -> int:
        """The id of a token that must exist, such as a special. Raises KeyError."""
        return self._ids[token]

    def encode(self, tokens: Iterable[str], *, where: str = "") -> list[int]:
        """The id of each token. Unknown tokens become `<unk>`; raises DataError if the vocabulary has none."""
        ids = self._ids
        unk = ids.get(UNK)
        if unk is not None:
            return [ids.get(token, unk) for token in tokens]
        tokens = list(tokens)
        try:
            return [ids[token] for token in tokens]
        except KeyError:
            place, token = next((i, token) for i, token in enumerate(tokens) if token not in ids)
            raise self.lacks(token, place, len(tokens), where) from None

    def lacks(self, token: str, place: int, n: int, where: str) -> DataError:
        """The error for unknown token number `place` (from 0) of n."""
        return DataError(
            tr(
                "{token} (number {place} of {n}) is not among the {size} known tokens",
                token=repr(token),
                place=place + 1,
                n=n,
                size=len(self),
            ),
            where=where,
            todo=tr("known tokens: {tokens}", tokens=_some(self.tokens)),
        )

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The token of each id. Raises DataError for an invalid id."""
        tokens = self.tokens
        found = []
        for i in ids:
            if not 0 <= i < len(tokens):
                raise DataError(tr("no token with id {i}; the vocabulary has {n}", i=i, n=len(tokens)))
            found.append(tokens[i])
        return found

    def unknown(self, tokens: Iterable[str]) -> list[str]:
        """The distinct out-of-vocabulary tokens, in order of first appearance."""
        return [token for token in dict.fromkeys(tokens) if token not in self._ids]

    def to_json(self) -> Json:
        return {"specials": list(self.specials), "tokens": list(self.tokens)}

    @classmethod
    def from_json(cls, value: Json, *, where: str = "") -> Vocab:
        """Inverse of to_json. Raises DataError for anything else."""
        if isinstance(value, dict) and set(value) == {"specials", "tokens"}:
            lists = [value["specials"], value["tokens"]]
            if all(isinstance(x, list) and all(isinstance(token, str) for token in x) for x in lists):
                try:
                    return cls(tuple(value["tokens"]), tuple(value["specials"]))
                except ValueError as error:
                    raise DataError(tr("not a vocabulary: {why}", why=error), where=where) from error
        raise DataError(tr("not a vocabulary: expected two lists of strings, specials and tokens"), where=where)


def _nothing_left(most: int, min_count: int) -> DataError:
    """most: count of the most frequent token."""
    if most < min_count:
        return DataError(
            trn("no token occurs {min} times: the most frequent one occurs {n} time",
                "no token occurs {min} times: the most frequent one occurs {n} times", n=most, min=min_count),
            where="data.min_count",
            todo=f"--set data.min_count={most}",
        )  # fmt: skip
    return DataError(
        tr("this vocabulary size leaves no room for tokens other than special ones"),
        where="data.max_vocab",
        todo=tr("0 keeps all"),
    )


def _some(tokens: Sequence[str], most: int = 20) -> str:
    text = " ".join(repr(token) for token in tokens[:most])
    return text if len(tokens) <= most else tr("{text} and {n} more", text=text, n=len(tokens) - most)


# Joiners of Brahmic, Arabic and Indic scripts, and soft hyphens, which mark possible line breaks.
JOINERS = "\u200c\u200d\u00ad"
# Placeholders of prepared corpora: <unk>, </s>, <NUM>, <USER_1>; &apos; and &#39;.
SIGN = (
    r"</?(?:[A-Z][A-Z0-9_-]{1,20}|unk|oov|pad|bos|sos|eos|s|num|mask|sep|cls)>|&(?:[A-Za-z]{2,8}|#x?[0-9A-Fa-f]{2,6});"
)
LONGEST_SIGN = 24


@cache
def _words(kind: Literal["words", "words-0.1"]) -> re.Pattern[str]:
    # \w matches letters and digits but not combining marks, without which a Hindi word would be split.
    marks = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c))[0] == "M")
    if kind == "words-0.1":
        return re.compile(rf"[\w{marks}]+|\n|[^\w\s]")
    return re.compile(rf"[\w{marks}][\w{marks}{JOINERS}]*|\n|{SIGN}|[^\w\s]")


def tokenize(text: str, kind: Kind, *, newlines: bool = False) -> list[str]:
    """Tokenize a text.

    characters: every character, including white space. words: runs of letters, digits, underscores, combining marks and
    joiners (zero-width joiners, soft hyphens); placeholders of prepared corpora (<unk>, &apos;); any other non-space
    character is a token of its own (`don't` is don ' t). whitespace: split at white space, for pre-tokenized corpora.
    words-0.1: words as in rnncli 0.1, without joiners and placeholders; kept for its runs and for recipes of format 1.

    Except for characters, white space separates tokens and is dropped; with newlines=True (language models) each \\n is
    a token. For languages written without spaces a whole run becomes one word: use characters there.
    """
    if kind == "characters":
        return list(text)
    found = re.findall(r"\n|\S+", text) if kind == "whitespace" else _words(kind).findall(text)
    # Equal words of a long text share one string: the list then costs 8 bytes per token.
    found = [sys.intern(token) for token in found]
    return found if newlines else [token for token in found if token != "\n"]


def unit(kind: Kind) -> Literal["characters", "words"]:
    """What these tokens are called."""
    return "characters" if kind == "characters" else "words"


_PREPARED = re.compile(r"(?<!\S)(?:<unk>|<UNK>|</?s>|<eos>|@[-,.]@|&(?:apos|quot|amp);\w*)(?!\S)")
_ATTACHED = re.compile(r"(?<!\S)\w+[,;!?](?!\S)")


def prepared_sign(text: str) -> str:
    """A placeholder that marks a text as a prepared, blank-separated corpus; "" if there is none, or if punctuation is
    attached to words."""
    found = _PREPARED.search(text)
    return found[0] if found and 50 * len(_ATTACHED.findall(text)) <= len(text.split()) else ""


# A hyphen and an apostrophe are within words more often than between them: thirty-four, don't.
_GLUED_BEFORE = frozenset(".,;:!?)]}%'’”…-\n。，、；：！？）】》")
_GLUED_AFTER = frozenset("([{'’“-\n（【《")
_NEWLINE = frozenset("\n")


def glued(kind: Kind) -> tuple[frozenset[str], frozenset[str]]:
    """The tokens before which `join` never puts a space, and those after which it never does."""
    return (_NEWLINE, _NEWLINE) if kind == "whitespace" else (_GLUED_BEFORE, _GLUED_AFTER)


def join(tokens: Iterable[str], kind: Kind, before: str = "\n") -> str:
    """Join tokens to readable text; `tokenize` gives the same tokens again, but spacing may differ from the original.

    before: the token that precedes the text.
    """
    if kind == "characters":
        return "".join(tokens)
    glued_before, glued_after = glued(kind)
    pieces: list[str] = []
    for token in tokens:
        if before not in glued_after and token not in glued_before:
            pieces.append(" ")
        pieces.append(token)
        before = token
    return "".join(pieces)


def gaps(tokens: Sequence[str], kind: Kind) -> tuple[list[bool], list[bool]]:
    """For each token, whether `join` never puts a space before it, and never one after it."""
    if kind == "characters":
        return [True] * len(tokens), [True] * len(tokens)
    before, after = glued(kind)
    return [token in before for token in tokens], [token in after for token in tokens]
