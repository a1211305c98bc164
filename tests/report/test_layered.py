"""Boxes in layers: nothing lies on anything else, and wires lead where they should."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest

from rnncli.render.layered import Block, Gaps, Plan, Point, plan

Segment = tuple[Point, Point]


def segments(made: Plan) -> list[tuple[str, Segment]]:
    return [
        (wire.source, (min(a, b), max(a, b)))
        for wire in made.wires
        for path in wire.paths
        for a, b in pairwise(path)
        if a != b
    ]


def faults(blocks: list[Block], made: Plan) -> list[str]:
    """What lies on something else."""
    found = []
    sizes = {block.name: block for block in blocks}
    for one, other in combinations(blocks, 2):
        (a, b), (c, d) = made.places[one.name], made.places[other.name]
        if a < c + other.along and c < a + one.along and b < d + other.across and d < b + one.across:
            found.append(f"{one.name} on {other.name}")
    lines = segments(made)
    for source, ((a, b), (c, d)) in lines:
        assert a == c or b == d
        for name, (along, across) in made.places.items():
            if a < along + sizes[name].along and c > along and b < across + sizes[name].across and d >= across:
                found.append(f"the wire of {source} through {name}")
    for (first, ((a, b), (c, d))), (second, ((e, f), (g, h))) in combinations(lines, 2):
        if first == second:
            continue
        if (a == c == e == g and min(d, h) > max(b, f)) or (b == d == f == h and min(c, g) > max(a, e)):
            found.append(f"the wires of {first} and {second} on each other")
    return found


def drawn_at_random(seed: int, ports: bool) -> list[Block]:
    chosen = random.Random(seed)
    blocks: list[Block] = []
    for k in range(chosen.randint(2, 9)):
        givers = chosen.sample(range(k), min(k, chosen.randint(0, 3)))
        across = chosen.randint(12, 24)
        places = chosen.sample(range(2, across - 2), len(givers))
        entries = tuple((str(giver), place if ports else None) for giver, place in zip(givers, places, strict=True))
        blocks.append(Block(str(k), chosen.randint(3, 9), across, across // 2, entries, late=not givers and k % 2 == 0))
    return blocks


@pytest.mark.parametrize("seed", range(12))
def test_nothing_lies_on_anything_else(seed: int) -> None:
    for ports, gaps in ((False, Gaps(1, 1, 1, 1, 80)), (True, Gaps(16, 9, 16, 8))):
        blocks = drawn_at_random(seed, ports)
        made = plan(blocks, gaps)
        assert faults(blocks, made) == []
        assert plan(blocks, gaps) == made
        reached = sorted((reader, wire.source) for wire in made.wires for reader, _, _ in wire.ends)
        assert reached == sorted((block.name, giver) for block in blocks for giver, _ in block.entries)
        for wire in made.wires:
            for reader, _, (along, across) in wire.ends:
                block = next(block for block in blocks if block.name == reader)
                assert made.places[reader][0] == along
                assert 0 <= across - made.places[reader][1] < block.across


def test_a_room_is_kept_and_every_giver_is_before_its_readers() -> None:
    blocks = [Block("x", 3, 20, 10), *(Block(str(k), 3, 20, 10, (("x", None),)) for k in range(7))]
    made = plan(blocks, Gaps(1, 1, 1, 1, 80))
    assert made.across <= 80
    assert all(made.places[str(k)][0] > made.places["x"][0] for k in range(7))
    assert faults(blocks, made) == []


def test_wires_that_need_not_cross_do_not() -> None:
    """Two givers, listed the wrong way round; a reader of each, and one of both."""
    blocks = [
        Block("a", 3, 12, 6),
        Block("b", 3, 12, 6),
        Block("of b", 3, 12, 6, (("b", None),)),
        Block("of a", 3, 12, 6, (("a", None),)),
        Block("of both", 3, 12, 6, (("of a", None), ("of b", None))),
    ]
    assert plan(blocks, Gaps(1, 1, 1, 1, 80)).crossings == 0
