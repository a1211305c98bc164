"""The n-gram scores next to a network: against the baseline's own list of n-grams."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rnncli.baselines.ngrams import ngrams
from rnncli.data.batch import pad
from rnncli.nn.ngrams import SCALE, NgramScores
from rnncli.tasks import classification, load_recipe
from rnncli.training.job import prepare
from tests.narrowed import of_kind

TEXTS = [[3, 1, 2], [0], [1, 1, 1, 1], [4, 0, 3, 2, 1, 0], [2, 2]]


def filled(longest: int) -> NgramScores:
    made = NgramScores(5, 2, longest).double()
    torch.nn.init.normal_(made.weight)
    return made


def test_as_many_as_the_baseline_lists() -> None:
    numbers, lengths = pad(TEXTS)
    made = NgramScores(5, 2, 3)
    rows, inside = zip(*made.grams(numbers, lengths), strict=True)
    kept, where = torch.cat(inside), torch.cat(rows)
    for b, text in enumerate(TEXTS):
        listed = ngrams([str(token) for token in text])
        found = where[:, b][kept[:, b]].tolist()
        assert len(found) == len(listed)
        assert len(set(found)) == len(set(listed))  # few n-grams: none share a row


def test_the_same_n_gram_has_the_same_row_in_every_text() -> None:
    made, rows = NgramScores(5, 2, 3), dict[tuple[str, ...], int]()
    for text in TEXTS:
        listed = ngrams([str(token) for token in text])
        found = [int(row) for gram, inside in made.grams(torch.tensor(text)[:, None], None) for row in gram[inside]]
        for gram, row in zip(listed, found, strict=True):
            assert rows.setdefault(gram, row) == row
    assert len(set(rows.values())) == len(rows)


@pytest.mark.parametrize("longest", [1, 2, 3, 5])
def test_scores_are_the_sum_over_the_root_of_the_count(longest: int) -> None:
    made = filled(longest)
    numbers, lengths = pad(TEXTS)
    together = made(numbers, lengths)
    for b, text in enumerate(TEXTS):
        rows = torch.cat([gram[inside] for gram, inside in made.grams(torch.tensor(text)[:, None], None)])
        expected = SCALE * made.weight[rows].sum(0) / len(rows) ** 0.5
        torch.testing.assert_close(together[b], expected)  # padding and the rest of the batch have no part in it
        torch.testing.assert_close(made(torch.tensor(text)[:, None], None)[0], expected)


def test_they_start_at_zero_and_learn(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("text,label\n" + "".join(f"{'abc'[i % 3]}{i % 7},{'xyz'[i % 3]}\n" for i in range(60)))
    sets = (f"data.path={path}", "data.text=text", "data.label=label", "model.hidden_size=4", "model.outer_dropout=0")
    plain, made = (prepare(load_recipe("names", (*sets, f"model.ngrams={n}"))) for n in (0, 3))
    batch = next(made.task.batches(made.config, made.splits.train, None))
    torch.testing.assert_close(made.model(batch).scores, plain.model(batch).scores, rtol=0, atol=0)
    made.task.loss(made.config, made.model, batch, None).total.backward()
    weight = of_kind(torch.Tensor, dict(made.model.named_parameters())["ngrams.weight"].grad)
    assert (weight != 0).any(1).sum() > 10


def test_of_sound_they_have_no_effect() -> None:
    config = of_kind(
        classification.Config, load_recipe("names", ("data.sound.pattern={label}_*.wav", "model.ngrams=3")).config
    )
    assert ("model.ngrams", "text") not in set(config.idle())
    assert any(key == "model.ngrams" for key, _ in config.idle())


def test_dropout_around_the_network_is_of_training_alone() -> None:
    sets = ("model.outer_dropout=0.5", "model.ngrams=0", "train.epochs=1")
    job = prepare(load_recipe("names", sets))
    model = job.model
    batch = next(iter(job.task.batches(job.config, job.splits.train, None)))
    torch.manual_seed(0)
    first, second = (model.train()(batch).scores for _ in range(2))
    assert not torch.equal(first, second)
    still, same = (model.eval()(batch).scores for _ in range(2))
    assert torch.equal(still, same)
    assert torch.equal(
        still, prepare(load_recipe("names", (*sets, "model.outer_dropout=0"))).model.eval()(batch).scores
    )
