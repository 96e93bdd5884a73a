"""Visual prompts as what a Segment Anything model is asked: tensors, in passes of one shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from limner.ops import transforms
from limner.prompts import PromptKind, VisualPrompt
from limner.rle import BoolMask

Floats = npt.NDArray[np.float32]
MASK_LOGIT = 10.0
"""A mask prompt's pixels become this or its negative, as in SAM 2 (``sam2_base.py``,
``_use_mask_as_output``): 0.99995 or 0.00005 as probabilities."""


def batches(
    prompts: Sequence[VisualPrompt], multimask: bool | None, at_once: int
) -> Iterator[tuple[list[int], bool]]:
    """Rows of prompts that can share a pass of the decoder, and whether it gives three masks."""
    groups: dict[tuple[int, bool, bool, bool], list[int]] = {}
    for row, prompt in enumerate(prompts):
        several = prompt.kinds == {PromptKind.POINT} and len(prompt.points) == 1
        if multimask is not None:
            several = multimask
        shape = (len(prompt.points), prompt.box is not None, prompt.mask is not None, several)
        groups.setdefault(shape, []).append(row)
    for (*_, several), rows in groups.items():
        for start in range(0, len(rows), at_once):
            yield rows[start : start + at_once], several


def prompt_tensors(
    prompts: Sequence[VisualPrompt],
    frame: transforms.Chain,
    mask_side: int,
    device: torch.device,
    real: torch.dtype,
) -> dict[str, torch.Tensor]:
    """The arguments of a model of transformers for N prompts of one shape.

    Args:
        mask_side: pixels of the square that a mask prompt becomes.
        real: of coordinates.
    """
    first = prompts[0]
    inputs: dict[str, torch.Tensor] = {}
    if first.points:
        xy = np.array([[(p.x, p.y) for p in prompt.points] for prompt in prompts])
        scaled = frame.forward_points(xy.reshape(-1, 2)).reshape(len(prompts), 1, -1, 2)
        labels = [[[p.label for p in prompt.points]] for prompt in prompts]
        inputs["input_points"] = torch.as_tensor(scaled, dtype=real, device=device)
        inputs["input_labels"] = torch.tensor(labels, device=device)
    if first.box:
        # transformers' processors round boxes to float32, SAM 1's points they don't
        xyxy = np.array([p.box.xyxy for p in prompts if p.box], dtype=np.float32)
        scaled = transforms.forward_boxes(frame, xyxy)[:, None]
        inputs["input_boxes"] = torch.as_tensor(scaled, dtype=real, device=device)
    if first.mask:
        logits = [mask_logits(p.mask.array, frame, mask_side) for p in prompts if p.mask]
        inputs["input_masks"] = torch.from_numpy(np.stack(logits)[:, None]).to(device)
    return inputs


def mask_logits(mask: BoolMask, frame: transforms.Chain, side: int) -> Floats:
    """A mask of the original as ``SamModel``'s (side, side) ``input_masks``.

    SAM was trained on its own logits of an earlier round. Here a pixel's logit goes from
    ``-MASK_LOGIT`` to ``MASK_LOGIT`` with the part of it that the mask covers; padding is
    background.
    """
    resized = frame.steps[0]
    covered = np.zeros(frame.target_wh[::-1], dtype=np.float32)
    enlarged = resized.target_wh[0] > resized.source_wh[0]
    covered[: resized.target_wh[1], : resized.target_wh[0]] = cv2.resize(
        mask.astype(np.float32),
        resized.target_wh,
        interpolation=cv2.INTER_LINEAR if enlarged else cv2.INTER_AREA,
    )
    covered = np.asarray(cv2.resize(covered, (side, side), interpolation=cv2.INTER_AREA))
    return np.asarray((2 * covered - 1) * MASK_LOGIT, dtype=np.float32)
