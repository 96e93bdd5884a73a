"""OWL-ViT and OWLv2: boxes for phrases and for example images (arXiv 2205.06230, 2306.09683).

Both put one candidate box on every patch of the image and score it against a *query*: the embedding
of a phrase, or of one patch of an example image. Image, phrases and examples are embedded apart, so
each is embedded once and kept; only the two small heads run for a new combination.

Answers are those of transformers, a phrase's of ``post_process_grounded_object_detection`` and an
example's of ``image_guided_detection`` with ``post_process_image_guided_detection``, followed by
what these leave out: suppression (phrases), clipping to the image, a limit on the number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import supervision as sv
import torch
from PIL import Image
from transformers import (
    CLIPTokenizer,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessorPil,
    OwlViTForObjectDetection,
    OwlViTImageProcessorPil,
)

from limner.errors import UnsupportedPrompt
from limner.io import images
from limner.models.blocks.lru import LruCache
from limner.models.blocks.nms import answers, by_prompt, patch_for, suppress, with_area
from limner.models.blocks.oom import guard_memory
from limner.models.blocks.pretrained import (
    Pretrained,
    check_lengths,
    check_size,
    folder_of,
    read_model,
    read_part,
    resized_pixels,
)
from limner.models.blocks.prompt_checks import check_no_negative
from limner.ops import detections, transforms
from limner.ops.box_formats import CONVENTIONS
from limner.options import EVERY_DETECTOR, DetectOptions, check_honoured
from limner.prompts import Box, Exemplar, PromptKind, VisualPrompt
from limner.protocols import check_accepts
from limner.registry.weights import Runtime, Weights

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

IMAGES_KEPT = 4
"""Embeddings of images kept: 11 MB each for OWLv2 base, 21 MB for OWLv2 large."""
QUERIES_KEPT = 4096
"""Embeddings of phrases kept, and as many of examples: 2 to 3 KB each."""
PHRASES_AT_ONCE = 256
"""Phrases in one pass of the text encoder, so that a thousand classes fit in memory."""
ADVICE = "take a smaller detector, such as owlvit-base-patch32, or load it in bfloat16"


@dataclass(frozen=True)
class Architecture:
    """What differs between the two versions."""

    model: Any
    processor: Any
    pixels: Callable[[Any, Image.Image], torch.Tensor]
    """A processor and an image -> (1, 3, side, side)."""
    frame: Callable[[transforms.Size, int], transforms.Frame]
    """Of an image's size and the side of the square the model sees."""
    merit: Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]
    """Model, (1, P, D) features, (1, P, E) class embeddings -> (P,): how likely a patch is to hold
    the good embedding of an object, among patches whose boxes agree."""


def _squashed_pixels(processor: Any, image: Image.Image) -> torch.Tensor:
    side = processor.size
    return resized_pixels(processor, image, (side["width"], side["height"]))


def _padded_pixels(processor: Any, image: Image.Image) -> torch.Tensor:
    pixels: torch.Tensor = processor(images=image, return_tensors="pt").pixel_values
    return pixels


def _squashed(size_wh: transforms.Size, side: int) -> transforms.Frame:
    return transforms.resize(size_wh, (side, side))


def _padded(size_wh: transforms.Size, side: int) -> transforms.Frame:
    square = transforms.pad_to_square(size_wh)
    return square.then(transforms.resize(square.target_wh, (side, side)))


def _unlike_the_rest(model: Any, features: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
    """Of the patches of one object, matching in training makes one "good" and the others
    background; the good one is the least like the mean (scenic, owl_vit/notebooks/inference.py)."""
    return -(embeds[0] @ embeds[0].mean(dim=0))


def _objectness(model: Any, features: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
    return model.objectness_predictor(features)[0]


ARCHITECTURES: Mapping[str, Architecture] = {
    "owlvit": Architecture(
        OwlViTForObjectDetection,
        OwlViTImageProcessorPil,
        _squashed_pixels,
        _squashed,
        _unlike_the_rest,
    ),
    "owlv2": Architecture(
        Owlv2ForObjectDetection, Owlv2ImageProcessorPil, _padded_pixels, _padded, _objectness
    ),
}
"""By the ``model_type`` of a checkpoint's config.json."""


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """An image as the heads need it. P patches, row by row."""

    feature_map: torch.Tensor
    """(1, rows, columns, D) float32."""
    xyxy: Floats
    """(P, 4) a candidate box a patch, in pixels of the image; may reach out of it."""

    @property
    def features(self) -> torch.Tensor:
        """(1, P, D)."""
        return self.feature_map.flatten(1, 2)


def load(weights: Weights, runtime: Runtime) -> OwlViT:
    """Read a folder made by ``save_pretrained``: weights, image processor and tokenizer.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model, or files of two.
    """
    path, kind = folder_of(weights, ARCHITECTURES)
    architecture = ARCHITECTURES[kind]
    model = read_model(architecture.model, weights, path, Runtime())
    # The heads stay in float32: they take 3 % of the time, and bfloat16 writes a box near the right
    # edge in steps of 1/256 of the image (B/32 at 600 x 400, random weights: 0.74 px off instead of
    # 0.93 in the median).
    dtype = getattr(torch, runtime.dtype)
    model.base_model.to(dtype)
    model.layer_norm.to(dtype)
    processor = read_part(architecture.processor, weights, path)
    check_size(processor.size, path, model.config.vision_config.image_size)
    holds = model.config.text_config.max_position_embeddings
    tokenizer = read_part(CLIPTokenizer, weights, path, model_max_length=holds)
    model = model.to(runtime.device)
    pretrained = Pretrained(weights.ref, model, processor, tokenizer, weights.defaults)
    return OwlViT(pretrained, architecture)


class OwlViT:
    """A ``Detector``. Phrases and examples can be asked together, one a prompt."""

    accepts = frozenset({PromptKind.TEXT, PromptKind.EXEMPLAR, PromptKind.LIKE})

    def __init__(self, pretrained: Pretrained, architecture: Architecture) -> None:
        """``defaults``: ``threshold``; for examples ``exemplar_threshold``, in the picture itself
        ``like_threshold``; ``nms_threshold``."""
        self.ref, self._defaults = pretrained.ref, pretrained.defaults
        self._model, self._processor = pretrained.model, pretrained.processor
        self._tokenizer = pretrained.tokenizer
        self._architecture = architecture
        self._images: LruCache[ImageFeatures] = LruCache(IMAGES_KEPT)
        self._phrases: LruCache[torch.Tensor] = LruCache(QUERIES_KEPT)
        self._examples: LruCache[torch.Tensor] = LruCache(QUERIES_KEPT)

    def detect(
        self, image: Image.Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """Boxes for each prompt, best first.

        A candidate box answers one phrase, the one it fits best of those whose threshold it
        reaches, so phrases asked together compete; an example competes with nothing.

        The confidence is the score that the threshold cuts. transformers shows an example's best
        match as 1, whatever it is worth, and a tenth of it as 0; which boxes answer is as there.

        Raises:
            OptionError: a setting without effect.
            UnsupportedPrompt: another kind of prompt, a negative, or several phrases and examples
                in one.
            PromptError: a phrase longer than the text encoder holds, or an example's box in which
                the model sees nothing.
            OutOfMemory: with what to lower.
        """
        check_honoured(options, EVERY_DETECTOR, self.ref.name, "it scores each phrase as a whole")
        check_accepts(self, prompts)
        for prompt in prompts:
            _check_one_way(prompt, self.ref.name)
            prompt.check_within(image.size)
        if not prompts:
            return detections.empty()
        # A prompt given twice is asked once and answered twice: it mustn't compete with itself.
        index = {prompt: n for n, prompt in enumerate(dict.fromkeys(prompts))}
        questions = list(index)
        with torch.inference_mode(), guard_memory(ADVICE):
            queries = self._queries(questions, image)
            seen = self._see(image)  # last, so that examples don't push it out of the cache
            scores = self._scores(seen, queries)
        rows, answered, confidence = answers(
            scores,
            competes=np.array([question.text is not None for question in questions]),
            thresholds=self._thresholds(questions, options),
        )
        best = suppress(  # before clipping, as transformers does
            seen.xyxy[rows],
            confidence,
            answered,
            threshold=options.most_overlap(self._defaults.get("nms_threshold", 0.5)),
            class_agnostic=options.class_agnostic_nms,
        )
        xyxy = np.clip(seen.xyxy[rows], 0, [*image.size, *image.size])
        best = with_area(best, xyxy)  # OWLv2 may answer with a box that lies in the padding
        question = [index[prompt] for prompt in prompts]
        row, prompt_index = by_prompt(answered[best], question, options.max_detections)
        best = best[row]
        names = [prompt.text.phrase if prompt.text else "example" for prompt in prompts]
        return detections.make(
            xyxy[best], confidence[best], prompt_index, [names[n] for n in prompt_index]
        )

    def _thresholds(self, prompts: Sequence[VisualPrompt], options: DetectOptions) -> Floats:
        """(N,) least score for each prompt."""
        phrase = self._defaults.get("threshold", 0.1)
        example = self._defaults.get("exemplar_threshold", phrase)
        like = self._defaults.get("like_threshold", example)
        return np.array(
            [
                options.least_score(prompt.text.phrase, phrase)
                if prompt.text is not None
                else options.least_score("", like if prompt.likes else example)
                for prompt in prompts
            ]
        )

    def _queries(self, prompts: Sequence[VisualPrompt], image: Image.Image) -> torch.Tensor:
        """(1, N, E) float32; a box in the image itself is an example in that image."""
        phrases = self._embed_phrases([p.text.phrase for p in prompts if p.text is not None])
        queries = []
        for prompt in prompts:
            if prompt.text is not None:
                queries.append(phrases[prompt.text.phrase])
            if prompt.exemplar is not None:
                queries.append(self._embed_example(prompt.exemplar))
            for like in prompt.likes:
                queries.append(self._embed_like(image, like.box))
        return torch.stack(queries)[None]

    def _embed_phrases(self, phrases: Sequence[str]) -> dict[str, torch.Tensor]:
        """Phrase -> (E,) float32 unit vector. The words are used as they are, with no template."""
        known = {phrase: self._phrases.get(phrase) for phrase in phrases}
        done = {phrase: embed for phrase, embed in known.items() if embed is not None}
        new = [phrase for phrase in known if phrase not in done]
        for tokens, batch in self._tokenize(new):
            pooled = self._model.base_model.get_text_features(**tokens).pooler_output.float()
            unit = pooled / pooled.norm(dim=-1, keepdim=True)
            for phrase, row in zip(batch, unit, strict=True):
                done[phrase] = self._phrases.put(phrase, row)
        return done

    def _tokenize(self, phrases: Sequence[str]) -> Iterator[tuple[Any, Sequence[str]]]:
        """Batches of phrases with their tokens; all are measured before the first is given."""
        check_lengths(self._tokenizer, phrases, self.ref.name, "phrase")
        for start in range(0, len(phrases), PHRASES_AT_ONCE):
            batch = phrases[start : start + PHRASES_AT_ONCE]
            tokens = self._tokenizer(list(batch), padding="max_length", return_tensors="pt")
            yield tokens.to(self._model.device), batch

    def _embed_example(self, exemplar: Exemplar) -> torch.Tensor:
        """(E,) float32: the class embedding of the patch that stands for the example."""
        return self._examples.get_or_compute(
            exemplar.digest,
            lambda: self._query_in(Image.fromarray(exemplar.image), exemplar.box),
        )

    def _embed_like(self, image: Image.Image, box: Box) -> torch.Tensor:
        """The same of a thing in an image, of which no copy is made."""
        key = f"{images.digest(image)} {box}"
        return self._examples.get_or_compute(key, lambda: self._query_in(image, box))

    def _query_in(self, image: Image.Image, box: Box | None) -> torch.Tensor:
        seen = self._see(image)
        if box is None:
            # OWL-ViT: near the box of the whole image; OWLv2: the highest objectness of all.
            embeds = self._model.embed_image_query(seen.features, seen.feature_map)[0]
            return embeds[0, 0]
        _, embeds = self._model.class_predictor(seen.features)
        merit = self._architecture.merit(self._model, seen.features, embeds)
        return embeds[0, patch_for(box, seen.xyxy, merit.cpu().numpy())]

    def _see(self, image: Image.Image) -> ImageFeatures:
        return self._images.get_or_compute(images.digest(image), lambda: self._encode(image))

    def _encode(self, image: Image.Image) -> ImageFeatures:
        pixels = self._architecture.pixels(self._processor, image)
        feature_map = self._model.image_embedder(pixels.to(self._model.device))[0].float()
        boxes = self._model.box_predictor(feature_map.flatten(1, 2), feature_map)[0]
        frame = self._architecture.frame(image.size, self._model.config.vision_config.image_size)
        in_square = CONVENTIONS["cxcywh_norm"].decode(boxes.cpu().numpy(), frame.target_wh)
        return ImageFeatures(feature_map, transforms.inverse_boxes(frame, in_square, clip=False))

    def _scores(self, seen: ImageFeatures, queries: torch.Tensor) -> Floats:
        """(P, N) float32 in 0..1: every candidate box against every query."""
        logits, _ = self._model.class_predictor(seen.features, queries)
        scores: Floats = logits[0].sigmoid().cpu().numpy()
        return scores


def _check_one_way(prompt: VisualPrompt, model: str) -> None:
    """Refuse what can't be asked of this family in one question."""
    if (prompt.text is not None) + (prompt.exemplar is not None) + len(prompt.likes) > 1:
        raise UnsupportedPrompt(
            f"{model} can't join a phrase and an example, or two examples, in one prompt: give two "
            "prompts."
        )
    check_no_negative(model, prompt)
