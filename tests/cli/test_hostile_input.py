"""Hostile input through the command line: mutated recipes and weights. Whatever comes in, one of the known
exit codes comes out, no traceback, and nothing is written but what was asked for."""

from __future__ import annotations

import io
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from safetensors.torch import save

from rnncli.cli import run
from rnncli.errors import DataError, RecipeError, UsageError
from rnncli.recipe import read_document
from rnncli.recipe.parse import MAX_NODES, parse
from rnncli.runs.manifest import Manifest
from rnncli.runs.open import open_run
from rnncli.runs.train import run_training
from rnncli.starters import recipe_folder
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from tests.fixture_types import Run
from tests.hostile import Tally, bounded, counts, record, slices


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RNNCLI_DEBUG", raising=False)
    yield
    torch.set_num_threads(1)


WORDS = (
    "- ", ": ", "\n", "\n  ", "{", "}", "[", "]", "&a ", "*a", "!!python/object/apply:os.system [ls]", "!x ", "'", '"',
    "|", ">", "\t", "#", "~", "null", "true", "no", "1e-3", "1e999", ".nan", "-.inf", "-1", "0", "9" * 300, "0x7f",
    "2024-01-01", "1:30", "é", "中文", "\u2028", "\ufeff", "\x00", "\x1b[2J", "\\u0000", "<<: *a", "%YAML 1.1", "---",
    "...", "? ", "train.lr", "hidden_size", "builtin:nothing", "../../etc/passwd", "~root",
)  # fmt: skip


def mutated_text(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    for _ in range(rng.randrange(1, 5)):
        kind, i = rng.randrange(6), rng.randrange(len(lines))
        at = rng.randrange(len(lines[i]) + 1)
        if kind == 0:
            lines[i] = lines[i][:at] + rng.choice(WORDS) + lines[i][at:]
        elif kind == 1:
            lines[i] = re.sub(r":.*", lambda _: ": " + rng.choice(WORDS), lines[i])
        elif kind == 2:
            lines[i] = lines[i][:at] + lines[i][at + rng.randrange(1, 6) :]
        elif kind == 3:
            lines.insert(rng.randrange(len(lines)), lines[i])
        elif kind == 4:
            lines[i] = " " * rng.randrange(6) + lines[i].lstrip()
        elif len(lines) > 1:
            del lines[i]
    return "\n".join(lines)


@counts(200, 5000)
def test_mutated_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int) -> None:
    rng, tally = random.Random(0), Tally(capsys)
    seeds = [path.read_text(encoding="utf-8") for path in sorted(recipe_folder().glob("*.yaml"))]
    path = tmp_path / "mutated.yaml"
    for n in range(count):
        data = mutated_text(seeds[n % len(seeds)], rng).encode("utf-8", "surrogatepass")
        if n % 10 == 0:
            place = rng.randrange(len(data))
            data = data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]
        path.write_bytes(data)
        if n % 10 == 0:
            assert tally(["recipes", "validate", "./mutated.yaml"]) in (0, 2, 3)
            continue
        try:  # what the command calls, without building the whole command line each time
            with bounded():
                load_recipe("./mutated.yaml")
            tally.codes[0] += 1
        except (UsageError, DataError) as error:
            tally.codes[error.exit_code] += 1
    assert tally.codes[2] > count / 3
    assert tally.codes[0] > count / 20
    if count > 1000:
        record("inputs", "recipes", tally.figures())


@examples(max_examples=60)
@given(st.text(max_size=60) | st.text("[]{}&*!|>-?:#,'\"\n a1", max_size=60))
def test_any_text_is_a_tree_or_refused(text: str) -> None:
    with suppress(RecipeError):
        parse(text, "x.yaml")[0].text()


@examples(max_examples=25)
@given(st.text(max_size=30), st.sampled_from(["train.lr", "data.path", "model", "train", "x.y", "data.pairs"]))
def test_any_value_can_be_set_or_is_refused(value: str, key: str) -> None:
    with suppress(UsageError, DataError):
        load_recipe("hello", [f"{key}={value}"])


@pytest.mark.parametrize(
    "text",
    {
        "bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)),
        "aliases": "task: tagging\ndata: {pairs: [&p [a, b], " + ",".join(["*p"] * 25_000) + "]}\n",
        "wrong items": "task: tagging\ntrain: {compare: [" + ",".join(["zz"] * 50_000) + "]}\n",
        "unknown keys": "task: tagging\n" + "".join(f"k{i}: 1\n" for i in range(30_000)),
        "the same key": "task: tagging\n" + "k: 1\n" * 30_000,
        "arguments": "task: tagging\ntrain: {optimizer: {name: adam, "
        + ",".join(f"k{i}: 1" for i in range(30_000))
        + "}}",
        "deep": "task: tagging\ndata: " + "[" * 100_000,
        "deep maps": "task: tagging\ndata: " + "{a: " * 100_000,
        "tag": "task: !!python/object/apply:os.system [touch pwned]\n",
    }.values(),
    ids=["bomb", "aliases", "wrong items", "unknown keys", "same key", "arguments", "deep", "deep maps", "tag"],
)
def test_recipes_made_to_hurt(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """A list of 90,000 wrong names took more than a minute, and an alias was copied at its full size."""
    (tmp_path / "x.yaml").write_text(text)
    with bounded():
        assert run(["recipes", "validate", "./x.yaml"]) == 2
    assert len(capsys.readouterr().err) < 30_000
    assert not (tmp_path / "pwned").exists()


def test_an_alias_is_no_copy_and_what_is_laid_over_it_changes_it_alone(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &a {b: {c: 1}}\nd: *a\n")
    document = read_document("./x.yaml", ["d.b.c=2"])
    assert document.values == {"a": {"b": {"c": 1}}, "d": {"b": {"c": 2}}}
    assert MAX_NODES <= 100_000


def test_a_recipe_of_a_hundred_megabytes_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "x.yaml", "wb") as file:
        file.truncate(100_000_000)
    with bounded(memory=64 << 20):
        assert run(["recipes", "validate", "./x.yaml"]) == 2


@pytest.mark.parametrize(
    "line",
    [
        ["inspect", "hello", "--cell", "\udcff"],  # what no encoding can write, in a message
        ["train", "hello", "--print-config", "--device", "\udcff"],  # and to the parser of YAML
        ["inspect", "hello", "--with", "x" * 3000],  # a name that the system refuses to look for
        ["train", "--resume", "x" * 3000],
        ["inspect", "hello", "--batch-size", "9" * 30],  # no 64 bits hold it
        ["predict", "hello", "x", "--seed", "9" * 30],
    ],
)
def test_finds(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert Tally(capsys)(line) == 2


# ------------------------------------------------------------------------------------------------------------ weights


OTHER_KINDS: list[Callable[[torch.Tensor], torch.Tensor]] = [
    lambda tensor: torch.zeros(1).expand(200_000, 50_000),  # 40 GB in four bytes
    lambda tensor: tensor.float().to_sparse(),
    lambda tensor: tensor.to(torch.complex64),
]


def recompressed(data: bytes) -> bytes:
    """An archive of torch.save, deflated, which torch never does."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return made.getvalue()


def plain(tensor: torch.Tensor) -> bool:
    """Its numbers are all there: neither sparse nor one number many times over."""
    return not (tensor.is_sparse or 0 in tensor.stride())


def mutated_state(state: dict[str, torch.Tensor], rng: random.Random) -> dict[str, torch.Tensor]:
    made = dict(state)
    for _ in range(rng.randrange(1, 4)):
        names = sorted(name for name, tensor in made.items() if plain(tensor))
        if not names:
            break
        name = rng.choice(names)
        tensor = made[name]
        kind = rng.randrange(12)
        if kind > 8:
            made[name] = OTHER_KINDS[kind - 9](tensor)
        elif kind == 0:
            del made[name]
        elif kind == 1:
            other = rng.choice(["weight_ih_l0", "x", "rnn.weight_ih_l9", "", "a." * 50, "rnn.bias_ih_l0"])
            made[other] = tensor.clone()
        elif kind == 2:
            made[name] = tensor.flatten()[: rng.randrange(tensor.numel() + 1)].clone()
        elif kind == 3:
            made[name] = torch.zeros([rng.randrange(4) for _ in range(rng.randrange(5))])
        elif kind == 4:
            made[name] = tensor.to(rng.choice([torch.int64, torch.bool, torch.float16, torch.float64, torch.uint8]))
        elif kind == 5:
            filled = torch.full_like(tensor, rng.choice([float("nan"), float("inf"), 1e38]), dtype=torch.float64)
            made[name] = filled.to(tensor.dtype) if tensor.is_floating_point() else tensor
        elif kind == 6:
            made[name] = tensor.unsqueeze(0).clone()
        elif kind == 7 and tensor.dim() == 2:
            made[name] = tensor.T.contiguous()
        else:
            made[f"{name}_reverse"] = made.pop(name)
    return made


@slices(40, 1250, 8)
def test_mutated_state_dicts(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int, slice_number: int) -> None:
    """As anybody's file, safetensors and .pt, and as the weights of a run whose manifest agrees."""
    rng, tally = random.Random(1 + slice_number), Tally(capsys)
    job = prepare(load_recipe("hello", ["train.epochs=1", "train.control=false"]))
    folder = tmp_path / "run"
    folder.mkdir()
    run_training(job, folder)
    capsys.readouterr()
    state = {**torch.nn.LSTM(3, 2, 2).state_dict()}
    for n in range(count):
        own = n % 3 == 2
        made = mutated_state(job.model.state_dict() if own else state, rng)
        if n % 3 == 1:
            torch.save(made, "w.pt", _use_new_zipfile_serialization=n % 4 < 3)
            whole = Path("w.pt").read_bytes()
            data = bytearray(recompressed(whole) if n % 5 == 0 and n % 4 < 3 else whole)
        else:
            data = bytearray(save({name: tensor.contiguous() for name, tensor in made.items() if plain(tensor)}))
        for _ in range(rng.choice([0, 0, 1, 3])):  # bytes too, the header among them
            data[rng.randrange(min(len(data), rng.choice([200, 10**9])))] = rng.randrange(256)
        if rng.randrange(8) == 0:
            del data[rng.randrange(len(data)) :]
        name = ("w.safetensors", "w.pt", "run/model.safetensors")[n % 3]
        Path(name).write_bytes(data)
        if own:
            manifest = Manifest(folder)
            manifest.load()
            manifest.seal(["model.safetensors"])
            try:
                with bounded():
                    open_run(folder)
                tally.codes[0] += 1
            except DataError:
                tally.codes[3] += 1
        else:
            assert tally(["inspect", f"./{name}"]) in (0, 2, 3), tally.said
    assert tally.codes[3] > count / 3
    if slice_number:
        record("inputs", f"state_dicts {slice_number}", tally.figures())


JUNK = ["", "null", "[]", "{}", '{"tokens": 3}', '{"tokens": {"tokens": 3}}', "[" * 50_000, '"\\ud800"', "\x00", "NaN"]


@pytest.mark.parametrize("name", ["vocab.json", "result.json", "environment.json", "recipe.yaml", "manifest.json"])
def test_files_of_a_run_that_hold_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Even where the manifest agrees with them."""
    tally = Tally(capsys)
    folder = tmp_path / "run"
    folder.mkdir()
    run_training(prepare(load_recipe("hello", ["train.epochs=1", "train.control=false"])), folder)
    capsys.readouterr()
    for junk in JUNK:
        if name != "manifest.json":
            manifest = Manifest(folder)
            manifest.load()
            manifest.write({name: junk})
        else:
            (folder / name).write_text(junk)
        code = tally(["evaluate", "./run"])
        assert code in (2, 3) or (code == 0 and name in ("result.json", "environment.json"))


@pytest.mark.parametrize(
    "line",
    [
        ["demo", "--from", "x" * 3000],
        ["runs", "list", "x" * 3000],
        ["recipes", "copy", "forecasting", "y.yaml", "--data", "x" * 3000],
        *(["train", name, "--data", "x" * 3000] for name in ("names", "transcription", "image-sequences")),
        ["train", "image-sequences", "--data", "x" * 3000 + ".npy"],
    ],
    ids=lambda line: " ".join(line)[:30],
)
def test_names_that_no_file_can_have(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert Tally(capsys)(line) in (2, 3)


def test_a_run_whose_name_is_not_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    """safetensors opens no such path."""
    tally, run = Tally(capsys), "./r\udcff"
    sets = ["--set", "train.control=false", "--epochs"]
    assert tally(["train", "hello", "--out", run, *sets, "1"]) == 0
    for words in (
        ["train", "--resume", run, "--epochs", "2"],
        ["inspect", run],
        ["evaluate", run],
        ["predict", run, "hel"],
        ["export", run, "e\udcff"],
        ["train", "hello", "--init-from", run, *sets, "1"],
    ):
        assert tally(words) == 0, words
    assert tally(["inspect", "./e\udcff/model.safetensors"]) == 0


def test_torch_leaves_nothing_among_the_temporary_files(tmp_path: Path, rnncli: Run) -> None:
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    places = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")}
    assert rnncli("-q", "train", "hello", "--fast-dev-run", **places).returncode == 0
    assert not [*(tmp_path / "home").iterdir(), *(tmp_path / "temporary").iterdir()]
