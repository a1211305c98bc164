"""`builtin:digits`: a small formant synthesizer that speaks strings of digits in many voices, with noise.

Formant synthesis as sums of damped waves, one set for every pulse of the voice (FOF: Rodet, Time-domain formant-wave-
function synthesis, 1984, eq. 1); fricatives are white noise shaped in the frequency domain. Formant frequencies of
vowels are rounded averages (Peterson and Barney, Control methods used in a study of the vowels, 1952, table II).
It sounds like a toy, but learning it resembles learning speech: voices differ in pitch, vocal tract, speed and breath.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RATE = 8000  # samples per second
SPEAKERS, CLIPS = 24, 50  # voices, and clips per voice
LONGEST = 4  # digits in one clip

_STEP = 40  # samples between updates of the synthesizer's parameters: 5 ms
_PULSE = 160  # length in samples of the wave of one pulse: 20 ms
_BANDWIDTHS = (60.0, 90.0, 150.0)  # Hz, of the three formants
_GAINS = (1.0, 0.6, 0.3)


class Phone(NamedTuple):
    """formants: Hz. voice, noise: amplitudes of the pulses and of the noise. band: Hz, centre and width of the
    noise."""

    milliseconds: int
    formants: tuple[int, int, int]
    voice: float
    noise: float = 0.0
    band: tuple[int, int] = (2000, 1000)


PHONES: dict[str, Phone] = {
    "AA": Phone(120, (730, 1090, 2440), 1.0),
    "AH": Phone(100, (640, 1190, 2390), 0.9),
    "AO": Phone(130, (570, 840, 2410), 1.0),
    "EH": Phone(110, (530, 1840, 2480), 0.9),
    "IH": Phone(80, (390, 1990, 2550), 0.8),
    "IY": Phone(130, (270, 2290, 3010), 0.8),
    "OW": Phone(140, (450, 900, 2400), 0.9),
    "UW": Phone(140, (300, 870, 2240), 0.8),
    "N": Phone(80, (280, 1500, 2500), 0.4),
    "R": Phone(70, (400, 1150, 1500), 0.6),
    "W": Phone(60, (300, 700, 2200), 0.5),
    "V": Phone(60, (300, 1200, 2300), 0.3, 0.05, (2200, 1600)),
    "Z": Phone(90, (300, 1600, 2500), 0.2, 0.20, (3700, 500)),
    "F": Phone(100, (400, 1100, 2300), 0.0, 0.08, (2300, 1800)),
    "TH": Phone(100, (400, 1400, 2500), 0.0, 0.06, (3000, 1300)),
    "S": Phone(110, (400, 1700, 2500), 0.0, 0.30, (3800, 500)),
    "T": Phone(30, (400, 1700, 2600), 0.0, 0.30, (3200, 900)),
    "K": Phone(30, (400, 1900, 2500), 0.0, 0.25, (1800, 500)),
    "-": Phone(45, (400, 1500, 2500), 0.0),  # closure, or the pause between two words
}

WORDS: dict[str, str] = {
    "zero": "Z IH R OW",
    "one": "W AH N",
    "two": "- T UW",
    "three": "TH R IY",
    "four": "F AO R",
    "five": "F AA IH V",
    "six": "S IH - K S",
    "seven": "S EH V AH N",
    "eight": "EH IY - T",
    "nine": "N AA IH N",
}


@dataclass(frozen=True)
class Voice:
    """pitch: Hz. tract: factor on all formants, above 1 for a shorter vocal tract. speed: factor. breath: noise
    relative to the voice."""

    pitch: float
    tract: float
    speed: float
    breath: float


def voice_of(speaker: int) -> Voice:
    """The voice of speaker number n; as in people, higher voices have shorter tracts."""
    draw = np.random.RandomState([5, speaker])  # frozen (NEP 19)
    height = draw.uniform(0, 1)
    return Voice(
        pitch=90 + 130 * height + draw.uniform(-10, 10),
        tract=0.88 + 0.26 * height + draw.uniform(-0.03, 0.03),
        speed=draw.uniform(0.85, 1.25),
        breath=draw.uniform(0.0, 0.06),
    )


def speak(words: Sequence[str], voice: Voice, seed: int) -> npt.NDArray[np.int16]:
    """The words of WORDS, spoken: (N,) int16 at RATE. seed: for this take's small deviations, loudness and noise."""
    draw = np.random.RandomState([6, seed])
    names = ["-"]
    for word in words:
        names += [*WORDS[word].split(), "-"]
    phones = [PHONES[name] for name in names]
    lengths = [phone.milliseconds * draw.uniform(0.8, 1.2) / voice.speed for phone in phones]
    ends = np.cumsum(lengths) * RATE / 1000
    middles = ends - np.array(lengths) * RATE / 2000
    at = np.arange(0, ends[-1], _STEP)  # the samples at which the parameters are set

    def glide(values: Sequence[float]) -> Floats:
        """Linear interpolation between the middles of consecutive phones."""
        return np.interp(at, middles, values)

    def change(values: Sequence[float]) -> Floats:
        """Constant within a phone, with short slopes."""
        steps = np.array(values)[np.minimum(np.searchsorted(ends, at, side="right"), len(values) - 1)]
        return np.convolve(np.pad(steps, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")

    tract = voice.tract * draw.uniform(0.97, 1.03)
    formants = np.stack([glide([phone.formants[i] * tract for phone in phones]) for i in range(3)])  # (3, steps)
    falling = np.linspace(1.08, 0.92, len(at))  # the pitch of a statement falls
    pitch = voice.pitch * draw.uniform(0.94, 1.06) * falling * (1 + 0.03 * np.sin(at / RATE * 2 * np.pi * 3))
    loud = change([phone.voice for phone in phones])
    size = len(at) * _STEP + _PULSE
    sound = _pulses(formants, pitch, loud, size, draw)
    hiss = change([phone.noise for phone in phones]) + voice.breath * loud
    sound += _hiss(hiss, [glide([phone.band[i] for phone in phones]) for i in range(2)], size, draw)
    sound *= draw.uniform(0.15, 0.5) / np.abs(sound).max()
    power = np.sqrt(np.mean(sound**2))
    sound += draw.standard_normal(size) * power * 10 ** (-draw.uniform(0, 20) / 20)  # 0 to 20 dB below the speech
    return np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)


def _pulses(formants: Floats, pitch: Floats, loud: Floats, size: int, draw: np.random.RandomState) -> Floats:
    """The voiced part: one damped wave per formant at every pulse. (size,)"""
    phase = np.cumsum(np.repeat(pitch, _STEP)) / RATE
    starts = np.flatnonzero(np.diff(np.floor(phase)))  # samples where a new period begins
    step = starts // _STEP
    t = np.arange(_PULSE) / RATE
    waves = np.zeros((len(starts), _PULSE))
    for i, (bandwidth, gain) in enumerate(zip(_BANDWIDTHS, _GAINS, strict=True)):
        waves += gain * np.exp(-np.pi * bandwidth * t) * np.sin(2 * np.pi * formants[i, step][:, None] * t)
    waves *= (loud[step] * draw.uniform(0.95, 1.05, len(step)))[:, None]
    sound = np.zeros(size)
    np.add.at(sound, starts[:, None] + np.arange(_PULSE), waves)
    return sound


def _hiss(loud: Floats, band: Sequence[Floats], size: int, draw: np.random.RandomState) -> Floats:
    """The noisy part: white noise in overlapping pieces, each with a bell-shaped spectrum. (size,)"""
    width = 2 * _STEP
    pieces = np.fft.rfft(draw.standard_normal((len(loud), width)), axis=1)
    frequencies = np.fft.rfftfreq(width, 1 / RATE)
    pieces *= np.exp(-(((frequencies - band[0][:, None]) / band[1][:, None]) ** 2))
    shaped = np.fft.irfft(pieces, width, axis=1) * np.hanning(width) * 4 * loud[:, None]
    sound = np.zeros(size)
    np.add.at(sound, np.arange(len(loud))[:, None] * _STEP + np.arange(width), shaped)
    return sound


def transcripts() -> str:
    """The transcripts of `builtin:digits`: file, text, speaker. `clip` synthesizes a row."""
    draw = np.random.RandomState(7)
    rows = ["file\ttext\tspeaker"]
    for number in range(SPEAKERS * CLIPS):
        speaker = number // CLIPS
        digits = draw.randint(0, len(WORDS), draw.randint(1, LONGEST + 1))
        text = " ".join(list(WORDS)[digit] for digit in digits)
        rows.append(f"s{speaker:02d}-{number:04d}.wav\t{text}\ts{speaker:02d}")
    return "\n".join(rows) + "\n"


def clip(file: str, text: str) -> npt.NDArray[np.int16]:
    """The audio of one row of `transcripts`: (N,) int16 at RATE."""
    speaker, number = file.removeprefix("s").removesuffix(".wav").split("-")
    return speak(text.split(), voice_of(int(speaker)), int(number))
