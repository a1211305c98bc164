"""The public names: each has a docstring that says what it takes and raises, and an example that runs."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

import rnncli

NAMES = [name for name in rnncli.__all__ if name != "__version__"]


def test_every_public_name_is_there_and_listed() -> None:
    assert set(rnncli.__all__) == {*rnncli._HOMES, "__version__"}
    assert rnncli.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'tarce'"):
        rnncli.tarce  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_docstrings(name: str) -> None:
    made = getattr(rnncli, name)
    text = inspect.getdoc(made) or ""
    assert ">>> " in text, f"{name} has no example"
    assert "raises" in text.lower()
    if inspect.isfunction(made):
        hidden = [p for p in inspect.signature(made).parameters.values() if p.kind != p.VAR_KEYWORD]
        unsaid = [p.name for p in hidden if p.name not in text]
        assert not unsaid, f"{name} says nothing of {unsaid}"
    else:
        public = [member for key, member in vars(made).items() if not key.startswith("_") and callable(member)]
        assert all(inspect.getdoc(member) for member in public)


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which a person uses them: `open_run` opens what `train` made."""
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name in ("trace", "Trace", "load_recipe", "train", "open_run"):
        made = getattr(rnncli, name)
        (test,) = list(doctest.DocTestFinder(recurse=False).find(made, name, globs={name: made}))
        runner.run(test)
    assert set(NAMES) == {"trace", "Trace", "load_recipe", "train", "open_run"}
    assert runner.summarize(verbose=False).failed == 0
