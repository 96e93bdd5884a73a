"""How much room there is around a cut-out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from limner.errors import OptionError
from limner.options.base import Checked, setting

MOST_PERCENT, MOST_PIXELS = 100.0, 4096
_PAD = re.compile(r"(\d+(?:\.\d+)?)\s*(%|px)?", re.ASCII)


@dataclass(frozen=True)
class FrameOptions(Checked):
    """The canvas of a cut-out; where it reaches beyond the picture it is transparent."""

    trim: bool = setting(False, "Cut away the transparent margin.")
    pad: str | None = setting(
        None, "Room on every side: pixels, or a part of the longer side, such as 20 or 5%."
    )
    square: bool = setting(False, "As wide as it is high: the shorter side gets room.")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.room(1)

    def room(self, longer: int) -> int:
        """px on every side of something whose longer side is ``longer``.

        Raises:
            OptionError: pad is no number of pixels and no percentage, or out of range.
        """
        if self.pad is None:
            return 0
        written = _PAD.fullmatch(self.pad.strip())
        number = float(written[1]) if written else -1.0
        percent = bool(written) and self.pad.strip().endswith("%")
        whole = percent or number == int(number)
        if number < 0 or not whole or number > (MOST_PERCENT if percent else MOST_PIXELS):
            raise OptionError(
                f"pad is 0 to {MOST_PIXELS} pixels, such as 20, or 0 to {MOST_PERCENT:g}% of the "
                f"longer side, such as 5%; got {self.pad!r}."
            )
        return round(longer * number / 100) if percent else int(number)
