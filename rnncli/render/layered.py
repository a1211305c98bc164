"""Layered layout of boxes and wires, sources first.

Sugiyama, Tagawa and Toda 1981, "Methods for visual understanding of hierarchical system structures": layers by longest
path, order within layers by barycentres, with dummy items for wires that pass through; wires are orthogonal, each on
its own track between two layers; wires from one box share a track. Alternatives considered: grandalf (maintained; fixed
box size, straight edges without ports) and graphviz (a separate program).

`along` is the direction from sources to readers, `across` the other one; the caller decides which one points down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

Point = tuple[int, int]  # along, across


@dataclass(frozen=True)
class Block:
    """A box to place. along, across: its size. exit: offset across where its wire leaves. entries: (name of a box that
    it reads, offset where that wire enters), or None for any place on its side."""

    name: str
    along: int
    across: int
    exit: int
    entries: tuple[tuple[str, int | None], ...] = ()
    late: bool = False  # as near to its readers as possible


@dataclass(frozen=True)
class Gaps:
    """Distances. between: blocks of a layer. track: parallel wires. margin: a layer and the first wire. passing: space
    for a wire that passes through a layer. room: maximum extent of a layer; 0 for no limit."""

    between: int
    track: int
    margin: int
    passing: int
    room: int = 0


@dataclass(frozen=True)
class Wire:
    """The wires from one box. paths: polylines; those that end in `ends` reach a reader, in the same order."""

    source: str
    paths: Sequence[Sequence[Point]]
    ends: Sequence[tuple[str, int, Point]]  # reader, index of its entry, point


@dataclass(frozen=True)
class Plan:
    along: int
    across: int
    places: Mapping[str, Point]
    wires: Sequence[Wire]
    crossings: int


@dataclass
class _Item:
    """A block, or a wire passing through a layer (name: its source)."""

    name: str
    block: Block | None
    across: int
    at: int = 0

    @property
    def exit(self) -> int:
        return self.at + (self.block.exit if self.block else 0)


@dataclass
class _Net:
    """The part of a wire between two layers. ends: (position, reader, entry); reader None if it passes through."""

    source: str
    start: int
    ends: list[tuple[int, _Item, int]] = field(default_factory=list)
    track: int = 0

    @property
    def straight(self) -> bool:
        return all(at == self.start for at, _, _ in self.ends)

    @property
    def span(self) -> tuple[int, int]:
        reached = [self.start, *(at for at, _, _ in self.ends)]
        return min(reached), max(reached)


def plan(blocks: Sequence[Block], gaps: Gaps) -> Plan:
    """The positions of all blocks and wires. blocks: sources before their readers."""
    return _planned(tuple(blocks), gaps)


@lru_cache(maxsize=64)  # box sizes often stay the same from one time step to the next
def _planned(blocks: tuple[Block, ...], gaps: Gaps) -> Plan:
    return _Planner(blocks, gaps).plan()


class _Planner:
    def __init__(self, blocks: Sequence[Block], gaps: Gaps) -> None:
        self.blocks = {block.name: block for block in blocks}
        self.gaps = gaps
        self.readers: dict[str, list[str]] = {name: [] for name in self.blocks}
        for block in blocks:
            for giver, _ in block.entries:
                if block.name not in self.readers[giver]:
                    self.readers[giver].append(block.name)
        for kept in range(0, gaps.room or 1, 4):  # the space of passing wires is only known after placement
            self.level = self._levels(gaps.room and gaps.room - kept)
            self.items = self._items()
            if not gaps.room or all(self._fits(layer) for layer in self.items):
                break

    # --- which layer

    def _fits(self, layer: Sequence[_Item]) -> bool:
        blocks = sum(item.block is not None for item in layer)
        return blocks < 2 or self._width(layer) <= self.gaps.room

    def _width(self, layer: Sequence[_Item]) -> int:
        return sum(item.across + self.gaps.between for item in layer) - self.gaps.between

    def _levels(self, room: int) -> dict[str, int]:
        """Each block as early as its sources and the room in its layer allow; `late` blocks as late as their readers
        allow."""
        height = self._heights()
        order = {name: k for k, name in enumerate(self.blocks)}
        level: dict[str, int] = {}
        while len(level) < len(self.blocks):
            now = max(level.values(), default=-1) + 1
            ready, placed = self._ready(level), len(level)
            used = self._passing(level, ready)
            for name in sorted(ready, key=lambda one: (-height[one], order[one])):
                size = self.blocks[name].across + self.gaps.between
                if room and used and used + size - self.gaps.between > room and len(level) > placed:
                    continue
                level[name] = now
                used += size
        for name, block in self.blocks.items():
            if block.late and not room and not block.entries and self.readers[name]:
                level[name] = min(level[reader] for reader in self.readers[name]) - 1
        return level

    def _ready(self, level: Mapping[str, int]) -> list[str]:
        """The blocks without a layer whose sources all have one."""
        waiting = [block for name, block in self.blocks.items() if name not in level]
        return [block.name for block in waiting if all(giver in level for giver, _ in block.entries)]

    def _passing(self, level: Mapping[str, int], ready: Sequence[str]) -> int:
        """Space for wires that pass through the next layer, read by a block that is not ready yet."""
        later = self.blocks.keys() - level.keys() - set(ready)
        passing = [name for name in level if not later.isdisjoint(self.readers[name])]
        return len(passing) * (self.gaps.passing + self.gaps.between)

    def _heights(self) -> dict[str, int]:
        height: dict[str, int] = {}
        for name in reversed(self.blocks):
            height[name] = max((height[reader] + 1 for reader in self.readers[name]), default=0)
        return height

    # --- in which order

    def _items(self) -> list[list[_Item]]:
        layers: list[list[_Item]] = [[] for _ in range(max(self.level.values(), default=-1) + 1)]
        for name, block in self.blocks.items():
            layers[self.level[name]].append(_Item(name, block, block.across))
            last = max((self.level[reader] for reader in self.readers[name]), default=0)
            for k in range(self.level[name] + 1, last):
                layers[k].append(_Item(name, None, self.gaps.passing))
        return layers

    def plan(self) -> Plan:
        best = self._packed()
        kept = [list(layer) for layer in self.items]
        for sweep in range(8):
            for k in range(1, len(self.items)) if sweep % 2 == 0 else range(len(self.items) - 2, -1, -1):
                self._sort(k, k - 1 if sweep % 2 == 0 else k + 1)
            cost = self._packed()
            if cost < best:
                best, kept = cost, [list(layer) for layer in self.items]
        self.items = kept
        self._swap(best)
        self._packed()
        return self._finished()

    def _swap(self, best: tuple[int, int]) -> None:
        """Swap neighbours if that reduces crossings or wire length."""
        for layer in self.items:
            for k in range(len(layer) - 1):
                layer[k], layer[k + 1] = layer[k + 1], layer[k]
                cost = self._packed()
                if cost < best:
                    best = cost
                else:
                    layer[k], layer[k + 1] = layer[k + 1], layer[k]

    def _sort(self, k: int, by: int) -> None:
        """Sort layer k by the mean position of connected items in layer `by`."""
        mean = {id(item): self._mean(item, self.items[by], down=by < k) for item in self.items[k]}
        self.items[k].sort(key=lambda item: mean[id(item)])

    def _mean(self, item: _Item, others: Sequence[_Item], down: bool) -> float:
        if down:
            found = [other.exit for other in others for _ in self._ports(other, item)]
        else:
            found = [other.at + port for other in others for port in self._ports(item, other)]
        return sum(found) / len(found) if found else item.at + item.across / 2

    def _ports(self, giver: _Item, reader: _Item) -> list[int]:
        """Where wires from an item of the layer before enter, from the reader's edge; in its middle for any place."""
        if reader.block is None:
            return [0] if reader.name == giver.name else []
        ports = [port for name, port in reader.block.entries if name == giver.name]
        return [reader.across // 2 if port is None else port for port in ports]

    # --- where

    def _packed(self) -> tuple[int, int]:
        """Place every item; returns the cost: crossings, then wire length."""
        for layer in self.items:
            at = 0
            for item in layer:
                item.at = at
                at += item.across + self.gaps.between
        for sweep in range(7):
            order = range(len(self.items)) if sweep % 2 == 0 else range(len(self.items) - 1, -1, -1)
            for k in order:
                self._settle(k)
        low = min((item.at for layer in self.items for item in layer), default=0)
        for layer in self.items:
            for item in layer:
                item.at -= low
        crossings = length = 0
        for k in range(len(self.items) - 1):
            nets = self._nets(k)
            crossings += _order(nets)
            length += sum(span[1] - span[0] for span in (net.span for net in nets))
        return crossings, length

    def _settle(self, k: int) -> None:
        """Move the items of a layer towards the middle of connected items, in order, without overlap."""
        layer = self.items[k]
        wanted: list[float] = []
        for item in layer:
            found: list[int] = []
            if k:
                found += [other.exit - port for other in self.items[k - 1] for port in self._ports(other, item)]
            if k < len(self.items) - 1 and item.block:  # a passing wire runs straight
                own = item.exit - item.at
                found += [other.at + port - own for other in self.items[k + 1] for port in self._ports(item, other)]
            wanted.append(sum(found) / len(found) if found else item.at)
        places = _spread(wanted, [item.across + self.gaps.between for item in layer])
        room = max(self.gaps.room, self._width(layer)) if self.gaps.room else 0
        if room and layer:
            over = places[-1] + layer[-1].across - room
            shift = max(0, over) if places[0] >= over else places[0]
            places = [place - shift for place in places]
            low = min(0, places[0])
            places = [place - low for place in places]
            limit = room
            for j in range(len(layer) - 1, -1, -1):
                places[j] = max(0, min(places[j], limit - layer[j].across))
                limit = places[j] - self.gaps.between
        for item, place in zip(layer, places, strict=True):
            item.at = place

    # --- wires

    def _nets(self, k: int) -> list[_Net]:
        """The wires between layer k and the next one."""
        nets = {item.name: _Net(item.name, item.exit) for item in self.items[k]}
        starts = {net.start: name for name, net in nets.items()}
        for reader in self.items[k + 1]:
            if reader.block is None:
                nets[reader.name].ends.append((reader.at, reader, -1))
                continue
            taken: set[int] = set()
            here = [(j, name, port) for j, (name, port) in enumerate(reader.block.entries) if name in nets]
            loose = sorted((one for one in here if one[2] is None), key=lambda one: (nets[one[1]].start, one[0]))
            for j, name, port in here:
                if port is not None:
                    nets[name].ends.append((reader.at + port, reader, j))
            for n, (j, name, _) in enumerate(loose):
                ideal = reader.at + (reader.across * (n + 1)) // (len(loose) + 1)
                free = [
                    at
                    for at in range(reader.at + 1, reader.at + reader.across - 1)
                    if at not in taken and (not taken or at > max(taken)) and starts.get(at, name) == name
                ]
                own = nets[name].start
                at = (
                    own
                    if own in free and len(loose) == 1
                    else min(free, key=lambda one: abs(one - ideal), default=ideal)
                )
                taken.add(at)
                nets[name].ends.append((at, reader, j))
        return [net for net in nets.values() if net.ends]

    def _finished(self) -> Plan:
        places: dict[str, Point] = {}
        paths: dict[str, list[list[Point]]] = {}
        ends: dict[str, list[tuple[str, int, Point]]] = {}
        along = crossings = 0
        for k, layer in enumerate(self.items):
            depth = max((item.block.along for item in layer if item.block), default=0)
            nets = self._nets(k) if k < len(self.items) - 1 else []
            crossings += _order(nets)
            tracks = max((net.track for net in nets if not net.straight), default=-1) + 1
            width = 2 * self.gaps.margin + max(0, tracks - 1) * self.gaps.track if nets else 0
            for item in layer:
                if item.block:
                    places[item.name] = (along, item.at)
                elif k:
                    paths.setdefault(item.name, []).append([(along, item.at), (along + depth, item.at)])
            for net in nets:
                item = next(item for item in layer if item.name == net.source)
                leaves = along + (item.block.along if item.block else depth)
                track = along + depth + self.gaps.margin + net.track * self.gaps.track
                below = along + depth + width
                for at, reader, entry in net.ends:
                    corners = [(leaves, net.start), (track, net.start), (track, at), (below, at)]
                    paths.setdefault(net.source, []).append(corners[::3] if at == net.start else corners)
                    if reader.block:
                        ends.setdefault(net.source, []).append((reader.name, entry, (below, at)))
            along += depth + width
        across = max((item.at + item.across for layer in self.items for item in layer), default=0)
        wires = [Wire(name, tuple(paths[name]), tuple(ends.get(name, ()))) for name in self.blocks if name in paths]
        return Plan(along, across, places, wires, crossings)


def _spread(wanted: Sequence[float], sizes: Sequence[int]) -> list[int]:
    """The positions closest to the wanted ones, in this order and `sizes` apart: touching groups share a mean."""
    groups: list[tuple[float, int, float]] = []  # sum of (wanted - offset), count, size
    for want, size in zip(wanted, sizes, strict=True):
        groups.append((want, 1, size))
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] + groups[-2][2] > groups[-1][0] / groups[-1][1]:
            (a, n, first), (b, m, second) = groups[-2:]
            groups[-2:] = [(a + b - m * first, n + m, first + second)]
    places: list[int] = []
    k = 0
    for total, count, _ in groups:
        at = round(total / count)
        for _ in range(count):
            places.append(at)
            at += sizes[k]
            k += 1
    return places


def _order(nets: list[_Net]) -> int:
    """Assign a track to each net, first those with the fewest crossings; returns the remaining crossings."""
    order: list[_Net] = []
    crossed = _crossings(nets)
    for net in sorted(nets, key=lambda one: one.span):
        costs = []
        for place in range(len(order) + 1):
            first = sum(crossed[other.source, net.source] for other in order[:place])
            costs.append((first + sum(crossed[net.source, other.source] for other in order[place:]), -place))
        order.insert(-min(costs)[1], net)
    better = True
    while better:
        better = False
        for k in range(len(order) - 1):
            one, other = order[k].source, order[k + 1].source
            if crossed[other, one] < crossed[one, other]:
                order[k], order[k + 1] = order[k + 1], order[k]
                better = True
    for k, net in enumerate(order):
        before = [other for other in order[:k] if not other.straight and _touch(other, net)]
        net.track = max((other.track + 1 for other in before), default=0)
    return sum(crossed[one.source, other.source] for one, other in combinations(order, 2))


def _touch(one: _Net, other: _Net) -> bool:
    return one.span[0] <= other.span[1] and other.span[0] <= one.span[1]


def _crossings(nets: Sequence[_Net]) -> dict[tuple[str, str], int]:
    """Number of crossings of two nets if the first turns before the second; a thousand if they would overlap."""
    known = [(net.source, net.start, *net.span, net.straight, [at for at, _, _ in net.ends]) for net in nets]
    found = {}
    for one, _, a, b, straight, ends in known:
        for other, start, c, d, also_straight, _ in known:
            on = 0 if straight and also_straight else ends.count(start)
            if not straight and not also_straight:
                on += sum(at in (c, d) for at in ends if at != start) + (start in (a, b) and a != b)
            found[one, other] = sum(c < at < d for at in ends) + (a < start < b) + 1000 * on
    return found
