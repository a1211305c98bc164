"""Tagging: files as people have them, words and their characters, what is said of what is missing."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import rnncli
from rnncli.data.batch import Order
from rnncli.data.columns import Columns
from rnncli.errors import DataError, RecipeError, UsageError
from rnncli.nn.characters import WordsAndCharacters
from rnncli.recipe import RecipeConfig
from rnncli.records import Table
from rnncli.tasks import PredictOptions, Recipe, Splits, load_recipe
from rnncli.tasks import tagging as task
from rnncli.tasks.base import IGNORED
from rnncli.tasks.inputs.sentences import Fitted, Part
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit
from tests.narrowed import as_read, of_kind, some

SENTENCES = [
    [("The", "DET", "DT", "_"), ("cats", "NOUN", "NNS", "Number=Plur"), ("sleep", "VERB", "VB", "Number=Plur")],
    [("A", "DET", "DT", "_"), ("cat", "NOUN", "NN", "Case=Nom|Number=Sing"), ("sleeps", "VERB", "VBZ", "_")],
    [("Cats", "NOUN", "NNS", "Number=Plur"), (".", "PUNCT", ".", "_")],
] * 8


def conllu(rows: Any = SENTENCES, *, extra: bool = True) -> str:
    text = []
    for number, row in enumerate(rows):
        lines = [f"# sent_id = {number}"]
        if extra:
            lines += ["1-2\tThecats\t_\t_\t_\t_\t_\t_\t_\t_"]
        for i, (word, upos, xpos, feats) in enumerate(row, 1):
            lines.append(f"{i}\t{word}\t{word.lower()}\t{upos}\t{xpos}\t{feats}\t_\t_\t_\t_")
            if extra and i == 1:
                lines.append("1.1\tnothing\t_\tX\t_\t_\t_\t_\t_\t_")
        text.append("\n".join(lines) + "\n")
    return "\n".join(text) + "\n"


def recipe(data: dict[str, Any], model: dict[str, Any] | None = None, train: dict[str, Any] | None = None) -> Recipe:
    return load_recipe(
        {
            "task": "tagging",
            "data": data,
            "model": {"input": "embedding", "cell": "lstm", "hidden_size": 6, "embedding_size": 5, **(model or {})},
            "train": {"epochs": 1, "batch_size": 4, **(train or {})},
        }
    )


def own(config: RecipeConfig) -> task.Config:
    return of_kind(task.Config, config)


def read(**data: Any) -> Splits[Fitted, Part]:
    return task.TASK.read(own(recipe(data).config))


def pairs_of(part: Part) -> Iterator[tuple[str, str | None]]:
    for row in part.rows:
        yield from zip(row.tokens, row.labels, strict=True)


def test_every_kind_of_source_gives_the_same_words_and_tags(tmp_path: Path) -> None:
    tsv = "\n\n".join("\n".join(f"{word}\t{upos}" for word, upos, _, _ in row) for row in SENTENCES) + "\n"
    (tmp_path / "a.conllu").write_text(conllu())
    (tmp_path / "b.tsv").write_text(tsv)
    (tmp_path / "c.dat").write_text("\ufeff" + conllu(extra=False).replace("\n", "\r\n"), encoding="utf-8")
    with gzip.open(tmp_path / "d.conllu.gz", "wt", encoding="utf-8") as file:
        file.write(conllu())
    wanted = sorted((word, upos) for row in SENTENCES for word, upos, _, _ in row)
    for name in ("a.conllu", "b.tsv", "c.dat", "d.conllu.gz"):
        splits = read(path=str(tmp_path / name))
        parts = [part for part in (splits.train, splits.validation) if part is not None]
        assert sorted(pair for part in parts for pair in pairs_of(part)) == wanted, name
        assert splits.counts["train"]["sentences"] + splits.counts["validation"]["sentences"] == len(SENTENCES)
    both = read(path=[str(tmp_path / "a.conllu"), str(tmp_path / "c.dat")])
    assert sum(counts["sentences"] for counts in both.counts.values()) == 2 * len(SENTENCES)


@pytest.mark.parametrize(
    ("tag", "tags"),
    [
        ("upos", {"DET", "NOUN", "VERB", "PUNCT"}),
        ("xpos", {"DT", "NNS", "NN", "VB", "VBZ", "."}),
        ("Number", {"Plur", "Sing", "_"}),
        ("Case", {"Nom", "_"}),
    ],
)
def test_columns_and_features_of_conllu(tmp_path: Path, tag: str, tags: set[str]) -> None:
    (tmp_path / "a.conllu").write_text(conllu())
    splits = read(path=str(tmp_path / "a.conllu"), tag=tag)
    assert set(splits.fitted.labels.tokens) == tags
    assert "X" not in splits.fitted.labels.tokens, "empty nodes carry no tag"
    assert "Thecats" not in splits.fitted.tokens.tokens, "nor do multiword tokens"


def test_parts_of_their_own_and_what_is_said_of_them(tmp_path: Path) -> None:
    held = [[("Dogs", "NOUN", "NNS", "_"), ("!", "SYM", ".", "_"), ("The", "DET", "DT", "_")]]
    (tmp_path / "train.conllu").write_text(conllu())
    (tmp_path / "dev.conllu").write_text(conllu(held, extra=False))
    splits = read(train=str(tmp_path / "train.conllu"), validation=str(tmp_path / "dev.conllu"))
    assert splits.test is None
    assert splits.held_out == "validation"
    unk = splits.fitted.tokens.tokens.index("<unk>")
    assert [ids == unk for ids in splits.part("validation").inputs[0]] == [True, True, False]
    assert splits.part("validation").targets[0][1] == IGNORED
    assert any("2 of 3 words of validation do not occur in training" in note for note in splits.notes)
    assert any("SYM (1)" in note for note in splits.notes)
    job = prepare(recipe({"train": str(tmp_path / "train.conllu"), "validation": str(tmp_path / "dev.conllu")}))
    metrics = task.TASK.metrics(own(job.config), job.model, splits.part("validation"), splits.fitted)
    assert metrics["accuracy"] in (0.0, 1 / 3, 2 / 3), "the tag that training never saw counts as wrong"
    (baseline,) = task.TASK.baselines(own(job.config), splits, "validation")
    assert baseline.metrics["accuracy"] == pytest.approx(2 / 3), "Dogs: the commonest tag, NOUN; !: wrong; The: DET"


def test_min_count(tmp_path: Path) -> None:
    rows = [[("rare", "X", "_", "_"), ("twice", "X", "_", "_"), ("twice", "X", "_", "_")], *SENTENCES]
    (tmp_path / "a.conllu").write_text(conllu(rows, extra=False))
    for n, known in ((1, {"rare", "twice"}), (2, {"twice"}), (3, set())):
        splits = task.TASK.read(own(recipe({"train": str(tmp_path / "a.conllu"), "min_count": n}).config))
        assert {"rare", "twice"} & set(splits.fitted.tokens.tokens) == known


def test_words_without_a_tag_do_not_count(tmp_path: Path) -> None:
    text = "the\tDET\ncat\nsat\tVERB\n\nno\ntags\n\n" + "a\tDET\nman\tNOUN\n\n" * 3
    (tmp_path / "a.tsv").write_text(text)
    splits = read(train=str(tmp_path / "a.tsv"))
    assert len(splits.train.rows) == 4, "a sentence without any tag is left out"
    assert splits.train.targets[0].count(IGNORED) == 1
    assert any("3 words" in note and "a.tsv" in note for note in splits.notes)
    job = prepare(recipe({"train": str(tmp_path / "a.tsv")}))
    (batch,) = task.TASK.batches(own(job.config), splits.train, None)
    assert task.TASK.loss(own(job.config), job.model, batch, None).count == 8
    (tmp_path / "b.tsv").write_text("no\ntags\n\nat\nall\n")
    with pytest.raises(DataError, match="no word has a tag"):
        read(train=str(tmp_path / "b.tsv"))


def test_broken_sentences_stop_or_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(conllu(extra=False) + "1\tbroken\t_\n\n")
    with pytest.raises(DataError, match=r"columns, not 10"):
        read(path=str(path))
    splits = read(path=str(path), on_bad="skip")
    assert any("1 of 25 sentences cannot be used" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"pairs": [["ab", "abc"]]}, "2 steps"),
        ({"pairs": []}, "the list of pairs is empty"),
        ({"pairs": [["ab", "ba"]], "path": "x"}, "both pairs and a path"),
        ({"path": "x", "tag": "uposs"}, "upos"),
        ({}, "no data given"),
    ],
)
def test_recipes_that_cannot_be(data: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe(data)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.conllu").touch()
    with pytest.raises(DataError):
        read(path=str(tmp_path / "a.conllu"))


def test_fill(tmp_path: Path) -> None:
    (tmp_path / "a.conllu").write_text(conllu())
    assert task.TASK.suggest_settings(str(tmp_path / "a.conllu")) == {"data.tag": "upos"}
    bare = [[(word, "_", xpos, feats) for word, _, xpos, feats in row] for row in SENTENCES]
    (tmp_path / "b.conllu").write_text(conllu(bare, extra=False))
    assert task.TASK.suggest_settings(str(tmp_path / "b.conllu")) == {"data.tag": "xpos"}
    (tmp_path / "c.tsv").write_text("the\tDET\n")
    assert task.TASK.suggest_settings(str(tmp_path / "c.tsv")) == {}


# Words and their characters

CHARACTERS: dict[str, Any] = {
    "input": "embedding + characters",
    "bidirectional": True,
    "characters": {"embedding_size": 3, "hidden_size": 4},
}


def by_hand(model: WordsAndCharacters, batch: Any, row: int) -> torch.Tensor:
    """The scores of one row with torch's modules alone, word by word. (T_row, C)."""
    T = int(batch.lengths[row])
    words = []
    for t in range(T):
        letters = batch.extra["characters"][t, row]
        letters = letters[letters != 0]
        core = model.characters
        _, last = core(model.letters(letters).unsqueeze(1))
        h_n = last[0] if isinstance(last, tuple) else last
        words.append(torch.cat([model.words.vectors(batch.inputs[t, row]), h_n[-2, 0], h_n[-1, 0]]))
    output, _ = model.rnn(torch.stack(words).unsqueeze(1))
    scores: torch.Tensor = model.head(output, (), None)
    return scores[:, 0]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("engine", ["torch", "loop"])
def test_words_and_characters_against_torch_word_by_word(cell: str, engine: str) -> None:
    sets = recipe({"path": "builtin:treebank"}, CHARACTERS | {"cell": cell, "engine": engine}, {"dtype": "float64"})
    job = prepare(sets)
    texts = ["We light a fire every evening.", "She", "They can open the can."]
    batch = task.TASK.encode(own(job.config), job.splits.fitted, texts)
    scores = job.model(batch).scores
    loss, alone = torch.zeros(()), torch.zeros(())
    parameters = list(job.model.parameters())
    for row, length in enumerate(some(batch.lengths).tolist()):
        wanted = by_hand(of_kind(WordsAndCharacters, job.model), batch, row)
        torch.testing.assert_close(scores[:length, row], wanted, rtol=0, atol=1e-12)
        loss, alone = loss + scores[:length, row].square().sum(), alone + wanted.square().sum()
    for found, wanted in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(alone, parameters), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-10)


def test_trace_shows_both_cores() -> None:
    job = prepare(recipe({"path": "builtin:treebank"}, CHARACTERS))
    batch = next(task.TASK.batches(own(job.config), job.splits.train, Order(0, 1)))
    found = rnncli.trace(job.model, batch)
    words = int(some(batch.lengths).sum())
    longest = batch.extra["characters"].shape[2]
    assert found["characters.l0.fwd.h"].shape == (longest, words, 4)
    assert found["characters.l0.bwd.gate.f"].shape == (longest, words, 4)
    assert found["rnn.l0.fwd.c"].shape == (*batch.inputs.shape, 6)
    assert found["rnn.x"].shape == (*batch.inputs.shape, 5 + 8)
    assert found.checks
    assert all(check.ok for check in found.checks)


def test_the_control_without_memory_runs() -> None:
    job = prepare(recipe({"path": "builtin:treebank"}, CHARACTERS | {"cell": "feedforward"}, {"max_steps": 2}))
    assert [p.event for p in fit(job)][-1] == "end"


def test_letters_tell_unknown_words_apart() -> None:
    job = prepare(recipe({"path": "builtin:treebank"}, CHARACTERS, {"epochs": 1, "lr": 0.02}))
    list(fit(job))
    batch = task.TASK.encode(own(job.config), job.splits.fitted, ["zzzing", "zzzly"])
    assert batch.inputs.tolist() == [[0, 0]], "both are <unk>"
    scores = job.model(batch).scores
    assert not torch.equal(scores[0, 0], scores[0, 1])


def test_the_baseline_by_tag_and_the_example(tmp_path: Path) -> None:
    job = prepare(recipe({"path": "builtin:treebank"}, CHARACTERS, {"epochs": 3, "lr": 0.02}))
    list(fit(job))
    part = job.splits.part("validation")
    sample, table, *_ = task.TASK.summarize(own(job.config), job.model, job.splits, "validation")
    assert isinstance(sample, Table)
    assert isinstance(table, Table)
    assert len(sample.rows) >= 4
    guesses = [i for row in task.TASK._answers(own(job.config), job.model, part) for i in row]
    labels = job.splits.fitted.labels.tokens
    found = [(label, labels[i]) for (_, label), i in zip(pairs_of(part), guesses, strict=True)]
    right = sum(label == guess for label, guess in found)
    metrics = task.TASK.metrics(own(job.config), job.model, part, job.splits.fitted)
    assert metrics["accuracy"] == pytest.approx(right / len(found))
    for tag, words, precision, recall, f1 in as_read(table.rows):
        hits = sum(label == guess == tag for label, guess in found)
        claimed = sum(guess == tag for _, guess in found)
        assert words == sum(label == tag for label, _ in found)
        assert precision == pytest.approx(hits / claimed if claimed else 0)
        assert recall == pytest.approx(hits / words)
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall) if hits else 0)


def test_read_part_of_a_run_on_pairs_is_refused() -> None:
    job = prepare(load_recipe("hello"))
    with pytest.raises(UsageError, match="inline pairs"):
        task.TASK.read_part(own(job.config), job.splits.fitted, "x.tsv")


def test_predictions_do_not_depend_on_what_stands_beside_them() -> None:
    job = prepare(recipe({"path": "builtin:treebank"}, CHARACTERS))
    job.model.eval()
    texts = ["We light a fire.", "She", "", "They can open the can."]
    one = [
        p.text
        for t in texts
        for p in task.TASK.predict(own(job.config), job.model, job.splits.fitted, [t], PredictOptions())
    ]
    all_ = [p.text for p in task.TASK.predict(own(job.config), job.model, job.splits.fitted, texts, PredictOptions())]
    assert one == all_
    assert one[2] == ""


def test_two_column_files_come_back_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("the\tDET\ncat\tNOUN\n\n" * 20)
    job = prepare(recipe({"path": str(tmp_path / "a.tsv")}, None, {"epochs": 20, "lr": 0.1}))
    list(fit(job))
    lines = ["the\tX\r\n", "cat\tX\r\n", "\r\n", "the\tX"]
    found = task.TASK.predict_lines(own(job.config), job.model, job.splits.fitted, lines, PredictOptions())
    assert "".join(p.text for p in found) == "the\tDET\r\ncat\tNOUN\r\n\r\nthe\tDET"


def put(job: Job, text: str) -> str:
    """The text as lines of a file, with the answers of an untrained job in place."""
    lines = text.splitlines(keepends=True)
    found = task.TASK.predict_lines(own(job.config), job.model, job.splits.fitted, lines, PredictOptions())
    return "".join(answer.text for answer in found)


def test_conll_2003_by_blanks(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ  B-VP O\n\nPeter NNP B-NP B-PER\n\n"
    (tmp_path / "train.txt").write_text(text * 10)
    job = prepare(recipe({"path": str(tmp_path / "train.txt"), "tag": "upos"}))
    fitted = job.splits.fitted
    assert set(fitted.labels.tokens) == {"B-ORG", "B-PER", "O"}
    assert fitted.columns == Columns("blanks", 4, 3)
    assert "4 columns separated by blanks: column 0 is the word, column 3 the tag" in job.splits.notes[0]
    assert Fitted.from_json(fitted.to_json()) == fitted
    assert list(sentences(put(job, text))) == list(sentences(text))
    assert put(job, "EU NNP B-NP B-ORG\n") != put(job, "EU NNP B-NP rejects\n")
    assert put(job, "four words of text\n").count("/") == 4, "none of them is a tag"
    chunks = prepare(recipe({"path": str(tmp_path / "train.txt"), "tag": "2"}))
    assert set(chunks.splits.fitted.labels.tokens) == {"B-NP", "B-VP"}
    assert put(chunks, "EU NNP B-NP B-ORG\n").startswith("EU NNP B-")
    assert put(chunks, "EU NNP B-NP B-ORG\n").endswith(" B-ORG\n")
    with pytest.raises(DataError, match="no tag column 4"):
        read(path=str(tmp_path / "train.txt"), tag="4")
    assert task.TASK.suggest_settings(str(tmp_path / "train.txt")) == {"data.tag": "3"}


def sentences(text: str) -> Iterator[list[str]]:
    """All but the last column of each line."""
    return (line.split(" ")[:-1] for line in text.splitlines())


def test_labelled_columns_go_into_a_run_that_learnt_from_conllu() -> None:
    """The labels that stand there are no words of the text."""
    job = prepare(recipe({"path": "builtin:treebank"}))
    found = put(job, "They\tX\nlight\tX\n\n\u00a0\tX\n")
    assert [line.split("\t")[0] for line in found.splitlines()] == ["They", "light", "", "\u00a0"]
    assert "X" not in {line.partition("\t")[2] for line in found.splitlines()} - set(job.splits.fitted.labels.tokens)
    assert put(job, "1\tThey light a fire.\n").count("/") == 6, "a number and a text"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_before_a_comment(mark: str) -> None:
    """Only tags change."""
    job = prepare(recipe({"path": "builtin:treebank"}))
    text = mark + conllu(SENTENCES[:2])
    found, wanted = (list(map(rest, whole.splitlines())) for whole in (put(job, text), text))
    assert found == wanted
    assert put(job, text).removeprefix(mark) == put(job, text.removeprefix(mark))


def rest(line: str) -> list[str]:
    """A line of CoNLL-U without its tag."""
    cells = line.split("\t")
    return cells[:3] + cells[4:]


def test_plain_lines_are_texts() -> None:
    job = prepare(recipe({"path": "builtin:treebank"}))
    lines = ["We light\r\n", "\n", "# a remark\n", "She"]
    found = list(task.TASK.predict_lines(own(job.config), job.model, job.splits.fitted, lines, PredictOptions()))
    assert [p.text.count("\n") for p in found] == [1, 1, 1, 1]
    assert found[0].text.startswith("We/")
    assert found[1].text == "\n"
