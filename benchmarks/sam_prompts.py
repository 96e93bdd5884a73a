"""What a prompt on an embedded image costs beside transformers' bare ``SamModel`` call.

    PYTHONPATH=src python benchmarks/sam_prompts.py

SAM ViT-B at its real size with random weights: the time doesn't depend on them. In one process, in
turn, for each image size:

- bare: ``SamModel(image_embeddings=..., input_points=..., input_labels=...)``, one point, three low
  resolution masks, and nothing else;
- ours: ``Sam.segment``, the same point to three full-size bool masks in ``sv.Detections``;
- after: the part of it that is not the model's, ``post_process_masks`` and all that follows,
  measured by a model that answers at once with what the real one said;
- theirs: ``post_process_masks`` alone, three masks at once, as transformers' users call it.

Medians. ``ours / bare`` is a median of the ratios of neighbouring calls, since the machine may be
shared. The target is 1.2 at 640x480. At 12 megapixels enlarging three masks costs more than the
decoder, whoever does it: there ``after`` should not exceed ``theirs``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import SamConfig, SamImageProcessorPil, SamModel

from limner.models.sam.sam import SamNetwork, sam_frame
from limner.models.sam.segmenter import ImageFeatures, SamSegmenter
from limner.options import SegmentOptions
from limner.prompts import Point, VisualPrompt
from limner.protocols import ImageEmbedding, ModelRef

SIZES_WH = ((640, 480), (4000, 3000))
REF = ModelRef("random-vit-b", "sam", "none")


def random_sam() -> Any:
    """``SamConfig()`` itself initialises with std 1e-10: denormal numbers would be slow."""
    model = SamModel(SamConfig())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                std = 1.0 if "positional_embedding" in name else 0.02
                weight.normal_(0, std, generator=generator)
    return model.eval().requires_grad_(False)


class Answered:
    """A model that has its answer ready."""

    def __init__(self, model: Any, logits: torch.Tensor, scores: torch.Tensor) -> None:
        self.config = model.config
        self._answer = SimpleNamespace(pred_masks=logits, iou_scores=scores)

    def __call__(self, **_: Any) -> SimpleNamespace:
        return self._answer


def milliseconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def measure(model: Any, grid: torch.Tensor, size_wh: tuple[int, int], calls: int) -> dict[str, Any]:
    frame = sam_frame(size_wh, 1024)
    embedding = ImageEmbedding("", size_wh, REF.name, ImageFeatures((grid,), frame))
    prompt = VisualPrompt(points=(Point(size_wh[0] * 0.4, size_wh[1] * 0.6),))
    inputs: dict[str, Any] = {
        "image_embeddings": grid,
        "input_points": torch.from_numpy(
            frame.forward_points([(p.x, p.y) for p in prompt.points])[None, None]
        ),
        "input_labels": torch.ones((1, 1, 1), dtype=torch.int64),
    }

    def bare() -> Any:
        with torch.no_grad():
            return model(**inputs)

    first = bare()
    processor = SamImageProcessorPil()
    whole = SamSegmenter(REF, SamNetwork(model, processor, "cpu"), {})
    answered = Answered(model, first.pred_masks, first.iou_scores)
    rest = SamSegmenter(REF, SamNetwork(answered, processor, "cpu"), {})
    works: dict[str, Callable[[], Any]] = {
        "bare_ms": bare,
        "ours_ms": lambda: whole.segment(embedding, [prompt], SegmentOptions()),
        "after_ms": lambda: rest.segment(embedding, [prompt], SegmentOptions()),
        "theirs_ms": lambda: processor.post_process_masks(
            first.pred_masks, [size_wh[::-1]], [frame.steps[0].target_wh[::-1]]
        ),
    }
    for work in works.values():
        work()
    rows = [{name: milliseconds(work) for name, work in works.items()} for _ in range(calls)]
    medians = {name: statistics.median(row[name] for row in rows) for name in works}
    ratio = statistics.median(row["ours_ms"] / row["bare_ms"] for row in rows)
    return {"size_wh": size_wh, "calls": calls, **medians, "ratio": ratio}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--calls", type=int, default=30, help="of each kind, at each size")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    model = random_sam()
    grid = torch.randn((1, 256, 64, 64), generator=torch.Generator().manual_seed(1))
    print("image         bare ms   ours ms  after ms theirs ms  ours / bare")
    results = []
    for size_wh in SIZES_WH:
        row = measure(model, grid, size_wh, args.calls)
        results.append(row)
        name = f"{size_wh[0]}x{size_wh[1]}"
        print(
            f"{name:<12}{row['bare_ms']:9.1f}{row['ours_ms']:10.1f}{row['after_ms']:10.1f}"
            f"{row['theirs_ms']:10.1f}{row['ratio']:13.3f}"
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
