"""Characters or words, and which states are scored: what labelled texts suggest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from statistics import mean

from rnncli.data.skipped import Skipped
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.tasks.base import Suggested
from rnncli.tasks.inputs.texts import TextData, texts_in

SAMPLE = 1000  # texts looked at
MANY_WORDS = 4.0  # a text on average: fewer are names and the like, whose spelling tells
LONG = 30.0  # characters a text on average, from which the last state may have forgotten what decides


def suggest_reading(data: TextData, head: str, source: str) -> Suggested:
    """data.tokens and model.head for these texts, where they are not the recipe's already, each with its reason."""
    loose = data.model_copy(update={"on_bad": "skip"})
    try:
        texts = [text.strip() for _, text, _, _ in islice(texts_in(loose, source, Skipped("skip", "")), SAMPLE)]
    except DataError:  # said where the data is read as a whole
        texts = []
    if not texts:
        return Suggested({})
    words, n = has_words(texts), mean(len(text.split()) for text in texts)
    letters, reasons = mean(map(len, texts)), dict[str, str]()
    if words and data.tokens == "characters":
        reasons["data.tokens"] = tr("words, because a text has {n} on average and most of them recur", n=f"{n:.0f}")
    elif not words and data.tokens != "characters":
        reasons["data.tokens"] = tr("characters, because a text has few words that recur (or no spaces between them)")
    if head == "last" and (data.tokens == "characters" or not words) and (words or letters >= LONG):
        reasons["model.head"] = tr("max, because texts are long and what decides may be anywhere in them")
    chosen = {"data.tokens": "words" if words else "characters", "model.head": "max"}
    return Suggested({key: chosen[key] for key in reasons}, reasons=reasons)


def has_words(texts: Sequence[str]) -> bool:
    """Many words a text, with white space between them, and more than half of them in other texts too."""
    cut = [text.lower().split() for text in texts]
    total = sum(map(len, cut))
    if total < MANY_WORDS * len(cut):
        return False
    seen = Counter(word for words in cut for word in set(words))
    return 2 * sum(seen[word] > 1 for words in cut for word in words) > total
