"""What a tagger is told of words beyond its training text: vectors from a file; <unk> in place of some."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import rnncli
from rnncli.errors import DataError, RecipeError
from rnncli.nn.characters import WordsAndCharacters
from rnncli.nn.frontends import TokenEmbedding
from rnncli.runs.open import open_run
from rnncli.tasks import Recipe, load_recipe
from rnncli.tasks.inputs.sentences import Fitted
from rnncli.training.job import Job, prepare, with_cell
from rnncli.training.loop import fit
from rnncli.views import subject_of_recipe
from tests.narrowed import of_kind

QUICK = ("train.max_steps=2", "train.control=false")


def recipe(*sets: str) -> Recipe:
    return load_recipe("pos-tagging", ("model.embedding_size=3", *QUICK, *sets))


def words(job: Job) -> TokenEmbedding:
    return next(part for part in job.model.modules() if isinstance(part, TokenEmbedding))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Vectors for two of the treebank's words, one of them in small letters only."""
    path = tmp_path / "some.vec"
    path.write_text("3 3\nthe 1 2 3\nlight 4 5 6\nnobody 7 8 9\n")
    return path


@pytest.mark.parametrize("kind", ["embedding", "embedding + characters"])
def test_training_starts_from_the_vectors_of_a_file(kind: str, file: Path, tmp_path: Path) -> None:
    sets = (f"model.vectors={file}", f"model.input={kind}")
    job, plain = prepare(recipe(*sets)), prepare(recipe(sets[1]))
    tokens = of_kind(Fitted, job.splits.fitted).tokens
    there = {"the": [1, 2, 3], "The": [1, 2, 3], "light": [4, 5, 6]}
    for token, row in there.items():
        assert words(job).weight[tokens.id(token)].tolist() == row, token
    others = [i for i, token in enumerate(tokens.tokens) if token not in there]
    spread = torch.tensor(list(there.values()), dtype=torch.float32).std(correction=0)
    torch.testing.assert_close(words(job).weight[others], words(plain).weight[others] * spread)
    assert any("of them in lower case; the others stay random" in note for note in job.splits.notes)
    assert torch.equal(words(with_cell(job, "gru")).weight[tokens.id("the")], torch.tensor([1.0, 2.0, 3.0]))
    subject = subject_of_recipe(job.recipe, splits=plain.splits)
    seen = next(part for part in subject.model.modules() if isinstance(part, TokenEmbedding))
    assert torch.equal(seen.weight, words(job).weight)
    run = rnncli.train(job.recipe, out=str(tmp_path / "run"))
    file.unlink()
    again = open_run(run.folder)  # a run needs the file no more, nor does a resumed one
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), run.model.parameters(), strict=True))
    prepare(again.recipe, fresh=False)
    with pytest.raises(DataError):
        prepare(again.recipe)


def test_the_width_is_that_of_the_recipe(file: Path) -> None:
    with pytest.raises(DataError, match="a vector of 3 values, but embedding_size is 4"):
        prepare(recipe(f"model.vectors={file}", "model.embedding_size=4"))


def test_word_dropout_reads_a_share_of_the_words_as_unk() -> None:
    """In training alone; letters stay."""
    job = prepare(recipe("model.word_dropout=0.25"))
    table, ids = words(job), torch.randint(1, 40, (200, 50))
    assert isinstance(job.model, WordsAndCharacters)
    read = table.train().read(ids)
    assert torch.equal(read[read != ids], torch.zeros_like(read[read != ids])), "<unk> is number 0"
    assert float((read != ids).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(table.eval().read(ids), ids)
    assert [p.event for p in fit(job)][-1] == "end"


def test_the_same_words_are_dropped_again_after_the_same_seed() -> None:
    found = []
    for _ in range(2):
        job = prepare(recipe("model.word_dropout=0.5", "model.input=embedding"))
        *_, end = fit(job)
        found.append(end.metrics["loss"])
    assert found[0] == found[1]
    *_, end = fit(prepare(recipe("model.input=embedding")))
    assert end.metrics["loss"] != found[0]


@pytest.mark.parametrize("engine", ["loop", "torch", "bptt"])
def test_a_table_of_rows_gives_the_same_as_looking_up(engine: str) -> None:
    """An engine that is given rows of the table sees the dropped words and rows, too."""
    torch.manual_seed(0)
    from rnncli.data.batch import Batch
    from rnncli.nn.heads import NoHead
    from rnncli.nn.model import SequenceModel

    front = TokenEmbedding(5, 3, word_dropout=0.3, unknown=0, embedding_dropout=0.4).double()
    core = torch.nn.GRU(3, 4).double()
    ids = torch.randint(5, (12, 3))
    model = SequenceModel(front, core, NoHead(), engine)
    torch.manual_seed(1)
    found = model(Batch(ids)).scores
    torch.manual_seed(1)
    wanted, _ = core(front.vectors(ids))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    found.sum().backward()
    assert front.weight.grad is not None


def test_rows_of_the_table_are_dropped_for_a_whole_batch() -> None:
    torch.manual_seed(0)
    front = TokenEmbedding(1000, 3, embedding_dropout=0.25).double()
    table = front.table() / front.weight
    assert all(x in (0.0, pytest.approx(1 / 0.75)) for x in table[:, 0].tolist())
    torch.testing.assert_close(table[:, :1].expand(-1, 3), table)
    assert float((table == 0).double().mean()) == pytest.approx(0.25, abs=0.05)
    assert front.eval().table() is front.weight


def test_inline_pairs_have_no_unk() -> None:
    with pytest.raises(RecipeError, match="inline pairs have no <unk>"):
        load_recipe("hello", ("model.word_dropout=0.1", "model.input=embedding"))
