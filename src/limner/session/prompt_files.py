"""Prompts that name files, opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from limner.io.images import OpenedImage
from limner.prompts import Exemplar, Mask, VisualPrompt
from limner.prompts.syntax import BoxDraft, Draft


@dataclass
class Opener:
    """Opens the pictures that prompts name, by the limits of the input.

    Args:
        notify: gets each sentence about such a picture, once.
    """

    max_pixels: int
    notify: Callable[[str], None]
    _notified: set[str] = field(default_factory=set)

    def open(self, path: str | Path) -> OpenedImage:
        return self._noted(self._opened(path))

    def mask(self, path: str) -> Mask:
        """A mask picture; see ``mask_pictures`` for which of its pixels it means."""
        from limner.io.mask_pictures import mask_of
        from limner.prompts import Mask

        opened = self._opened(path)
        mask, sentence = mask_of(opened)
        notes = [note for note in opened.notes if "transparent" not in note]
        self._noted(replace(opened, notes=(*notes, *([sentence] if sentence else []))))
        return Mask(mask)

    def exemplar(self, path: str, box: BoxDraft | None) -> Exemplar:
        """An example picture with the thing's box in it."""
        import numpy as np

        from limner.prompts import Exemplar

        picture = self.open(path).image
        return Exemplar(np.asarray(picture), box.resolve(picture.size) if box else None)

    def _opened(self, path: str | Path) -> OpenedImage:
        from limner.io import images

        return images.open_image(path, max_pixels=self.max_pixels)

    def _noted(self, opened: OpenedImage) -> OpenedImage:
        for note in opened.notes:
            sentence = f"{opened.path}: {note}"
            if sentence not in self._notified:
                self.notify(sentence)
            self._notified.add(sentence)
        return opened


def resolve(
    objects: tuple[Draft, ...], size_wh: tuple[int, int], opener: Opener
) -> list[VisualPrompt]:
    """The prompts for an image of ``size_wh``."""
    return [draft.resolve(size_wh, opener.mask, opener.exemplar) for draft in objects]
