"""Sentences made by rules: a small treebank, well-formed and broken sentences, numbers in two languages.

Everything is drawn from numpy's RandomState, whose numbers are frozen for good (NEP 19), by whole numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Draw:
    """Draws by seed."""

    def __init__(self, seed: int) -> None:
        import numpy as np

        self._state = np.random.RandomState(seed)

    def below(self, n: int) -> int:
        return int(self._state.randint(n))

    def of(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]


# Words that are one part of speech here and another there: most-frequent-tag gets one of the two wrong.
_NOUN_OR_VERB = [
    "run",
    "walk",
    "play",
    "watch",
    "light",
    "plant",
    "book",
    "water",
    "train",
    "plan",
    "cut",
    "visit",
    "answer",
    "question",
    "love",
    "change",
]
_ADJ_OR_VERB = ["open", "close", "clean", "dry", "light"]  # the clean room; they clean the room
_ADJ_OR_ADV = ["hard", "fast", "late", "early"]
_NOUNS = [
    "dog",
    "cat",
    "girl",
    "boy",
    "teacher",
    "friend",
    "house",
    "garden",
    "table",
    "river",
    "doctor",
    "farmer",
    "painter",
    "street",
    "letter",
    "city",
]
_ADJECTIVES = ["old", "new", "small", "big", "red", "quiet", "happy", "young", "strange", "tall"]
_ADVERBS = ["often", "never", "always", "sometimes", "rarely"]
_VERBS = ["see", "find", "like", "know", "help", "remember"]
_NAMES = ["Anna", "Tom", "Maria", "Peter", "Rome", "London", "Paris", "Oslo"]
_PREPOSITIONS = ["in", "near", "behind", "under", "before", "after"]

Tagged = list[tuple[str, str]]


def _plural(noun: str) -> str:
    if noun.endswith("ch"):
        return noun + "es"
    return noun[:-1] + "ies" if noun.endswith("y") and noun[-2] not in "aeiou" else noun + "s"


def _noun(draw: Draw) -> str:
    return draw.of(_NOUN_OR_VERB) if draw.below(2) else draw.of(_NOUNS)


def _noun_phrase(draw: Draw) -> Tagged:
    kind = draw.below(6)
    if kind == 0:
        return [(draw.of(_NAMES[:4]), "PROPN")]
    if kind == 1:
        return [(draw.of(("the", "these", "those", "some")), "DET"), (_plural(_noun(draw)), "NOUNS")]
    first = draw.of(
        (("the", "DET"), ("this", "DET"), ("that", "DET"), ("her", "PRON"), ("his", "PRON"), ("my", "PRON"))
    )
    middle: Tagged = []
    if draw.below(2):
        adjectives = draw.of((_ADJECTIVES, _ADJ_OR_VERB, _ADJ_OR_ADV))
        middle = [(draw.of(adjectives), "ADJ")]
    return [first, *middle, (_noun(draw), "NOUN")]


def _verb(draw: Draw) -> str:
    return draw.of(draw.of((_NOUN_OR_VERB, _ADJ_OR_VERB, _VERBS)))


def _object(draw: Draw) -> Tagged:
    return [(draw.of(("her", "him", "them", "that", "it")), "PRON")] if draw.below(3) == 0 else _noun_phrase(draw)


def _tagged_sentence(draw: Draw) -> Tagged:
    subject: Tagged = [(draw.of(("they", "we", "you", "I")), "PRON")]
    kind = draw.below(8)
    if kind == 0:  # they often plant the light
        words = [*subject, (draw.of(_ADVERBS), "ADV"), (_verb(draw), "VERB"), *_object(draw)]
    elif kind == 1:  # the old light is dry
        words = [*_noun_phrase(draw)]
        be = "are" if words[-1][1] == "NOUNS" else "is"
        words += [(be, "AUX"), (draw.of(draw.of((_ADJECTIVES, _ADJ_OR_VERB, _ADJ_OR_ADV))), "ADJ")]
    elif kind == 2:  # they can water that
        words = [*_noun_phrase(draw), (draw.of(("can", "will", "may", "must")), "AUX"), (_verb(draw), "VERB")]
        words += _object(draw)
    elif kind == 3:  # we know that her dog can run fast
        words = [*subject, (draw.of(("know", "see", "remember")), "VERB"), ("that", "SCONJ"), *_noun_phrase(draw)]
        words += [(draw.of(("can", "will")), "AUX"), (draw.of(_NOUN_OR_VERB), "VERB"), (draw.of(_ADJ_OR_ADV), "ADV")]
    elif kind == 4:  # the run in London is early
        words = [*_noun_phrase(draw)]
        be = "are" if words[-1][1] == "NOUNS" else "is"
        words += [(draw.of(_PREPOSITIONS), "ADP"), *_noun_phrase(draw), (be, "AUX"), (draw.of(_ADJ_OR_ADV), "ADJ")]
    elif kind == 5:  # I want to close that book
        words = [*subject, (draw.of(("want", "hope", "try")), "VERB"), ("to", "PART"), (_verb(draw), "VERB")]
        words += _object(draw)
    elif kind == 6:  # they work hard and we walk
        words = [*subject, (draw.of(_NOUN_OR_VERB), "VERB"), (draw.of(_ADJ_OR_ADV), "ADV"), ("and", "CCONJ")]
        words += [(draw.of(("they", "we")), "PRON"), (_verb(draw), "VERB"), *_object(draw)]
    else:  # they walk to the well-kept garden
        words = [*subject, (draw.of(_NOUN_OR_VERB), "VERB"), (draw.of((*_PREPOSITIONS, "with", "to")), "ADP")]
        words += _noun_phrase(draw)
    first, tag = words[0]
    words[0] = (first[0].upper() + first[1:], tag)
    return [*words, (".", "PUNCT")]


def tagged_sentences(count: int, seed: int) -> list[Tagged]:
    """`count` different sentences of (word, tag); NOUNS is a noun in the plural."""
    draw = Draw(seed)
    found: dict[tuple[tuple[str, str], ...], None] = {}
    while len(found) < count:
        found[tuple(_tagged_sentence(draw))] = None
    return [list(sentence) for sentence in found]


def conllu(sentences: Sequence[Tagged], name: str) -> str:
    """The sentences as CoNLL-U: UPOS, and Number of nouns; the columns left empty hold `_`."""
    lines = []
    for i, sentence in enumerate(sentences, 1):
        lines.append(f"# sent_id = {name}-{i}")
        lines.append("# text = " + _written(sentence))
        for n, (word, tag) in enumerate(sentence, 1):
            number = {"NOUN": "Number=Sing", "PROPN": "Number=Sing", "NOUNS": "Number=Plur"}.get(tag, "_")
            upos = "NOUN" if tag == "NOUNS" else tag
            space = "SpaceAfter=No" if n < len(sentence) and sentence[n][1] == "PUNCT" else "_"
            lines.append(f"{n}\t{word}\t_\t{upos}\t_\t{number}\t_\t_\t_\t{space}")
        lines.append("")
    return "\n".join(lines) + "\n"


def _written(sentence: Tagged) -> str:
    return "".join((" " if i and tag != "PUNCT" else "") + word for i, (word, tag) in enumerate(sentence))


_ANIMALS = ["dog", "cat", "horse", "teacher", "farmer", "child", "doctor", "pilot"]
_THINGS = ["car", "tree", "house", "river", "bridge", "garden", "tower", "boat"]
_RUNS = ["bark", "sleep", "wait", "sing", "laugh", "smile", "work", "rest"]
_CHASES = ["chase", "trust", "follow", "help", "like", "fear"]
_PLACES = ["near", "behind", "beside", "under", "above"]


def _agree(verb: str, plural: bool) -> str:
    return verb if plural else verb + "s"


def _many(noun: str) -> str:
    return "children" if noun == "child" else noun + "s"


def _named(draw: Draw, nouns: Sequence[str], plural: bool) -> str:
    adjective = draw.of(("", "", "old ", "young ", "big ", "quiet "))
    noun = draw.of(nouns)
    return f"the {adjective}{_many(noun) if plural else noun}"


def acceptability(count: int, seed: int) -> list[tuple[str, str]]:
    """`count` different (sentence, "well-formed" | "broken"): does the last verb agree with the first noun?

    Between the two stand one or two other noun phrases, each singular or plural by a coin, and so is the verb: no word,
    and no run of words shorter than the whole distance, says which of the two a sentence is.
    """
    draw = Draw(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        subject, verb = bool(draw.below(2)), bool(draw.below(2))
        words = [_named(draw, _ANIMALS, subject)]
        for _ in range(1 + draw.below(2)):
            other = bool(draw.below(2))
            kind = draw.below(3)
            if kind == 0:
                words.append(f"{draw.of(_PLACES)} {_named(draw, _THINGS, other)}")
            elif kind == 1:  # a clause about the subject: its own verb does not agree by number, being past
                words.append(f"that {draw.of(_CHASES).rstrip('e')}ed {_named(draw, _ANIMALS, other)}")
            else:
                chases = _agree(draw.of(_CHASES), other)
                words.append(f"that {_named(draw, _ANIMALS, other)} {chases}")
        words.append(_agree(draw.of(_RUNS), verb))
        found[" ".join(words)] = "well-formed" if subject == verb else "broken"
    return list(found.items())


_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def english(n: int) -> str:
    """0 ... 9999 in English words: nine thousand and five; three hundred and forty-two."""
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10] + (f"-{_ONES[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{_ONES[n // 100]} hundred" + (f" and {english(n % 100)}" if n % 100 else "")
    rest = n % 1000
    joined = "" if not rest else f" and {english(rest)}" if rest < 100 else f" {english(rest)}"
    return f"{_ONES[n // 1000]} thousand{joined}"


_DIGITS = "零一二三四五六七八九"


def chinese(n: int) -> str:
    """0 ... 9999 in Chinese numerals.

    Each digit stands before its unit (千 百 十); zeros inside, one or more, are a single 零, zeros at the end are not
    said; 10 to 19 are 十 to 十九, without 一, but 110 is 一百一十.
    """
    if n == 0:
        return _DIGITS[0]
    written = ""
    gap = False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = n // unit % 10
        if digit == 0:
            gap = written != ""
            continue
        written += ("零" if gap else "") + _DIGITS[digit] + name
        gap = False
    return written.removeprefix("一") if 10 <= n < 20 else written
