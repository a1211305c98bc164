"""Tokens and their numbers; how a text is cut into characters or words."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.records import Json

Kind = Literal["characters", "words", "whitespace", "words-0.1"]  # what a token is; see `tokenize`
WRITTEN: dict[Any, str] = {"words": "words-2", "words-0.1": "words"}  # as files have it: 0.1 wrote `words` for its own

UNK, PAD, BOS, EOS = "<unk>", "<pad>", "<bos>", "<eos>"


@dataclass(frozen=True)
class Vocab:
    """tokens[i] is the token of number i. specials: those at the front that the data did not give (`<pad>` ...)."""

    tokens: tuple[str, ...]
    specials: tuple[str, ...] = ()
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {token: i for i, token in enumerate(self.tokens)}
        if len(ids) != len(self.tokens):
            raise ValueError("a token stands twice in the vocabulary")
        if self.tokens[: len(self.specials)] != self.specials:
            raise ValueError("special tokens come first")
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def from_tokens(
        cls, tokens: Iterable[str], *, specials: Sequence[str] = (), min_count: int = 1, max_size: int | None = None
    ) -> Vocab:
        """The distinct tokens, ordered as `from_counts` says."""
        return cls.from_counts(Counter(tokens), specials=specials, min_count=min_count, max_size=max_size)

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        *,
        specials: Sequence[str] = (),
        min_count: int = 1,
        max_size: int | None = None,
    ) -> Vocab:
        """Specials first, then what was seen at least min_count times, the most frequent up to max_size in all.

        Characters stand by code point (`hello` gives e h l o), words by falling count and, at equal counts, by text.
        A special that also stands in the data (`<unk>` in prepared texts) is the same token. Raises DataError: these
        limits leave no token but specials, so that there would be nothing to learn.
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
        """The number of a token that is known to be there (KeyError otherwise); specials above all."""
        return self._ids[token]

    def encode(self, tokens: Iterable[str], *, where: str = "") -> list[int]:
        """The number of each token. An unknown one is `<unk>` where the vocabulary has that, else a DataError."""
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
        """The error that token number `place`, from 0, of n is not known."""
        return DataError(
            tr(
                "{token} (number {place} of {n}) is not among the {size} known tokens",
                token=repr(token),
                place=place + 1,
                n=n,
                size=len(self),
            ),
            where=where,
            todo=tr("known are: {tokens}", tokens=_some(self.tokens)),
        )

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The token of each number. DataError for a number that has none."""
        tokens = self.tokens
        found = []
        for i in ids:
            if not 0 <= i < len(tokens):
                raise DataError(tr("there is no token number {i}; there are {n}", i=i, n=len(tokens)))
            found.append(tokens[i])
        return found

    def unknown(self, tokens: Iterable[str]) -> list[str]:
        """The distinct tokens that are not in the vocabulary, in the order they first appear."""
        return [token for token in dict.fromkeys(tokens) if token not in self._ids]

    def to_json(self) -> Json:
        return {"specials": list(self.specials), "tokens": list(self.tokens)}

    @classmethod
    def from_json(cls, value: Json, *, where: str = "") -> Vocab:
        """What to_json made; anything else is a DataError."""
        if isinstance(value, dict) and set(value) == {"specials", "tokens"}:
            lists = [value["specials"], value["tokens"]]
            if all(isinstance(x, list) and all(isinstance(token, str) for token in x) for x in lists):
                try:
                    return cls(tuple(value["tokens"]), tuple(value["specials"]))
                except ValueError as error:
                    raise DataError(tr("is not a vocabulary: {why}", why=error), where=where) from error
        raise DataError(tr("is not a vocabulary: two lists of texts, specials and tokens, are wanted"), where=where)


def _nothing_left(most: int, min_count: int) -> DataError:
    """most: how often the most frequent token was seen."""
    if most < min_count:
        return DataError(
            trn("no token is seen {min} times: the most frequent one is seen {n} time",
                "no token is seen {min} times: the most frequent one is seen {n} times", n=most, min=min_count),
            where="data.min_count",
            todo=f"--set data.min_count={most}",
        )  # fmt: skip
    return DataError(
        tr("this vocabulary has no room for a token besides the special ones"),
        where="data.max_vocab",
        todo=tr("0 keeps all"),
    )


def _some(tokens: Sequence[str], most: int = 20) -> str:
    text = " ".join(repr(token) for token in tokens[:most])
    return text if len(tokens) <= most else tr("{text} and {n} more", text=text, n=len(tokens) - most)


# Of Brahmic, Arabic, Indic scripts and hyphenation: they join letters, or say where a word may be broken.
JOINERS = "\u200c\u200d\u00ad"
# What stands in prepared corpora for something else: <unk>, </s>, <NUM>, <USER_1>; &apos; and &#39;.
SIGN = (
    r"</?(?:[A-Z][A-Z0-9_-]{1,20}|unk|oov|pad|bos|sos|eos|s|num|mask|sep|cls)>|&(?:[A-Za-z]{2,8}|#x?[0-9A-Fa-f]{2,6});"
)
LONGEST_SIGN = 24


@cache
def _words(kind: Literal["words", "words-0.1"]) -> re.Pattern[str]:
    # \w knows letters and digits but no combining marks, without which a Hindi word falls into pieces.
    marks = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c))[0] == "M")
    if kind == "words-0.1":
        return re.compile(rf"[\w{marks}]+|\n|[^\w\s]")
    return re.compile(rf"[\w{marks}][\w{marks}{JOINERS}]*|\n|{SIGN}|[^\w\s]")


def tokenize(text: str, kind: Kind, *, newlines: bool = False) -> list[str]:
    """The tokens of a text.

    characters: every character, white space too. words: runs of letters, digits, underscores, combining marks and what
    joins letters (zero-width joiners, soft hyphens); signs of prepared corpora (<unk>, &apos;); any other character
    that is not white space is a token of its own (`don't` is don ' t). whitespace: whatever stands between white space,
    as a prepared corpus has its tokens. words-0.1: words as rnncli 0.1 cut them, without joiners and signs; its runs
    and recipes of format 1 keep that.

    But for characters white space separates and is dropped, except that with newlines=True (language models) each \\n
    is a token. A language written without spaces comes out as one word per run: use characters there.
    """
    if kind == "characters":
        return list(text)
    found = re.findall(r"\n|\S+", text) if kind == "whitespace" else _words(kind).findall(text)
    # Equal words of a long text share one string: the list then costs 8 bytes a token.
    found = [sys.intern(token) for token in found]
    return found if newlines else [token for token in found if token != "\n"]


def unit(kind: Kind) -> Literal["characters", "words"]:
    """What a reader calls these tokens."""
    return "characters" if kind == "characters" else "words"


_PREPARED = re.compile(r"(?<!\S)(?:<unk>|<UNK>|</?s>|<eos>|@[-,.]@|&(?:apos|quot|amp);\w*)(?!\S)")
_ATTACHED = re.compile(r"(?<!\S)\w+[,;!?](?!\S)")


def prepared_sign(text: str) -> str:
    """A sign in a text that says it is a prepared corpus, whose tokens stand between blanks; "" where there is none, or
    where punctuation is attached to its words."""
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
    """Tokens as readable text; `tokenize` cuts it into the same tokens again, but spacing may differ from before.

    before: the token that the text goes on from.
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
