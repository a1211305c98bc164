"""`rnncli export`: load.py answers as `rnncli predict` does, for every packaged recipe, where rnncli is not there."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
import torch

from rnncli import cli
from rnncli.data.vocab import Vocab
from rnncli.runs.export import export
from rnncli.runs.open import Run
from rnncli.tasks import Script, load_recipe
from rnncli.tasks.inputs.tokens import number_values
from rnncli.tasks.tagging import Tagging


class Blocked:
    """An import of rnncli fails, wherever it may be installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "rnncli":
            raise ModuleNotFoundError(name)


@dataclass
class Exported:
    """A run whose weights are drawn, its exported folder, and what both print."""

    run: Run
    folder: Path
    why_not: str
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def source(self) -> str:
        return (self.folder / "load.py").read_text("utf-8")

    def script(self, *arguments: str, stdin: bytes = b"") -> str:
        """What load.py prints, run while nothing of rnncli is there."""
        with self.monkeypatch.context() as patch:
            for name in [name for name in sys.modules if name.partition(".")[0] == "rnncli"]:
                patch.delitem(sys.modules, name)
            patch.setattr(sys, "meta_path", [Blocked(), *sys.meta_path])
            patch.setattr(sys, "argv", ["load.py", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
            self.capsys.readouterr()
            try:
                runpy.run_path(str(self.folder / "load.py"), run_name="__main__")
            finally:
                torch.set_grad_enabled(True)
        return self.capsys.readouterr().out

    def predict(self, *arguments: str, stdin: bytes = b"") -> str:
        with self.monkeypatch.context() as patch:
            patch.setattr(
                "rnncli.cli.target.target_named", lambda word: SimpleNamespace(folder=self.folder, run=self.run)
            )
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
            self.capsys.readouterr()
            code = cli.run(["predict", "last", *arguments])
        out, err = self.capsys.readouterr()
        assert code == 0, err
        return out

    def agree(self, *arguments: str, stdin: bytes = b"") -> str:
        """Character by character."""
        wanted = self.predict(*arguments, stdin=stdin)
        assert self.script(*arguments, stdin=stdin) == wanted
        return wanted

    def agree_as_numbers(self, *arguments: str) -> None:
        """Numbers to the rounding of float32, which may change their last digit; all else character by character."""
        wanted, found = self.predict(*arguments), self.script(*arguments)
        assert NUMBER.sub("#", found) == NUMBER.sub("#", wanted)
        ours, theirs = ([one.replace(",", ".") for one in NUMBER.findall(text)] for text in (found, wanted))
        assert len(ours) > 5
        for one, other in zip(ours, theirs, strict=True):
            last = 10.0 ** -len(other.partition(".")[2])
            assert float(one) == pytest.approx(float(other), rel=1e-5, abs=1e-5 + last)


# A cell with a decimal point or, between semicolons, a decimal comma; in JSON, numbers with all their digits.
NUMBER = re.compile(r"(?<=[,;\t])-?\d+\.\d+(?![^,;\t\n])|(?<=;)-?\d+,\d+(?![^;\n])|-?\d+[.,]\d{4,}")
Make = Callable[..., Exported]


@pytest.fixture
def exported(
    tmp_path: Path, thinned: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Make:
    """recipe, settings -> a run of it, untrained, every weight drawn anew, so that none is 0."""

    def make(name: str | dict[str, object], sets: Sequence[str] = (), out: str = "out") -> Exported:
        monkeypatch.chdir(tmp_path)
        recipe = load_recipe(name, tuple(sets))
        fitted = recipe.task.read(recipe.config).fitted
        generator = torch.Generator().manual_seed(3)
        model = recipe.task.build(recipe.config, fitted).eval()
        dtype = {"float64": torch.float64}.get(recipe.config.train.dtype, torch.float32)
        with torch.no_grad():
            for key, weight in model.state_dict().items():
                if not key.endswith((".mean", ".std")):
                    weight.copy_(torch.randn(weight.shape, generator=generator).abs_() * 0.1 if "margin" in key
                                 else torch.randn(weight.shape, generator=generator) * 0.4)  # fmt: skip
        (tmp_path / "run").mkdir()
        for file in ("recipe.yaml", "environment.json"):
            (tmp_path / "run" / file).write_text("{}")
        run = Run(tmp_path / "run", recipe, fitted, model.to(dtype))
        done = export(run, str(tmp_path / out))
        return Exported(run, tmp_path / out, done.why_not, monkeypatch, capsys)

    return make


TEXTS = ("hello", "", " ", "a\tb", "Zoë Ångström, 北京 \u200dक्षि!", "x" * 300)
LINES = b"one\r\n\n  two words \nthe last, without an end"


def texts_agree(made: Exported, texts: Sequence[str], lines: bytes = LINES) -> None:
    (made.folder / "in.txt").write_bytes(lines)
    made.agree(*texts)
    made.agree("--file", str(made.folder / "in.txt"))
    made.agree("-", stdin=lines)
    assert made.script("--file", str(made.folder / "in.txt")) == made.script("--file", "-", stdin=lines)


CONLLU = (
    "# text = don't go\n1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tdo\tdo\t_\t_\t_\t0\troot\t_\t_\n2\tn't\tnot\t_\t_\t_\t1\tx\t_\t_\n"
    "3\tgo\tgo\tVERB\t_\tNumber=Sing\t1\tx\t_\t_\r\n\n\n1\ta\t_\n\n1\tend\t_\t_\t_\t_\t_\t_\t_\t_\n"
)  # the second sentence is broken

# Recipe -> settings that keep it small, and what is asked.
SMALL = ("model.hidden_size=6",)
CASES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], bytes]] = {
    "hello": ("hello", (), ("hello", "oll", ""), b"hell\r\n\nole"),
    "hello-cell": ("hello-cell", (), ("hello", "oll", ""), b"hell\n"),
    "hello-embedding": ("hello-embedding", (), ("hello", "oll", ""), b"hell\n"),
    "pairs of words": (
        "hello", ("data.pairs=[[do not (run), A B C D E]]", "data.tokens=words", "model.head=crf",
                  "train.dtype=float64"),
        ("run do not", "not", ""), b"do\n",
    ),
    "language-model": ("language-model", (*SMALL, "train.sample.length=30"), ("the cat", "", "d\n"), b"so\n\nit\n"),
    "word-language-model": (
        "word-language-model", (*SMALL, "model.embedding_size=6", "train.sample.length=12"),
        ("The dog (", "don't", "", "ран"), LINES,
    ),
    "names": ("names", SMALL, TEXTS, LINES),
    "acceptability": ("acceptability", SMALL, TEXTS, LINES),
    "pos-tagging": ("pos-tagging", SMALL, TEXTS, LINES),
    "parity": ("parity", SMALL, ("1 0 1 1", "0110", ""), b"1\n\n0 1\n"),
    "even-pairs": ("even-pairs", SMALL, ("a b a", "bb", ""), b"a\n\nb a\n"),
    "symbols that are words": ("parity", ("data.problem=s3", *SMALL), ("231 213 321", ""), b"\n231\n"),
    "state-tracking": ("state-tracking", SMALL, ("", ), b"\n"),
    "modular-arithmetic": ("modular-arithmetic", SMALL, ("",), b"\n"),
    "counting": ("counting", SMALL, ("a a b", "aab", ""), b"ab\n\naa b\n"),
    "memory-copy": ("memory-copy", ("data.test_lengths=[10]", "data.max_length=10", *SMALL), ("a b",), b"b a\n"),
    "memory-adding": (
        "memory-adding", ("data.test_lengths=[10]", "data.min_length=2", "data.max_length=10", *SMALL),
        ("0.25* 0.5 0.125*", ""), b"1\n0.5*\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_texts_are_answered_as_predict_answers_them(case: str, exported: Make) -> None:
    recipe, sets, texts, lines = CASES[case]
    made = exported(recipe, sets)
    assert made.why_not == ""
    symbols = list(made.run.task.label_names(made.run.config, made.run.fitted).inputs or ())
    texts_agree(made, texts if texts != ("",) else (" ".join(symbols[:4]), symbols[0], ""), lines)


def written(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


TABLE = 'name,country\n"Smith, ""Jo""",English\nO\'Neil,Irish\n"two\nlines",Irish\n\n short,x\n'


def test_names_are_read_from_a_table_as_predict_reads_them(exported: Make) -> None:
    made = exported("names", SMALL)
    texts_agree(made, ("Schmidt", "山田"), TABLE.encode())
    texts_agree(made, ("x",), TABLE.replace(",", ";").encode())
    texts_agree(made, ("x",), b'name\tcountry\nA"b\tc\n')
    made.agree("--top-k", "3", "Schmidt", "")
    made.agree("--top-k", "300", "Schmidt")


@pytest.mark.parametrize(
    "sets",
    [
        ("model.head=mean", "model.ngrams=3", "data.max_length=5", "model.cell=gru", "model.bidirectional=true"),
        ("model.head=max", "model.input=one-hot", "data.tokens=words", "model.cell=rnn", "train.dtype=float64"),
        ("model.ngrams=1", "model.cell=slstm", "model.num_layers=2", "data.tokens=whitespace"),
        ("model.cell=mingru", "model.bidirectional=true", "data.tokens=words-0.1"),
    ],
)
def test_options_of_a_classifier(sets: tuple[str, ...], exported: Make, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = ["say hi you,a", "it's <unk> &apos; so,b", "no no no,a", "well done,b"] * 4
    table.write_text("\n".join(rows))
    columns = ("data.header=false", "data.text=0", "data.label=1", "data.delimiter=,")
    from_table = (f"data.path={table}", *columns, "data.split.validation=0", "data.split.test=0")
    made = exported("names", ("model.hidden_size=6", *from_table, *sets))
    texts_agree(made, TEXTS, b"say hi,a\n\nno no,b\nx\n")
    texts_agree(made, ("so",), b"say hi\nno no,zzz\n")


def test_sentences_come_back_in_their_file(exported: Make) -> None:
    made = exported("pos-tagging", ("model.hidden_size=6", "model.head=crf"))
    tagged = made.agree("--file", written("a.conllu", CONLLU))
    assert tagged != CONLLU
    assert len(tagged) > 100
    made.agree("-", stdin=CONLLU.encode())
    made.agree("--top-k", "2", "don't go", "")


TSV = "#tag this\nthe\tX\tD\ndog\tY\tN\n\n-DOCSTART-\tO\tO\n\nrun\nbroken\tone\n\nrun\tZ\tV\r\n"
BLANKS = "the X D\ndog Y N\n\nrun Z V\n\nrun\n"


@pytest.mark.parametrize(
    ("content", "asked", "sets"),
    [
        (TSV.replace("broken\tone\n", "") * 3, TSV, ()),
        (BLANKS.replace("run\n", "") * 3, BLANKS, ("model.input=embedding",)),
        (BLANKS.replace("run\n", "") * 3, "the dog runs\nno tags\n", ("model.input=one-hot", "model.cell=lstm")),
        (CONLLU.split("\n\n")[0].replace("\t_\t_\t0", "\tX\t_\t0").replace("\tnot\t_", "\tnot\tY") + "\n\n", CONLLU,
         ("data.tag=Number", "data.format=conllu")),
    ],
)  # fmt: skip
def test_columns_come_back_as_they_were(
    content: str, asked: str, sets: tuple[str, ...], exported: Make, tmp_path: Path
) -> None:
    (tmp_path / "train.txt").write_bytes(content.encode())
    whole = ("data.min_count=1", "data.split.test=0", "data.split.validation=0", f"data.path={tmp_path}/train.txt")
    made = exported("pos-tagging", ("model.hidden_size=6", *whole, *sets))
    made.agree("--file", written("asked.txt", asked))
    made.agree("the dog", "?")


def test_options_of_generation(exported: Make) -> None:
    made = exported("language-model", (*SMALL, "model.cell=gru", "train.sample.length=20", "model.embedding_size=6",
                                       "model.tie_weights=true"))  # fmt: skip
    made.agree("--temperature", "0", "so")
    made.agree("--temperature", "1.5", "--seed", "7", "--length", "25", "so", "and")
    made.agree("--top-k", "3", "--length", "0", "so")
    made.agree("--top-k", "3", "so")
    long = "to be " * 400
    made.agree("--length", "3", long)


MONTHS = "date,value\n" + "".join(f"{2000 + n // 12}-{n % 12 + 1:02d},{100 + n * 7 % 23}.5\n" for n in range(60))


def test_the_next_months(exported: Make) -> None:
    made = exported("forecasting", SMALL)
    made.agree_as_numbers(written("a.csv", MONTHS), written("b.csv", "\n".join(MONTHS.splitlines()[:40])))
    head, *rows = MONTHS.splitlines()
    made.agree_as_numbers(written("new to old.csv", "\n".join([head, *rows[::-1]]) + "\n"))
    with pytest.raises(SystemExit, match="no column 'value'"):
        made.script(written("c.csv", MONTHS.replace("value", "sales")))
    with pytest.raises(SystemExit, match="is not monthly"):
        made.script(written("d.csv", "date,value\n" + "".join(f"{1950 + n}-01,{n}\n" for n in range(30))))


DAYS = "shop;day;sales;price\n" + "".join(
    f"{shop};{n % 28 + 1}.{n // 28 + 1:02d}.2024;{'' if n == 9 else f'{shop_number + n * 5 % 17},25'};{n % 3},5\n"
    for shop_number, shop in enumerate(("north", 'so"uth', "new"))
    for n in range(56) if n % 28 < 27 or n == 27
)  # fmt: skip


@pytest.mark.parametrize(
    "sets",
    [
        ("data.missing=interpolate", "model.interval=0.8", "train.loss=quantile", "model.skip=linear"),
        ("data.missing=previous", "model.relative=last", "data.past=[price]", "model.interval=0", "model.skip=none",
         "train.dtype=float64", "model.cell=gru", "model.num_layers=2"),
        ("data.missing=previous", "model.relative=none", "model.interval=0.5", "model.skip=none",
         "data.na_values=[-999, x]"),
    ],
)  # fmt: skip
def test_many_series_with_gaps(sets: tuple[str, ...], exported: Make, tmp_path: Path) -> None:
    lines = DAYS.splitlines(keepends=True)
    (tmp_path / "shops.csv").write_text("".join(line for line in lines if not line.startswith("new")))
    columns = (
        f"data.path={tmp_path}/shops.csv",
        "data.date=day",
        "data.id=shop",
        "data.target=sales",
        "data.decimal=,",
    )
    made = exported("forecasting", (*SMALL, *columns, "data.window=8", "data.horizon=3", "data.season=1", *sets))
    made.agree_as_numbers(written("all.csv", DAYS))
    made.agree_as_numbers(written("asked.csv", "".join(lines[:30])))


@pytest.mark.parametrize(
    "sets", [("mingru",), ("slstm",), ("lstm", "model.peephole=true"), ("gru", "model.reset_after=false")]
)
def test_a_forecast_by_a_cell_that_torch_lacks(sets: tuple[str, ...], exported: Make) -> None:
    cell, *options = sets
    made = exported("forecasting", (*SMALL, f"model.cell={cell}", *options))
    assert made.why_not == ""
    made.agree_as_numbers(written("a.csv", MONTHS))


def german(n: int) -> str:
    return f"{n:,}".replace(",", ".")


FIGURES: dict[str, Callable[[int], str]] = {
    "dollars": lambda n: f"${n:,}.48",
    "euros": lambda n: f"{n},94 €",
    "points and a comma": lambda n: f"{german(n)},7",
    "per cent": lambda n: f"{n}.5%",
    "accounting": lambda n: f"({n}.50)" if n % 3 else f"{n}.50",
    "the minus sign": lambda n: f"\u2212{n}.5",
    "apostrophes": lambda n: f"{n:,}.25".replace(",", "'"),
    "exponents": lambda n: f"{n}e-2",
}


@pytest.mark.parametrize("case", FIGURES)
def test_numbers_as_people_write_them(case: str, exported: Make, tmp_path: Path) -> None:
    days, cells = stamps("%Y-%m-%d"), [FIGURES[case](990 + n * 5 % 17) for n in range(40)]
    text = "day;y\n" + "".join(f"{day};{cell}\n" for day, cell in zip(days, cells, strict=True))
    (tmp_path / "t.csv").write_text(text, "utf-8")
    comma = ("data.decimal=,",) if "," in cells[0] and "." not in cells[0] else ()
    columns = (f"data.path={tmp_path}/t.csv", "data.date=day", "model.relative=window")
    exported("forecasting", (*SMALL, *SERIES, *comma, *columns)).agree_as_numbers("t.csv")


def test_numbers_that_could_be_two_are_refused_as_predict_refuses_them(exported: Make, tmp_path: Path) -> None:
    """Training saw none of a thousand."""
    days = stamps("%Y-%m-%d")
    (tmp_path / "t.csv").write_text("day;y;z\n" + "".join(f"{d};{900 + n};{n},5\n" for n, d in enumerate(days)))
    made = exported("forecasting", (*SMALL, *SERIES, "data.decimal=,", f"data.path={tmp_path}/t.csv", "data.date=day"))
    made.agree_as_numbers("t.csv")
    rows = "".join(f"{day};{german(980 + n)};{n},5\n" for n, day in enumerate(days))
    new = written("new.csv", "day;y;z\n" + rows)
    with pytest.raises(SystemExit, match=r"1\.000' is not a number"):
        made.script(new)
    with pytest.raises(AssertionError, match="may be 1000"):
        made.predict(new)


def test_columns_known_ahead(exported: Make, tmp_path: Path) -> None:
    rows = [f"2024-01-01 {n // 4:02d}:{n % 4 * 15:02d},{n * 5 % 17},{n % 3}" for n in range(60)]
    known = "time,y,holiday\n" + "\n".join(rows)
    (tmp_path / "hours.csv").write_text(known)
    columns = (f"data.path={tmp_path}/hours.csv", "data.date=time", "data.target=y", "data.future=[holiday]")
    made = exported(
        "forecasting", (*SMALL, *columns, "data.window=8", "data.horizon=3", "data.season=1", "model.skip=none")
    )
    made.agree_as_numbers(
        written(
            "asked.csv",
            known + "".join(f"\n2024-01-01 15:{n}, ,{n % 2}" for n in (00, 15, 30, 45)).replace(":0,", ":00,"),
        )
    )


def test_without_dates(exported: Make, tmp_path: Path) -> None:
    (tmp_path / "plain.tsv").write_text("".join(f"{n * 5 % 17}\t{n}\n" for n in range(60)))
    columns = (f"data.path={tmp_path}/plain.tsv", "data.date=null", "data.target=[0, 1]", "data.header=false")
    made = exported(
        "forecasting", (*SMALL, *columns, "data.window=8", "data.horizon=3", "data.season=1", "model.skip=none")
    )
    made.agree_as_numbers("plain.tsv")


def stamps(form: str, count: int = 40, hours: int = 24) -> list[str]:
    """Dates in a form of strftime, which takes a callable, too."""
    start = datetime(2024, 3, 28)
    return [(start + timedelta(hours=n * hours)).strftime(form) for n in range(count)]


def clock_of_berlin(count: int) -> list[str]:
    """Every hour over the change to summer time, with its UTC offset."""
    start = datetime(2024, 3, 30, tzinfo=UTC)
    return [(start + timedelta(hours=n)).astimezone(ZoneInfo("Europe/Berlin")).isoformat() for n in range(count)]


DATES: dict[str, list[str]] = {  # the last of them are asked for, too
    "seconds since 1970": [str(1_500_000_000 + 3600 * n) for n in range(40)],
    "milliseconds": [f"{1_500_000_000_000 + 3_600_000 * n}" for n in range(40)],
    "days of Excel": [str(45_000 + n) for n in range(40)],
    "months by name": [f"{datetime(2010 + n // 12, n % 12 + 1, 1):%b %Y}" for n in range(40)],
    "days by name": stamps("%a, %d %B %Y"),
    "short years": stamps("%d.%m.%y"),
    "AM and PM": stamps("%m/%d/%Y %I:%M %p", 40, 1),
    "quarters": [f"{2010 + n // 4}Q{n % 4 + 1}" for n in range(40)],
    "weeks": [f"2024-W{n + 1:02d}" for n in range(40)],
    "24:00": [f"2024-01-{1 + n // 4:02d} {6 * (n % 4 + 1):02d}:00" for n in range(40)],
    "a zone": stamps("%Y-%m-%dT%H:%M:%S+08:00", 40, 1),
    "UTC": stamps("%Y-%m-%d %H:%MZ", 40, 1),
    "summer time": clock_of_berlin(40),
    "days over summer time": [f"2024-03-{d:02d} 00:00:00+01:00" for d in range(2, 32)]
    + [f"2024-04-{d:02d} 00:00:00+02:00" for d in range(1, 11)],
}  # fmt: skip
SERIES = ("data.window=6", "data.horizon=6", "data.season=1", "model.skip=none", "data.target=y")


def table_of(dates: Sequence[str]) -> str:
    return "time;y\n" + "".join(f"{date};{n * 5 % 17}\n" for n, date in enumerate(dates))


@pytest.mark.parametrize("case", DATES)
def test_dates_of_every_form_come_back_in_it(case: str, exported: Make, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(table_of(DATES[case]))
    made = exported("forecasting", (*SMALL, *SERIES, f"data.path={tmp_path}/t.csv", "data.date=time"))
    assert made.why_not == ""
    made.agree_as_numbers("t.csv")
    made.agree_as_numbers(
        written("new.csv", table_of(DATES[case][-20:])), written("first.csv", table_of(DATES[case][:9]))
    )
    with pytest.raises(SystemExit, match="is not a date"):
        made.script(written("wrong.csv", table_of(["31 12 99 x"])))


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_tables_of_other_kinds(name: str, exported: Make, tmp_path: Path) -> None:
    rows = [{"shop": shop, "at": {"day": day}, "y": n * 5 % 17 + 0.5, "empty": None}
            for shop in "ab" for n, day in enumerate(stamps("%Y-%m-%d"))]  # fmt: skip
    if name.endswith(".parquet"):
        duckdb = pytest.importorskip("duckdb")
        duckdb.sql(
            "copy (select range % 2 as shop, date '2024-01-01' + cast(range // 2 as int) as \"at.day\", "
            f"range * 5 % 17 + 0.5 as y from range(80)) to '{tmp_path / name}'"
        )
    else:
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    columns = (f"data.path={tmp_path / name}", "data.date=at.day", "data.id=shop")
    made = exported("forecasting", (*SMALL, *SERIES, *columns))
    assert made.why_not == ""
    made.agree_as_numbers(name)
    other = written("other.jsonl", '{"y": 1}\n')
    if name.endswith(".parquet"):
        other = "other.parquet"
        duckdb.sql(f"copy (select 1 as y) to '{other}'")
    with pytest.raises(SystemExit, match="no column 'shop'"):
        made.script(other)


def test_films(exported: Make) -> None:
    import numpy as np

    made = exported("image-sequences", SMALL)
    height, width, _ = made.run.fitted.frame  # type: ignore[attr-defined]
    films = np.random.default_rng(0).random((2, 5, height, width)).astype(np.float32)
    np.save("one.npy", films[0])
    np.savez("two.npz", films=films)
    Path("folder").mkdir()
    for n, frame in enumerate(films[1]):
        np.save(f"folder/f{n + 8}.npy", frame)
    made.agree("one.npy", "two.npz", "folder")
    made.agree("--top-k", "2", "one.npy")
    made.agree("-", stdin=b"one.npy\n\nfolder\n")
    Image = pytest.importorskip("PIL.Image")
    Path("pictures").mkdir()
    for n, frame in enumerate(films[0]):
        Image.fromarray((frame * 255).astype(np.uint8)).save(f"pictures/{n}.png")
    made.agree("pictures")


def sounds(folder: Path) -> None:
    import numpy as np
    import soundfile

    folder.mkdir()
    random = np.random.default_rng(0)
    for n, word in enumerate(("one", "two") * 3):
        soundfile.write(folder / f"{word}_x_{n}.wav", random.standard_normal(4000).astype(np.float32) * 0.1, 8000)
    for rate in (8000, 11025):
        sound = random.standard_normal((rate, 2)).astype(np.float32) * 0.1
        soundfile.write(f"{rate} a\tb.wav", sound, rate)
    soundfile.write("short.flac", sound[:50], 8000)


ASKED = ("8000 a\tb.wav", "11025 a\tb.wav", "short.flac")


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_transcription(tokens: str, exported: Make, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    sounds(tmp_path / "sounds")
    data = (f"data.path={tmp_path}/sounds", "data.pattern={text}_{speaker}_{take}.wav", f"data.tokens={tokens}")
    made = exported("transcription", (*SMALL, "model.channels=6", "data.split.by=null", *data))
    made.agree(*ASKED)
    made.agree("--beam", "3", ASKED[0])
    made.agree("-", stdin=b"short.flac\n")


def test_a_class_of_sounds(exported: Make, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    sounds(tmp_path / "sounds")
    data = (f"data.path={tmp_path}/sounds", "data.sound={pattern: '{label}_{speaker}_{take}.wav'}", "data.label=label")
    made = exported("names", ("model.hidden_size=6", "model.ngrams=0", "model.channels=6", "data.split.by=null", *data))
    made.agree(*ASKED)
    made.agree("--top-k", "2", ASKED[0])


def test_a_task_of_two_cores_says_that_its_script_answers_nothing(exported: Make) -> None:
    made = exported("translation", ("model.hidden_size=6", "model.embedding_size=6"))
    assert "translation" in made.why_not
    said = made.script()
    assert "encoder: x (T, B, 6)" in said
    with pytest.raises(SystemExit, match="cannot predict"):
        made.script("a word")


def test_a_task_cannot_hide_what_a_script_says_of_the_model(exported: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tagging, "script", lambda *given: Script("tagging.jinja", {"cells": "", "net": None}))
    with pytest.raises(ValueError, match=r"tagging.jinja: cells and net of the task would hide the model's"):
        exported("hello")


def test_a_task_of_somebody_elses_brings_its_own_template(exported: Make, tmp_path: Path) -> None:
    (tmp_path / "loudly.jinja").write_text(
        '{% extends "text.jinja" %}\n{% set steps = "Characters"|code %}\n{% block about %}Loud.{% endblock %}\n'
        "{% block answer %}\nSIGN = {{ sign }}\n{% include 'numbers.jinja' %}\n\n\ndef answer(text):\n"
        '    return f"{len(MODEL(numbers(text)))}{SIGN}"\n{% endblock %}\n'
    )
    script = Script(tmp_path / "loudly.jinja", {"sign": '!"\n', **number_values(Vocab(tuple("ehlo")))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tagging, "script", lambda self, config, fitted: script)
        made = exported("hello")
    assert made.why_not == ""
    assert made.script("hello", "he") == '5!"\n\n2!"\n\n'


def test_every_packaged_recipe_is_asked() -> None:
    from rnncli.starters import packaged_recipes

    others = {"forecasting", "image-sequences", "transcription", "translation"}
    assert {recipe for recipe, *_ in CASES.values()} | others == set(packaged_recipes())
