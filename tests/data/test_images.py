"""Films from every source against the arrays they were written from; what must be refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

from rnncli.data import frame_files, kept
from rnncli.data.arrays import read_arrays
from rnncli.data.frame_files import read_sequence
from rnncli.data.images import FrameSequence, list_sequences, read_sequences
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError, Missing

FILMS = np.random.RandomState(0).randint(0, 255, (4, 3, 5, 6)).astype(np.uint8)  # (N, T, height, width)


def save(path: Path, **arrays: object) -> Path:
    np.savez_compressed(path, **{"frames": FILMS, "labels": np.array(["a", "b", "a", "b"]), **arrays})  # type: ignore[arg-type]
    return path


def test_an_archive(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", lengths=np.array([3, 2, 0, 1]), who=np.array([1, 1, 2, 2]))
    skipped = Skipped("skip", "films")
    found = read_sequences(list_sequences(str(path), skipped, by="who"), skipped)
    assert [(film.label, film.group) for film in found.listed] == [("a", "1"), ("b", "1"), ("b", "2")]
    assert (found.shape, found.lengths, skipped.count) == ((5, 6, 1), [3, 2, 1], 1)
    assert (found[1] == FILMS[1, :2, ..., None]).all()
    mean, std = found.moments([0, 2])
    points = np.concatenate([FILMS[0].ravel(), FILMS[3, :1].ravel()])
    assert mean == pytest.approx([points.mean()])
    assert std == pytest.approx([points.std()])


def test_a_film_that_is_not_like_the_others(tmp_path: Path) -> None:
    frames = FILMS.astype(np.float32)
    frames[1, 2, 0, 0] = np.inf
    skipped = Skipped("skip", "films")
    found = read_sequences(list_sequences(str(save(tmp_path / "a.npz", frames=frames)), skipped), skipped)
    assert len(found.listed) == 3
    assert skipped.first == [(f"{tmp_path}/a.npz[1]", "frame 2 contains NaN or infinity")]
    skipped = Skipped("skip", "films")
    read_sequences(found.listed, skipped, (9, 9, 3))
    assert skipped.first[0][1] == "its frames are 5 x 6 x 1, the others 9 x 9 x 3 (height, width, channels)"


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"frames": np.array([1, None], dtype=object)}, "Python objects"),
        ({"frames": FILMS[0]}, "has shape"),
        ({"frames": FILMS.astype(str)}, "not numbers"),
        ({"labels": np.zeros(3, int)}, "expected one integer or text for each of the 4 sequences"),
        ({"labels": np.zeros(4)}, "is float64"),
        ({"lengths": np.ones((4, 2), int)}, "expected one integer for each of the"),
    ],
)
def test_an_archive_that_is_refused(tmp_path: Path, arrays: dict[str, object], what: str) -> None:
    with pytest.raises(DataError, match=what):
        list_sequences(str(save(tmp_path / "a.npz", **arrays)), Skipped())


def test_names_of_arrays(tmp_path: Path) -> None:
    path = str(save(tmp_path / "a.npz"))
    for options, key in (
        ({"frames": "x"}, "frames"),
        ({"labels": "y"}, "labels"),
        ({"lengths": "n"}, "lengths"),
        ({"by": "who"}, "split.by"),
    ):
        with pytest.raises(DataError, match=f"set data.{key}"):
            list_sequences(path, Skipped(), **options)


def test_arrays_are_those_that_numpy_saved(tmp_path: Path) -> None:
    arrays = {
        "fortran": np.asfortranarray(FILMS.astype(np.float64)),
        "text": np.array(["ä", "bc"]),
        "empty": np.zeros((0, 3)),
        "number": np.array(3),
    }
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_damaged_and_monstrous_files(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.npz").read_bytes()
    for n, data in enumerate((b"", b"PK\x03\x04", whole[:-30], whole[:60] + b"\xff" * 40 + whole[100:])):
        path = tmp_path / f"{n}.npz"
        path.write_bytes(data)
        with pytest.raises(DataError):
            read_arrays(path)
    np.save(tmp_path / "a.npy", FILMS[0])
    good = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(good[:-1])
    with pytest.raises(DataError, match="89 of 90 bytes"):
        read_arrays(tmp_path / "cut.npy")
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000, 1000000), }".ljust(117) + b"\n"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + text)
    with pytest.raises(DataError, match="truncated: 128 of 8000000000000000000 bytes"):
        read_arrays(tmp_path / "huge.npy")


def test_folders_of_frames(tmp_path: Path) -> None:
    for name, film in (("left/one", FILMS[0]), ("right/two", FILMS[1])):
        (tmp_path / name).mkdir(parents=True)
        for t, frame in zip((1, 2, 10), film, strict=True):  # frame10 comes last
            np.save(tmp_path / name / f"frame{t}.npy", frame)
    np.save(tmp_path / "right" / "three.npy", FILMS[2])
    skipped = Skipped("stop", "films")
    found = read_sequences(list_sequences(str(tmp_path), skipped), skipped)
    assert [film.label for film in found.listed] == ["left", "right", "right"]
    assert all((found[row][..., 0] == FILMS[of]).all() for row, of in enumerate((0, 2, 1)))
    (tmp_path / "labels.tsv").write_text("file\tlabel\twho\nleft/one\tx\tann\nright/three.npy\ty\tbob\n")
    films = list_sequences(str(tmp_path), skipped, by="who")
    assert [(film.label, film.group, len(film.load())) for film in films] == [("x", "ann", 3), ("y", "bob", 3)]


def test_labels_in_names(tmp_path: Path) -> None:
    for name in ("wave_ann_0.npy", "nod_bob_0.npy", "odd.npy"):
        np.save(tmp_path / name, FILMS[0])
    skipped = Skipped("skip", "films")
    films = list_sequences(str(tmp_path), skipped, pattern="{label}_{person}_*.npy", by="person")
    assert sorted((film.label, film.group) for film in films) == [("nod", "bob"), ("wave", "ann")]
    assert skipped.count == 1


def test_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    for t in range(3):
        image.fromarray(FILMS[0, t]).save(tmp_path / f"{t}.png")
    assert (read_sequence(tmp_path)[..., 0] == FILMS[0]).all()
    colours = np.stack([FILMS[0, 0]] * 3, axis=2)
    image.fromarray(colours).save(tmp_path / "3.png")
    with pytest.raises(DataError, match="all frames of a sequence must have the same shape"):
        read_sequence(tmp_path)
    (tmp_path / "0.png").write_bytes(b"\x89PNG no")
    with pytest.raises(DataError, match="not an image of a known format") as found:
        read_sequence(tmp_path)
    assert found.value.where == f"{tmp_path}/0.png"
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 16)
    with pytest.raises(DataError, match="exceeds limit"):
        frame_files._picture(tmp_path / "1.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(Missing, match="extra: images"):
        read_sequence(tmp_path)


def test_more_than_is_kept_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n, film in enumerate(FILMS):
        np.save(tmp_path / f"{'ab'[n % 2]}_{n}.npy", film)
    monkeypatch.setattr(kept, "KEEP", 2 * FILMS[0].nbytes)
    skipped = Skipped()
    found = read_sequences(list_sequences(str(tmp_path), skipped, pattern="{label}_*.npy"), skipped)
    assert len(found._kept) == 2
    assert (found[3][..., 0] == FILMS[3]).all()


def test_sequences_in_memory_come_after_others_that_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder for training and an .npz for validation: every row is its own sequence."""
    for n, film in enumerate(FILMS):
        np.save(tmp_path / f"{'ab'[n % 2]}_{n}.npy", film)
    monkeypatch.setattr(kept, "KEEP", 2 * FILMS[0].nbytes)
    skipped = Skipped()
    listed = list(list_sequences(str(tmp_path), skipped, pattern="{label}_*.npy"))
    held = [FrameSequence(f"set.npz[{n}]", "a", frames=film[..., None] + 1) for n, film in enumerate(FILMS)]
    found = read_sequences([*listed, *held], skipped)
    for n, sequence in enumerate(found.listed):
        assert (found[n] == sequence.load()).all(), n


def test_sources_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "only").mkdir()
    for source, what in (
        (tmp_path / "a.txt", "not a source of image sequences"),
        (tmp_path, "fewer than two"),
        ("builtin:names", "this builtin data set has no image sequences"),
        (tmp_path / "none.npz", "no such file"),
    ):
        with pytest.raises(DataError, match=what):
            list_sequences(str(source), Skipped())
