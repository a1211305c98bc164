"""A text encoded into a file against the text cut and numbered in memory."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnncli import tasks
from rnncli.data.batch import Order
from rnncli.data.encoded import FILE, Encoded, InFile, Tokens, encode_text, measure
from rnncli.data.progress import Reading, follow, listening
from rnncli.data.text import Text, read_text
from rnncli.data.vocab import UNK, Kind, Vocab, join, tokenize
from rnncli.errors import CannotWrite, DataError
from rnncli.files import FolderLock
from rnncli.tasks import AnySplits, load_recipe

WORDS = "the cat sat on a mat 中文 don't, stop! naïve (see 3.5) — «да» हिन्दी \u3000 x_1\n"


@pytest.fixture
def streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every text is encoded into a file under this folder, and read in pieces of 13 bytes."""
    monkeypatch.setenv("RNNCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("rnncli.data.text.HELD", 0)
    monkeypatch.setattr("rnncli.files.CHUNK", 13)
    monkeypatch.setattr("rnncli.data.encoded.BLOCK", 29)
    return tmp_path / "cache"


def prose(n: int, seed: int = 0) -> str:
    """About n characters of WORDS in any order, some lines of it."""
    draw = random.Random(seed)
    pieces = WORDS.split(" ")
    return "".join(draw.choice(pieces) + draw.choice(["", " ", "  "]) for _ in range(n // 4))


def encoded(path: Path, kind: Kind) -> Encoded:
    return follow(encode_text(read_text(path), kind))


def tokens_of(text: Encoded) -> list[str]:
    return [text.types[number] for number in text.read(0, len(text)).tolist()]


@pytest.mark.parametrize("held", [0, 1 << 20])
@pytest.mark.parametrize("kind", ["characters", "words"])
@given(content=st.text(st.sampled_from("ab é中\u0301🙂.,'_\n\t\u3000"), min_size=1, max_size=120))
def test_the_tokens_of_the_whole_text(
    tmp_path_factory: pytest.TempPathFactory, held: int, kind: Kind, content: str
) -> None:
    if not content.strip():
        return
    path = tmp_path_factory.mktemp("text") / "x.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNCLI_CACHE", str(path.parent))
        patch.setattr("rnncli.data.text.HELD", held)
        patch.setattr("rnncli.files.CHUNK", 5)
        patch.setattr("rnncli.data.encoded.BLOCK", 3)
        text = encoded(path, kind)
        expected = tokenize(content, kind, newlines=True)
        assert isinstance(text, InFile) == (held == 0)
        assert tokens_of(text) == expected
        start, stop = len(expected) // 3, len(expected)
        if start < stop:
            found = follow(measure(text, start, stop))
            assert found.characters == len(join(expected[start:stop], kind))
            assert found.counts == Counter(expected[start:stop])


def by_hand(content: str, kind: Kind, sets: dict[str, Any], fractions: dict[str, float]) -> tuple[Vocab, Any]:
    """The vocabulary and the parts as this was done in memory: one list of all tokens, cut, counted and numbered."""
    tokens = tokenize(content, kind, newlines=True)
    sizes = {name: int(len(tokens) * share) for name, share in fractions.items()}
    first = len(tokens) - sum(sizes.values())
    parts = {"train": tokens[:first]}
    for name, size in sizes.items():
        parts[name] = tokens[first : first + size]
        first += size
    vocab = Vocab.from_counts(Counter(parts["train"]), **sets)
    if any(token not in vocab for part in parts.values() for token in part):
        vocab = Vocab.from_counts(Counter(parts["train"]), specials=(UNK,), **sets)
    return vocab, {name: torch.tensor(vocab.encode(part)) for name, part in parts.items()}


def recipe(path: Path, *sets: str) -> Any:
    values = {
        "task": "language-model",
        "data": {"path": str(path), "window": 7},
        "model": {"hidden_size": 4},
        "train": {"batch_size": 3},
    }
    return load_recipe(values, sets).config


LIMITS = [("characters", {}), ("words", {}), ("words", {"min_count": 40}), ("words", {"max_size": 9})]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize(("kind", "limits"), LIMITS)
def test_batches_of_a_streamed_text(
    tmp_path: Path, streamed: Path, kind: Kind, limits: dict[str, int], world: int, packed: bool
) -> None:
    content = prose(4000)
    path = tmp_path / ("x.txt.gz" if packed else "x.txt")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    names = {"min_count": "data.min_count", "max_size": "data.max_vocab"}
    config = recipe(path, f"data.tokens={kind}", *(f"{names[name]}={n}" for name, n in limits.items()))
    task = tasks.load_task("language-model")
    splits = task.read(config)
    assert isinstance(splits.train.ids.text, InFile)
    vocab, parts = by_hand(content, kind, limits, config.data.split.fractions())
    assert splits.fitted.tokens == vocab
    assert splits.fingerprint == read_text(path).fingerprint
    for name, ids in parts.items():
        part = splits.part(name)
        assert np.array_equal(part.ids.read(0, len(ids)), ids.numpy())
    ids = parts["train"]
    steps = (len(ids) - 1) // 3
    x, y = ids[: 3 * steps].view(3, steps), ids[1 : 3 * steps + 1].view(3, steps)
    for rank in range(world):
        for skip in (0, 2):
            made = list(task.batches(config, splits.train, Order(5, 2, skip, rank, world)))
            assert len(made) == -(-steps // 7) - skip
            for k, batch in enumerate(made, skip):
                assert torch.equal(batch.inputs, x[rank::world, 7 * k : 7 * k + 7].t())
                assert batch.targets is not None
                assert torch.equal(batch.targets, y[rank::world, 7 * k : 7 * k + 7].t())


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_streamed_and_held_are_one_to_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """Metrics, baselines, notes and counts too; and where parts are files of their own."""
    monkeypatch.setenv("RNNCLI_CACHE", str(tmp_path / "cache"))
    for name, seed in (("train", 1), ("validation", 2)):
        (tmp_path / f"{name}.txt").write_text(prose(3000, seed) + name, encoding="utf-8")
    values = {
        "task": "language-model",
        "data": {name: str(tmp_path / f"{name}.txt") for name in ("train", "validation")} | {"tokens": kind},
        "model": {"hidden_size": 5},
    }
    loaded = load_recipe(values, ("data.window=9", "train.batch_size=4"))
    config, task = loaded.config, loaded.task
    found = []
    for held in (1 << 20, 0):
        monkeypatch.setattr("rnncli.data.text.HELD", held)
        splits = task.read(config)
        torch.manual_seed(0)
        model = task.build(config, splits.fitted)
        new, notes = task.read_part(config, splits.fitted, str(tmp_path / "train.txt"))
        found.append(
            (
                splits.fitted,
                splits.counts,
                splits.fingerprint,
                splits.how,
                splits.notes[:2],
                splits.train.characters,
                [task.metrics(config, model, splits.part(name), splits.fitted) for name in ("train", "validation")],
                task.metrics(config, model, new, splits.fitted),
                notes[0],
                [baseline.metrics for baseline in task.baselines(config, splits, "validation")],
            )
        )
    assert found[0] == found[1]


def test_a_token_that_a_run_does_not_know(tmp_path: Path, streamed: Path) -> None:
    (tmp_path / "a.txt").write_text("ab" * 400)
    (tmp_path / "b.txt").write_text("ab" * 100 + "ca")
    task = tasks.load_task("language-model")
    config = recipe(tmp_path / "a.txt")
    splits: AnySplits = task.read(config)
    with pytest.raises(DataError, match=r"'c' \(number 201 of 202\) is not among the 2 known tokens") as caught:
        task.read_part(config, splits.fitted, str(tmp_path / "b.txt"))
    assert caught.value.where == str(tmp_path / "b.txt")


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != FolderLock.NAME]


def test_encoded_once_for_every_vocabulary(tmp_path: Path, streamed: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")
    task = tasks.load_task("language-model")
    task.read(recipe(path))
    (file,) = files_under(streamed)
    assert file.name == FILE
    assert read_text(path).fingerprint.startswith(file.parent.name.removesuffix("-characters"))
    before = file.stat()
    splits = task.read(recipe(path, "data.min_count=60", "data.split.validation=0.3"))
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert str(file) in splits.notes[-1]
    task.read(recipe(path, "data.tokens=words"))
    assert len(files_under(streamed)) == 2
    path.write_text(prose(2000, seed=1), encoding="utf-8")
    task.read(recipe(path))
    assert len(files_under(streamed)) == 3


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_interrupted_it_leaves_no_file(tmp_path: Path, streamed: Path, stop: type[BaseException]) -> None:
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")
    heard: list[Reading] = []

    def listen(reading: Reading | None) -> None:
        assert reading is not None
        heard.append(reading)
        if reading.what.startswith("encoding") and reading.done > 300:
            assert files_under(streamed)
            raise stop

    with listening(listen), pytest.raises(stop):
        tasks.load_task("language-model").read(recipe(path))
    assert files_under(streamed) == []
    assert heard[-1].total == path.stat().st_size
    assert [one.said for one in heard if one.said] == [
        f"encoding {path} once, into {next(streamed.rglob(FolderLock.NAME)).parent / FILE}"
    ]
    tasks.load_task("language-model").read(recipe(path))  # the lock was given back
    assert len(files_under(streamed)) == 1


def test_a_full_disk(tmp_path: Path, streamed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match="the disk is full") as caught:
        tasks.load_task("language-model").read(recipe(path))
    assert caught.value.exit_code == 6
    assert files_under(streamed) == []


def test_too_little_room_is_said_before_anything_is_written(
    tmp_path: Path, streamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.txt"
    path.write_text("ab" * 3_000_000)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("rnncli.files.CHUNK", 1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5_500_000))
    with pytest.raises(CannotWrite, match="the encoded text takes 6 MB, but only 5 MB are free") as caught:
        encoded(path, "characters")
    assert str(streamed) in caught.value.where
    assert "RNNCLI_CACHE" in caught.value.todo
    assert files_under(streamed) == []


def test_a_cache_that_is_no_folder(tmp_path: Path, streamed: Path) -> None:
    streamed.write_text("a file")
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")
    with pytest.raises(CannotWrite):
        tasks.load_task("language-model").read(recipe(path))


@pytest.mark.parametrize("damage", ["cut", "empty", "end", "mark", "json", "numbers", "types"])
def test_a_damaged_file_is_made_again(tmp_path: Path, streamed: Path, damage: str) -> None:
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")
    task = tasks.load_task("language-model")
    task.read(recipe(path))
    (file,) = files_under(streamed)
    good = file.read_bytes()
    said: list[str] = []
    wrong = {
        "cut": good[100:],
        "empty": b"",
        "end": good[:-1],
        "mark": good[:-20] + b"x" * 20,
        "json": good.replace(b'"size"', b'"sise"'),
        "numbers": good[:100] + bytes([good[100] ^ 1]) + good[101:],
        "types": good.replace(rb"\u4e2d", rb"\u6587"),
    }
    assert wrong[damage] != good
    file.write_bytes(wrong[damage])
    with listening(lambda reading: said.append(reading.said) if reading else None):
        task.read(recipe(path))
    assert file.read_bytes() == good
    assert f"{file} was damaged: encoding {path} again" in said


def test_numbers_that_mean_nothing(tmp_path: Path, streamed: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")
    text = encoded(path, "characters")
    (file,) = files_under(streamed)
    with open(file, "r+b") as opened:
        opened.write(b"\xff" * 100)
    with pytest.raises(DataError, match="damaged") as caught:
        list(measure(text, 0, len(text)))
    assert caught.value.where == str(file)


def test_a_file_cut_short_while_it_is_read(tmp_path: Path, streamed: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")
    text = encoded(path, "characters")
    (file,) = files_under(streamed)
    os.truncate(file, 10)
    assert len(text.read(0, 10)) == 10
    with pytest.raises(DataError, match="damaged") as caught:
        text.read(5, 11)
    assert caught.value.where == str(file)


def test_the_file_may_go_while_it_is_read(tmp_path: Path, streamed: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")
    text = encoded(path, "characters")
    before = text.read(0, len(text)).tolist()
    files_under(streamed)[0].unlink()
    assert text.read(0, len(text)).tolist() == before


def test_a_text_that_changes_between_two_readings(tmp_path: Path, streamed: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")
    text = read_text(path)
    path.write_text(prose(2000, seed=3), encoding="utf-8")
    with pytest.raises(DataError, match="the text changed while it was being read"):
        follow(encode_text(text, "words"))
    assert files_under(streamed) == []


def test_two_processes_make_one_file(tmp_path: Path, streamed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This one waits while the other has the folder, and then finds the file made."""
    monkeypatch.setattr("rnncli.data.encoded.WAIT", 0.0)
    path = tmp_path / "x.txt"
    path.write_text(prose(2000), encoding="utf-8")
    made = encoded(path, "characters")
    (file,) = files_under(streamed)
    there = file.read_bytes()
    file.unlink()
    other = FolderLock(file.parent)
    other.__enter__()

    def listen(reading: Reading | None) -> None:
        if reading is not None and reading.what.startswith("waiting"):
            file.write_bytes(there)
            other.__exit__()

    with listening(listen):
        text = encoded(path, "characters")
    assert tokens_of(text) == tokens_of(made)
    assert file.read_bytes() == there


def test_a_word_without_end(tmp_path: Path, streamed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnncli.data.encoded.LONGEST", 50)
    path = tmp_path / "x.txt"
    path.write_text("a " * 30 + "b" * 100)
    with pytest.raises(DataError, match="a word of more than 50 characters"):
        encoded(path, "words")
    assert len(encoded(path, "characters")) == 160


def test_numbers_as_wide_as_the_alphabet(tmp_path: Path, streamed: Path) -> None:
    for n, width in ((256, 1), (257, 2), (70_000, 4)):
        text = "".join(chr(code) for code in range(0x4E00, 0x4E00 + n) if not 0xD800 <= code < 0xE000)
        path = tmp_path / "x.txt"
        path.write_text(text, encoding="utf-8")
        found = encoded(path, "characters")
        assert found.read(0, 1).dtype.itemsize == width
        assert "".join(tokens_of(found)) == text


def test_blocks_overlap(tmp_path: Path, streamed: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("abc" * 50)
    ids = Tokens.of(encoded(path, "characters"), 3, 103, Vocab.from_counts(Counter("abc")))
    blocks = list(ids.blocks(overlap=1))
    assert [len(block) for block in blocks] == [30, 30, 30, 13]
    assert np.array_equal(np.concatenate([blocks[0][:1], *(block[1:] for block in blocks)]), ids.read(0, 100))
    assert len(list(ids.blocks())[-1]) == 100 - 3 * 29


@pytest.mark.parametrize("kind", ["words", "whitespace", "words-0.1"])
def test_a_text_in_pieces_has_the_tokens_of_the_whole(kind: Kind) -> None:
    """Cut anywhere, inside a sign too."""
    text = "is n\u200ct <unk>,<NUM> don&apos;t a < b & c\n</s> R&D &#x27; x"
    wanted = tokenize(text, kind, newlines=True)
    for cut in range(len(text) + 1):
        for other in {cut, min(cut + 2, len(text)), len(text)}:
            held = (text[:cut], text[cut:other], text[other:])
            whole = Text("x", (("x", len(text)),), len(text), "", "", held)
            encoded = follow(encode_text(whole, kind))
            assert [encoded.types[i] for i in encoded.read(0, len(encoded))] == wanted, held


def test_the_cached_words_of_0_1_are_not_taken_for_the_words_of_now(tmp_path: Path, streamed: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("a <unk> b\n" * 300, encoding="utf-8")
    tokens = {}
    for kind in ("words-0.1", "words", "whitespace"):
        splits = tasks.load_task("language-model").read(recipe(path, f"data.tokens={kind}"))
        tokens[kind] = sum(part["tokens"] for part in splits.counts.values())
    assert tokens == {"words-0.1": 300 * 6, "words": 300 * 4, "whitespace": 300 * 4}
    assert {file.parent.name.partition("-")[2] for file in files_under(streamed)} == {"words", "words-2", "whitespace"}
