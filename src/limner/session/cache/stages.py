"""What stages answered is remembered: another guidance needs no other outline.

=========== ====================================== ================================================
stage       decided by, besides the picture        remembered
=========== ====================================== ================================================
detect      a detector, phrases, its options       in memory and on disk
embed       segmenter                              in memory; on disk where the model can pack it
mask        both models, prompts, all options      in memory and on disk
text        painter, words                         in the painter (``diffusion.encoder_cache``)
latent      painter, crop, mask                    in the painter (``diffusion.encoder_cache``)
=========== ====================================== ================================================

A key holds everything that decides an answer: the picture's pixels, the models with their files'
hashes, prompts, options, and which code, packages and machine computed it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import supervision as sv

from limner.io import images
from limner.models.blocks.lru import LruCache
from limner.pipeline import EmptyOutline, Grounding
from limner.protocols import ImageEmbedding, PackableSegmenter, Segmenter
from limner.runs.record import describe, versions
from limner.session.cache import packing
from limner.session.cache.disk import StageCache

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.options import DetectOptions
    from limner.prompts import PromptKind, VisualPrompt
    from limner.protocols import Detector, ModelRef

FORMAT = 2
"""Goes up when an answer is packed in another way."""
EMBEDDINGS_KEPT = 4
"""In memory; SAM's is 4 MB, GrabCut's the picture itself."""
ANSWERS_KEPT = 64
"""In memory, packed: masks take kilobytes."""

DETECT, EMBED, MASK = "detect", "embed", "mask"

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Packing(Generic[AnswerT]):
    """How an answer becomes bytes, and the same answer again (``packing.Unreadable``: it can't)."""

    pack: Callable[[AnswerT], bytes]
    unpack: Callable[[bytes], AnswerT]


DETECTIONS: Packing[sv.Detections] = Packing(
    lambda detections: packing.pack_detections(detections, {}),
    lambda content: packing.unpack_detections(content)[0],
)


class Stages:
    """The stages of one session.

    Args:
        identities: by task, text that changes when another model or other files would answer.
        cache: where answers outlive the session; None: nowhere.
    """

    def __init__(
        self,
        identities: Callable[[Iterable[str]], Mapping[str, str]],
        cache: StageCache | None = None,
    ) -> None:
        self.computed: Counter[str] = Counter()
        """How often each stage was computed."""
        self.recalled: Counter[str] = Counter()
        """How often its answer was at hand."""
        self._identities = identities
        self._cache = cache
        self._on_disk = True
        self._answers: LruCache[bytes] = LruCache(ANSWERS_KEPT)
        self._embeddings: LruCache[ImageEmbedding] = LruCache(EMBEDDINGS_KEPT)

    @contextmanager
    def memory_only(self) -> Iterator[None]:
        """Nothing is read from disk or written there meanwhile."""
        before, self._on_disk = self._on_disk, False
        try:
            yield
        finally:
            self._on_disk = before

    def forget(self) -> None:
        """Nothing is at hand any more, but on disk."""
        self._answers.clear()
        self._embeddings.clear()

    # --- the stages -------------------------------------------------------------------------------

    def mask(
        self,
        image: Image,
        prompts: Sequence[VisualPrompt],
        settings: Any,
        tasks: Iterable[str],
        make: Callable[[], tuple[Grounding, tuple[str, ...]]],
    ) -> tuple[Grounding, tuple[str, ...]]:
        """Where things are, and the tasks whose models took part in saying so.

        Args:
            settings: as JSON values.
            tasks: those that may take part.
        """
        descriptions = [describe(prompt) for prompt in prompts]
        key = _key(MASK, image, self._identities(tasks), [descriptions, settings])
        start = time.perf_counter()

        def pack(answer: tuple[Grounding, tuple[str, ...]]) -> bytes:
            grounding, took_part = answer
            facts = {"tasks": took_part, "empty": [each.to_dict() for each in grounding.empty]}
            return packing.pack_detections(grounding.detections, facts)

        def unpack(content: bytes) -> tuple[Grounding, tuple[str, ...]]:
            detections, facts = packing.unpack_detections(content)
            seconds = {"cache": time.perf_counter() - start}
            empty = tuple(map(EmptyOutline.from_dict, facts["empty"]))
            grounding = Grounding(image.size, tuple(prompts), detections, seconds, empty)
            return grounding, tuple(facts["tasks"])

        return self._answer(MASK, key, make, Packing(pack, unpack))

    def detections(
        self,
        image: Image,
        prompts: Sequence[VisualPrompt],
        options: DetectOptions,
        identity: str,
        make: Callable[[], sv.Detections],
    ) -> sv.Detections:
        """What a detector answers.

        Args:
            identity: the detector's own, as ``identities`` gives it where it answers alone.
        """
        descriptions = [describe(prompt) for prompt in prompts]
        key = _key(DETECT, image, {"detect": identity}, [descriptions, asdict(options)])
        return self._answer(DETECT, key, make, DETECTIONS)

    def embed(self, segmenter: Segmenter, image: Image) -> ImageEmbedding:
        """A picture's embedding."""
        key = _key(EMBED, image, self._identities(("segment",)), segmenter.ref.name)
        embedding = self._embeddings.get(key)
        if embedding is not None:
            self.recalled[EMBED] += 1
            return embedding
        if self._disk and isinstance(segmenter, PackableSegmenter):
            embedding = self._embedding_by_disk(segmenter, image, key)
        else:
            embedding = segmenter.embed(image)
            self.computed[EMBED] += 1
        return self._embeddings.put(key, embedding)

    def _embedding_by_disk(
        self, segmenter: PackableSegmenter, image: Image, key: str
    ) -> ImageEmbedding:
        def pack(embedding: ImageEmbedding) -> bytes:
            return packing.pack(segmenter.pack(embedding), {})

        def unpack(content: bytes) -> ImageEmbedding:
            return segmenter.unpack(packing.unpack(content)[0], image)

        return self._answer(
            EMBED, key, lambda: segmenter.embed(image), Packing(pack, unpack), in_memory=False
        )

    # --- keys and answers -------------------------------------------------------------------------

    def _answer(
        self,
        stage: str,
        key: str,
        compute: Callable[[], AnswerT],
        form: Packing[AnswerT],
        *,
        in_memory: bool = True,
    ) -> AnswerT:
        """What is at hand, read from its bytes; else it is computed, kept packed and returned."""
        at_hand = self._answers.get(key)
        if at_hand is not None:
            self.recalled[stage] += 1
            return form.unpack(at_hand)
        disk = self._disk
        with disk.computing(stage, key) if disk else nullcontext():
            content = disk.get(key) if disk else None
            answer: AnswerT
            if content is not None:
                try:
                    answer = form.unpack(content)
                    self.recalled[stage] += 1
                except packing.Unreadable:  # it is computed and written anew
                    content = None
            if content is None:
                answer = compute()
                self.computed[stage] += 1
                content = form.pack(answer)
                if disk:
                    disk.put(key, content)
        if in_memory:
            self._answers.put(key, content)
        return answer

    @property
    def _disk(self) -> StageCache | None:
        return self._cache if self._on_disk else None


class CachedDetector:
    """Satisfies ``Detector``; the model is loaded for the first question that was never asked."""

    def __init__(
        self,
        stages: Stages,
        load: Callable[[], Detector],
        ref: ModelRef,
        accepts: frozenset[PromptKind],
        identity: str,
    ) -> None:
        self.ref, self.accepts = ref, accepts
        self._identity = identity
        self.loading = 0.0
        """Seconds that loading took, which no stage's time should hold."""
        self._stages, self._load = stages, load

    def detect(
        self, image: Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        return self._stages.detections(
            image,
            prompts,
            options,
            self._identity,
            lambda: self._loaded().detect(image, prompts, options),
        )

    def _loaded(self) -> Detector:
        start = time.perf_counter()
        model = self._load()
        self.loading += time.perf_counter() - start
        return model


def _key(stage: str, image: Image, models: Mapping[str, str], request: Any) -> str:
    decides = [FORMAT, stage, images.digest(image), dict(models), request, _computed_by()]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


@functools.cache
def _computed_by() -> list[Any]:
    """Which code, packages and machine: another one's last digits may differ."""
    package = Path(__file__).parents[2]
    files = sorted((path, path.stat()) for path in package.rglob("*.py"))
    code = [(str(p.relative_to(package)), s.st_size, s.st_mtime_ns) for p, s in files]
    fingerprint = hashlib.sha256(repr(code).encode()).hexdigest()
    return [fingerprint, versions(), platform.node(), platform.machine()]
