"""Charts as SVG: bars by day, from zero, labelled where they stand; colours are the page's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 600.0, 120.0
GAP = 2.0


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers for each day, in one colour: `accent`, `copper` or `hollow`."""

    name: str
    tone: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    tone: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. Series stand one before the other, on the same ground: a later one in front."""

    title: str
    unit: str
    days: Sequence[date]
    series: Sequence[Series]

    @property
    def top(self) -> float:
        """The highest value, to which everything is drawn."""
        return max((value for series in self.series for value in series.values), default=0)

    @property
    def total(self) -> float:
        return sum(self.series[0].values)

    @property
    def is_empty(self) -> bool:
        return not self.top

    @property
    def bars(self) -> list[Bar]:
        step = WIDTH / max(len(self.days), 1)
        scale = HEIGHT / self.top if self.top else 0
        return [
            Bar(
                round(index * step, 1),
                round(HEIGHT - value * scale, 1),
                round(step - GAP, 1),
                round(value * scale, 1),
                series.tone,
            )
            for series in self.series
            for index, value in enumerate(series.values)
            if value
        ]

    @property
    def columns(self) -> list[tuple[float, float, str]]:
        """The position and width of each day, and its text for pointers and screen readers."""
        step = WIDTH / max(len(self.days), 1)
        columns = []
        for index, day in enumerate(self.days):
            text = ", ".join(f"{series.values[index]:,.0f} {series.name}" for series in self.series)
            columns.append((round(index * step, 1), round(step, 1), f"{day:%d %B}: {text}"))
        return columns


@dataclass(frozen=True, slots=True)
class Ranked:
    """One of the most used, with its share of the first."""

    name: str
    value: int
    share: float


def ranked(rows: Sequence[tuple[str, int]]) -> list[Ranked]:
    """Return rows with the length of their bars, in percent of the longest."""
    top = max((value for _, value in rows), default=0)
    return [Ranked(name, value, round(100 * value / top, 1) if top else 0) for name, value in rows]
