"""How two things are compared: in turns, in one run, by the median of what each pair shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

ROUNDS = 15

Timed = Callable[[], float]
"""Does its work once, and returns the seconds that it took."""


@dataclass(frozen=True, slots=True)
class Row:
    """
    One line of the table.

    :param what: what was measured.
    :param beside_what: what it is compared with.
    :param seconds: the median time of what was measured.
    :param beside: the median time of what it is compared with.
    :param figure: what is judged: a ratio, or a difference in milliseconds.
    :param spread: the least and the greatest figure of any pair.
    :param aim: the greatest figure that is good enough; None where none was set.
    :param unit: what follows a figure: nothing for a ratio, ``ms`` for a difference.
    """

    what: str
    beside_what: str
    seconds: float
    beside: float
    figure: float
    spread: tuple[float, float]
    aim: float | None
    unit: str = ""

    def text(self, figure: float) -> str:
        """Write a figure of this row's."""
        return f"{figure:+.0f} {self.unit}" if self.unit else f"{figure:.2f}"

    @property
    def verdict(self) -> str:
        """Say whether the aim was met, and where not, by how much it was missed."""
        if self.aim is None:
            return "no aim"
        if self.figure <= self.aim:
            return "met"
        return f"missed by {self.text(self.figure - self.aim).lstrip('+')}"


def ratio(what: str, measured: Timed, beside_what: str, beside: Timed, *, aim: float | None) -> Row:
    """Compare as a ratio, 1.00 being as fast as what it is compared with."""
    return row(what, beside_what, _pairs(measured, beside), lambda ours, theirs: ours / theirs, aim=aim)


def row(
    what: str,
    beside_what: str,
    pairs: list[tuple[float, float]],
    compare: Callable[[float, float], float],
    *,
    aim: float | None,
    unit: str = "",
) -> Row:
    """Make a line of timed pairs: the median of what they show, and not what the medians show."""
    figures = [compare(ours, theirs) for ours, theirs in pairs]
    return Row(
        what,
        beside_what,
        seconds=median(ours for ours, _ in pairs),
        beside=median(theirs for _, theirs in pairs),
        figure=median(figures),
        spread=(min(figures), max(figures)),
        aim=aim,
        unit=unit,
    )


def _pairs(measured: Timed, beside: Timed) -> list[tuple[float, float]]:
    """Time both in turns, each first as often as the other, after one round that is not counted."""
    measured(), beside()
    pairs = []
    for number in range(ROUNDS):
        if number % 2:
            ours = measured()
            theirs = beside()
        else:
            theirs = beside()
            ours = measured()
        pairs.append((ours, theirs))
    return pairs
