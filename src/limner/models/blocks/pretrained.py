"""A folder that ``save_pretrained`` made, read so that nothing in it is filled in at random."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from limner.errors import (
    FileError,
    FileMissing,
    ImageError,
    ModelError,
    PromptError,
    WeightsMissing,
)
from limner.models.blocks.check_parts import try_part
from limner.protocols import ModelRef
from limner.registry import weight_files
from limner.registry.weights import Runtime, Weights
from limner.untrusted.json_toml import read_json_object


@dataclass(frozen=True)
class Pretrained:
    """What a family's ``load`` read from a folder: all that the class which answers needs."""

    ref: ModelRef
    model: Any
    """On its device, ready to answer."""
    processor: Any
    """Of images."""
    tokenizer: Any
    defaults: Mapping[str, Any]
    """The checkpoint's own settings."""


IMAGES_AT_ONCE = 16
"""Pictures in one pass of an encoder: more is no faster on a CPU."""


def folder_of(weights: Weights, kinds: Collection[str]) -> tuple[Path, str]:
    """The model's folder, and which of ``kinds`` its config says it is.

    Raises:
        WeightsMissing: no folder, or no config in it.
        ModelError: another kind of model.
    """
    name, path = weights.ref.name, weights.path
    if path is None:
        raise WeightsMissing(f"{name} needs a folder of weights, and none was given.")
    try:
        kind = read_json_object(path / "config.json", what="config").get("model_type")
    except FileMissing as error:
        raise WeightsMissing(f"{name} can't be read from {path}: {error}") from error
    except FileError as error:
        raise ModelError(f"{name} can't be read: {error}") from error
    if kind not in kinds:
        known = " and ".join(kinds)
        raise ModelError(f"{path} holds a {kind} model; this family reads {known}.")
    return path, str(kind)


def config_within(architecture: Any, path: Path, part: str) -> Any:
    """The config of an image model in the folder of a video model that holds it.

    ``from_pretrained`` would find it too, and warn of another type than the model's.

    Args:
        part: the key that it stands under, if it stands apart.
    """
    config = read_json_object(path / "config.json", what="config")
    own = {key: value for key, value in config.get(part, config).items() if key != "model_type"}
    return architecture.config_class(**own)


def read_model(
    architecture: Any, weights: Weights, path: Path, runtime: Runtime, **given: Any
) -> Any:
    """The model on its device, ready to answer; ``given`` goes to its constructor.

    Raises:
        WeightsMissing: a file, or tensors of the model, are not there.
        UnsafeWeights: weights that would be read from elsewhere, or as a pickle.
        ModelError: tensors of another shape.
    """
    name = weights.ref.name
    try:
        weight_files.check(path)
        model, info = architecture.from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            dtype=getattr(torch, runtime.dtype),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, in a sentence
            **given,
        )
    except OSError as error:
        raise WeightsMissing(f"{name} can't be read from {path}: {error}") from error
    if unlike := sorted(info["mismatched_keys"]):
        tensor, theirs, ours = unlike[0]
        raise ModelError(
            f"The weights in {path} aren't those of the model that its config.json describes: "
            f"{tensor} is {tuple(theirs)} and should be {tuple(ours)}; get the files of one model."
        )
    if lacking := sorted(info["missing_keys"]):
        # transformers would fill them with random numbers
        raise WeightsMissing(
            f"The weights in {path} lack {len(lacking)} of {name}'s tensors, such as {lacking[0]}: "
            "get them again."
        )
    return model.eval().requires_grad_(False).to(runtime.device)


def read_part(part: Any, weights: Weights, path: Path, **given: Any) -> Any:
    """An image processor or a tokenizer, tried once.

    Raises:
        WeightsMissing: its file is not there.
        ModelError: a file that nothing can be done by.
    """
    try:
        pretrained = part.from_pretrained(path, local_files_only=True, **given)
        try_part(pretrained, path)
        return pretrained
    except OSError as error:
        raise WeightsMissing(f"{weights.ref.name} can't be read from {path}: {error}") from error


def check_lengths(tokenizer: Any, texts: Sequence[str], name: str, what: str) -> None:
    """Refuse a text that ``tokenizer`` would cut off.

    Args:
        what: the text, as a person calls it.

    Raises:
        PromptError: with its length and the model's.
    """
    holds = tokenizer.model_max_length
    for text in texts:
        has = len(tokenizer(text, verbose=False).input_ids)
        if has > holds:
            raise PromptError(
                f'The {what} "{text}" has {has} tokens, counting the two that mark its ends, '
                f"and {name} holds {holds}: shorten it."
            )


def check_side(processor: Any, path: Path, side: int) -> None:
    """Refuse an image processor that makes pictures of another size than the model takes.

    Raises:
        ModelError: it does.
    """
    check_size(processor.crop_size if processor.do_center_crop else processor.size, path, side)


def check_size(size: Any, path: Path, side: int) -> None:
    """The same of the ``size`` that an image processor has, by "width" and "height".

    Raises:
        ModelError: it isn't a square of that side, in pixels.
    """
    size_wh = (size["width"], size["height"])
    if size_wh != (side, side):
        shape = f"{size_wh[0]} x {size_wh[1]}" if all(size_wh) else "of any shape"
        raise ModelError(
            f"{path} holds a model for images of {side} pixels and an image processor that makes "
            f"them {shape}: get the files of one model."
        )


def pixels(
    processor: Any, images: Sequence[Image.Image], name: str, like: torch.nn.Module
) -> Iterator[torch.Tensor]:
    """Batches of pictures as (N, 3, H, W) tensors of the model's device and number format.

    Raises:
        ImageError: a picture that isn't RGB.
    """
    weight = next(like.parameters())
    for image in images:
        if image.mode != "RGB":
            raise ImageError(f"{name} sees RGB images, got mode {image.mode}.")
    for start in range(0, len(images), IMAGES_AT_ONCE):
        batch = list(images[start : start + IMAGES_AT_ONCE])
        tensor = processor(images=batch, return_tensors="pt")["pixel_values"]
        yield tensor.to(weight.device, weight.dtype)


def resized_pixels(processor: Any, image: Image.Image, size_wh: tuple[int, int]) -> torch.Tensor:
    """(1, 3, H, W): what a processor of transformers' makes of an RGB image that it would resize to
    ``size_wh``, to the last bit.

    Pillow resizes it here; the processor would turn all of it into arrays and back before.
    """
    small = image.resize(size_wh, processor.resample) if processor.do_resize else image
    inputs = processor(images=small, do_resize=False, return_tensors="pt")
    pixels: torch.Tensor = inputs["pixel_values"]
    return pixels


def unit_rows(features: Sequence[torch.Tensor], width: int) -> npt.NDArray[np.float32]:
    """Batches of (n, width) features as one (N, width) float32 array of rows of length 1."""
    if not features:
        return np.zeros((0, width), dtype=np.float32)
    rows = torch.cat(list(features)).float()
    unit: npt.NDArray[np.float32] = (rows / rows.norm(dim=-1, keepdim=True)).cpu().numpy()
    return unit
