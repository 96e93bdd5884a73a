"""mini-sam: points, boxes and earlier masks to masks.

Cost: 100 minutes on one core at 128 px, 60 for the finer grid grown from that. Target, in a
held-out drawing style: mean IoU .88 from the box; .78, .85 and .88 from 1, 3 and 5 clicks; the
chosen of three candidates within .05 of the best.

The training of Segment Anything (arXiv 2304.02643, appendix A) in small: a first prompt, then
clicks where the last answer is wrong, with the last mask given back or not. One lone click gets
three candidates, of which the best one learns; everything else gets one. A click beside all things
teaches the IoU head that there is nothing, and a box around two things with a negative click on
one that the other is meant.

It learns from scenes at their own size first, and goes on with the same scenes enlarged by a half:
small things are what it is short of.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from transformers import SamConfig, SamImageProcessorPil, SamModel

from minis import growing, scenes
from minis.scene import Bools, Scene, Thing
from minis.scenes import SIDE
from minis.training import GO_ON, LARGE, SHARD, SHIPPED, Loss, Plan, fits, to_tensor, train

FOLDER = SHIPPED / "mini-sam"
PLAN = Plan(steps=9000, learning_rate=1e-3, warmup=150, bf16=False, weight_decay=0.02, muon=True)
GROWN = replace(PLAN, steps=230, learning_rate=2e-4, warmup=30)
WAY = 0.5
"""What ships lies half way from the grown model to the one that was taught on (``owlvit.WAY``)."""
IMAGES, EACH = 8, 4
LOOKED_UP = ("iou_token", "mask_tokens", "point_embed", "not_a_point_embed", "no_mask_embed")
"""Vectors, not matrices: what they start from is all that tells them apart."""
MASK_LOGIT = 10.0
"""What a mask prompt's pixels become in limner's adapter, as in SAM 2."""


@dataclass(frozen=True)
class Size:
    """What a model sees and how much it has to see with."""

    sees: int
    """px; scenes of ``SIDE`` px are enlarged to it."""
    hidden: int
    layers: int
    everywhere: tuple[int, ...]
    """Layers whose attention isn't in windows of 8 x 8 patches."""

    @property
    def low(self) -> int:
        """px of the masks that it answers: four for a patch."""
        return self.sees // PATCH * 4


PATCH = 8
FIRST = Size(SIDE, 128, 5, (1, 3, 4))
"""100 minutes on one core."""
SIZE = replace(FIRST, sees=192)
"""What ships."""
LARGE_SIZE = Size(2 * SIDE, 192, 8, (3, 7))
"""4.3 million parameters, masks as fine as the scenes: 20 hours on one core."""


def build(it: Size) -> SamModel:
    """The model with random weights."""
    torch.manual_seed(0)
    model = SamModel(
        SamConfig(
            vision_config={
                "hidden_size": it.hidden,
                "output_channels": 128,
                "num_hidden_layers": it.layers,
                "num_attention_heads": it.hidden // 32,
                "image_size": it.sees,
                "patch_size": PATCH,
                "window_size": 8,
                "global_attn_indexes": list(it.everywhere),
                "use_rel_pos": False,
                "num_pos_feats": 64,
                "initializer_range": 0.02,
            },
            prompt_encoder_config={"hidden_size": 128, "image_size": it.sees, "patch_size": PATCH},
            mask_decoder_config={
                "hidden_size": 128,
                "mlp_dim": 256,
                "num_attention_heads": 4,
                "iou_head_hidden_dim": 128,
            },
        )
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                continue
            if "positional_embedding" in name:  # Gaussian frequencies, fixed as in the paper
                weight.normal_(0, 1)
                weight.requires_grad_(False)
            elif weight.ndim == 1:
                weight.zero_()
            elif any(part in name for part in LOOKED_UP):
                weight.normal_(0, 0.5)
            else:
                torch.nn.init.xavier_uniform_(weight)
        model.vision_encoder.pos_embed.normal_(0, 0.05)
    return model


def grown(small: SamModel) -> SamModel:
    """The model of ``SIZE`` with what one of ``FIRST`` knows: what it sees is enlarged."""
    model = build(SIZE)
    state = small.state_dict()
    name = "vision_encoder.pos_embed"
    side = SIZE.sees // PATCH
    places = state[name].permute(0, 3, 1, 2)  # (1, rows, columns, D)
    places = F.interpolate(places, size=(side, side), mode="bicubic", align_corners=False)
    state[name] = places.permute(0, 2, 3, 1)
    model.load_state_dict(state)
    return model


def middle(mask: Bools) -> tuple[float, float]:
    """(x, y) of the pixel furthest from the mask's edge."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    return float(x), float(y)


def inside(rng: np.random.Generator, mask: Bools) -> tuple[float, float]:
    """(x, y) of a pixel of the mask: half of the time the middle of it."""
    if rng.random() < 0.5:
        return middle(mask)
    ys, xs = np.nonzero(mask)
    k = rng.integers(len(xs))
    return float(xs[k]), float(ys[k])


def other(rng: np.random.Generator, scene: Scene, thing: Thing) -> Bools:
    """What a negative click lies on: another thing of the scene, or else all beside this one."""
    others = [each.mask for each in scene.things if each is not thing]
    return others[int(rng.integers(len(others)))] if others else ~thing.mask


def jittered_box(rng: np.random.Generator, mask: Bools) -> list[float]:
    """The mask's box, its sides off by up to a tenth."""
    ys, xs = np.nonzero(mask)
    x0, y0, x1, y1 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    noise = rng.normal(0, 0.04, 4).clip(-0.1, 0.1) * [x1 - x0, y1 - y0, x1 - x0, y1 - y0]
    return np.clip(np.array([x0, y0, x1, y1]) + noise, 0, SIDE).tolist()


def mask_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(N, M) cross-entropy and dice loss, 2 : 1; logits (N, M, h, w), coverage (N, h, w)."""
    targets = targets[:, None].expand_as(logits)
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=(2, 3))
    p = logits.sigmoid()
    overlap = (p * targets).sum(dim=(2, 3))
    dice = 1 - (2 * overlap + 1) / (p.sum(dim=(2, 3)) + targets.sum(dim=(2, 3)) + 1)
    return 2 * bce + dice


def things_and_edges(shown: list[Scene], low: int) -> torch.Tensor:
    """(N, 2, low, low) 1 where anything is, and where one thing ends."""
    things = [np.any([thing.mask for thing in scene.things], axis=0) for scene in shown]
    edges = [_edges(scene) for scene in shown]
    return F.adaptive_max_pool2d(torch.from_numpy(np.stack([things, edges], axis=1)).float(), low)


def dense_loss(dense: torch.nn.Module, grid: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """What a head on the image encoder alone says: where things are, and where one ends.

    The head is thrown away; it shows the encoder the way before the decoder has learned to ask.
    """
    guess = F.pixel_shuffle(dense(grid), 4)
    return F.binary_cross_entropy_with_logits(guess.float(), wanted)


def _edges(scene: Scene) -> Bools:
    outline = np.zeros((SIDE, SIDE), np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    for thing in scene.things:
        outline |= cv2.morphologyEx(thing.mask.astype(np.uint8), cv2.MORPH_GRADIENT, kernel)
    edges: Bools = outline > 0
    return edges


def _both(meant: Bools, refused: Bools) -> Bools:
    """What the box goes around: both, or the one thing where all else is refused."""
    return meant if (meant | refused).all() else meant | refused


def covered(masks: Bools, low: int) -> torch.Tensor:
    """(N, SIDE, SIDE) bool -> (N, low, low), the part of each pixel that is covered."""
    whole = masks.astype(np.float32)
    small = [cv2.resize(mask, (low, low), interpolation=cv2.INTER_AREA) for mask in whole]
    return torch.from_numpy(np.stack(small))


def enlarged(pixels: torch.Tensor, side: int) -> torch.Tensor:
    """Pictures of ``SIDE`` px as the model sees them."""
    if side == SIDE:
        return pixels
    return F.interpolate(pixels, size=(side, side), mode="bilinear", align_corners=False)


def ious(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(N, M) IoU of the thresholded masks."""
    a, b = logits > 0, (targets > 0.5)[:, None]
    return (a & b).sum(dim=(2, 3)) / (a | b).sum(dim=(2, 3)).clamp(min=1)


def learn(name: str, model: SamModel, plan: Plan, it: Size, shipped: Path | None) -> SamModel:
    """Train at a size."""
    model.dense = torch.nn.Conv2d(128, 2 * 4**2, 1)
    split = scenes.train()
    scale = it.sees / SIDE

    def render(rng: np.random.Generator) -> dict[str, Any]:
        shown, truths, real = [], [], []  # scenes, masks, whether something is there
        refused = []  # what is not meant, for the form "not"
        while len(shown) < IMAGES:
            scene = scenes.scene(int(rng.integers(1 << 40)), split)
            if not scene.things:
                continue
            shown.append(scene)
            nothing = ~np.any([thing.mask for thing in scene.things], axis=0)
            for n in range(EACH):
                thing = scene.things[int(rng.integers(len(scene.things)))]
                truths.append(thing.mask)
                refused.append(other(rng, scene, thing))
                real.append(n > 0 or rng.random() > 0.3 or not nothing.any())
                if not real[-1]:
                    truths[-1] = nothing
        form = rng.choice(["click", "box", "both", "not"], p=[0.55, 0.25, 0.1, 0.1])
        if form != "click":
            real = [True] * len(real)
        masks = np.stack(truths)
        clicked, boxed = masks, masks
        if form == "not":
            clicked = np.stack(refused)
            boxed = np.stack([_both(*pair) for pair in zip(masks, clicked, strict=True)])
        points = [[inside(rng, mask)] for mask in clicked] if form != "box" else []
        labels = [[int(form != "not")] for _ in points]
        boxes = None
        if form != "click":
            boxes = torch.tensor([[jittered_box(rng, mask)] for mask in boxed])
        return {
            "form": form,
            "masks": masks,
            "targets": covered(masks, it.low),
            "good": torch.tensor(real),
            "pixels": enlarged(to_tensor([scene.image for scene in shown]), it.sees),
            "dense": things_and_edges(shown, it.low),
            "points": points,
            "labels": labels,
            "boxes": boxes,
        }

    def step_loss(shown: dict[str, Any], rng: np.random.Generator) -> Loss:
        form, masks, boxes = shown["form"], shown["masks"], shown["boxes"]
        targets, good = shown["targets"], shown["good"]
        points, labels = list(shown["points"]), list(shown["labels"])
        grid = model.vision_encoder(shown["pixels"]).last_hidden_state
        dense = dense_loss(model.dense, grid, shown["dense"])
        grid = grid.repeat_interleave(EACH, 0)
        previous = None
        loss, numbers = torch.zeros(()), {"dense": float(dense.detach())}
        rounds = int(rng.integers(2, 4)) if form == "click" else int(rng.integers(1, 3))
        for turn in range(rounds):
            lone = form == "click" and turn == 0
            out = model(
                image_embeddings=grid,
                input_points=torch.tensor(points)[:, None] * scale if points else None,
                input_labels=torch.tensor(labels)[:, None] if points else None,
                input_boxes=None if boxes is None else boxes * scale,
                input_masks=previous,
                multimask_output=lone,
            )
            logits, scores = out.pred_masks[:, 0].float(), out.iou_scores[:, 0].float()
            each = mask_losses(logits, targets)
            true = ious(logits.detach(), targets) * good[:, None]
            best = each.detach().argmin(dim=1)
            rows = torch.arange(len(best))
            # The best one learns; a little of the others keeps all three alive.
            masked = each[rows, best] + (0.05 * each.mean(dim=1) if lone else 0)
            loss = loss + (masked * good).sum() / good.sum() + F.mse_loss(scores, true)
            chosen = scores.argmax(dim=1).detach()
            numbers[f"{form}{turn}"] = float(true[rows, chosen][good].mean())
            if turn + 1 == rounds:
                break
            answer = logits[rows, chosen].detach()
            low = answer[:, None]
            if rng.random() < 0.5:
                previous = None
            elif rng.random() < 0.5:
                previous = low.clamp(-20, 20)
            else:
                previous = torch.where(low > 0, MASK_LOGIT, -MASK_LOGIT)
            large = F.interpolate(low, size=(SIDE, SIDE), mode="bilinear")[:, 0].cpu().numpy() > 0
            if not points:
                points, labels = [[] for _ in masks], [[] for _ in masks]
            for n, (mask, seen) in enumerate(zip(masks, large, strict=True)):
                missed, extra = mask & ~seen, seen & ~mask
                if not (missed | extra).any():
                    missed = mask
                front = missed.sum() >= extra.sum()
                points[n].append(inside(rng, missed if front else extra))
                labels[n].append(int(front))
        return loss / rounds + dense, numbers

    finished = train(name, model, plan, render, step_loss, shipped)
    del finished.dense
    return finished


def main() -> None:
    going_on = GO_ON in sys.argv
    if LARGE in sys.argv:
        model = build(LARGE_SIZE)
        shipped = FOLDER if going_on and fits(model, FOLDER) else None
        save(learn("sam", model, PLAN, LARGE_SIZE, shipped), LARGE_SIZE)
        return
    model = build(SIZE)
    if going_on and fits(model, FOLDER):
        save(learn("sam_grown", model, GROWN, SIZE, FOLDER), SIZE)
        return
    small = build(FIRST)
    if going_on and fits(small, FOLDER):
        small = SamModel.from_pretrained(FOLDER, dtype=torch.float32)
    else:
        small = learn("sam", small, PLAN, FIRST, None)
    large = grown(small)
    before = copy.deepcopy(large)
    after = learn("sam_grown", large, GROWN, SIZE, None)
    after.load_state_dict(growing.between(before, after, WAY))
    save(after, SIZE)


def save(model: SamModel, it: Size) -> None:
    """Write the model as it ships."""
    model.half().save_pretrained(FOLDER, max_shard_size=SHARD)
    square = {"height": it.sees, "width": it.sees}
    SamImageProcessorPil(
        size={"longest_edge": it.sees},
        pad_size=square,
        mask_size={"longest_edge": it.low},
        mask_pad_size={"height": it.low, "width": it.low},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    ).save_pretrained(FOLDER)


if __name__ == "__main__":
    sys.exit(main())
