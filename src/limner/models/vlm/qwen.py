"""Qwen2.5-VL (arXiv 2502.13923) and Qwen3-VL in this process, through transformers.

Asked and read as an endpoint is (``vlm``). The words around the question are those of the
checkpoints' chat templates, and image tokens are counted as ``Qwen2_5_VLProcessor`` and
``Qwen3VLProcessor`` do; those processors themselves want torchvision, for their video part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLForConditionalGeneration,
)

from limner.errors import ModelError, PromptError
from limner.models.blocks.oom import guard_memory
from limner.models.blocks.pretrained import folder_of, read_model, read_part
from limner.models.vlm.detector import VisionLanguageModel
from limner.models.vlm.parser import Unreadable
from limner.registry.vlm_formats import vlm_format_of
from limner.registry.weights import Runtime, Weights

ADVICE = "take a smaller model, such as qwen3-vl-2b, or load it in bfloat16"
WARM = 0.7
"""Temperature of several samples; one is the likeliest answer."""
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
BEFORE = "<|im_start|>user\n<|vision_start|>"
PAD = "<|image_pad|>"
BETWEEN = "<|vision_end|>"
AFTER = "<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True)
class Architecture:
    """What differs between the two versions."""

    model: Any
    name: str
    """As the table of conventions knows it."""
    system: str
    """What the chat template says first."""


ARCHITECTURES: Mapping[str, Architecture] = {
    "qwen2_5_vl": Architecture(Qwen2_5_VLForConditionalGeneration, "qwen2.5-vl", SYSTEM),
    "qwen3_vl": Architecture(Qwen3VLForConditionalGeneration, "qwen3-vl", ""),
}
"""By the ``model_type`` of a checkpoint's config.json."""


def load(weights: Weights, runtime: Runtime) -> VisionLanguageModel:
    """Read a folder made by ``save_pretrained``: weights, image processor and tokenizer.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model, or files of two.
    """
    path, kind = folder_of(weights, ARCHITECTURES)
    architecture = ARCHITECTURES[kind]
    model = read_model(architecture.model, weights, path, runtime)
    processor = read_part(Qwen2VLImageProcessorPil, weights, path)
    tokenizer = read_part(AutoTokenizer, weights, path)
    vision = model.config.vision_config
    sides = (processor.patch_size, processor.merge_size)
    if sides != (vision.patch_size, vision.spatial_merge_size):
        raise ModelError(
            f"{path} holds a model for patches of {vision.patch_size} pixels and an image "
            f"processor that makes them {processor.patch_size}: get the files of one model."
        )
    if tokenizer.convert_tokens_to_ids(PAD) != model.config.image_token_id:
        raise ModelError(f"The tokenizer in {path} belongs to another model: get its files again.")
    backend = LocalQwen(
        weights.ref.name,
        model,
        processor,
        tokenizer,
        architecture.system,
        weights.defaults.get("answer_tokens", 1024),
    )
    return VisionLanguageModel(
        weights.ref,
        backend,
        vlm_format_of(architecture.name),
        max_side=weights.defaults.get("max_side"),
        samples=weights.defaults.get("samples", 1),
    )


class LocalQwen:
    """A ``ChatBackend``."""

    def __init__(
        self,
        name: str,
        model: Any,
        processor: Any,
        tokenizer: Any,
        system: str,
        answer_tokens: int,
    ) -> None:
        self.say: Callable[[str], None] = lambda sentence: None
        self._name = name
        self._model = model
        self._processor = processor
        self._tokenizer = tokenizer
        self._system = system
        self._answer_tokens = answer_tokens
        self._holds = model.config.text_config.max_position_embeddings

    def show(self, picture: Image.Image) -> Mapping[str, Any]:
        """Patches and their grid, of a picture that is of the model's size already."""
        seen = self._processor(images=picture, do_resize=False, return_tensors="pt")
        return {
            "pixel_values": seen["pixel_values"].to(self._model.device, self._model.dtype),
            "image_grid_thw": seen["image_grid_thw"].to(self._model.device),
        }

    def ask(
        self, shown: Mapping[str, Any], words: str, form: Mapping[str, Any], draw: int | None
    ) -> str:
        """See ``ChatBackend``. A ``draw`` always draws the same; nothing enforces ``form``."""
        tokens = self._tokens(words, shown["image_grid_thw"])
        how: dict[str, Any] = {"do_sample": False, "temperature": None}
        if draw is not None:
            how = {"do_sample": True, "temperature": WARM}
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with (
            torch.inference_mode(),
            guard_memory(ADVICE),
            torch.random.fork_rng(devices=devices),
        ):
            torch.manual_seed(draw or 0)
            sequences = self._model.generate(
                **tokens,
                **shown,
                **how,
                top_k=None,
                top_p=None,
                repetition_penalty=1.0,  # the checkpoint's own punishes digits said before
                max_new_tokens=self._answer_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        answer = sequences[0, tokens["input_ids"].shape[1] :]
        text: str = self._tokenizer.decode(answer, skip_special_tokens=True)
        if len(answer) >= self._answer_tokens and int(answer[-1]) not in self._ends():
            raise Unreadable(f"it was cut off after {self._answer_tokens} tokens (answer_tokens)")
        return text

    def _ends(self) -> tuple[int, ...]:
        ends = self._model.generation_config.eos_token_id
        return tuple(ends) if isinstance(ends, list | tuple) else (ends,)

    def _tokens(self, words: str, grid: torch.Tensor) -> dict[str, torch.Tensor]:
        """The question with a token for each merged patch, and which tokens those are.

        Raises:
            PromptError: it is longer than the model reads.
        """
        if any(special in words for special in self._tokenizer.all_special_tokens):
            raise PromptError(f"A phrase holds a control token of {self._name}, such as {PAD}.")
        count = int(grid.prod()) // self._processor.merge_size**2
        text = f"{self._system}{BEFORE}{PAD * count}{BETWEEN}{words}{AFTER}"
        ids = self._tokenizer(text, return_tensors="pt", verbose=False)["input_ids"]
        if (total := ids.shape[1] + self._answer_tokens) > self._holds:
            raise PromptError(
                f"Question, picture and answer take {total} tokens, and {self._name} holds "
                f"{self._holds}: ask for fewer phrases, or shorter ones."
            )
        ids = ids.to(self._model.device)
        is_image = (ids == self._model.config.image_token_id).to(torch.int32)
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": is_image,
        }
