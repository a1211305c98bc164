"""One image sequence from its own file or folder: a NumPy array, or a folder of frames."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnncli.data.arrays import read_arrays
from rnncli.data.folder import entries
from rnncli.errors import DataError, Missing
from rnncli.files import natural_order, open_binary, shown
from rnncli.locale import tr

ARRAYS = (".npy", ".npz")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MAX_PICTURE = 64 << 20  # bytes of one image file


def read_sequence(path: Path) -> npt.NDArray[np.generic]:
    """One image sequence, (T, height, width, C): an .npy, an .npz of one array, or a folder of frames. Raises DataError
    otherwise."""
    if path.suffix.lower() in ARRAYS and not os.path.isdir(path):
        arrays = read_arrays(path)
        if len(arrays) != 1:
            raise DataError(tr("contains {n} arrays; an image sequence is one array", n=len(arrays)), where=shown(path))
        return _as_sequence(next(iter(arrays.values())), shown(path))
    if not os.path.isdir(path):
        with open_binary(path):
            pass
        raise DataError(tr("not an image sequence: expected a folder of frames, a .npy or a .npz"), where=shown(path))
    frames: list[npt.NDArray[np.generic]] = []
    for entry in in_natural_order(path):
        if entry.suffix.lower() == ".npy":
            frame = read_arrays(entry)["array"]
        elif entry.suffix.lower() in PICTURES:
            frame = _picture(entry)
        else:
            continue
        if frame.ndim == 2:
            frame = frame[..., None]
        if frame.ndim != 3 or (frames and frame.shape != frames[0].shape):
            raise DataError(
                tr("a frame of shape {shape}; all frames of a sequence must have the same shape", shape=frame.shape),
                where=shown(entry),
            )
        frames.append(frame)
    if not frames:
        raise DataError(tr("contains no frames ({known})", known=".npy " + " ".join(PICTURES)), where=shown(path))
    return _as_sequence(np.stack(frames), shown(path))


def _as_sequence(array: npt.NDArray[np.generic], where: str) -> npt.NDArray[np.generic]:
    if array.dtype.kind not in "uifb":
        raise DataError(tr("contains {kind}, not numbers", kind=array.dtype), where=where)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(
            tr("has shape {shape}; expected (T, height, width) or (T, height, width, C)", shape=array.shape),
            where=where,
        )
    return array


def _picture(path: Path) -> npt.NDArray[np.generic]:
    """(height, width) for a greyscale image, (height, width, 3) for a colour image; transparency is dropped."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise Missing(
            tr("reading images needs the extra: images"),
            where=shown(path),
            todo=tr("pip install 'rnncli[images]', or save the frames as .npy"),
        ) from error
    with open_binary(path) as file:
        content = file.read(MAX_PICTURE + 1)
    if len(content) > MAX_PICTURE:
        raise DataError(tr("too large for an image: more than {n} bytes", n=f"{MAX_PICTURE:,}"), where=shown(path))
    data = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damage that does not prevent reading
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(data)
            grey = picture.mode in ("1", "L", "LA", "I", "I;16", "F")
            return np.asarray(picture.convert("L" if grey else "RGB"))
    except UnidentifiedImageError as error:
        raise DataError(tr("not an image of a known format"), where=shown(path)) from error
    except Exception as error:  # Pillow's readers raise all kinds of exceptions
        raise DataError(tr("not a readable image: {why}", why=str(error)[:200]), where=shown(path)) from error


def in_natural_order(folder: Path) -> list[Path]:
    """Candidates for sequences or frames: frame2 before frame10."""
    return sorted(entries(folder), key=lambda path: natural_order(path.name))
