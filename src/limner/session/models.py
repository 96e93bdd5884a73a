"""Names become models, loaded on first use and kept under a memory budget."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from limner import images
from limner.errors import ModelError, OptionError, UnknownModel
from limner.models import catalog, runtime, store
from limner.models.source import Runtime, Weights
from limner.protocols import Detector, ImageEmbedding, Inpainter, Model, ModelRef, Segmenter

if TYPE_CHECKING:
    from PIL.Image import Image

Say = Callable[[str], None]
ModelT = TypeVar("ModelT", bound=Model)

TASKS = ("detect", "segment", "inpaint")

EMBEDDINGS_KEPT = 4
"""Image embeddings kept by content; SAM's is 4 MB, GrabCut's the picture itself."""


class Models:
    """The models of one session: a name for each task, loaded when first needed.

    Args: see ``Session``.
    """

    def __init__(
        self,
        profile: str,
        overrides: Mapping[str, str],
        *,
        commercial_safe: bool,
        device: str | None,
        dtype: str | None,
        memory_budget: int | None,
        say: Say,
    ) -> None:
        unknown = sorted(set(overrides) - set(TASKS))
        if unknown:
            raise OptionError(f"models has the keys {', '.join(TASKS)}; got {', '.join(unknown)}.")
        self.profile = profile
        self.names: dict[str, str] = {**catalog.profile(profile), **overrides}
        self.answered: dict[str, ModelRef] = {}
        """Models used so far, by name."""
        self._commercial_safe = commercial_safe
        self._device, self._dtype = device, dtype
        self._say = say
        self._pool = runtime.ModelPool(memory_budget)
        self._runtime: Runtime | None = None
        self._weights: dict[str, Weights] = {}
        self._embeddings: OrderedDict[tuple[str, str], ImageEmbedding] = OrderedDict()

    def entry(self, task: str) -> catalog.Entry | None:
        """The catalog's entry for the model that would answer; None for a local folder.

        Raises:
            UnknownModel: no such name, or the profile has no model for the task.
            ModelError: a model of another task.
            LicenceRefused: the session is commercial-safe and the licence isn't.
        """
        name = self.names.get(task)
        if name is None:
            raise UnknownModel(
                f"The profile {self.profile} has no model to {task}; "
                f"name one of {', '.join(catalog.names(task))}."
            )
        if is_folder(name):
            return None
        entry, note = catalog.resolve(name)
        if note:
            self._say(note)
        if self._commercial_safe:
            catalog.require_commercial(entry)
        if entry.task != task:
            raise ModelError(
                f"{entry.name} is a model to {entry.task}, and one to {task} is needed: "
                f"{', '.join(catalog.names(task))}."
            )
        return entry

    def weights(self, task: str) -> Weights:
        """Which files answer ``task``; nothing is loaded.

        Raises:
            WeightsMissing, UnsafeWeights, and what ``entry`` raises.
        """
        name = self.names.get(task, "")
        if name not in self._weights:
            entry = self.entry(task)
            self._weights[name] = (
                store.find(entry.name) if entry else store.from_folder(Path(name).expanduser())
            )
        return self._weights[name]

    @property
    def detector(self) -> Detector:
        return self._load("detect", Detector)  # type: ignore[type-abstract]

    @property
    def segmenter(self) -> Segmenter:
        return self._load("segment", Segmenter)  # type: ignore[type-abstract]

    @property
    def inpainter(self) -> Inpainter:
        return self._load("inpaint", Inpainter)  # type: ignore[type-abstract]

    def _load(self, task: str, kind: type[ModelT]) -> ModelT:
        weights = self.weights(task)
        model = self._pool.get(weights, self._runtime_for(weights))
        if not isinstance(model, kind):
            raise ModelError(f"{weights.ref.name} ({weights.ref.family}) can't {task}.")
        self.answered[task] = weights.ref
        return model

    def _runtime_for(self, weights: Weights) -> Runtime:
        if weights.path is None:  # no weights, no torch
            return Runtime()
        if self._runtime is None:
            runtime.tune_allocator()
            self._runtime = runtime.choose(self._device, self._dtype)
        return self._runtime

    def embed(self, segmenter: Segmenter, image: Image) -> ImageEmbedding:
        """The segmenter's embedding of an image, computed once per content."""
        key = (segmenter.ref.name, images.digest(image))
        if key not in self._embeddings:
            self._embeddings[key] = segmenter.embed(image)
            while len(self._embeddings) > EMBEDDINGS_KEPT:
                self._embeddings.popitem(last=False)
        self._embeddings.move_to_end(key)
        return self._embeddings[key]


def is_folder(name: str) -> bool:
    """Whether a model was named by its folder's path: ``./sam``, ``/models/sam``, ``~/sam``."""
    return name.startswith((".", "/", "~")) or "\\" in name
