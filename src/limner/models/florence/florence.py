"""Florence-2 (Xiao et al. 2023, arXiv 2311.06242), through transformers' own
``Florence2ForConditionalGeneration``: one model that finds phrases, outlines phrases and boxes, and
describes a picture. It writes all its answers as text; boxes and polygons in tokens of a thousandth
of the image's sides (``parser.py``).

Words and pixels of a prompt are laid out as by ``Florence2Processor``, and the answer is that of
``generate`` with beams, as the model's card asks for. The image goes through the vision encoder
once, whatever is asked.

The model gives no scores. A confidence here is the geometric mean of the probabilities with which
the model wrote the box's four tokens (a mask's: all its polygons' tokens). It says how sure the
model was of *where*, not *whether*, and can't be compared with another family's scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import supervision as sv
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from transformers import AutoTokenizer, CLIPImageProcessorPil, Florence2ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from limner.errors import ModelError, PromptError, UnsupportedPrompt
from limner.io import images
from limner.models.blocks.embeddings import check_mark, mark_of
from limner.models.blocks.lru import LruCache
from limner.models.blocks.mask_rows import mask_rows
from limner.models.blocks.nms import suppress
from limner.models.blocks.oom import guard_memory
from limner.models.blocks.pretrained import Pretrained, folder_of, pixels, read_model, read_part
from limner.models.blocks.prompt_checks import check_no_negative
from limner.models.florence.parser import Piece, Shape, boxes, polygons
from limner.ops import detections
from limner.ops.box_formats import CONVENTIONS, florence_tokens
from limner.ops.masks import MaskCrop
from limner.options import EVERY_DETECTOR, DetectOptions, SegmentOptions, check_honoured
from limner.prompts import BoolMask, PromptKind, VisualPrompt
from limner.protocols import ImageEmbedding, OnStep, check_accepts
from limner.registry.weights import Runtime, Weights

IMAGES_KEPT = 8
"""What the vision encoder said of an image is kept: 2 MB each."""
TOKENS = 1024
"""An answer's length at most, as in the model's card."""
ADVICE = "take florence-2-base, or load it in bfloat16"

DETECT = "Locate {} in the image."
"""``<OPEN_VOCABULARY_DETECTION>`` of a phrase."""
GROUND = "Locate the phrases in the caption: {}"
"""``<CAPTION_TO_PHRASE_GROUNDING>`` of a sentence that has the phrases in it."""
OUTLINE = "Locate {} in the image with mask"
"""``<REFERRING_EXPRESSION_SEGMENTATION>`` of a phrase."""
OUTLINE_BOX = "What is the polygon mask of region {}"
"""``<REGION_TO_SEGMENTATION>`` of a box in location tokens."""
CAPTIONS = {
    "<CAPTION>": "What does the image describe?",
    "<DETAILED_CAPTION>": "Describe in detail what is shown in the image.",
    "<MORE_DETAILED_CAPTION>": "Describe with a paragraph what is shown in the image.",
}
"""What the model is asked for each of its caption tasks, as in ``Florence2Processor``."""


def load(weights: Weights, runtime: Runtime) -> Florence:
    """Read a folder made by ``save_pretrained``: weights, image processor and tokenizer.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model, or files of two.
    """
    path, _ = folder_of(weights, ("florence2",))
    model = read_model(Florence2ForConditionalGeneration, weights, path, runtime)
    tokenizer = read_part(AutoTokenizer, weights, path)
    last = tokenizer.convert_tokens_to_ids("<loc_999>")
    if last in (None, tokenizer.unk_token_id):
        raise ModelError(
            f"{path} has a tokenizer without location tokens such as <loc_999>, in which "
            "Florence-2 writes boxes: get the files of florence-community/Florence-2-base."
        )
    processor = read_part(CLIPImageProcessorPil, weights, path)
    return Florence(Pretrained(weights.ref, model, processor, tokenizer, weights.defaults))


class Florence:
    """A ``Detector``, a ``Segmenter`` and a ``Captioner``."""

    accepts = frozenset({PromptKind.TEXT, PromptKind.BOX})

    def __init__(self, pretrained: Pretrained) -> None:
        """``defaults``: ``num_beams``, ``caption_task``, ``nms_threshold``."""
        self.ref, self._defaults = pretrained.ref, pretrained.defaults
        self._model, self._processor = pretrained.model, pretrained.processor
        self._tokenizer = tokenizer = pretrained.tokenizer
        self._images: LruCache[torch.Tensor] = LruCache(IMAGES_KEPT)
        self._special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
        task = self._defaults.get("caption_task", "<CAPTION>")
        if task not in CAPTIONS:
            raise ModelError(f"caption_task is one of {', '.join(CAPTIONS)}; got {task!r}.")
        self._caption = CAPTIONS[task]

    def detect(
        self, image: Image.Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """Boxes for each phrase, best first.

        Each phrase is a question of its own (open-vocabulary detection). With
        ``phrases="together"`` all stand in one sentence (phrase grounding), and a box answers the
        phrase that the model wrote before it, if it wrote one of them.

        Raises:
            OptionError: a setting without effect.
            UnsupportedPrompt: another kind of prompt than a phrase, or a negative.
            PromptError: a phrase longer than the text encoder holds, or with one of its marks.
            OutOfMemory: with what to lower.
        """
        honoured = EVERY_DETECTOR | {"phrases"}
        check_honoured(options, honoured, self.ref.name, "it has no scores of words")
        check_accepts(self, prompts)
        phrases = [self._phrase(prompt) for prompt in prompts]
        if not prompts:
            return detections.empty()
        with torch.inference_mode(), guard_memory(ADVICE):
            features = self._see(image)
            ask = self._boxes_together if options.phrases == "together" else self._boxes_alone
            boxes = [
                (n, box)
                for n, box in ask(features, phrases)
                if box.confidence >= options.least_score(phrases[n], 0)
            ]
        index = np.array([n for n, _ in boxes], dtype=np.int64)
        bins = np.array([box.points for _, box in boxes], dtype=float).reshape(-1, 4)
        xyxy = CONVENTIONS["xyxy_bin_1000"].decode(bins, image.size)
        confidence = np.array([box.confidence for _, box in boxes], dtype=np.float32)
        best = suppress(
            xyxy,
            confidence,
            index,
            threshold=options.most_overlap(self._defaults.get("nms_threshold", 0.8)),
            class_agnostic=options.class_agnostic_nms,
        )[: options.max_detections]
        names = [phrases[n] for n in index[best]]
        return detections.make(xyxy[best], confidence[best], index[best], names)

    def embed(self, image: Image.Image) -> ImageEmbedding:
        """The vision encoder, once; its answer doesn't depend on any prompt."""
        with torch.inference_mode(), guard_memory(ADVICE):
            features = self._see(image)
        return ImageEmbedding(images.digest(image), image.size, mark_of(self.ref), features)

    def segment(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[VisualPrompt],
        options: SegmentOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        """Row ``i`` answers ``prompts[i]``, a phrase or a box: everything in the polygons that the
        model draws for it. An empty mask stays, with a box of no area and a score of 0."""
        check_mark(embedding, mark_of(self.ref))
        check_honoured(options, frozenset(), self.ref.name, "it writes polygons, without logits")
        check_accepts(self, prompts)
        questions = [self._outline(prompt, embedding.size_wh) for prompt in prompts]
        candidates = []
        with torch.inference_mode(), guard_memory(ADVICE):
            for done, question in enumerate(questions, start=1):
                pieces, cut_off = self._ask(embedding.data, question)
                mask, score = _filled(polygons(pieces, cut_off=cut_off), embedding.size_wh)
                candidates.append(detections.Candidates.of([(MaskCrop.of(mask), score)]))
                if on_step:
                    on_step(done, len(prompts))
        return mask_rows(prompts, candidates, [prompt.manner for prompt in prompts])

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """A text a picture, as long as ``caption_task`` says."""
        sentences = []
        with torch.inference_mode(), guard_memory(ADVICE):
            for batch in pixels(self._processor, images, self.ref.name, self._model):
                for picture in batch:
                    features = self._model.get_image_features(picture[None]).pooler_output
                    ids, _, _ = self._generate(features, self._caption)
                    sentences.append(self._tokenizer.decode(ids).strip())
        return sentences

    def _phrase(self, prompt: VisualPrompt) -> str:
        """What a prompt asks for in words."""
        if prompt.text is None or prompt.box is not None:
            raise UnsupportedPrompt(
                f"{self.ref.name} finds by a phrase alone: give a phrase, or segment to outline "
                "what is in a box."
            )
        check_no_negative(self.ref.name, prompt)
        phrase = prompt.text.phrase
        tokens = self._tokenizer(phrase, add_special_tokens=False).input_ids
        if marks := self._special.intersection(tokens):
            mark = self._tokenizer.convert_ids_to_tokens(marks.pop())
            raise PromptError(f'{self.ref.name} reads "{mark}" as a mark of its own: leave it out.')
        self._check_length(DETECT.format(phrase))
        return phrase

    def _outline(self, prompt: VisualPrompt, size_wh: tuple[int, int]) -> str:
        """The question for what a prompt shows or names."""
        if prompt.box is None:
            question = OUTLINE.format(self._phrase(prompt))
            self._check_length(question)
            return question
        if prompt.text is not None:
            raise UnsupportedPrompt(
                f"{self.ref.name} can't join a phrase and a box in one prompt: give one of them."
            )
        prompt.check_within(size_wh)
        return OUTLINE_BOX.format(*florence_tokens([prompt.box.xyxy], size_wh))

    def _boxes_alone(
        self, features: torch.Tensor, phrases: Sequence[str]
    ) -> Iterator[tuple[int, Shape]]:
        """Which phrase, and a box that the model wrote when asked for it alone."""
        answers: dict[str, list[Shape]] = {}
        for n, phrase in enumerate(phrases):
            if phrase not in answers:
                pieces, cut_off = self._ask(features, DETECT.format(phrase))
                answers[phrase] = boxes(pieces, cut_off=cut_off)
            for box in answers[phrase]:
                yield n, box

    def _boxes_together(
        self, features: torch.Tensor, phrases: Sequence[str]
    ) -> Iterator[tuple[int, Shape]]:
        """Which phrase, and a box that the model wrote after its words."""
        sentence = ". ".join(dict.fromkeys(phrases)) + "."
        question = GROUND.format(sentence)
        self._check_length(question)
        pieces, cut_off = self._ask(features, question)
        for box in boxes(pieces, cut_off=cut_off):
            for n, phrase in enumerate(phrases):
                if _same(box.label, phrase):
                    yield n, box

    def _see(self, image: Image.Image) -> torch.Tensor:
        """(1, T, D): the image as the first T tokens of every question."""
        return self._images.get_or_compute(images.digest(image), lambda: self._encode(image))

    def _encode(self, image: Image.Image) -> torch.Tensor:
        (batch,) = pixels(self._processor, [image], self.ref.name, self._model)
        features: torch.Tensor = self._model.get_image_features(batch).pooler_output
        return features

    def _check_length(self, question: str) -> None:
        # The image's tokens come first; how many they are, the processor's side tells.
        holds = self._model.config.text_config.max_position_embeddings - self._image_tokens
        has = len(self._tokenizer(self._wrapped(question), add_special_tokens=False).input_ids)
        if has > holds:
            raise PromptError(
                f'"{question}" has {has} tokens, counting the two that mark its ends, and '
                f"{self.ref.name} holds {holds} beside an image: shorten it."
            )

    @property
    def _image_tokens(self) -> int:
        """One for each patch of 32 pixels after all strides, and one for the whole."""
        stride = math.prod(self._model.config.vision_config.patch_stride)
        size = self._processor.size
        rows, columns = (math.ceil(size[side] / stride) for side in ("height", "width"))
        return int(rows * columns) + 1

    def _wrapped(self, question: str) -> str:
        return f"{self._tokenizer.bos_token}{question}{self._tokenizer.eos_token}"

    def _ask(self, features: torch.Tensor, question: str) -> tuple[list[Piece], bool]:
        """The answer in pieces, and whether it was cut off."""
        ids, probabilities, cut_off = self._generate(features, question)
        pieces = []
        pairs = zip(ids, probabilities, strict=True)
        for special, group in groupby(pairs, lambda pair: pair[0] in self._special):
            tokens, chances = zip(*group, strict=True)
            if special:
                names = self._tokenizer.convert_ids_to_tokens(list(tokens))
                pieces += [Piece(name, chance) for name, chance in zip(names, chances, strict=True)]
            else:
                pieces.append(Piece(self._tokenizer.decode(list(tokens)), chances[0]))
        return pieces, cut_off

    def _generate(
        self, features: torch.Tensor, question: str
    ) -> tuple[list[int], list[float], bool]:
        """The answer's tokens without its ends, the probability of each after all before, and
        whether it filled all the room there is."""
        words = self._tokenizer(
            self._wrapped(question), add_special_tokens=False, return_tensors="pt"
        ).input_ids.to(self._model.device)
        inputs = torch.cat([features, self._model.get_input_embeddings()(words)], dim=1)
        mask = torch.ones(inputs.shape[:2], dtype=torch.long, device=inputs.device)
        state = self._model.get_encoder()(inputs_embeds=inputs, attention_mask=mask)[0]
        longest = min(TOKENS, self._model.config.text_config.max_position_embeddings)
        answer = self._model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=state),
            attention_mask=mask,
            max_new_tokens=longest,
            do_sample=False,
            num_beams=self._defaults.get("num_beams", 3),
        )
        logits = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=state),
            attention_mask=mask,
            decoder_input_ids=answer[:, :-1],
        ).logits
        chosen = logits.float().softmax(dim=-1).gather(2, answer[:, 1:, None])[0, :, 0]
        ends = {
            self._tokenizer.bos_token_id,
            self._tokenizer.eos_token_id,
            self._tokenizer.pad_token_id,
        }
        pairs = [
            (token, chance)
            for token, chance in zip(answer[0, 1:].tolist(), chosen.tolist(), strict=True)
            if token not in ends
        ]
        cut_off = answer.shape[1] > longest
        return [token for token, _ in pairs], [chance for _, chance in pairs], cut_off


def _same(label: str, phrase: str) -> bool:
    return label.strip(" .,").lower() == phrase.strip(" .,").lower()


def _filled(shapes: Sequence[Shape], size_wh: tuple[int, int]) -> tuple[BoolMask, float]:
    """(H, W) bool of everything in the polygons, and the geometric mean of their tokens."""
    width, height = size_wh
    if not shapes:
        return np.zeros((height, width), dtype=bool), 0.0
    scale = np.array([width, height]) / CONVENTIONS["xyxy_bin_1000"].full
    outlines = [((np.array(shape.points) + 0.5) * scale).reshape(-1).tolist() for shape in shapes]
    lengths = [len(shape.points) for shape in shapes]
    logs = [math.log(shape.confidence) for shape in shapes]
    mask = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(outlines, height, width)))
    return mask.astype(bool), math.exp(float(np.average(logs, weights=lengths)))
