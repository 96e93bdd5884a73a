"""Numbers from here to there: ``{from = 0.4, to = 1.0, count = 3}``, by count or by step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limner.errors import OptionError

MOST = 10_000
"""Values of one range: more is a slip of the pen."""

DIGITS = 12
"""Significant digits that are kept, so that 0.1 + 0.2 is 0.3."""


@dataclass(frozen=True)
class Span:
    """All numbers between two, both of which belong to it.

    Raises:
        OptionError: the first isn't below the second, or a logarithm is asked of 0 or less.
    """

    low: float
    high: float
    log: bool = False
    """Even by factors instead of by differences."""
    whole: bool = False
    """Whole numbers only."""

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise OptionError(
                f"A range goes from the lower to the higher; got {self.low:g} to {self.high:g}."
            )
        if self.log and self.low <= 0:
            raise OptionError(f"A range with log = true begins above 0; got {self.low:g}.")

    def by_count(self, count: int) -> tuple[float, ...]:
        """So many numbers, ends included, evenly apart; whole ones are the nearest.

        Raises:
            OptionError: fewer than 2, too many, or more than there are whole numbers.
        """
        if not 2 <= count <= MOST:
            raise OptionError(f"A range's count is from 2 to {MOST}; got {count}.")
        values = [self.at(k / (count - 1)) for k in range(count)]
        if len(set(values)) < count:
            raise OptionError(
                f"There aren't {count} different numbers like that between {self.low:g} and "
                f"{self.high:g}."
            )
        return tuple(values)

    def by_step(self, step: float) -> tuple[float, ...]:
        """From the lower end on, as far as the higher, which belongs to it where a step ends there.

        Raises:
            OptionError: no step, too small a one, or one of a logarithmic range.
        """
        if self.log:
            raise OptionError("A range with log = true takes a count, not a step.")
        length = rounded(self.high - self.low)  # 0.3 - 0.2 is a little less than 0.1
        if not 0 < step <= length:
            raise OptionError(f"A step is above 0 and at most {length:g}; got {step:g}.")
        if self.whole and step != int(step):
            raise OptionError(f"Whole numbers go by whole steps; got {step:g}.")
        count = math.floor(length / step * (1 + 1e-9)) + 1
        if count > MOST:
            raise OptionError(f"A range has at most {MOST} values; got {count}.")
        return tuple(self._kind(self.low + k * step) for k in range(count))

    def at(self, part: float) -> float:
        """The number that lies at ``part``, 0..1, of the way."""
        if part in (0, 1):  # as they were said, whatever logarithms do to them
            return self.high if part else self.low
        if self.log:
            return self._kind(math.exp(_between(math.log(self.low), math.log(self.high), part)))
        return self._kind(_between(self.low, self.high, part))

    def _kind(self, value: float) -> float:
        if self.whole:
            return round(value)
        if self.log:
            return rounded(value)
        # By the range's own size: near 0 what is left of a difference is all error.
        places = math.floor(math.log10(max(abs(self.low), abs(self.high))))
        return round(value, DIGITS - 1 - places) + 0.0


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _between(low: float, high: float, part: float) -> float:
    return low + (high - low) * part
