"""`rnncli predict`: a run on new input."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from rnncli.cli.out import hand_over, note, tell
from rnncli.cli.settings import settings
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr, trn

if TYPE_CHECKING:
    from pathlib import Path

    from rnncli.runs.open import Run
    from rnncli.tasks import Prediction, PredictOptions

MOST_NOTES = 10  # printed; more are counted


def predict(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Run folder, name under runs/, or last.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT...]", help="Text; or files, for series, audio and images; - reads standard input."
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file", metavar="FILE", help="Read inputs from a text file, one a line, or CoNLL-U; - is standard input."
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", min=1, help="Show the K most likely answers, or sample from the K most likely tokens."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0.0, help="Sampling temperature; 0 always takes the most likely token."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**63 - 1, help="Random seed; default: the run's.")
    ] = None,
    beam: Annotated[int | None, typer.Option("--beam", min=1, help="Beam width; 1 is greedy search.")] = None,
    length: Annotated[int | None, typer.Option("--length", min=0, help="Number of tokens to generate.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document per line.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print a CSV with a header and a row for each input.")] = False,
) -> None:
    """Use a run on new input: continue, tag, classify, forecast, transcribe, translate."""
    from rnncli.cli.target import target_named

    found = target_named(target)
    folder = found.folder
    given = list(inputs or ())
    if json and csv:
        raise UsageError(tr("--json and --csv are both given"), where="--csv", todo=tr("leave one out"))
    if given == ["-"]:
        given, file = [], _one_source(file)
    elif "-" in given:
        raise UsageError(tr("- stands for standard input, alone"), where="rnncli predict")
    elif bool(given) == (file is not None):
        raise _no_input(target, folder)
    from rnncli.tasks import PredictOptions

    run = found.run.with_threads(1)
    options = PredictOptions(top_k, temperature, seed, beam, length)
    failed: list[DataError] = []
    predictions = _of_arguments(run, given, options, failed) if file is None else _of_lines(run, file, options, failed)
    _write(_rows(predictions) if csv else predictions, json)
    if failed:
        raise typer.Exit(failed[0].exit_code)


def _no_input(target: str, folder: Path) -> UsageError:
    """Which input the run's task takes, and in what way."""
    from rnncli.tasks import load_recipe

    recipe = load_recipe(str(folder / "recipe.yaml"))
    path = recipe.task.input_kind(recipe.config) == "path"
    return UsageError(
        tr("give a FILE, or several") if path else tr("give TEXT, or --file FILE, or - for standard input"),
        where="rnncli predict",
        todo=tr(
            "such as: rnncli predict {target} {input}", target=shlex.quote(target), input="FILE" if path else "hello"
        ),
    )


def _one_source(file: str | None) -> str:
    if file not in (None, "-"):
        raise UsageError(tr("- and --file are both given"), where="--file", todo=tr("leave one out"))
    return "-"


def _of_arguments(run: Run, given: list[str], options: PredictOptions, failed: list[DataError]) -> Iterator[Prediction]:
    """Each argument's answer; a line end behind each text."""
    for text in given if run.task.input_kind(run.config) == "text" else ():
        if os.path.isfile(text):
            note(tr("{name} is read as text; for the file of that name: --file {name}", name=text))
    yield from _ended(run, given, options, failed)


def _ended(run: Run, inputs: Iterable[str], options: PredictOptions, failed: list[DataError]) -> Iterator[Prediction]:
    """The answers, each with a line end. A file that cannot be used is said, and added to `failed`."""
    from dataclasses import replace

    from rnncli.cli import say
    from rnncli.runs.prediction import predictions

    def unusable(error: DataError) -> None:
        failed.append(error)
        say(error)

    for found in predictions(run, inputs, options, unusable):
        whole = found.more or found.row == {}
        yield found if whole else replace(found, text=found.text + "\n")


def _of_lines(run: Run, file: str, options: PredictOptions, failed: list[DataError]) -> Iterator[Prediction]:
    lines = _stdin_lines() if file == "-" else _file_lines(file)
    if run.task.input_kind(run.config) == "text":
        yield from run.task.predict_lines(run.config, run.model, run.fitted, lines, options)
        return
    if file != "-":
        raise UsageError(
            tr("this task takes files as arguments"),
            where="--file",
            todo=tr("rnncli predict RUN {file}", file=shlex.quote(file)),
        )
    paths = (line.rstrip("\r\n") for line in lines)
    yield from _ended(run, (path for path in paths if path), options, failed)


def _rows(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
    """The same with a row of a CSV as the text of each, the names of the columns before the first. An answer that has
    none, a file that cannot be used, is left out."""
    import csv
    from dataclasses import replace
    from io import StringIO

    names: list[str] = []
    for found in predictions:
        if found.row is None:
            raise UsageError(
                tr("answers of this task are not rows of a table"), where="--csv", todo=tr("omit it, or use --json")
            )
        text = StringIO()
        writer = csv.DictWriter(text, names or list(found.row), restval="", lineterminator="\n")
        if found.row and not names:
            names = list(found.row)
            writer.writeheader()
        if found.row:
            writer.writerow(found.row)
        yield replace(found, text=text.getvalue())


def _file_lines(file: str) -> Iterator[str]:
    from rnncli.files import read_lines

    for _, line in read_lines(file, raw=True):
        yield line


def _stdin_lines() -> Iterator[str]:
    """Lines as they come, each with its end. UTF-8, except that a terminal has an encoding of its own."""
    if sys.stdin is None:
        return
    if sys.stdin.isatty() or not hasattr(sys.stdin, "buffer"):
        yield from sys.stdin
        return
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                tr("byte {byte} is not UTF-8", byte=f"0x{line[error.start]:02x}"),
                where=f"-:{number}",
                todo=tr("convert it, for instance: iconv -f LATIN1 -t UTF-8"),
            ) from error


def _write(predictions: Iterable[Prediction], json: bool) -> None:
    """Each answer as soon as it is there; what is to be said beside it goes to standard error."""
    from rnncli.render import dump_json

    said = 0
    for found in predictions:
        if not json:
            hand_over(found.text)
        elif found.json is not None:
            json_ = found.json
            if found.notes and isinstance(json_, dict):
                json_ = {**json_, "notes": list(found.notes)}
            dump_json(json_, sys.stdout)
        sys.stdout.flush()
        for text in found.notes:
            said += 1
            if said <= MOST_NOTES:
                note(text)
    if said > MOST_NOTES and not settings.quiet:
        tell(trn("and {n} more note", "and {n} more notes", n=said - MOST_NOTES))
