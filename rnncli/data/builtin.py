"""`builtin:NAME`: data that is there on a fresh machine, each made by us or by code, the same on every run.

Each is the text of a file in the format that its readers read, so that a builtin and a person's own file take the same
way through the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from rnncli.data.made import grammar, shop
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.names import nearest

PREFIX = "builtin:"


@dataclass(frozen=True)
class Builtin:
    """kind: which readers read it. what: one line. make: its text; of sound and frames, the list of what they hold,
    which their readers make row by row."""

    name: str
    kind: Literal["text", "table", "conllu", "pairs", "sound", "frames"]
    what: str
    make: Callable[[], str]


def is_builtin(source: str | Path) -> bool:
    return isinstance(source, str) and source.startswith(PREFIX)


def builtin_names() -> tuple[str, ...]:
    return tuple(BUILTINS)


def builtin_text(name: str) -> str:
    """The text of `NAME` or `builtin:NAME`. DataError with the nearest name for one that is not there."""
    return _made(find(name).name)


def find(name: str) -> Builtin:
    short = name.removeprefix(PREFIX)
    if short not in BUILTINS:
        near = nearest(short, BUILTINS)
        todo = tr("did you mean {name}?", name=PREFIX + near) if near else ""
        known = tr("there are: {names}", names=", ".join(BUILTINS))
        raise DataError(
            tr("there is no shipped data of this name"), where=PREFIX + short, todo=f"{todo} {known}".strip()
        )
    return BUILTINS[short]


@cache
def _made(name: str) -> str:
    return BUILTINS[name].make()


def _python_docs() -> str:
    """The interpreter's documentation topics, in order of name, each under its name.

    They differ a little between Python versions; whoever reads them says length and hash.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:  # some distributions ship Python without it
        raise DataError(
            tr("this Python was installed without its documentation topics"),
            where=PREFIX + "python-docs",
            todo=tr("take a text of your own: --data my.txt"),
        ) from error
    return "".join(f"{name}\n\n{topics[name].strip()}\n\n\n" for name in sorted(topics))


def _shipped(name: str) -> str:
    return (Path(__file__).parent / "shipped" / name).read_text(encoding="utf-8")


def _names() -> str:
    """Surnames (facts, gathered from memory, none from a data set) by language: `name<TAB>language`."""
    rows = ["name\tlanguage"]
    for line in _shipped("names.txt").splitlines():
        language, names = line.split(": ")
        rows += [f"{name.replace('_', ' ')}\t{language}" for name in names.split()]
    return "\n".join(rows) + "\n"


def _treebank() -> str:
    """Sentences tagged by hand, then 500 made by a grammar, mixed so that any tenth of them has both."""
    by_hand = [
        [(word, tag) for word, _, tag in (token.rpartition("/") for token in line.split())]
        for line in _shipped("treebank.txt").splitlines()
    ]
    made = grammar.tagged_sentences(500, seed=1)
    mixed = []
    for i, sentence in enumerate(by_hand):
        share = slice(i * len(made) // len(by_hand), (i + 1) * len(made) // len(by_hand))
        mixed += [sentence, *made[share]]
    return grammar.conllu(mixed, "rnncli")


def _sentences() -> str:
    rows = grammar.acceptability(4000, seed=2)
    return "sentence\tlabel\n" + "".join(f"{sentence}\t{label}\n" for sentence, label in rows)


def _numbers() -> str:
    return "".join(f"{grammar.english(n)}\t{grammar.chinese(n)}\n" for n in range(10_000))


# International airline passengers in thousands, January 1949 to December 1960 (Box, Jenkins: Time Series Analysis,
# series G).
PASSENGERS = """
112 118 132 129 121 135 148 148 136 119 104 118
115 126 141 135 125 149 170 170 158 133 114 140
145 150 178 163 172 178 199 199 184 162 146 166
171 180 193 181 183 218 230 242 209 191 172 194
196 196 236 235 229 243 264 272 237 211 180 201
204 188 235 227 234 264 302 293 259 229 203 229
242 233 267 269 270 315 364 347 312 274 237 278
284 277 317 313 318 374 413 405 355 306 271 306
315 301 356 348 355 422 465 467 404 347 305 336
340 318 362 348 363 435 491 505 404 359 310 337
360 342 406 396 420 472 548 559 463 407 362 405
417 391 419 461 472 535 622 606 508 461 390 432
"""


def _monthly() -> str:
    rows = ["date,value"]
    for i, value in enumerate(PASSENGERS.split()):
        rows.append(f"{1949 + i // 12}-{i % 12 + 1:02d},{value}")
    return "\n".join(rows) + "\n"


def _digits() -> str:
    from rnncli.data.made import speech  # here, as numpy is: every task imports this module

    return speech.transcripts()


def _moving_shapes() -> str:
    from rnncli.data.made import shapes

    return shapes.listing()


BUILTINS: dict[str, Builtin] = {
    made.name: made
    for made in (
        Builtin("python-docs", "text", "the documentation topics of this Python, half a megabyte", _python_docs),
        Builtin("names", "table", "1,900 surnames of 20 languages: name, language", _names),
        Builtin("sentences", "table", "4,000 well-formed and broken English sentences: sentence, label", _sentences),
        Builtin("treebank", "conllu", "600 short English sentences with parts of speech", _treebank),
        Builtin("monthly", "table", "airline passengers a month, 1949 to 1960: date, value", _monthly),
        Builtin("daily", "table", "three years of a made-up shop: date, sales, promotion, temperature", shop.daily),
        Builtin("numbers", "pairs", "0 to 9999 in English words and Chinese numerals", _numbers),
        Builtin("digits", "sound", "1,200 clips of a synthesizer that speaks digits in 24 voices", _digits),
        Builtin("moving-shapes", "frames", "2,400 films of a shape that moves, by kind of motion", _moving_shapes),
    )
}
