import hashlib

import numpy as np

from rnncli.data.made import speech


def test_the_same_on_every_run_and_unlike_each_other() -> None:
    rows = [line.split("\t") for line in speech.transcripts().splitlines()[1:]]
    assert len(rows) == speech.SPEAKERS * speech.CLIPS
    assert len({file for file, _, _ in rows}) == len(rows)
    assert {word for _, text, _ in rows for word in text.split()} == set(speech.WORDS)
    assert hashlib.sha256(speech.transcripts().encode()).hexdigest()[:16] == "d29c11dd777a0b83"
    one, again, other = speech.clip(*rows[0][:2]), speech.clip(*rows[0][:2]), speech.clip("s01-0000.wav", rows[0][1])
    assert (one == again).all()
    assert len(one) != len(other) or (one != other).any()
    assert one.dtype == np.int16


def test_a_high_voice_is_high() -> None:
    """The strongest rhythm of a vowel, by autocorrelation, is the voice's pitch."""
    for pitch in (100.0, 200.0):
        sound = speech.speak(["four"], speech.Voice(pitch, 1.0, 0.5, 0.0), 3).astype(float)
        middle = sound[len(sound) // 2 : len(sound) // 2 + 800]
        lags = np.arange(25, 160)
        strength = [np.dot(middle[:-lag], middle[lag:]) / (len(middle) - lag) for lag in lags]
        found = speech.RATE / lags[int(np.argmax(strength))]
        assert abs(found / pitch - 1) < 0.2


def test_a_hiss_is_higher_than_a_vowel() -> None:
    sound = speech.speak(["six"], speech.Voice(120.0, 1.0, 0.5, 0.0), 1).astype(float)
    power = [np.abs(np.fft.rfft(sound[start : start + 800])) ** 2 for start in (900, 2700)]  # S, then IH
    centre = [float(np.arange(401) @ p / p.sum()) * 10 for p in power]  # Hz
    assert centre[0] > 2 * centre[1]
