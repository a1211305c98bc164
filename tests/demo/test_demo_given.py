"""--from: own numbers in, by any of their names; what --save wrote; and every way a file can be wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixture_types import Demo, Document

HOMEWORK = """\
# all ones, no bias
x: [[1, 1], [1, 1], [2, 2]]
W_ih: [[1, 1], [1, 1]]
W_hh: [[1, 1], [1, 1]]
bias: false
nonlinearity: none
"""


Own = Callable[[str | bytes], str]


@pytest.fixture
def own(tmp_path: Path) -> Own:
    def write(text: str | bytes, name: str = "own.yaml") -> str:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(tmp_path / name)

    return write


def test_homework(own: Own, document: Document) -> None:
    found = document("--from", own(HOMEWORK))
    assert found["named"]["l0.fwd.h"] == [[[2, 2]], [[6, 6]], [[16, 16]]]
    assert found["config"] | {"source": ""} == {
        "seq_len": 3,
        "batch_size": 1,
        "input_size": 2,
        "hidden_size": 2,
        "num_layers": 1,
        "bidirectional": False,
        "cell": "rnn",
        "nonlinearity": "none",
        "bias": False,
        "source": "",
    }


def test_options_beat_settings_of_the_file(own: Own, document: Document) -> None:
    found = document("--from", own(HOMEWORK), "--nonlinearity", "tanh")
    assert found["named"]["l0.fwd.h"][1][0][0] == pytest.approx(math.tanh(2 + 2 * math.tanh(2)), abs=1e-6)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--cell lstm --num-layers 2 --bidirectional",
        "--cell gru --no-bias --batch-size 2",
        "--cell feedforward",
        "--nonlinearity relu --dtype float64",
        "--input hello",
    ],
)
@pytest.mark.parametrize("ending", [".yaml", ".json"])
def test_what_save_wrote_comes_back_the_same(
    words: str, ending: str, document: Document, demo: Demo, tmp_path: Path
) -> None:
    file = str(tmp_path / f"x{ending}")
    first = document(*words.split(), "--seed", "3", "--save", file)
    second = document("--from", file, "--seed", "99")  # nothing is left to draw
    compared = [name for name in first["named"] if name not in ("logits", "head.weight", "head.bias")]
    assert {name: second["named"][name] for name in compared} == {name: first["named"][name] for name in compared}
    assert second["dtype"] == first["dtype"]


def test_missing_ones_are_seeded_and_named(own: Own, demo: Demo, document: Document) -> None:
    file = own("W_hh: [[0.5, 0], [0, 0.5]]\n")
    found, plain = document("--from", file, "--seed", "6"), document("--seed", "6")
    assert found["named"]["l0.fwd.weight_hh"] == [[0.5, 0], [0, 0.5]]
    for name in ("x", "l0.fwd.weight_ih", "l0.fwd.bias_ih", "l0.fwd.bias_hh"):
        assert found["named"][name] == plain["named"][name]
    assert "drawn from seed 0" in demo("--from", file)[1]


@pytest.mark.parametrize("names", [("W_ih", "b_ih"), ("weight_ih", "bias_ih"), ("weight_ih_l0", "bias_ih_l0"),
                                   ("l0.fwd.weight_ih", "l0.fwd.bias_ih")])  # fmt: skip
def test_names_people_use(names: tuple[str, str], own: Own, document: Document) -> None:
    found = document("--from", own(f"{names[0]}: [[1, 2, 3]]\n{names[1]}: [4]\n"))
    assert (found["named"]["l0.fwd.weight_ih"], found["named"]["l0.fwd.bias_ih"]) == ([[1, 2, 3]], [4])
    assert (found["config"]["input_size"], found["config"]["hidden_size"]) == (3, 1)


def test_states_start_as_given(own: Own, demo: Demo, document: Document) -> None:
    file = own("h0: [0.5, -0.5]\nc0: [[1, 2]]\ncell: lstm\n")
    found = document("--from", file)["named"]
    assert (found["h_0"], found["c_0"]) == ([[[0.5, -0.5]]], [[[1, 2]]])
    assert "h starts from the given h_0" in demo("--from", file)[1]
    assert document("--from", own("h0: [[1, 2, 3], [4, 5, 6]]"))["config"]["batch_size"] == 2


@pytest.mark.parametrize(("rows", "cell"), [(2, "rnn"), (6, "gru"), (8, "lstm")])
def test_the_cell_follows_from_its_recurrent_weights(rows: int, cell: str, own: Own, document: Document) -> None:
    text = "W_hh: " + json.dumps([[0.1, 0.2]] * rows)
    assert document("--from", own(text))["config"]["cell"] == cell


def test_nan_and_inf_are_shown_in_words(own: Own, demo: Demo) -> None:
    code, out, _ = demo("--from", own("x: [[1, 2],\n    [3, .nan],\n    [.inf, 0]]\nW_ih: [[1, 1]]\n"))
    assert code == 0
    flat = "".join(out.split())  # a long path is broken at the edge of the screen
    assert "containsnanorinf" in flat
    assert "own.yaml:2x" in flat
    assert "own.yaml:3x" in flat
    assert "13.0000nan" in flat
    code, out, _ = demo("--from", own("x: [[1, nan]]\nh0: [inf]\n"), "--explain", "0")
    assert code == 0
    assert "nan" in out


FAULTS: dict[str, tuple[str | bytes, str, str]] = {
    "ragged": ("x: [[1, 2],\n    [3]]\n", ":2 x", "a row of 1"),
    "mixed": ("x: [[1, 2], 3]\n", ":1 x", "a single number"),
    "word": ("x: [[1, two]]\n", ":1 x", "'two' is not a number"),
    "bool": ("x: [[1, true]]\n", ":1 x", "not a number"),
    "null": ("W_ih:\n", ":1 W_ih", "not a number"),
    "empty list": ("x: []\n", ":1 x", "empty list"),
    "empty row": ("x: [[]]\n", ":1 x", "empty list"),
    "one row": ("x: [1, 2]\n", ":1 x", "expected (T, I)"),
    "too deep": ("x: [[[[1]]]]\n", ":1 x", "nested too deeply"),
    "scalar": ("h0: 3\n", ":1 h0", "expected (H)"),
    "contradiction": ("x: [[1, 2]]\nW_ih: [[1, 2, 3]]\n", ":1 x", "own.yaml:2 W_ih"),
    "rows": ("cell: lstm\nW_ih: [[1], [2]]\n", ":2 W_ih", "4·H"),
    "not square": ("W_hh: [[1, 2]]\n", ":1 W_hh", "hidden_size"),
    "unknown": ("W_hi: [[1]]\n", ":1 W_hi", "did you mean W_"),
    "unknown far": ("zebra: 1\n", ":1 zebra", "known: x, h0"),
    "twice": ("b_ih: [1]\nbias_ih: [1]\n", ":2 bias_ih", "own.yaml:1 b_ih"),
    "duplicate": ("x: [[1]]\nx: [[2]]\n", ":2 x", "duplicate key"),
    "cell": ("cell: lsmt\n", ":1 cell", "lstm"),
    "bias": ("bias: no\n", ":1 bias", "true or false"),
    "bias given": ("bias: false\nb_ih: [1]\n", ":2 b_ih", "not have biases"),
    "feedforward": ("cell: feedforward\nW_hh: [[1]]\n", ":2 W_hh", "not have W_hh"),
    "c0": ("c0: [1]\n", ":1 c0", "lstm"),
    "layers": ("num_layers: 1\nweight_ih_l1: [[1, 2]]\n", ":2 weight_ih_l1", "but num_layers is 1"),
    "gap": ("num_layers: 0\n", ":1 num_layers", "at least 1"),
    "upper": ("W_ih: [[1], [2]]\nweight_ih_l1: [[1], [2]]\n", ":2 weight_ih_l1", "2"),
    "stack h0": ("num_layers: 2\nh0: [1, 2]\n", ":2 h0", "(L·D, B, H)"),
    "reverse": ("bidirectional: false\nweight_ih_l0_reverse: [[1]]\n", ":2", "bidirectional is false"),
    "no yaml": ("x: [1, 2\n", ":2", "bracket"),
    "tag": ("x: !!python/object/apply:os.system [ls]\n", ":1 x", "tag"),
    "list": ("- 1\n", "", "name: values"),
    "empty": ("", "", "name: values"),
    "not utf-8": (b"x: \xff\n", ":1", "UTF-8"),
    "other schema": ("schema: rnncli/bench/1\n", ":1 schema", "bench"),
    "broken schema": ("schema: rnncli/trace/1\ntensors: [1]\n", ":2 tensors[0]", "values"),
    "too large a number": (f"x: [[{'1' + '0' * 350}]]\n", ":1 x", "too large"),
    "laughs": ("a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
               "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
               "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\nx: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", ":", "too many values"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_message_with_its_place(name: str, own: Own, demo: Demo) -> None:
    text, place, words = FAULTS[name]
    code, out, err = demo("--from", own(text))
    assert code == 3, err
    assert out == ""
    assert err.count("error:") == 1
    assert f"own.yaml{place}" in err
    assert words in err
    assert "Traceback" not in err


def test_no_file_a_folder_and_conflicting_options(own: Own, demo: Demo, tmp_path: Path) -> None:
    assert demo("--from", str(tmp_path / "none.yaml"))[0] == 3
    assert demo("--from", str(tmp_path))[0] == 3
    code, _, err = demo("--from", own(HOMEWORK), "--hidden-size", "3")
    assert code == 2
    assert "own.yaml:3 W_ih implies 2" in err
    assert demo("--from", own(HOMEWORK), "--input", "hello")[0] == 2
    assert demo("--from", own(HOMEWORK), "--code")[0] == 2


def test_options_add_layers_that_the_seed_draws(own: Own, demo: Demo, document: Document) -> None:
    found = document("--from", own(HOMEWORK), "--num-layers", "2", "--bidirectional")
    assert found["named"]["l0.fwd.weight_hh"] == [[1, 1], [1, 1]]
    assert found["named"]["l1.bwd.h"]
    code, _, err = demo("--from", own("weight_ih_l1: [[1, 2], [3, 4]]\n"), "--num-layers", "1")
    assert code == 3
    assert "but num_layers is 1" in err
    assert demo("--from", own("h0: [[[1, 2]]]\n"), "--num-layers", "2")[0] == 3


def test_a_larger_saved_demo_comes_back(demo: Demo, document: Document, tmp_path: Path) -> None:
    file = str(tmp_path / "x.yaml")
    first = document("--hidden-size", "150", "--input-size", "150", "--save", file)  # more than a recipe may hold
    assert document("--from", file)["named"]["l0.fwd.h"] == first["named"]["l0.fwd.h"]


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("cell: lstm\nx: [[1, 2]]\n", "", "where: own.yaml:1 cell"),
        ("x: [[1, 2]]\nW_hh: [[1], [1], [1], [1]]\n", "", "where: own.yaml:2 W_hh"),
        ("x: [[1, 2]]\nnum_layers: 2\n", "", "where: own.yaml:2 num_layers"),
        ("x: [[1, 2]]\nzoneout: 0.5\n", "", "where: own.yaml:2 zoneout"),
        ("x: [[1, 2]]\n", "--cell gru --bidirectional", "next:  omit --cell gru, --bidirectional"),
        ("x: [[1, 2]]\n", "--set zoneout=0.25 --set variational_dropout=0.5", "next:  omit --set zoneout=0.25"),
    ],
)
def test_what_the_gradients_by_hand_do_not_support_is_named(
    text: str, words: str, said: str, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(text, encoding="utf-8")
    code, _, err = demo("--from", "own.yaml", "--explain-backward", "0", *words.split())
    assert code == 2
    assert err.splitlines()[1:] == [said]
