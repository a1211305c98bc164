"""The time zone of a date column, inferred from its UTC offsets in and out of daylight saving time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from rnncli.data.date_forms import EPOCH, Moment

if TYPE_CHECKING:
    from rnncli.data.steps import Ints

SAMPLES = 200  # sample of dates used to tell zones apart, in addition to those next to a change


@dataclass(frozen=True)
class Zone:
    """A column's time zone. values: (T,) its dates; offsets: (T,) UTC offsets in microseconds. instants: whether values
    are absolute time (hourly data has an extra hour in autumn), else local time (daily data is at midnight all year).
    names: zones with exactly these offsets."""

    values: Ints
    offsets: Ints
    instants: bool
    names: tuple[str, ...]

    def moment(self, value: int) -> Moment:
        """Local time at a value, and its UTC offset: the file's; beyond the file, that of most zones in `names`."""
        offset = self._offset(value)
        return Moment(value + offset if self.instants else value, offset)

    def _offset(self, value: int) -> int:
        import numpy as np

        same = np.flatnonzero(self.values == value)
        if len(same):
            return int(self.offsets[same[0]])
        if self.names:
            moment = EPOCH + timedelta(microseconds=value)
            found = Counter(_offset_in(name, moment, self.instants) for name in self.names)
            return found.most_common(1)[0][0]
        return int(self.offsets[np.abs(self.values - value).argmin()])


def zone_of(clocks: Ints, offsets: Ints, values: Ints) -> Zone:
    """clocks, offsets: (T,) int64, local times and UTC offsets of the cells. values: the dates: local times, or
    instants (clocks - offsets)."""
    import numpy as np

    changes = np.flatnonzero(np.diff(offsets))
    names: tuple[str, ...] = ()
    if len(changes):
        rest = np.linspace(0, len(clocks) - 1, SAMPLES).astype(np.int64)
        rows = np.unique(np.concatenate([changes[:SAMPLES], changes[:SAMPLES] + 1, rest]))
        samples = [(EPOCH + timedelta(microseconds=int(clocks[i] - offsets[i])), int(offsets[i])) for i in rows]
        names = tuple(name for name in _known() if all(_offset_in(name, at, True) == offset for at, offset in samples))
    return Zone(values, offsets, values is not clocks, names)


@cache
def _zone_info(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@cache
def _known() -> tuple[str, ...]:
    """The names of all zones; empty if the system has no list (Windows without the package tzdata)."""
    return tuple(sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")))


def _offset_in(name: str, moment: datetime, instant: bool) -> int:
    """In microseconds. moment: without a zone: UTC for an instant, else local time."""
    zone = _zone_info(name)
    local = moment.replace(tzinfo=UTC).astimezone(zone) if instant else moment.replace(tzinfo=zone)
    return (local.utcoffset() or timedelta()) // timedelta(microseconds=1)
