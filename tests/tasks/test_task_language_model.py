"""Writing on from a prompt: in pieces, from a long prompt, one input after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli.data.vocab import tokenize
from rnncli.nn.evaluate import outputs_of
from rnncli.records import Message
from rnncli.tasks import PredictOptions, Recipe, language_model, load_recipe
from rnncli.training.job import prepare

TEXT = "the cat (a red one) sat on the mat, and the dog ran.\n" * 30


@pytest.fixture(params=["characters", "words"])
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
@pytest.mark.parametrize("prompt", ["the cat sat on", "the (", ""])
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
    assert any("the text lacks words of 'The'" in note for note in job.splits.notes)
    shown = job.task.summarize(job.config, job.model, job.splits, "validation")
    (written,) = [record for record in shown if record.name == "text"]
    assert isinstance(written, Message)
    assert not written.text.startswith("The")
    known = prepare(load_recipe("word-language-model", [*sets, "train.sample.prompt=two", "train.threads=1"]))
    assert not any("the text lacks" in note for note in known.splits.notes)
