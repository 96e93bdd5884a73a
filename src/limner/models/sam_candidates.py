"""The masks SAM proposes for one prompt.

At 12 megapixels, enlarging a mask costs as much as half a pass of the decoder, and three of them
take 36 MB: those that were not chosen stay at SAM's own size until somebody looks at them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, overload

from limner.rle import BoolMask

if TYPE_CHECKING:
    import torch

Candidate = tuple[BoolMask, float]


class Candidates(Sequence[Candidate]):
    """``(mask (H, W) bool, score)`` in the model's order; the first is the row's own mask.

    Args:
        chosen: the first candidate's mask; its memory is shared with the detections.
        scores: predicted IoU, one a candidate, the chosen one's first.
        others: low-resolution logits of the rest.
        enlarge: what makes a mask of them.
    """

    def __init__(
        self,
        chosen: BoolMask,
        scores: Sequence[float],
        others: Sequence[torch.Tensor],
        enlarge: Callable[[torch.Tensor], BoolMask],
    ) -> None:
        self._chosen, self._scores, self._others = chosen, tuple(scores), tuple(others)
        self._enlarge = enlarge

    def __len__(self) -> int:
        return len(self._scores)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Candidate, ...]: ...
    def __getitem__(self, index: int | slice) -> Candidate | tuple[Candidate, ...]:
        if isinstance(index, slice):
            return tuple(self[k] for k in range(*index.indices(len(self))))
        place = range(len(self))[index]
        mask = self._chosen if place == 0 else self._enlarge(self._others[place - 1])
        return mask, self._scores[place]
