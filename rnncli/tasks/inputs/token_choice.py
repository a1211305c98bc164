"""Suggests characters or words, and pooling, for labelled texts."""

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

SAMPLE = 1000  # texts examined
MANY_WORDS = 4.0  # per text on average; with fewer, these are names and the like, for which spelling matters
LONG = 30.0  # characters per text on average, above which the last state may have forgotten what matters


def suggest_reading(data: TextData, head: str, source: str) -> Suggested:
    """data.tokens and model.head for these texts, if they differ from the recipe, each with a reason."""
    loose = data.model_copy(update={"on_bad": "skip"})
    try:
        texts = [text.strip() for _, text, _, _ in islice(texts_in(loose, source, Skipped("skip", "")), SAMPLE)]
    except DataError:  # reported when the data is read
        texts = []
    if not texts:
        return Suggested({})
    words, n = has_words(texts), mean(len(text.split()) for text in texts)
    letters, reasons = mean(map(len, texts)), dict[str, str]()
    if words and data.tokens == "characters":
        reasons["data.tokens"] = tr("words: {n} in a text on average, and most recur in other texts", n=f"{n:.0f}")
    elif not words and data.tokens != "characters":
        reasons["data.tokens"] = tr("characters: texts have few recurring words (or no spaces)")
    if head == "last" and (data.tokens == "characters" or not words) and (words or letters >= LONG):
        reasons["model.head"] = tr("max: the relevant part may be anywhere in a text")
    chosen = {"data.tokens": "words" if words else "characters", "model.head": "max"}
    return Suggested({key: chosen[key] for key in reasons}, reasons=reasons)


def has_words(texts: Sequence[str]) -> bool:
    """Whether texts have many space-separated words, more than half of which also occur in other texts."""
    cut = [text.lower().split() for text in texts]
    total = sum(map(len, cut))
    if total < MANY_WORDS * len(cut):
        return False
    seen = Counter(word for words in cut for word in set(words))
    return 2 * sum(seen[word] > 1 for words in cut for word in words) > total
