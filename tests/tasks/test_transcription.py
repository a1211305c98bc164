"""CTC against a sum over all ways to spell a text; a run on sound files from reading to predicting."""

import itertools
import wave
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli.data.batch import Batch, Order
from rnncli.data.edits import error_rates
from rnncli.data.features import LogMel
from rnncli.data.made import speech
from rnncli.data.vocab import Vocab
from rnncli.errors import DataError, UsageError
from rnncli.nn.ctc import beam_search
from rnncli.nn.model import Outputs
from rnncli.tasks import PredictOptions, load_recipe, transcription
from rnncli.training.job import prepare
from rnncli.training.loop import fit
from tests.narrowed import of_kind, some

FITTED = transcription.Fitted(
    Vocab(("<blank>", "a", "b"), ("<blank>",)), "characters", LogMel(8000, 1, 25.0, 10.0), [0.0], [1.0]
)


def spelled(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token)


def test_the_loss_is_the_sum_over_all_ways() -> None:
    torch.manual_seed(0)
    scores = torch.randn(4, 2, 3)  # (T, B, V)
    lengths, targets = torch.tensor([4, 3]), [(1, 1), (2,)]
    batch = Batch(scores, lengths, torch.tensor([[1, 2], [1, 0]]), {"target_lengths": torch.tensor([2, 1])})
    found = transcription._loss(Outputs(scores, None, lengths), batch)
    chances = scores.softmax(2).double()
    wanted = 0.0
    for b, (length, target) in enumerate(zip(lengths.tolist(), targets, strict=True)):
        ways = (path for path in itertools.product(range(3), repeat=length) if spelled(path) == target)
        total = sum(torch.stack([chances[t, b, v] for t, v in enumerate(path)]).prod() for path in ways)
        wanted -= float(torch.as_tensor(total).log())
    assert float(found.total) == pytest.approx(wanted, rel=1e-5)
    assert found.count == 3


def test_greedy_and_beam() -> None:
    """The likeliest path spells nothing, the likeliest text is `a`: only a beam finds that (Graves 2006, fig. 2)."""
    chances = torch.tensor([[0.6, 0.4, 1e-6], [0.6, 0.4, 1e-6]])
    outputs = Outputs(chances.log().unsqueeze(1), None, torch.tensor([2]))
    assert transcription._greedy(outputs, FITTED) == [""]
    assert beam_search(chances.log(), 4) == [1]


def test_a_wide_beam_finds_the_best_of_all_texts() -> None:
    for seed in range(20):
        chances = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)).double().softmax(1)
        sums: dict[tuple[int, ...], float] = {}
        for path in itertools.product(range(3), repeat=5):
            p = float(torch.stack([chances[t, v] for t, v in enumerate(path)]).prod())
            sums[spelled(path)] = sums.get(spelled(path), 0.0) + p
        assert tuple(beam_search(chances.log(), 200)) == max(sums, key=lambda text: sums[text])


def recordings(folder: Path) -> Path:
    for take in range(12):
        for text in ("one", "six"):
            with wave.open(str(folder / f"{text}_s{take % 4}_{take}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(speech.RATE)
                file.writeframes(speech.speak([text], speech.voice_of(take % 4), take).astype("<i2").tobytes())
    return folder


def recipe(path: Path, *sets: str) -> Any:
    return load_recipe(
        "transcription",
        [f"data.path={path}", "data.pattern={text}_{speaker}_{take}.wav", "data.split={validation: 0.25, by: speaker}",
         "model.hidden_size=16", "model.channels=16", "train.control=false", "train.threads=1", *sets],
    )  # fmt: skip


def test_from_files_to_answers(tmp_path: Path) -> None:
    job = prepare(recipe(recordings(tmp_path), "train.epochs=30", "train.lr=0.01", "train.batch_size=6"))
    speakers = {
        name: {clip.where.split("_")[-2] for clip in part.rows.listed}
        for name, part in (("train", job.splits.train), ("validation", job.splits.part("validation")))
    }
    assert not speakers["train"] & speakers["validation"]
    assert job.splits.counts["validation"]["clips"] == 6
    *_, end = fit(job)
    assert end.metrics["cer"] < 0.2
    baseline = job.task.baselines(job.config, job.splits, "validation")[0]
    assert baseline.metrics == pytest.approx({"cer": 0.5, "wer": 0.5})  # three letters of three wrong, half of the time
    sample, frames = job.task.summarize(job.config, job.model, job.splits, "validation")
    assert sample.name == "sample"
    line = "".join(str(row[2]) for row in frames.rows)  # type: ignore[union-attr]
    assert "".join(token for token, _ in itertools.groupby(line) if token != "-") == sample.rows[2][1]  # type: ignore[union-attr]
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    for asked in (PredictOptions(), PredictOptions(beam=4)):
        found = list(job.task.predict(job.config, job.model, job.splits.fitted, paths, asked))
        said = [Path(path).name[:3] for path in paths]
        heard = [one.text.removeprefix(f"{path}\t") for one, path in zip(found, paths, strict=True)]
        assert error_rates(zip(heard, said, strict=True))[0] < 0.25
    with pytest.raises(UsageError, match="--top-k"):
        list(job.task.predict(job.config, job.model, job.splits.fitted, paths, PredictOptions(top_k=2)))
    batch = job.task.encode(job.config, job.splits.fitted, paths)
    features = job.splits.train.rows.whole
    assert [clip.where for clip in features.listed] == paths
    for row in (0, 23):
        assert torch.equal(batch.inputs[: features.lengths[row], row], features[row])
    part, notes = job.task.read_part(job.config, job.splits.fitted, str(tmp_path))
    assert len(part.rows) == 24
    assert notes == []


def test_error_rates_are_of_the_texts_as_they_are_in_the_data(tmp_path: Path) -> None:
    """Spelled in words, an answer has its own spacing: what predict writes is compared with what the table says."""
    recordings(tmp_path)
    said = {"one": "a well - known  one", "six": "six"}
    rows = [f"{path.name}\t{said[path.name[:3]]}\n" for path in sorted(tmp_path.glob("*.wav"))]
    (tmp_path / "list.tsv").write_text("file\ttext\n" + "".join(rows), encoding="utf-8")
    sets = ["model.hidden_size=16", "model.channels=16", "train.control=false", "train.threads=1", "train.epochs=1"]
    table = [f"data.path={tmp_path / 'list.tsv'}", "data.tokens=words", "data.split={validation: 0}"]
    job = prepare(load_recipe("transcription", [*table, *sets]))
    tokens = job.splits.fitted.tokens.tokens
    ids = [tokens.index(token) for token in ("a", "well", "-", "known", "one")]
    part = job.splits.train

    def heard(*_: Any) -> Any:
        """The right tokens of every clip, whatever the model is."""
        for batch in transcription.TASK.batches(of_kind(transcription.Config, job.config), part, None):
            T = int(some(batch.lengths).max())
            scores = torch.full((T, batch.size, len(tokens)), -9.0)
            scores[:, :, 0] = 0.0
            for b, row in enumerate(batch.rows):
                for t, token in enumerate(ids if "one" in part.rows.listed[row].text else [tokens.index("six")]):
                    scores[2 * t, b, token] = 9.0
            yield batch, Outputs(scores, None, batch.lengths)

    found = _metrics_with(heard, job)
    answers = {"one": "a well-known one", "six": "six"}
    wanted = error_rates((answers[row[:3]], said[row[:3]]) for row in rows)
    assert (found["cer"], found["wer"]) == pytest.approx(wanted)
    assert found["wer"] == pytest.approx(3 / 6)  # `well-known` for `well - known`: three edits in five words and one
    baseline = job.task.baselines(job.config, job.splits, "train")[0]
    often = min(said.values())  # both are said twelve times
    assert baseline.metrics["wer"] == pytest.approx(error_rates((often, text) for text in said.values())[1])


def _metrics_with(outputs_of: Any, job: Any) -> dict[str, float]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transcription, "outputs_of", outputs_of)
        return transcription.TASK.metrics(job.config, job.model, job.splits.train, job.splits.fitted)


def test_clips_that_ctc_cannot_spell_are_named(tmp_path: Path) -> None:
    """`see` needs four steps: two equal neighbours have a blank between them."""
    assert transcription._misfit(recipe(tmp_path).config, "see", 8) == ""
    assert "3 characters in 3 steps; it needs 4" in transcription._misfit(recipe(tmp_path).config, "see", 6)
    recordings(tmp_path)
    (tmp_path / "one_s0_0.wav").rename(tmp_path / f"{'o' * 90}_s0_0.wav")
    with pytest.raises(DataError, match=r"CTC cannot output 90 characters in \d+ steps; it needs 179"):
        transcription.TASK.read(recipe(tmp_path).config)
    splits = transcription.TASK.read(recipe(tmp_path, "data.on_bad=skip").config)
    assert splits.notes[0].startswith("1 of 24 clips cannot be used; first: ")


def test_batches_are_a_function_of_integers(tmp_path: Path) -> None:
    config = recipe(recordings(tmp_path), "train.batch_size=5").config
    train = transcription.TASK.read(config).train
    whole = [batch.rows for batch in transcription.TASK.batches(config, train, Order(3, 1))]
    assert sorted(itertools.chain(*whole)) == list(range(18))
    assert [batch.rows for batch in transcription.TASK.batches(config, train, Order(3, 1, 2))] == whole[2:]


def test_fill(tmp_path: Path) -> None:
    recordings(tmp_path)
    assert transcription.TASK.suggest_settings(str(tmp_path)) == {
        "data.pattern": "{text}_{speaker}_{take}.wav",
        "data.split.by": "speaker",
    }
    (tmp_path / "list.tsv").write_text("path\tsentence\n")
    assert transcription.TASK.suggest_settings(str(tmp_path)) == {
        "data.file": "path",
        "data.text": "sentence",
        "data.split.by": None,
    }
