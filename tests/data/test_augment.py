"""Training clips that change: speed, noise, masks; the same from the same seed, whoever reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli.data.audio import Clip, Sound
from rnncli.data.augment import Augment, _with_noise
from rnncli.data.batch import Order, generator
from rnncli.data.features import ChosenFeatures, Features, LogMel
from rnncli.errors import RecipeError
from rnncli.recipe import without_effect
from rnncli.tasks import AnyTask, load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit, start
from tests.tasks.test_sound_classification import recipe, recordings

RATE = 8000
ALL = "{speed: 0.1, noise: [0, 20], time_masks: 1, time_mask: 5, mel_masks: 1, mel_mask: 9}"
SPOKEN = ("data.split={validation: 0.25}", "train.control=false", "model.hidden_size=4", "model.channels=4")


def always(clip: Clip, T: int) -> bool:
    return True


def clips(*sounds: torch.Tensor) -> ChosenFeatures:
    """Clips of these samples, their bands' means 0, 1, 2 ..."""
    settings = LogMel(RATE)
    features = Features([Clip(str(n), Path(str(n)), "") for n in range(len(sounds))], settings=settings)
    features.mean = [float(band) for band in range(settings.mels)]
    features._heard = dict(enumerate(sounds))
    features._kept = [settings(Sound(x.numpy(), RATE)) for x in sounds]
    features.lengths = [len(frames) for frames in features._kept]
    return ChosenFeatures(features, range(len(sounds)))


def tone(hertz: float, samples: int = 4000) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hertz * torch.arange(samples) / RATE)


def test_a_faster_clip_is_shorter_and_higher() -> None:
    made = clips(*[tone(1000)] * 40)
    found = Augment(speed=0.25).frames(made, range(40), Order(0, 1), always)
    wanted = {RATE // 2 * 100 // percent: percent for percent in (75, 100, 125)}
    counts = {made.whole.settings.frames(samples): percent for samples, percent in wanted.items()}
    assert {len(frames) for frames in found} == set(counts)
    for frames in found:
        of_tone = clips(tone(1000 * counts[len(frames)] / 100))[0]
        assert int(frames[5:-5].mean(0).argmax()) == int(of_tone.mean(0).argmax())


def test_a_text_that_needs_its_frames_keeps_them() -> None:
    made = clips(*[tone(1000)] * 20)
    own = made.whole.lengths[0]
    found = Augment(speed=0.25).frames(made, range(20), Order(0, 1), lambda clip, T: own <= T)
    assert min(map(len, found)) == own < max(map(len, found))


@pytest.mark.parametrize("ratio", [-3.0, 20.0])
def test_noise_has_the_power_that_its_ratio_says(ratio: float) -> None:
    x = 0.3 * tone(440, 100_000)
    noise = _with_noise(x, ratio, generator(1)) - x
    assert 10 * float((x.square().mean() / noise.square().mean()).log10()) == pytest.approx(ratio, abs=0.1)
    spectrum = torch.fft.rfft(noise).abs().square()[1:]
    low, high = spectrum.chunk(2)  # white: as much in each half
    assert float(low.mean() / high.mean()) == pytest.approx(1, abs=0.05)
    silence = torch.zeros(100)
    assert torch.equal(_with_noise(silence, ratio, generator(1)), silence)


def test_masks_hide_stretches_and_bands_behind_their_means() -> None:
    made = clips(*[tone(700)] * 60)
    plain, mean = made[0], torch.arange(40.0)
    widths = set()
    for frames in Augment(time_masks=1, time_mask=7).frames(made, range(60), Order(0, 1), always):
        hidden = (frames == mean).all(1)
        assert torch.equal(frames[~hidden], plain[~hidden])
        places = hidden.nonzero().flatten().tolist()
        assert places == list(range(places[0], places[0] + len(places))) if places else True
        widths.add(len(places))
    assert widths == set(range(8))
    for frames in Augment(mel_masks=1, mel_mask=3).frames(made, range(60), Order(0, 1), always):
        hidden = (frames == mean).all(0)
        assert torch.equal(frames[:, ~hidden], plain[:, ~hidden])
        assert int(hidden.sum()) <= 3
    longest = [
        int((frames == mean).all(1).sum())
        for frames in Augment(time_masks=1, time_mask=1000).frames(made, range(60), Order(0, 1), always)
    ]
    assert max(longest) == len(plain) // 5


def batches(job: Job, epoch: int = 1, rank: int = 0, world: int = 1) -> dict[int, torch.Tensor]:
    """Row -> its frames, as a process trains on them."""
    found = {}
    for batch in job.task.batches(job.config, job.splits.train, Order(0, epoch, rank=rank, world=world)):
        assert batch.lengths is not None
        for b, row in enumerate(batch.rows):
            found[row] = batch.inputs[: batch.lengths[b], b]
    return found


def job_of(kind: str, folder: Path, *sets: str) -> Job:
    if kind == "classification":
        return prepare(recipe(folder, f"data.sound.augment={ALL}", "train.epochs=2", *sets))
    path = [f"data.path={folder}", "data.pattern={text}_{speaker}_{take}.wav", f"data.augment={ALL}"]
    return prepare(load_recipe("transcription", [*path, *SPOKEN, "train.epochs=2", "train.threads=1", *sets]))


@pytest.mark.parametrize("kind", ["classification", "transcription"])
def test_what_is_drawn_depends_on_seed_epoch_and_clip_alone(tmp_path: Path, kind: str) -> None:
    job = job_of(kind, recordings(tmp_path))
    once, again, later = batches(job), batches(job), batches(job, epoch=2)
    shared = batches(job, rank=0, world=2) | batches(job, rank=1, world=2)
    assert once.keys() == again.keys() == shared.keys() == later.keys()
    torch.set_num_threads(2)
    threads = batches(job)
    torch.set_num_threads(1)
    for row, frames in once.items():
        assert torch.equal(frames, again[row])
        assert torch.equal(frames, shared[row])
        assert torch.allclose(frames, threads[row], atol=1e-4)
        assert not torch.equal(frames, later[row])
    (note,) = [note for note in job.splits.notes if "augmented" in note]
    assert note.endswith(
        "speed x 0.9, 1 or 1.1; white noise at 0 to 20 dB; 1 time mask of up to 5 frames; 1 mask of up to 9 mel bands"
    )


@pytest.mark.parametrize("kind", ["classification", "transcription"])
def test_only_training_is_changed(tmp_path: Path, kind: str) -> None:
    job = job_of(kind, recordings(tmp_path))
    task: AnyTask = job.task
    for part in ("train", "validation"):
        rows: Any = job.splits.part(part)
        for batch in task.batches(job.config, rows, None):
            assert batch.lengths is not None
            for b, row in enumerate(batch.rows):
                assert torch.equal(batch.inputs[: batch.lengths[b], b], rows.rows[row])


def test_a_stopped_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    recordings(tmp_path)
    whole, halves = (job_of("classification", tmp_path, "model.outer_dropout=0") for _ in range(2))
    *_, _ = fit(whole)
    state = start(halves)
    for n, _ in enumerate(fit(halves, state)):
        if n == 2:
            break
    assert state.next_batch == 3
    *_, _ = fit(halves, replace(state))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, halves.model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{speed: 0.6}", "data.augment.speed"),
        ("{speed: 0.105}", "0.105 is not a multiple of 0.01"),
        ("{noise: [20, 10]}", "the lower ratio must come first"),
        ("{noise: 20}", "[lowest, highest]"),
        ("{noise: [-30, 10]}", "data.augment.noise"),
        ("{time_masks: 21}", "data.augment.time_masks"),
        ("{mel_masks: 1, mel_mask: 41}", "there are 40 bands"),
        ("{freq_masks: 1}", "mel_masks"),
    ],
)
def test_values_that_cannot_be(value: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe("transcription", [f"data.augment={value}"])
    assert said in " ".join(map(str, error.value.faults))


@pytest.mark.parametrize(
    ("name", "setting", "key"),
    [
        ("transcription", "data.augment.mel_mask=3", "data.augment.mel_mask"),
        ("names", "data.sound={pattern: '{label}_*.wav', augment: {time_mask: 3}}", "data.sound.augment.time_mask"),
    ],
)
def test_the_size_of_no_mask_has_no_effect(name: str, setting: str, key: str) -> None:
    sets = [setting] if name == "transcription" else [setting, "data.text=text", "model.input=embedding"]
    loaded = load_recipe(name, sets)
    assert any(one.startswith(f"{key} has no effect") for one in without_effect(loaded.document, loaded.config))
