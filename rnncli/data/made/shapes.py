"""`builtin:moving-shapes`: short image sequences of a moving shape; the class is the motion.

The field wraps around at its edges, and every sequence starts at a uniformly drawn position. So the position in any
single frame is uniform for every class, and shape, size and noise do not depend on the class either: a single frame
carries no information, only the change between frames does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FILMS = 2400
SIZE = 16  # height and width of a frame
FRAMES = (8, 14)  # number of frames of a sequence, inclusive range

MOTIONS = ("left", "right", "up", "down", "clockwise", "anticlockwise", "to-and-fro", "still")
SHAPES = ("square", "disc", "cross", "frame")
_RADIUS = 4.0  # of a rotation, in pixels


def listing() -> str:
    """The rows: film, motion. `draw_sequence` draws one."""
    motions = np.random.RandomState(11).permutation(np.arange(FILMS) % len(MOTIONS))  # frozen (NEP 19)
    return "film\tlabel\n" + "".join(f"{number:04d}\t{MOTIONS[motion]}\n" for number, motion in enumerate(motions))


def draw_sequence(number: int, motion: str) -> npt.NDArray[np.uint8]:
    """(T, SIZE, SIZE, 1) uint8."""
    draw = np.random.RandomState([12, number])
    T = draw.randint(FRAMES[0], FRAMES[1] + 1)
    start = draw.uniform(0, SIZE, 2)  # y, x
    shape = SHAPES[draw.randint(len(SHAPES))]
    radius = draw.uniform(1.6, 2.8)
    way = _path(motion, T, draw.uniform(0.8, 1.6), draw.uniform(0, 2 * np.pi))
    places = start + way + draw.normal(0, 0.15, (T, 2))  # (T, 2)
    points = np.arange(SIZE)
    # Distances on the wrapped field: from -SIZE/2 to SIZE/2.
    dy = (points[None, :, None] - places[:, 0, None, None] + SIZE / 2) % SIZE - SIZE / 2  # (T, SIZE, 1)
    dx = (points[None, None, :] - places[:, 1, None, None] + SIZE / 2) % SIZE - SIZE / 2  # (T, 1, SIZE)
    inside = _inside(shape, dy, dx, radius)
    frames = 40 + draw.uniform(100, 180) * inside + draw.normal(0, 8, (T, SIZE, SIZE))
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)[..., None]


def _path(motion: str, T: int, speed: float, phase: float) -> Floats:
    """The shape's displacement at each frame: (T, 2), y down and x to the right. speed: pixels per frame."""
    t = np.arange(T)
    zero = np.zeros(T)
    straight = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0), "still": (0, 0)}
    if motion in straight:
        y, x = straight[motion]
        return np.stack([y * speed * t, x * speed * t], axis=1)
    if motion == "to-and-fro":
        return np.stack([zero, _RADIUS * np.sin(speed / 2 * t + phase)], axis=1)
    turn = {"clockwise": 1, "anticlockwise": -1}[motion]  # y points down, so a growing angle turns clockwise
    angle = phase + turn * speed / 2 * t
    return _RADIUS * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def _inside(shape: str, dy: Floats, dx: Floats, radius: float) -> Floats:
    """The shape's coverage of each pixel, 0 to 1 with a soft edge: (T, SIZE, SIZE)."""
    square = np.maximum(np.abs(dy), np.abs(dx))
    distance = {
        "square": square,
        "disc": np.sqrt(dy**2 + dx**2),
        "cross": np.maximum(np.minimum(np.abs(dy), np.abs(dx)) * 2.5, square),
        "frame": np.abs(square - radius * 0.7) + radius * 0.5,
    }[shape]
    return np.clip(radius - distance + 0.5, 0, 1)
