"""The task translation: files, parts, baselines, metrics and answers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli.baselines.dictionary import dictionary
from rnncli.data.batch import Order
from rnncli.data.vocab import join, tokenize
from rnncli.errors import DataError, RnncliError
from rnncli.recipe import RecipeConfig
from rnncli.records import HeatMap, Message, Table, json_object
from rnncli.runs.summary import closing
from rnncli.runs.train import run_training
from rnncli.tasks import Prediction, PredictOptions, Recipe, load_recipe, translation
from rnncli.tasks.inputs.pairs import BEGIN, END, Fitted
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit
from tests.narrowed import as_read, of_kind

PAIRS = [
    ("the dog runs", "le chien court"),
    ("the cat runs", "le chat court"),
    ("the dog sleeps", "le chien dort"),
    ("the cat sleeps", "le chat dort"),
    ("the horse runs", "le cheval court"),
    ("the horse sleeps", "le cheval dort"),
]


def recipe(
    path: Any, *, model: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **train: Any
) -> Recipe:
    return load_recipe(
        {
            "task": "translation",
            "data": {"path": path, "split": {"validation": 0}, **(data or {})},
            "model": {"hidden_size": 8, "embedding_size": 8, **(model or {})},
            "train": {"epochs": 1, "batch_size": 2, "threads": 1, "lr": 0.02, **train},
        }
    )


def own(config: RecipeConfig) -> translation.Config:
    return of_kind(translation.Config, config)


@pytest.fixture
def tsv(tmp_path: Path) -> str:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\tCC-BY 1\n" for a, b in PAIRS), encoding="utf-8")
    return str(path)


def test_it_learns_a_small_file_and_translates(tsv: str) -> None:
    job = prepare(recipe(tsv, epochs=40))
    *_, end = fit(job)
    assert end.metrics["exact-match"] == 1
    assert end.metrics["chrf"] == pytest.approx(100)
    if translation._has_sacrebleu():
        assert "bleu" in end.metrics  # 0 here: BLEU counts runs of four words
    answers = list(
        translation.TASK.predict(
            own(job.config),
            job.model,
            job.splits.fitted,
            ["the horse runs", "", "the unicorn runs"],
            PredictOptions(beam=3),
        )
    )
    assert answers[0].text == "le cheval court"
    assert as_read(answers[0].json)["tokens"] == ["le", "cheval", "court"]
    assert answers[1].text == ""
    assert "unicorn" in answers[2].notes[0]
    sample, heat = translation.TASK.summarize(own(job.config), job.model, job.splits, "train")
    assert isinstance(heat, HeatMap)
    assert [row[1] for row in of_kind(Table, sample).rows] == ["the dog runs", "le chien court", "le chien court"]
    assert heat.row_labels == ["le", "chien", "court", "<eos>"]
    assert heat.column_labels == ["the", "dog", "runs"]
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in heat.values)


def test_further_columns_are_said_and_columns_turn_the_direction(tsv: str) -> None:
    there = translation.TASK.read(own(recipe(tsv).config))
    assert any("columns 0 and 1 of 3" in note for note in there.notes)
    back = translation.TASK.read(own(recipe(tsv, data={"columns": [1, 0]}).config))
    assert [(pair.target, pair.source) for pair in back.train.pairs] == [tuple(pair) for pair in PAIRS]
    assert back.fitted.source.tokens[1:] == there.fitted.target.tokens[3:]


def test_two_files_line_by_line_are_the_same_pairs(tsv: str, tmp_path: Path) -> None:
    for name, side in (("a.txt", 0), ("b.txt", 1)):
        (tmp_path / name).write_text("".join(pair[side] + "\n" for pair in PAIRS), encoding="utf-8")
    both = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    found = translation.TASK.read(own(recipe(both).config))
    assert list(found.train.sources) == list(translation.TASK.read(own(recipe(tsv).config)).train.sources)
    apart = load_recipe(
        {
            "task": "translation",
            "data": {"train": both, "validation": tsv},
            "model": {"hidden_size": 4},
            "train": {"batch_size": 2},
        }
    )
    assert len(translation.TASK.read(own(apart.config)).part("validation").pairs) == 6
    (tmp_path / "b.txt").write_text("un\n", encoding="utf-8")
    with pytest.raises(DataError, match="has 6 lines"):
        translation.TASK.read(own(recipe(both).config))


def test_equal_sources_are_never_in_two_parts(tmp_path: Path) -> None:
    path = tmp_path / "many.tsv"
    path.write_text("".join(f"word{i % 20}\tmot{i}\n" for i in range(100)), encoding="utf-8")
    found = translation.TASK.read(own(recipe(str(path), data={"split": {"validation": 0.2, "test": 0.2}}).config))
    sides = [
        {pair.source for pair in part.pairs} for part in (found.train, found.part("validation"), found.part("test"))
    ]
    assert [len(side) for side in sides] == [12, 4, 4]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert "distinct sources, each in one split only" in found.how
    assert any("source tokens of validation" in note and "<unk>" in note for note in found.notes)


def test_bad_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text("a\tb\nno tab here\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        translation.TASK.read(own(recipe(str(path)).config))
    assert "bad.tsv:2" in str(caught.value)
    found = translation.TASK.read(own(recipe(str(path), data={"on_bad": "skip"}).config))
    assert any("1 of 2" in note for note in found.notes)
    path.write_text("", encoding="utf-8")
    with pytest.raises(DataError):
        translation.TASK.read(own(recipe(str(path)).config))
    with pytest.raises(RnncliError, match="same column"):
        recipe(str(path), data={"columns": [1, 1]})


def test_batches_give_the_decoder_the_words_before(tsv: str) -> None:
    config: Any = recipe(tsv).config
    splits = translation.TASK.read(config)
    tokens = splits.fitted.target.tokens
    assert (tokens.index("<bos>"), tokens.index("<eos>")) == (BEGIN, END)
    (batch, *_) = list(translation.TASK.batches(config, splits.train, None))
    assert batch.targets is not None
    assert batch.rows == [0, 1]
    assert (batch.extra["given"][0] == BEGIN).all()
    assert torch.equal(batch.extra["given"][1:], batch.targets[:-1])
    shuffled = [batch.rows for batch in translation.TASK.batches(config, splits.train, Order(0, 1))]
    assert sorted(row for rows in shuffled for row in rows) == list(range(6))


@pytest.mark.parametrize("attention", ["general", "dot", "additive"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "feedforward"])
def test_every_cell_and_attention_trains_through_all_of_it(tsv: str, cell: str, attention: str) -> None:
    job = prepare(recipe(tsv, model={"cell": cell, "attention": attention, "num_layers": 2}, compare=["gru"]))
    outcome = run_training(job, None)
    assert 0 <= outcome.metrics["exact-match"] <= 1
    assert closing(job, outcome).ok()


def test_the_dictionary_is_ibm_model_1_as_a_double_loop_has_it(tsv: str) -> None:
    part = translation.TASK.read(own(recipe(tsv).config)).train
    pairs = [(source, target[:-1]) for source, target in zip(part.sources, part.targets, strict=True)]
    chance = {(f, e): 1.0 for source, target in pairs for f in source for e in target}
    for _ in range(5):
        counts = dict.fromkeys(chance, 0.0)
        for source, target in pairs:
            for e in target:
                total = sum(chance[f, e] for f in source)
                for f in source:
                    counts[f, e] += chance[f, e] / total
        sums: dict[int, float] = {}
        for (f, _), n in counts.items():
            sums[f] = sums.get(f, 0.0) + n
        chance = {(f, e): n / sums[f] for (f, e), n in counts.items()}
    wanted = {f: max((p, -e) for (g, e), p in chance.items() if g == f)[1] * -1 for f in sums}
    assert dictionary(pairs) == wanted
    fitted = translation.TASK.read(own(recipe(tsv).config)).fitted
    by_word = {fitted.source.tokens[f]: fitted.target.tokens[e] for f, e in wanted.items()}
    assert by_word == {
        "the": "le", "dog": "chien", "cat": "chat", "horse": "cheval", "runs": "court", "sleeps": "dort",
    }  # fmt: skip


def test_baselines_are_measured_on_the_part(tsv: str) -> None:
    config = own(recipe(tsv).config)
    copying, words = translation.TASK.baselines(config, translation.TASK.read(config), "train")
    assert copying.metrics["exact-match"] == 0
    assert words.metrics["exact-match"] == 1


UNEASY = [  # spacing that splitting and joining does not give back
    ("one two three four", 'he said: "well-known", didn\'t he?'),
    ("five six seven", "a  state-of-the-art $5.00 (50 %) idea!"),
    ("eight nine", "l'eau -- qu'est-ce que c'est ?"),
    ("ten", "this is plain and easy text."),
]


def test_the_text_metrics_are_those_of_the_written_output_and_the_file(tmp_path: Path) -> None:
    """What sacrebleu's corpus scores say of what `predict` writes, against the target column as it is in the file."""
    sacrebleu = pytest.importorskip("sacrebleu")
    path, written = tmp_path / "pairs.tsv", tmp_path / "written.txt"
    path.write_text("".join(f"{a}\t{b}\n" for a, b in UNEASY), encoding="utf-8")
    job = prepare(recipe(str(path), epochs=150, batch_size=4))
    list(fit(job))
    sources = [line.split("\t")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    targets = [line.split("\t")[1] for line in path.read_text(encoding="utf-8").splitlines()]
    answers = translation.TASK.predict(own(job.config), job.model, job.splits.fitted, sources, PredictOptions())
    written.write_text("".join(answer.text + "\n" for answer in answers), encoding="utf-8")
    lines = written.read_text(encoding="utf-8").splitlines()
    found = translation.TASK.metrics(own(job.config), job.model, job.splits.train, job.splits.fitted)
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(lines, [targets]).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(lines, [targets]).score)
    assert found["exact-match"] == sum(map(str.__eq__, lines, targets)) / len(lines) == 0.25
    joined = [join(tokenize(target, "words"), "words") for target in targets]
    assert lines == joined, "it has learned every token: only the spacing differs"
    assert found["bleu"] < 99 < sacrebleu.corpus_bleu(lines, [joined]).score

    copying, by_word = translation.TASK.baselines(own(job.config), job.splits, "train")
    assert copying.metrics["chrf"] == pytest.approx(sacrebleu.corpus_chrf(sources, [targets]).score)
    assert by_word.metrics["bleu"] < 99


def test_an_exact_match_that_stays_at_0_leaves_the_choice_to_the_loss(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\n" for a, b in UNEASY[:3]), encoding="utf-8")
    job = prepare(recipe(str(path), epochs=6, early_stopping=1, best_by="exact-match"))
    outcome = run_training(job, None, baselines=False)
    assert (outcome.metrics["exact-match"], outcome.best_epoch, outcome.epochs) == (0, 6, 6)
    assert outcome.notes[0].startswith("exact-match was 0 at every epoch")


def test_without_sacrebleu_bleu_is_missing_and_that_is_said(tsv: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "_has_sacrebleu", lambda: False)
    job = prepare(recipe(tsv))
    assert not any("rnncli[translation]" in note for note in job.splits.notes)  # those are about the data
    *_, last = translation.TASK.summarize(own(job.config), job.model, job.splits, "train")
    assert "rnncli[translation]" in of_kind(Message, last).text
    found = translation.TASK.metrics(own(job.config), job.model, job.splits.train, job.splits.fitted)
    assert set(found) == {"chrf", "exact-match", "loss"}


def test_the_default_metric_moves_from_the_first_epoch(tmp_path: Path) -> None:
    """Sentences that are never exactly right yet are more and more alike."""
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\n" for a, b in UNEASY[:3]), encoding="utf-8")
    job = prepare(recipe(str(path), epochs=8, lr=0.01))
    epochs = [progress.metrics for progress in fit(job) if progress.event == "epoch"]
    assert job.config.train.best_by == "chrf"
    assert {metrics["exact-match"] for metrics in epochs} == {0}
    assert len({metrics["chrf"] for metrics in epochs}) > 4


def test_a_recipe_of_0_1_keeps_the_metric_of_0_1(tsv: str) -> None:
    base: dict[str, Any] = {"task": "translation", "data": {"path": tsv}, "model": {"hidden_size": 4}, "train": {}}
    assert load_recipe({"format": 1, **base}).config.train.best_by == "exact-match"
    assert load_recipe({"format": 1, **base, "train": {"best_by": "loss"}}).config.train.best_by == "loss"
    assert load_recipe(base).config.train.best_by == "chrf"


def test_columns_and_kinds_are_read_off_a_file(tmp_path: Path, tsv: str) -> None:
    assert translation.TASK.suggest_settings(tsv) == {
        "data.columns": [0, 1],
        "data.source_tokens": "words",
        "data.target_tokens": "words",
    }
    path = tmp_path / "export.tsv"
    path.write_text("17\tgood morning\t22\t早上好\n18\tthanks\t23\t谢谢\n", encoding="utf-8")
    assert translation.TASK.suggest_settings(str(path)) == {
        "data.columns": [1, 3],
        "data.source_tokens": "words",
        "data.target_tokens": "characters",
    }
    path.write_text("one column\n", encoding="utf-8")
    with pytest.raises(DataError, match="needs two text columns"):
        translation.TASK.suggest_settings(str(path))


def test_a_new_file_as_a_part(tsv: str, tmp_path: Path) -> None:
    splits = translation.TASK.read(own(recipe(tsv).config))
    path = tmp_path / "new.tsv"
    path.write_text("the unicorn runs\tla licorne court\n", encoding="utf-8")
    part, notes = translation.TASK.read_part(own(recipe(tsv).config), splits.fitted, str(path))
    assert len(part.pairs) == 1
    assert any("<unk>" in note for note in notes)


def test_pairs_given_to_predict_are_translated_from_the_source_column(tsv: str, tmp_path: Path) -> None:
    job = prepare(recipe(tsv, data={"columns": [1, 0]}))
    lines = ["the dog\tle chien\tCC\n", "the cat\tle chat\tCC\n"]
    found = list(translation.TASK.predict_lines(own(job.config), job.model, job.splits.fitted, lines, PredictOptions()))
    assert [json_object(answer.json)["source"] for answer in found] == ["le chien", "le chat"]
    assert found[0].notes[0] == "read as pairs: sources from column 1"
    alone = translation.TASK.predict_lines(
        own(job.config), job.model, job.splits.fitted, ["le chien\n"], PredictOptions()
    )
    assert json_object(next(alone).json)["source"] == "le chien"


@pytest.fixture
def shouted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Prediction]]:
    """Lines answered by a run in which a translation is its source in capitals."""

    def predict(*arguments: Any) -> Iterator[Prediction]:
        yield from (Prediction(text.upper(), {"source": text, "translation": text.upper()}) for text in arguments[3])

    def answers(job: Job, *lines: str) -> list[Prediction]:
        config, fitted = own(job.config), job.splits.fitted
        return list(translation.TASK.predict_lines(config, job.model, fitted, lines, PredictOptions()))

    monkeypatch.setattr(translation.TASK, "predict", predict)
    return answers


@pytest.mark.parametrize("columns", [["en", "fr"], [1, 2]])
def test_a_table_is_answered_by_a_table(
    tmp_path: Path, shouted: Callable[..., list[Prediction]], columns: list[Any]
) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("id,en,fr\n" + "".join(f'{n},"{a}",{b}\n' for n, (a, b) in enumerate(PAIRS)), encoding="utf-8")
    job = prepare(recipe(str(path), data={"columns": columns}))
    assert job.splits.fitted.columns == ["en", "fr"]
    answers = shouted(job, "\ufeffen,note\r\n", '"a, ""b"" c",x\r\n', '"two\n', 'lines"\r\n', ",empty\r\n")
    assert [answer.text for answer in answers] == [
        "en,note,translation\n", '"a, ""b"" c",x,"A, ""B"" C"\n', '"two\nlines",,"TWO\nLINES"\n', ",empty,\n",
    ]  # fmt: skip
    assert answers[0].json is None
    assert json_object(answers[1].json)["source"] == 'a, "b" c'
    assert [answer.text for answer in shouted(job, "en;translation\n", "a;b\n")] == [
        "en;translation;translation_2\n", "a;b;A\n",
    ]  # fmt: skip
    assert [answer.text for answer in shouted(job, "go, now\n", "a\n")] == ["GO, NOW\n", "A\n"]
    assert Fitted.from_json(job.splits.fitted.to_json()) == job.splits.fitted


def test_a_table_without_a_header_is_answered_without_one(
    tmp_path: Path, shouted: Callable[..., list[Prediction]]
) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("".join(f"{b};{a}\n" for a, b in PAIRS), encoding="utf-8")
    job = prepare(recipe(str(path), data={"columns": [1, 0], "header": False}))
    assert [answer.text for answer in shouted(job, "x;the dog\n")] == ["x;the dog;THE DOG\n"]
    assert [answer.text for answer in shouted(job, "the dog\n")] == ["THE DOG\n"]


def test_a_run_that_read_tabs_keeps_its_vocab_json(tsv: str) -> None:
    fitted = translation.TASK.read(own(recipe(tsv).config)).fitted
    assert set(fitted.to_json()) == {"source", "target", "source_tokens", "target_tokens", "longest"}


def test_columns_of_a_table_are_read_off_it(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"

    def suggested(text: str, name: str = "pairs.csv") -> dict[str, Any]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        found = translation.TASK.suggest_settings(str(tmp_path / name))
        return {key.removeprefix("data."): value for key, value in found.items()}

    rows = "".join(f"{n},{a} {n},CC-BY,早上好 {n}\n" for n, (a, _) in enumerate(PAIRS))
    named = {"columns": ["en", "zh"], "source_tokens": "words", "target_tokens": "characters"}
    assert suggested("id,en,by,zh\n" + rows) == named
    assert suggested(rows) == named | {"columns": [1, 3], "header": False}
    assert suggested("en;zh\nGo now;去吧\nCome;来吧\n") == named
    assert suggested("en|zh\nGo now|去吧\nCome|来吧\n", "pairs.txt") == named | {"delimiter": "|"}
    assert suggested('{"en": "Go now", "zh": "去吧"}\n{"en": "Come", "zh": "来吧"}\n', "pairs.jsonl") == named
    path.write_text("en,n\nGo,1\nCome,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="needs two text columns"):
        translation.TASK.suggest_settings(str(path))
