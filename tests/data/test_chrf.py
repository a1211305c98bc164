"""chrF against sacreBLEU (2.6.0, corpus_chrf): its figures, and itself where it is installed."""

import random

import pytest

from rnncli.data.chrf import chrf

FIGURES = [
    ([("the cat sat", "the cat sat on the mat")], 49.59348409966008),
    ([("他说你好", "他说您好"), ("再见", "再见")], 33.333333333333336),
    ([("ab", "abc"), ("x", "y z")], 41.291291291291294),
    ([("le chat dort bien", "le chien dort"), ("", "un"), ("deux mots", "deux  mots"), ("trois", "quatre cinq six")],
     40.29542192721129),
    ([("same text", "same text")], 100.0),
    ([("abc", "xyz"), ("", "")], 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("pairs", "figure"), FIGURES)
def test_the_figures_of_sacrebleu(pairs: list[tuple[str, str]], figure: float) -> None:
    assert chrf(pairs) == pytest.approx(figure, rel=1e-12, abs=1e-12)


def test_sacrebleu_itself() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    draw = random.Random(0)
    for _ in range(200):
        drawn = ["".join(draw.choices("ab cd éñ中文。\t-", k=draw.randrange(15))) for _ in range(8)]
        pairs = list(zip(drawn[:4], [*drawn[4:7], drawn[3]], strict=True))
        ours, theirs = zip(*pairs, strict=True)
        assert chrf(pairs) == pytest.approx(sacrebleu.corpus_chrf(ours, [theirs]).score, rel=1e-12, abs=1e-12)
