"""`builtin:moving-shapes`: short films of one shape that moves; the class is the motion.

The field has no edges (what leaves on one side enters on the other) and every film begins at a place drawn evenly over
all of it. So the place in any single frame is even over the field whatever the class, and shape, size and noise do not
depend on the class either: one frame says nothing, only the change from frame to frame does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FILMS = 2400
SIZE = 16  # height and width of a frame
FRAMES = (8, 14)  # a film has so many, both included

MOTIONS = ("left", "right", "up", "down", "clockwise", "anticlockwise", "to-and-fro", "still")
SHAPES = ("square", "disc", "cross", "frame")
_RADIUS = 4.0  # of a turn, in points


def listing() -> str:
    """What there is: film, motion. `film` draws a row."""
    motions = np.random.RandomState(11).permutation(np.arange(FILMS) % len(MOTIONS))  # frozen for good (NEP 19)
    return "film\tlabel\n" + "".join(f"{number:04d}\t{MOTIONS[motion]}\n" for number, motion in enumerate(motions))


def film(number: int, motion: str) -> npt.NDArray[np.uint8]:
    """(T, SIZE, SIZE, 1) uint8."""
    draw = np.random.RandomState([12, number])
    T = draw.randint(FRAMES[0], FRAMES[1] + 1)
    start = draw.uniform(0, SIZE, 2)  # y, x
    shape = SHAPES[draw.randint(len(SHAPES))]
    radius = draw.uniform(1.6, 2.8)
    way = _path(motion, T, draw.uniform(0.8, 1.6), draw.uniform(0, 2 * np.pi))
    places = start + way + draw.normal(0, 0.15, (T, 2))  # (T, 2)
    points = np.arange(SIZE)
    # Distances on a field without edges: from -SIZE/2 to SIZE/2.
    dy = (points[None, :, None] - places[:, 0, None, None] + SIZE / 2) % SIZE - SIZE / 2  # (T, SIZE, 1)
    dx = (points[None, None, :] - places[:, 1, None, None] + SIZE / 2) % SIZE - SIZE / 2  # (T, 1, SIZE)
    inside = _inside(shape, dy, dx, radius)
    frames = 40 + draw.uniform(100, 180) * inside + draw.normal(0, 8, (T, SIZE, SIZE))
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)[..., None]


def _path(motion: str, T: int, speed: float, phase: float) -> Floats:
    """Where the shape is after each frame, from its start: (T, 2), y down and x to the right. speed: points a frame."""
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
    """How far each point lies inside the shape, 0 to 1 with a soft edge: (T, SIZE, SIZE)."""
    square = np.maximum(np.abs(dy), np.abs(dx))
    distance = {
        "square": square,
        "disc": np.sqrt(dy**2 + dx**2),
        "cross": np.maximum(np.minimum(np.abs(dy), np.abs(dx)) * 2.5, square),
        "frame": np.abs(square - radius * 0.7) + radius * 0.5,
    }[shape]
    return np.clip(radius - distance + 0.5, 0, 1)
