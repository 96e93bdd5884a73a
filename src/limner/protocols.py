"""What a model family must offer. Plain classes satisfy these; nothing inherits from them.

An *image* is a ``PIL.Image.Image`` of mode RGB, EXIF-upright. Masks are ``(H, W)`` bool at the
original's size. Detections are ``sv.Detections`` with the keys of ``limner.ops.detections``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from limner.errors import UnsupportedPrompt
from limner.options import (
    CanvasOptions,
    DetectOptions,
    EverythingOptions,
    InpaintOptions,
    SegmentOptions,
)
from limner.prompts import PromptKind, Text, VisualPrompt

if TYPE_CHECKING:
    import supervision as sv
    from PIL.Image import Image

OnStep = Callable[[int, int], None]
"""Progress: ``on_step(done, total)``; exceptions it raises stop the work."""
Say = Callable[[str], None]
"""Gets sentences that a person should read."""
DROPPED = "dropped"
"""In the ``metadata`` of everything mode's rows, where thresholds left none: how many
``candidates`` there were, the ``thresholds`` by their options' names, and in ``keep`` values that
would keep some (empty: none would)."""


@dataclass(frozen=True)
class ModelRef:
    """Which weights answered: enough to find them again."""

    name: str
    family: str
    licence: str
    revision: str | None = None
    """The hub's commit, or None for weights without one."""
    files: tuple[tuple[str, str], ...] = ()
    """``(path, sha256)`` of each weight file, as recorded in the lock."""
    adapters: tuple[tuple[str, str, float], ...] = ()
    """``(name, sha256, weight)`` of each subject or LoRA file that it knows; no two of a name."""

    def to_dict(self) -> dict[str, Any]:
        named = [{"name": n, "sha256": digest, "weight": w} for n, digest, w in self.adapters]
        return {
            "name": self.name,
            "family": self.family,
            "licence": self.licence,
            "revision": self.revision,
            "files": dict(self.files),
            **({"adapters": named} if named else {}),
        }


@dataclass(frozen=True)
class ImageEmbedding:
    """An image as a segmenter sees it. A value: cache it, share it between threads.

    ``data`` belongs to the model that made it; ``model`` names that model, and a segmenter refuses
    another's embedding.
    """

    digest: str
    size_wh: tuple[int, int]
    model: str
    data: Any


@runtime_checkable
class Model(Protocol):
    ref: ModelRef


@runtime_checkable
class Notifies(Model, Protocol):
    """A model that reports while it answers, such as what its server refused."""

    def on_notice(self, say: Callable[[str], None]) -> None:
        """Who hears it from now on."""
        ...


@runtime_checkable
class Detector(Model, Protocol):
    accepts: frozenset[PromptKind]

    def detect(
        self, image: Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """Boxes for each prompt; ``class_id`` is the prompt's index. Best first."""
        ...


@runtime_checkable
class ClosedVocabulary(Detector, Protocol):
    """A detector that knows some phrases and no others."""

    def check_phrases(self, prompts: Sequence[VisualPrompt]) -> None:
        """Refuse what it doesn't know, before a picture is looked at.

        Raises:
            PromptError: a phrase that means something else.
        """
        ...


@runtime_checkable
class DetectorGroup(Detector, Protocol):
    """Detectors that answer as one, and accept what all of them accept.

    Each looks at the picture for itself: ``detect`` hands on which way ``options`` say.
    """

    @property
    def members(self) -> tuple[Detector, ...]:
        """Those that may answer, or answered so far."""
        ...


@runtime_checkable
class Segmenter(Model, Protocol):
    accepts: frozenset[PromptKind]

    def embed(self, image: Image) -> ImageEmbedding:
        """The costly part, done once an image."""
        ...

    def segment(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[VisualPrompt],
        options: SegmentOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        """Row ``i`` answers ``prompts[i]``, with ``mask``, ``mask_score`` and ``candidates``."""
        ...


@runtime_checkable
class PackableSegmenter(Segmenter, Protocol):
    """A segmenter whose embeddings are worth keeping on disk."""

    def pack(self, embedding: ImageEmbedding) -> Mapping[str, npt.NDArray[Any]]:
        """Arrays by name, which ``unpack`` reads in any process with the same weights."""
        ...

    def unpack(self, arrays: Mapping[str, npt.NDArray[Any]], image: Image) -> ImageEmbedding:
        """The embedding of this image from what ``pack`` gave for it.

        Raises:
            ModelError: the arrays aren't those of an embedding.
        """
        ...


@runtime_checkable
class EverythingSegmenter(Segmenter, Protocol):
    def segment_everything(
        self,
        embedding: ImageEmbedding,
        options: EverythingOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        """All stable masks, best first; ``mask`` is an ``sv.CompactMask``.

        Where its thresholds left none, ``metadata`` may hold ``DROPPED``.
        """
        ...


@runtime_checkable
class TextToImage(Model, Protocol):
    """Makes whole pictures from words. What holds this may be made for inpainting alone, and then
    refuses."""

    def resolve_canvas(
        self, canvas: CanvasOptions, options: InpaintOptions
    ) -> tuple[CanvasOptions, InpaintOptions]:
        """Size, settings and seed filled in: what a record must hold.

        Raises:
            ModelError: it was made for inpainting.
            OptionError: a setting with no effect, or a size that it can't paint.
        """
        ...

    def generate(
        self,
        paint: Text,
        canvas: CanvasOptions,
        options: InpaintOptions,
        on_step: OnStep | None = None,
    ) -> list[Image]:
        """``num_images_per_prompt`` pictures; picture ``k`` is the one of seed ``seed + k`` alone.

        Raises:
            ModelError, OptionError: as ``resolve_canvas``.
            PromptError: more words than it reads.
        """
        ...


@runtime_checkable
class Inpainter(Model, Protocol):
    takes_text: bool
    """Whether ``paint`` matters; a model without it can only remove."""
    grid: int
    """Width and height that the model sees must be multiples of this."""
    native_size: int | None
    """Side in pixels that the model was trained at; None: any."""

    def resolve(self, options: InpaintOptions) -> InpaintOptions:
        """Every field this model obeys filled in, the seed too: what a record must hold.

        Raises:
            OptionError: a field that was set and has no effect on this model.
        """
        ...

    def check(self, paint: Text | None, options: InpaintOptions) -> None:
        """Whether it can paint these words with these settings: known before a picture is.

        Raises:
            ModelError, PromptError, OptionError: what ``inpaint`` would raise for them.
        """
        ...

    def inpaint(
        self,
        image: Image,
        mask: npt.NDArray[np.bool_],
        paint: Text | None,
        options: InpaintOptions,
        on_step: OnStep | None = None,
    ) -> list[Image]:
        """Pictures of the same size; what they hold outside ``mask`` is not used."""
        ...


@dataclass(frozen=True, eq=False)
class Matte:
    """The main thing of a picture."""

    alpha: npt.NDArray[np.float32]
    """(H, W) of the picture's size, 0..1: how much of each pixel is the thing's."""
    score: float
    """0..1; a model's own, no probability."""


@runtime_checkable
class Matting(Model, Protocol):
    """Takes the main thing of a picture, without being told which."""

    soft: bool
    """Whether its alpha has soft edges; otherwise it is an outline, 0 or 1."""
    caveat: str
    """What a person must know of each of its answers, in a few words; "" nothing."""

    def matte(self, image: Image) -> Matte:
        """The thing; alpha is 0 everywhere where it sees none."""
        ...


@runtime_checkable
class Encoder(Model, Protocol):
    """Pictures, and words where it reads them, as vectors whose cosine is their similarity."""

    takes_text: bool
    """Whether ``encode_texts`` answers; a model without it compares pictures only."""

    def encode_images(self, images: Sequence[Image]) -> npt.NDArray[np.float32]:
        """(N, D) unit rows: their products are cosines."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, D) unit rows in the same space.

        Raises:
            UnsupportedPrompt: this model reads no words.
            PromptError: a text longer than the model holds.
        """
        ...


@runtime_checkable
class Captioner(Model, Protocol):
    def caption(self, images: Sequence[Image]) -> list[str]:
        """A sentence for each picture."""
        ...


@runtime_checkable
class ExplainsRefusal(Model, Protocol):
    """A model that knows better than its ``accepts`` says why it can't take a kind of prompt."""

    def refusal(self, kinds: frozenset[PromptKind]) -> str:
        """Sentences: why it can't take these kinds, and what to do."""
        ...


def check_accepts(model: Detector | Segmenter, prompts: Sequence[VisualPrompt]) -> None:
    """Refuse a prompt kind the model can't take: once, at the border, never ignored.

    Raises:
        UnsupportedPrompt: with the kinds that the model does take.
    """
    unfit = frozenset(kind for prompt in prompts for kind in prompt.kinds) - model.accepts
    if unfit and isinstance(model, ExplainsRefusal):
        raise UnsupportedPrompt(model.refusal(unfit))
    for prompt in prompts:
        refused = sorted(kind for kind in prompt.kinds - model.accepts)
        if refused:
            takes = ", ".join(sorted(model.accepts))
            a = "an" if refused[0].startswith(tuple("aeiou")) else "a"
            raise UnsupportedPrompt(
                f"{model.ref.name} can't take {a} {' or '.join(refused)} prompt; it takes {takes}."
            )
