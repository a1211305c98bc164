import hashlib
import itertools
import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from rnncli.data.builtin import BUILTINS, builtin_text
from rnncli.data.conllu import Conllu
from rnncli.data.pairs import read_pairs
from rnncli.data.skipped import Skipped
from rnncli.data.table import read_cells, read_panel
from rnncli.errors import DataError

UPOS = {
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
    "SYM", "VERB", "X",
}  # fmt: skip


def test_every_name_is_there_and_the_same_again() -> None:
    assert "python-docs" in BUILTINS
    for name in BUILTINS:
        text = builtin_text(f"builtin:{name}")
        assert text == builtin_text(name) == BUILTINS[name]()
        assert text.endswith("\n")
        assert "\r" not in text
    with pytest.raises(DataError, match="did you mean builtin:numbers"):
        builtin_text("builtin:number")


@pytest.mark.parametrize("name", ["names", "sentences", "treebank", "monthly", "daily", "numbers"])
def test_made_data_never_changes(name: str) -> None:
    """Results in recipes and tables rest on it. A change on purpose changes the hash here."""
    assert hashlib.sha256(builtin_text(name).encode()).hexdigest()[:16] == HASHES[name]


def test_names() -> None:
    rows = [cells for _, cells in read_cells("builtin:names", ["name", "language"], Skipped())]
    counts = Counter(language for _, language in rows)
    assert len(counts) >= 10
    assert min(counts.values()) >= 60
    assert len({tuple(row) for row in rows}) == len(rows)
    assert all(re.fullmatch(r"[^\W\d_]+( [^\W\d_]+)?", name) and name[0].isupper() for name, _ in rows)


def test_the_treebank_needs_context() -> None:
    """The most frequent tag of each word, known from the very same sentences, is wrong on one word in twelve."""
    sentences = list(Conllu().sentences("builtin:treebank", Skipped()))
    assert len({sentence.tokens for sentence in sentences}) > 600
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        assert sentence.tags[-1] == "PUNCT"
        assert set(sentence.tags) <= UPOS
        for token, tag in zip(sentence.tokens, sentence.tags, strict=True):
            counts[token.lower()][tag or ""] += 1
    right = sum(max(tags.values()) for tags in counts.values()) / sum(sum(tags.values()) for tags in counts.values())
    assert right < 0.92
    for word, tags in {"run": {"NOUN", "VERB"}, "light": {"NOUN", "VERB", "ADJ"}, "her": {"PRON"}}.items():
        assert tags <= set(counts[word])
    assert {"DET", "SCONJ", "PRON"} <= set(counts["that"])
    assert set(next(Conllu("Number").sentences("builtin:treebank", Skipped())).tags) == {"Sing", "_"}


SINGULAR = ["dog", "cat", "horse", "teacher", "farmer", "child", "doctor", "pilot"]


def test_sentences_are_labelled_by_the_rule() -> None:
    rows = [cells for _, cells in read_cells("builtin:sentences", ["sentence", "label"], Skipped())]
    assert len({sentence for sentence, _ in rows}) == 4000
    for sentence, label in rows:
        words = sentence.split()
        noun = next(
            word for word in words if word in SINGULAR or word.removesuffix("s") in SINGULAR or word == "children"
        )
        agree = (noun in SINGULAR) == words[-1].endswith("s")
        assert (label == "well-formed") == agree
    assert 0.47 < sum(label == "broken" for _, label in rows) / len(rows) < 0.53


def test_no_short_run_of_words_tells_broken_sentences() -> None:
    """Naive Bayes over all runs of one to three words, trained on three quarters, is no better than a coin."""
    rows = [cells for _, cells in read_cells("builtin:sentences", ["sentence", "label"], Skipped())]
    counts: dict[str, Counter[tuple[str, ...]]] = {"well-formed": Counter(), "broken": Counter()}

    def grams(sentence: str) -> list[tuple[str, ...]]:
        words = sentence.split()
        return [tuple(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1)]

    for sentence, label in rows[1000:]:
        counts[label].update(grams(sentence))
    right = 0
    for sentence, label in rows[:1000]:
        score = sum(np.log((counts["broken"][g] + 1) / (counts["well-formed"][g] + 1)) for g in grams(sentence))
        right += (score > 0) == (label == "broken")
    assert abs(right - 500) < 80  # 5 standard deviations of a coin


def test_monthly_is_the_classic_series() -> None:
    series = read_panel("builtin:monthly", (), "date", ["value"], Skipped())[0]
    assert series.values.shape == (144, 1)
    assert series.values.sum() == 40363
    assert (series.values[0, 0], series.values[-1, 0], series.values.max()) == (112, 432, 622)
    assert series.dates is not None
    assert series.dates.report() == ["144 dates from 1949-01 to 1960-12, monthly"]


def test_daily_holds_what_its_columns_promise() -> None:
    series = read_panel("builtin:daily", (), "date", ["sales", "promotion", "temperature"], Skipped())[0]
    assert series.dates is not None
    assert not series.dates.gaps
    assert series.dates.step is not None
    assert series.dates.step.name == "daily"
    sales, promotion, warmth = series.values.T
    day = np.arange(len(sales))
    season = np.stack([np.sin(2 * np.pi * day / 365.25), np.cos(2 * np.pi * day / 365.25)])
    week = np.eye(7)[day % 7].T
    yesterday = np.append(0, warmth[:-1])
    everything = [day, *season, *week, promotion, yesterday]
    noise = _residual(everything, sales)
    assert noise < 2.5
    assert _residual([column for column in everything if column is not promotion], sales) > 2 * noise
    assert _residual([column for column in everything if column is not yesterday], sales) > 1.5 * noise


def _residual(columns: list[np.ndarray], target: np.ndarray) -> float:
    """Standard deviation of what a linear fit leaves over."""
    matrix = np.column_stack(columns)
    return float((target - matrix @ np.linalg.lstsq(matrix, target, rcond=None)[0]).std())


def _unchinese(text: str) -> set[int]:
    """Every number below 10,000 whose digits, units and zeros could be written so, by trying all."""
    found = set()
    for digits in itertools.product(range(10), repeat=4):
        n = int("".join(map(str, digits)))
        units = list(zip(digits, ("千", "百", "十", ""), strict=True))
        while units and units[0][0] == 0:
            units = units[1:]
        while units and units[-1][0] == 0:
            units = units[:-1]
        said = re.sub("零+", "零", "".join("零" if d == 0 else "零一二三四五六七八九"[d] + u for d, u in units))
        if (said.removeprefix("一") if 10 <= n < 20 else said or "零") == text:
            found.add(n)
    return found


_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip


def _unenglish(text: str) -> int:
    total = part = 0
    for word in re.findall("[a-z]+", text):
        if word == "thousand":
            total, part = part * 1000, 0
        elif word == "hundred":
            part *= 100
        elif word != "and":
            part += _WORDS[word]
    return total + part


def _unchinese_by_units(text: str) -> int:
    total, digit = 0, None
    for sign in text:
        if sign in "千百十":
            total += (1 if digit is None else digit) * {"千": 1000, "百": 100, "十": 10}[sign]
            digit = None
        elif sign != "零":
            digit = "零一二三四五六七八九".index(sign)
    return total + (digit or 0)


def test_numbers_read_back() -> None:
    pairs = list(read_pairs("builtin:numbers", Skipped()))
    assert len({pair.source for pair in pairs}) == len({pair.target for pair in pairs}) == 10_000
    for n, pair in enumerate(pairs):
        assert _unenglish(pair.source) == n
        assert _unchinese_by_units(pair.target) == n
        assert "零零" not in pair.target
        assert n == 0 or not pair.target.endswith("零")
    for n in (0, 1, 10, 11, 19, 20, 100, 101, 110, 111, 1000, 1001, 1010, 1011, 1100, 1101, 1110, 9999, 5005):
        assert _unchinese(pairs[n].target) == {n}


@pytest.mark.parametrize(
    ("n", "english", "chinese"),
    [
        (0, "zero", "零"), (10, "ten", "十"), (15, "fifteen", "十五"), (40, "forty", "四十"),
        (101, "one hundred and one", "一百零一"), (110, "one hundred and ten", "一百一十"),
        (1001, "one thousand and one", "一千零一"), (1010, "one thousand and ten", "一千零一十"),
        (1100, "one thousand one hundred", "一千一百"),
        (2042, "two thousand and forty-two", "二千零四十二"),
        (9305, "nine thousand three hundred and five", "九千三百零五"),
    ],
)  # fmt: skip
def test_numbers_by_hand(n: int, english: str, chinese: str) -> None:
    assert builtin_text("numbers").split("\n")[n] == f"{english}\t{chinese}"


HASHES = {
    "names": "016fb53455e554f8",
    "sentences": "de15b76eb4346ffe",
    "treebank": "d470149b589998dc",
    "monthly": "dab490f8af58d4d2",
    "daily": "951508eedf771b1e",
    "numbers": "73268209da6d2b66",
}
