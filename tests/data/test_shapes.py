import hashlib
from itertools import pairwise

import numpy as np

from rnncli.data.made import shapes


def test_the_same_on_every_run() -> None:
    rows = [line.split("\t") for line in shapes.listing().splitlines()[1:]]
    assert len(rows) == shapes.FILMS
    counts = {motion: sum(label == motion for _, label in rows) for motion in shapes.MOTIONS}
    assert set(counts.values()) == {shapes.FILMS // len(shapes.MOTIONS)}
    assert hashlib.sha256(shapes.listing().encode()).hexdigest()[:16] == "28180663899f5e43"
    film = shapes.draw_sequence(0, rows[0][1])
    assert (film == shapes.draw_sequence(0, rows[0][1])).all()
    assert film.shape[1:] == (16, 16, 1)


def moved(motion: str) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """The mean step from frame to frame, (y, x), by the shift that fits best on a field without edges."""
    steps = []
    for number in range(30):
        film = shapes.draw_sequence(number, motion)[..., 0].astype(float)
        spectra = np.fft.fft2(film - film.mean())
        for before, after in pairwise(spectra):
            fit = np.fft.ifft2(after * before.conj()).real
            y, x = np.unravel_index(int(fit.argmax()), fit.shape)
            steps.append([(y + 8) % 16 - 8, (x + 8) % 16 - 8])
    found: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.mean(steps, axis=0)
    return found


def test_a_motion_is_what_its_name_says() -> None:
    for motion, (y, x) in {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0), "still": (0, 0)}.items():
        step = moved(motion)
        assert np.abs(step - np.array([y, x]) * 1.2).max() < 0.3, motion


def test_one_frame_says_nothing() -> None:
    """The mean frame is as flat for one class as for another: places are even over the field."""
    for motion in ("left", "clockwise", "to-and-fro"):
        mean = np.mean([shapes.draw_sequence(number, motion)[0, ..., 0] for number in range(600)], axis=0)
        assert mean.std() < 6  # of points between 40 and 220; the noise of 600 draws is about 2.5
