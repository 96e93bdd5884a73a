"""mini-owlvit: phrases and example images to boxes.

Cost: 80 minutes on one core at 144 px, 65 for the finer grid grown from that. Target, in a held-out
drawing style: AP50 .60 over all trained nouns in scenes of 1 to 6 things; .65 from one example
image; .55 for unseen nouns by example.

Starts from mini-clip, as OWL-ViT does from CLIP (arXiv 2205.06230). Every step asks for all
trained nouns at once, and for what the batch's other pictures show: the class embedding of a thing
in one picture is the query in the others, which is what an example image is later. The patches
nearest to a thing's middle answer for it, each with the IoU of its box as the score to reach
(VarifocalNet, arXiv 2008.13367), so that the best box has the highest score.

It learns on a grid of 12 x 12 patches first and goes on with one of 16 x 16 on a larger picture.
"""

from __future__ import annotations

import copy
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import (
    CLIPTokenizer,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessorPil,
)

from minis import growing, scenes
from minis.captions import described
from minis.crops import recoloured
from minis.drawings import phrase, trained_nouns
from minis.recipes import clip
from minis.scene import Scene
from minis.scenes import SIDE
from minis.training import (
    GO_ON,
    LARGE,
    SHARD,
    SHIPPED,
    Loss,
    Plan,
    to_tensor,
    train,
)
from minis.vocabulary import TEMPLATES, fill

FOLDER = SHIPPED / "mini-owlvit"
SMALL_SEES, SEES, PATCH = 144, 192, 12
BATCH = 16
MOST_PATCHES = 5
"""Patches that answer for one thing, at most."""
RECOLOURED_PART = 0.2
"""Scenes in other colours, so that colour alone doesn't tell what a thing is."""
PLAN = Plan(steps=7900, learning_rate=1e-3, warmup=150, bf16=False, weight_decay=0.05, muon=True)
GROWN = replace(PLAN, steps=660, learning_rate=6e-4, warmup=100)
WAY = 0.5
"""What ships lies half way from the grown model to the one that was taught on: with 660 steps that
was better by words and by example than both."""
PLACES = "owlvit.vision_model.embeddings.position_embedding.weight"


def build(sees: int) -> OwlViTForObjectDetection:
    """The model with mini-clip's weights in both towers; the heads are new."""
    start = clip.first()
    text = start.config.text_config.to_dict() | {"model_type": "owlvit_text_model"}
    vision = {**clip.VISION, "image_size": sees}
    config = OwlViTConfig(text_config=text, vision_config=vision, projection_dim=128)
    torch.manual_seed(0)
    model = OwlViTForObjectDetection(config)
    old = {k.replace("pre_layrnorm", "pre_layernorm"): v for k, v in start.state_dict().items()}
    # A crop's grid says where a part lies in its thing, a scene's where a thing lies: it is only
    # repeated, so that neighbours differ as they did.
    place = PLACES.removeprefix("owlvit.")
    old[place] = growing.regridded(old[place], sees // PATCH)
    missing, unexpected = model.owlvit.load_state_dict(old, strict=False)
    if any("position_ids" not in key for key in [*missing, *unexpected]):
        raise ValueError(f"mini-clip and mini-owlvit differ: {missing}, {unexpected}")
    head = model.class_head
    with torch.no_grad():
        head.dense0.weight.copy_(start.visual_projection.weight)
        head.dense0.bias.zero_()
        # transformers starts these with a spread of 1: boxes of no size, and no way back from there
        head.logit_shift.weight.normal_(0, 0.002)
        head.logit_scale.weight.zero_()
        for linear in (model.box_head.dense0, model.box_head.dense1, model.box_head.dense2):
            torch.nn.init.xavier_uniform_(linear.weight)
            linear.bias.zero_()
        head.logit_shift.bias.fill_(-0.6)
        head.logit_scale.bias.fill_(float(start.logit_scale.exp()) - 1)
        model.box_head.dense2.weight.mul_(0.1)
        # boxes start at a third of the picture, not at one patch
        model.box_head.dense2.bias.copy_(torch.tensor([0.0, 0.0, 1.7, 1.7]))
    return model


def grown(small: OwlViTForObjectDetection) -> OwlViTForObjectDetection:
    """The model with a finer grid; it answers with boxes of the same size at first."""
    config = copy.deepcopy(small.config)
    config.vision_config.image_size = SEES
    model = OwlViTForObjectDetection(config)
    state = small.state_dict()
    state[PLACES] = growing.regridded(state[PLACES], SEES // PATCH)
    sizes = state["box_head.dense2.bias"].clone()
    sizes[2:] += _logit(PATCH / SMALL_SEES) - _logit(PATCH / SEES)  # they are added to a patch's
    state["box_head.dense2.bias"] = sizes
    model.load_state_dict(state)
    return model.float()


def _logit(part: float) -> float:
    return math.log(part / (1 - part))


def begin() -> tuple[OwlViTForObjectDetection, Path | None]:
    """The model to train, and the folder whose steps it has behind it."""
    if GO_ON in sys.argv and FOLDER.is_dir():
        ships = OwlViTForObjectDetection.from_pretrained(FOLDER, dtype=torch.float32)
        return (
            (ships, FOLDER)
            if ships.config.vision_config.image_size == SEES
            else (grown(ships), None)
        )
    if LARGE in sys.argv:
        return build(SEES), None
    return grown(learn("owlvit", build(SMALL_SEES), PLAN, None)), None


def assign(scene: Scene, grid: int) -> tuple[list[int], list[int]]:
    """Which of ``grid`` x ``grid`` patches answer, and the thing each answers for."""
    ys, xs = np.mgrid[:grid, :grid]
    centres = (np.stack([xs, ys], axis=-1).reshape(-1, 2) + 0.5) * (SIDE / grid)
    owner = np.full(grid * grid, -1)
    nearness = np.full(grid * grid, np.inf)
    for k, thing in enumerate(scene.things):
        x0, y0, x1, y1 = thing.box
        size = np.array([x1 - x0, y1 - y0])
        off = np.abs(centres - thing.centre) / size
        distance = off.max(axis=1)
        order = np.argsort(distance)[:MOST_PATCHES]
        near = [order[0], *(i for i in order[1:] if distance[i] < 0.35)]
        for i in near:
            if distance[i] < nearness[i]:
                owner[i], nearness[i] = k, distance[i]
    patches = np.flatnonzero(owner >= 0)
    return patches.tolist(), owner[patches].tolist()


def corners(cxcywh: torch.Tensor) -> torch.Tensor:
    """(N, 4) centre and size -> corners."""
    centre, half = cxcywh[:, :2], cxcywh[:, 2:] / 2
    return torch.cat([centre - half, centre + half], dim=1)


def iou_and_giou(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Row by row of two (N, 4) lists of corners (GIoU: arXiv 1902.09630)."""
    overlap = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    inter, hull_area = overlap.prod(dim=1), hull.prod(dim=1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(dim=1), (b[:, 2:] - b[:, :2]).prod(dim=1)
    union = area_a + area_b - inter
    iou = inter / union.clamp(min=1e-6)
    return iou, iou - (hull_area - union) / hull_area.clamp(min=1e-6)


def varifocal(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Sum over all of VarifocalNet's equation 2, alpha .75, gamma 2."""
    p = logits.detach().sigmoid()
    weight = torch.where(target > 0, target, 0.75 * p**2)
    return F.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")


def learn(
    name: str, model: OwlViTForObjectDetection, plan: Plan, shipped: Path | None
) -> OwlViTForObjectDetection:
    """Train at the size of picture that the model is made for."""
    tokenizer = CLIPTokenizer.from_pretrained(clip.FOLDER, local_files_only=True)
    sees = model.config.vision_config.image_size
    grid = sees // PATCH
    # mini-clip's words stay as they are; pictures learn to mean them. So does the scale of its
    # scores, which would shrink while the heads know nothing, and then come back too slowly.
    words = (model.owlvit.text_model, model.owlvit.text_projection)
    for part in (*words, model.class_head.logit_scale):
        part.requires_grad_(False)
    nouns, split = trained_nouns(), scenes.train_blended()
    index = {noun: k for k, noun in enumerate(nouns)}

    def render(rng: np.random.Generator) -> dict[str, Any]:
        batch = [scenes.scene(int(rng.integers(1 << 40)), split) for _ in range(BATCH)]
        batch = [scene for scene in batch if scene.things]
        templates = rng.choice(TEMPLATES, len(nouns))
        phrases = [fill(t, phrase(noun)) for t, noun in zip(templates, nouns, strict=True)]
        images = []
        coloured = {}  # a phrase with a colour, and whom it means
        for scene in batch:
            thing = scene.things[int(rng.integers(len(scene.things)))]
            if rng.random() < RECOLOURED_PART:
                images.append(recoloured(rng, scene.image))
                continue
            images.append(scene.image)
            coloured[described(thing)] = (thing.noun, thing.colour)
        pixels = F.interpolate(to_tensor(images), size=(sees, sees), mode="bilinear")
        rows, patches, things = [], [], []
        for row, scene in enumerate(batch):
            answering, owners = assign(scene, grid)
            rows += [row] * len(answering)
            patches += answering
            things += [scene.things[k] for k in owners]
        return {
            "asked": phrases + list(coloured),
            "coloured": list(coloured.values()),
            "pixels": pixels,
            "rows": rows,
            "patches": patches,
            "kinds": [(thing.noun, thing.colour) for thing in things],
            "truth": torch.tensor([thing.box for thing in things]) / SIDE,
        }

    def step_loss(shown: dict[str, Any], rng: np.random.Generator) -> Loss:
        texts, pixels, truth, kinds = (shown[k] for k in ("asked", "pixels", "truth", "kinds"))
        rows, patches = shown["rows"], shown["patches"]
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            tokens = tokens.to(model.device)
            text = model.owlvit.get_text_features(**tokens).pooler_output
        count = len(pixels)
        feature_map = model.image_embedder(pixels)[0]
        features = feature_map.flatten(1, 2)
        boxes = model.box_predictor(features, feature_map).float()
        row, patch = torch.tensor(rows), torch.tensor(patches)
        mine = corners(boxes[row, patch])
        iou, giou = iou_and_giou(mine, truth)
        size = truth[:, 2:] - truth[:, :2]
        sizes = torch.cat([size, size], dim=1)
        boxed = ((mine - truth).abs() / sizes.sqrt()).sum(dim=1).mean() + (1 - giou).mean()
        quality = iou.detach().clamp(min=0.05)
        meant = torch.tensor([index[noun] for noun, _ in kinds])
        wanted = torch.zeros(count, grid**2, len(texts))
        wanted[row, patch, meant] = quality
        for k, who in enumerate(shown["coloured"]):
            so = torch.tensor([n for n, kind in enumerate(kinds) if kind == who])
            wanted[row[so], patch[so], len(nouns) + k] = quality[so]
        text = text.float()[None].expand(count, -1, -1)
        logits, embeds = model.class_predictor(features, text)
        named = varifocal(logits.float(), wanted) / len(kinds)
        # One patch of each thing as an example for all other pictures.
        picked = rng.permutation(len(kinds))[:40].tolist()
        queries = embeds[row[picked], patch[picked]]
        examples, _ = model.class_predictor(features, queries[None].expand(count, -1, -1))
        like = torch.zeros_like(examples)
        like[row, patch] = ((meant[:, None] == meant[picked]) * quality[:, None]).to(like.dtype)
        own = torch.zeros(count, 1, len(picked), dtype=torch.bool)
        own[row[picked], 0, torch.arange(len(picked))] = True
        examples = examples.masked_fill(own, -20.0)  # its own picture would be no test
        like = like.masked_fill(own, 0.0)
        exampled = varifocal(examples.float(), like) / max(1.0, float((like > 0).sum()))
        # Which noun it is, apart from how sure: the scores alone learn that slowly.
        guesses = logits[row, patch, : len(nouns)].float()
        noun_loss = F.cross_entropy(guesses, meant)
        hit = (guesses.argmax(dim=1) == meant).float().mean()
        loss = named + 0.3 * exampled + 3 * boxed + noun_loss
        return loss, {
            "named": float(named.detach()),
            "exampled": float(exampled.detach()),
            "iou": float(iou.mean().detach()),
            "top1": float(hit),
        }

    return train(name, model, plan, render, step_loss, shipped)


def main() -> None:
    model, shipped = begin()
    if LARGE in sys.argv and GO_ON not in sys.argv:
        save(learn("owlvit_grown", model, PLAN, shipped))
        return
    before = copy.deepcopy(model)
    after = learn("owlvit_grown", model, GROWN, shipped)
    after.load_state_dict(growing.between(before, after, WAY))
    save(after)


def save(model: OwlViTForObjectDetection) -> None:
    """Write the model as it ships."""
    model.half().save_pretrained(FOLDER, max_shard_size=SHARD)
    OwlViTImageProcessorPil(
        size={"height": SEES, "width": SEES}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(FOLDER)
    CLIPTokenizer.from_pretrained(clip.FOLDER, local_files_only=True).save_pretrained(FOLDER)


if __name__ == "__main__":
    sys.exit(main())
