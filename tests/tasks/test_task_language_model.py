"""Writing on from a prompt: in pieces, from a long prompt, one input after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli.data.vocab import tokenize
from rnncli.nn.evaluate import outputs_of
from rnncli.records import Message
from rnncli.runs.open import open_run
from rnncli.runs.train import run_training
from rnncli.tasks import PredictOptions, Recipe, language_model, load_recipe
from rnncli.tasks.inputs.stream import Fitted
from rnncli.training.job import prepare
from tests.narrowed import of_kind

TEXT = "the cat (a red one) sat on the mat, and the dog ran.\n" * 30


@pytest.fixture(params=["characters", "words", "whitespace"])
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Recipe, Any, Any]:
    """Recipe, model and vocabulary of an untrained run."""
    (tmp_path / "x.txt").write_text(TEXT)
    values = {"task": "language-model", "data": {"path": str(tmp_path / "x.txt")}, "model": {"hidden_size": 8}}
    sets = (f"data.tokens={request.param}", "data.window=5", "train.batch_size=2", "train.dtype=float64")
    recipe = load_recipe(values, sets)
    splits = recipe.task.read(recipe.config)
    torch.manual_seed(0)
    return recipe, recipe.task.build(recipe.config, splits.fitted).double(), splits.fitted


def answers(loaded: tuple[Recipe, Any, Any], prompt: str, **asked: Any) -> list[Any]:
    recipe, model, fitted = loaded
    return list(recipe.task.predict(recipe.config, model, fitted, [prompt], PredictOptions(**asked)))


@pytest.mark.parametrize("piece", [1, 7, 60])
@pytest.mark.parametrize("prompt", ["the cat sat on", "the (a", ""])
def test_a_long_answer_comes_in_pieces(
    loaded: tuple[Recipe, Any, Any], monkeypatch: pytest.MonkeyPatch, piece: int, prompt: str
) -> None:
    (whole,) = answers(loaded, prompt, length=60, seed=3)
    monkeypatch.setattr(language_model, "PIECE", piece)
    pieces = answers(loaded, prompt, length=60, seed=3)
    assert len(pieces) == -(-60 // piece)
    assert [one.more for one in pieces] == [True] * (len(pieces) - 1) + [False]
    assert [one.json for one in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert "".join(one.text for one in pieces) == whole.text
    assert pieces[-1].json == whole.json


def test_every_token_is_the_likeliest_after_those_before(loaded: tuple[Recipe, Any, Any]) -> None:
    """Against reading the whole text at once."""
    recipe, model, fitted = loaded
    (found,) = answers(loaded, "the cat", length=20, temperature=0.0)
    batch = recipe.task.encode(recipe.config, fitted, [found.text])
    ((_, outputs),) = outputs_of(model, [batch])
    likeliest = outputs.scores[:, 0].argmax(1).tolist()
    given = len(tokenize("the cat", fitted.kind, newlines=True))
    ids = batch.inputs[:, 0].tolist()
    known = fitted.tokens
    assert known.decode(ids[given:]) == known.decode(likeliest[given - 1 : -1])


def test_inputs_are_answered_as_they_come(loaded: tuple[Recipe, Any, Any]) -> None:
    recipe, model, fitted = loaded
    taken: list[str] = []

    def prompts() -> Iterator[str]:
        for prompt in ("the", "cat", "sat"):
            taken.append(prompt)
            yield prompt

    found = recipe.task.predict(recipe.config, model, fitted, prompts(), PredictOptions(length=3))
    next(found)
    assert taken == ["the"]


def test_a_sample_whose_prompt_the_text_lacks_begins_with_a_line_end(tmp_path: Path) -> None:
    """Said before training, and no end of it."""
    text = tmp_path / "text.txt"
    text.write_text("one two three four five six seven eight nine ten " * 60, "utf-8")
    sets = [f"data.path={text}", "data.window=5", "train.batch_size=2", "train.max_steps=1", "train.sample.length=4"]
    job = prepare(load_recipe("word-language-model", [*sets, "train.threads=1", "train.control=false"]))
    assert any(
        "the sample will start with a line end: 'The' has words that are not in the text" in note
        for note in job.splits.notes
    )
    shown = job.task.summarize(job.config, job.model, job.splits, "validation")
    (written,) = [record for record in shown if record.name == "text"]
    assert isinstance(written, Message)
    assert not written.text.startswith("The")
    known = prepare(load_recipe("word-language-model", [*sets, "train.sample.prompt=two", "train.threads=1"]))
    assert not any("the sample will start with a line end" in note for note in known.splits.notes)


@pytest.mark.parametrize("prompt", ["the", "the ", "the cat (", ""])
def test_a_space_stands_between_a_prompt_and_the_word_after_it(loaded: tuple[Recipe, Any, Any], prompt: str) -> None:
    """The whole, cut again, has the prompt's tokens and those that were written: no word is joined to another."""
    recipe, model, fitted = loaded
    kind = fitted.kind
    prompt = prompt.replace("(", "(a") if kind == "whitespace" else prompt
    (found,) = answers(loaded, prompt, length=20, seed=1)
    assert found.text.startswith(prompt)
    assert "  " not in found.text or kind == "characters"
    assert len(tokenize(found.text, kind, newlines=True)) == len(tokenize(prompt, kind, newlines=True)) + 20
    sets = ("train.sample={length: 20, prompt: the}", f"data.tokens={kind}")
    written = load_recipe({"task": "language-model", "data": {"path": "x"}, "model": {"hidden_size": 8}}, sets)
    splits = recipe.task.read(recipe.config)
    *_, text = recipe.task.summarize(written.config, model, splits, "train")
    assert isinstance(text, Message)
    assert len(tokenize(str(text.text), kind, newlines=True)) == len(tokenize("the", kind)) + 20


PTB = "no it was n't black monday <unk>\nbut N of u.s. &apos;s and mr. <unk> said\n" * 40
PROSE = "Well, it was n't <unk>, was it? No, it wasn't.\n" * 40


@pytest.mark.parametrize(
    ("text", "tokens", "kind", "n", "said"),
    [
        (PTB, "auto", "whitespace", len(PTB.split()) + 80, "because a prepared corpus was detected"),
        (PTB, "words", "words", 1000, "looks like a prepared corpus (<unk>): data.tokens=whitespace would keep "
"its tokens"),
        (PROSE, "auto", "words", 800, "tokens: words (auto)"),
        (PROSE, "whitespace", "whitespace", 440, "x.txt: "),
    ],
)  # fmt: skip
def test_tokens_are_guessed_and_the_guess_is_said(
    tmp_path: Path, text: str, tokens: str, kind: str, n: int, said: str
) -> None:
    (tmp_path / "x.txt").write_text(text)
    values = {"task": "language-model", "data": {"path": str(tmp_path / "x.txt")}, "model": {"hidden_size": 8}}
    recipe = load_recipe(values, (f"data.tokens={tokens}", "data.window=5", "train.batch_size=2"))
    splits = recipe.task.read(recipe.config)
    assert splits.fitted.kind == kind
    assert sum(part["tokens"] for part in splits.counts.values()) == n
    assert said in splits.notes[0]


def test_recipes_and_runs_of_format_1_keep_the_words_of_0_1(tmp_path: Path) -> None:
    """A run folder says `format: 1`, and `words` in vocab.json."""
    (tmp_path / "x.txt").write_text("it is\u00ad<unk> here\n" * 40)
    text = f"task: language-model\ndata: {{path: {tmp_path}/x.txt, tokens: words, window: 5}}\n"
    text += "model: {hidden_size: 4}\ntrain: {batch_size: 2, epochs: 1}\n"
    kinds = []
    for name, head in (("old", "format: 1\n"), ("new", "")):
        (tmp_path / f"{name}.yaml").write_text(head + text)
        job = prepare(load_recipe(str(tmp_path / f"{name}.yaml")))
        (tmp_path / name).mkdir()
        run_training(job, tmp_path / name)
        kinds.append(of_kind(Fitted, job.splits.fitted).kind)
        assert open_run(tmp_path / name).fitted == job.splits.fitted
    assert kinds == ["words-0.1", "words"]
    written = [(tmp_path / name / "vocab.json").read_text() for name in ("old", "new")]
    assert [json.loads(text)["kind"] for text in written] == ["words", "words-2"], "0.1 wrote it so"
    assert "format: 1\n" in (tmp_path / "old" / "recipe.yaml").read_text()
    assert (tmp_path / "new" / "recipe.yaml").read_text().startswith("format: 2\n")
