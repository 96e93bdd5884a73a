"""Pictures painted while a subject is taught: with the identifier, and of the same seeds without
it, which should stay as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from limner.io.save import save_image
from limner.options import TeachOptions
from limner.training import captions, generate
from limner.training.base_model import Base
from limner.training.identifiers import Naming
from limner.training.latents import TextEmbeddings
from limner.training.step import weight_dtype

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Words:
    """A prompt, and what its pictures are called: ``with``, ``without``, ``without-prompt2``."""

    name: str
    prompt: str


def words_of(options: TeachOptions, naming: Naming) -> tuple[Words, ...]:
    """What is painted: each validation prompt with the identifier and without; without any prompts
    the instance prompt and the class prompt. Nothing where nothing is to be painted."""
    if not options.validates:
        return ()
    if not options.validation_prompt:
        return Words("with", str(options.instance_prompt)), Words(
            "without", str(options.class_prompt)
        )
    pairs = []
    for k, prompt in enumerate(options.validation_prompt, start=1):
        suffix = "" if len(options.validation_prompt) == 1 else f"-prompt{k}"
        named = captions.with_identifier(prompt, naming)
        pairs += [
            Words(f"with{suffix}", named),
            Words(f"without{suffix}", captions.without_identifier(named, naming)),
        ]
    return tuple(pairs)


def is_due(options: TeachOptions, step: int) -> bool:
    """Whether pictures are painted after a step, counted from 1: every so many, or at the end."""
    if not options.validates:
        return False
    return step % (options.validation_steps or options.max_train_steps) == 0


@dataclass(frozen=True)
class Validation:
    """Paints the same pictures again and again."""

    base: Base
    options: TeachOptions
    words: Sequence[Words]
    embeddings: TextEmbeddings
    """Of all words, and of none."""
    side: int
    folder: Path

    def paint(self, step: int, on_picture: Callable[[str, int, Image], None]) -> None:
        """Write ``000100-with-0.png`` and so on, and tell of each."""
        for words, k in self._each():
            seed = self.options.seed + k
            (picture,) = generate.paint(
                self.base.pipe,
                self._read(words.prompt),
                [seed],
                self.side,
                self.base.guidance,
                steps=generate.STEPS,
            )
            facts = {"step": step, "seed": seed, "base": self.base.ref.to_dict()}
            path = self.folder / f"{step:06}-{words.name}-{k}.png"
            record = {"prompt": words.prompt, **facts}
            save_image(picture, path, record=record, overwrite=True)
            on_picture(f"{words.name}-{k}", step, picture)

    def _each(self) -> Iterator[tuple[Words, int]]:
        return ((each, k) for each in self.words for k in range(self.options.num_validation_images))

    def _read(self, prompt: str) -> Any:
        if self.options.train_text_encoder:
            return [prompt]
        return _embedded(self.base, self.embeddings, prompt, weight_dtype(self.options))


def _embedded(
    base: Base, embeddings: TextEmbeddings, prompt: str, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """A prompt and no words as a pipeline takes them, now that the text encoder is gone."""
    row, empty = ([number] for number in embeddings.rows([prompt, ""]))
    device, config = base.pipe.unet.device, base.pipe.config
    tensors = {
        "prompt_embeds": embeddings.states[row],
        "negative_prompt_embeds": embeddings.states[empty],
    }
    if embeddings.pooled is not None:
        tensors["pooled_prompt_embeds"] = embeddings.pooled[row]
        tensors["negative_pooled_prompt_embeds"] = embeddings.pooled[empty]
        if config.get("force_zeros_for_empty_prompt"):  # the empty prompt of SDXL is zeros
            tensors |= {
                name: torch.zeros_like(tensor)
                for name, tensor in tensors.items()
                if name.startswith("negative")
            }
    return {name: tensor.to(device, dtype) for name, tensor in tensors.items()}
