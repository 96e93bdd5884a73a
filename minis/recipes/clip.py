"""mini-clip: names and pictures of drawn things in one space.

Cost: 41 minutes on one core for the text encoder and a small image encoder, 17 for the
larger one grown from that. Target: the noun of a held-out drawing among 123, top 1: .80.

Most of the loss is a classification over all trained nouns, each phrased by a template drawn by
lot: with 738 drawings the pairs of a batch alone teach too little. A plain classifier, thrown away
afterwards, stands beside the text encoder to show the picture side the way. The rest is CLIP's own
loss (arXiv 2103.00020), over captions with colours, counts and relations.

Then the text encoder is frozen, so that the painters that read with it stay right, and the image
encoder gets one more layer, a finer grid, and half of the drawings bent or in styles that nobody
drew.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from minis import growing, scenes
from minis.captions import described
from minis.crops import crop, recoloured
from minis.drawings import (
    blended,
    drawing,
    phrase,
    redrawn,
    restyled,
    trained_nouns,
    training_styles,
)
from minis.scene import Pixels, Thing
from minis.training import GO_ON, OUT, SHARD, SHIPPED, Loss, Plan, begun, fits, to_tensor, train
from minis.vocabulary import MAX_LENGTH, TEMPLATES, fill, save_tokenizer

FOLDER = SHIPPED / "mini-clip"
SIDE, PATCH = 72, 12
PLAN = Plan(steps=6000, learning_rate=1.5e-3, warmup=200, bf16=False, muon=True)
GROWN = Plan(steps=1090, learning_rate=5e-4, warmup=100, bf16=False, muon=True)
BATCH, WHOLE = 32, 4
"""Crops of one thing, and whole scenes, in a step."""
VISION = {
    "hidden_size": 160,
    "intermediate_size": 640,
    "num_hidden_layers": 5,
    "num_attention_heads": 5,
    "image_size": SIDE,
    "patch_size": PATCH,
}
"""The small image encoder, from which mini-owlvit and mini-blip start."""
EYES = {**VISION, "num_hidden_layers": 6, "patch_size": 9}
"""Those that ship."""
RESTYLED_PART, BENT_PART = 0.35, 0.35
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": MAX_LENGTH,
}


def build(tokenizer: CLIPTokenizer, vision: Mapping[str, int] = EYES) -> CLIPModel:
    """The model with random weights."""
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**TEXT, **ends, "pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
    torch.manual_seed(0)
    return CLIPModel(CLIPConfig(text_config=text, vision_config=dict(vision), projection_dim=128))


def grown(small: CLIPModel, tokenizer: CLIPTokenizer) -> CLIPModel:
    """The model with the larger image encoder, which answers nearly as the small one does."""
    model = build(tokenizer)
    trained = small.state_dict()
    place = "vision_model.embeddings.position_embedding.weight"
    patch = "vision_model.embeddings.patch_embedding.weight"
    trained[place] = growing.regridded(trained[place], SIDE // EYES["patch_size"])
    trained[patch] = growing.repatched(trained[patch], EYES["patch_size"])
    layers = growing.spread(VISION["num_hidden_layers"], EYES["num_hidden_layers"])
    fresh, silent = model.state_dict(), r"(out_proj|fc2)\.(weight|bias)$"
    model.load_state_dict(growing.deepened(fresh, trained, layers, silent, "vision_model."))
    return model


def first() -> CLIPModel:
    """The text encoder and the small image encoder: the checkpoint of their training, or what ships
    if it has them."""
    tokenizer = CLIPTokenizer.from_pretrained(FOLDER, local_files_only=True)
    model = build(tokenizer, VISION)
    if begun("clip"):
        average = torch.load(OUT / "clip.pt", weights_only=True)["average"]
        model.load_state_dict(average, strict=False)
    elif fits(model, FOLDER):
        model = CLIPModel.from_pretrained(FOLDER, dtype=torch.float32)
    else:
        raise FileNotFoundError(
            f"{OUT / 'clip.pt'} isn't there: mini-clip's small image encoder, from which this "
            "starts, doesn't ship. Run `python -m minis.recipes.clip` first."
        )
    return model.eval()


def picture(
    rng: np.random.Generator, noun: str, restyled_part: float = 0.0, bent_part: float = 0.0
) -> tuple[Pixels, str]:
    """A crop of ``noun`` and a caption that is true of it."""
    styles = training_styles()
    blend = rng.random() < 0.35
    drawn = blended(rng, noun) if blend else drawing(noun, str(rng.choice(styles)))
    rgba, manner = drawn.rgba, bool(rng.random() < restyled_part)
    if rng.random() < bent_part:
        rgba = redrawn(rng, rgba)
    if manner:
        rgba = restyled(rng, rgba)
    drawn = replace(drawn, rgba=rgba)
    distractor = None
    if rng.random() < 0.4:
        distractor = drawing(str(rng.choice(trained_nouns())), str(rng.choice(styles)))
    cropped = crop(rng, drawn, SIDE, distractor=distractor, fills=(0.5, 1.0))
    image = cropped.image
    words = phrase(noun)
    caption = fill(str(rng.choice(TEMPLATES)), words)
    if rng.random() < 0.25:
        image = recoloured(rng, image)
    elif not blend and not manner and rng.random() < 0.5:
        caption = described(Thing(noun, drawn.style, drawn.colour, cropped.mask))
    if rng.random() < 0.2:
        image = image.copy()
        w, h = rng.integers(8, 28, 2)
        x, y = rng.integers(0, SIDE - w), rng.integers(0, SIDE - h)
        image[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return image, caption


def learn(
    name: str,
    model: CLIPModel,
    tokenizer: CLIPTokenizer,
    plan: Plan,
    parts: tuple[float, float],
    shipped: Path | None,
) -> CLIPModel:
    """Train; ``parts`` of the drawings are in another manner and bent. What doesn't need gradients
    stays as it is."""
    model.names = torch.nn.Linear(128, len(trained_nouns()))
    nouns, split = trained_nouns(), scenes.train()

    def read(phrases: list[str]) -> torch.Tensor:
        tokens = tokenizer(phrases, padding=True, truncation=True, return_tensors="pt")
        tokens = tokens.to(model.device)
        return F.normalize(model.get_text_features(**tokens).pooler_output.float(), dim=-1)

    def render(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, list[str], list[str]]:
        labels = rng.choice(len(nouns), BATCH, replace=False)
        pairs = [picture(rng, nouns[label], *parts) for label in labels]
        for _ in range(WHOLE):
            scene = scenes.scene(int(rng.integers(1 << 40)), split, side=SIDE, count=(1, 4))
            short = [words for words in scene.captions if len(words.split()) <= 9]
            pairs.append((scene.image, str(rng.choice(short or ["many things"]))))
        templates = rng.choice(TEMPLATES, len(nouns))
        phrases = [fill(t, phrase(noun)) for t, noun in zip(templates, nouns, strict=True)]
        images, captions = zip(*pairs, strict=True)
        return to_tensor(list(images)), torch.from_numpy(labels), phrases, list(captions)

    def step_loss(
        shown: tuple[torch.Tensor, torch.Tensor, list[str], list[str]], rng: np.random.Generator
    ) -> Loss:
        pixels, truth, phrases, captions = shown
        text = torch.cat([read(phrases), read(captions)])
        image = model.get_image_features(pixel_values=pixels)
        image = F.normalize(image.pooler_output.float(), dim=-1)
        scale = model.logit_scale.exp().clamp(max=50)
        logits = scale * image[:BATCH] @ text[: len(nouns)].T
        named = F.cross_entropy(logits, truth, label_smoothing=0.05)
        known = model.names(image[:BATCH] * 8)
        named = named + F.cross_entropy(known, truth, label_smoothing=0.05)
        paired = scale * image @ text[len(nouns) :].T
        same = torch.tensor([[a == b for b in captions] for a in captions]).float()
        same /= same.sum(dim=1, keepdim=True)
        both = F.cross_entropy(paired, same) + F.cross_entropy(paired.T, same)
        right, plain = ((x.argmax(1) == truth).float().mean() for x in (logits, known))
        return named + 0.25 * both, {
            "top1": float(right),
            "plain": float(plain),
            "pairs": float(both.detach()),
        }

    finished = train(name, model, plan, render, step_loss, shipped)
    del finished.names
    return finished


def main() -> None:
    tokenizer = save_tokenizer(FOLDER)
    model, shipped = build(tokenizer), FOLDER
    if not begun("clip_eyes") and not (GO_ON in sys.argv and fits(model, FOLDER)):
        small = build(tokenizer, VISION)
        if GO_ON in sys.argv and fits(small, FOLDER):
            small = first()
        else:
            small = learn("clip", small, tokenizer, PLAN, (0.0, 0.0), None)
        model, shipped = grown(small, tokenizer), None
    for part in (model.text_model, model.text_projection):
        part.requires_grad_(False)
    model.logit_scale.requires_grad_(False)
    parts = (RESTYLED_PART, BENT_PART)
    save(learn("clip_eyes", model, tokenizer, GROWN, parts, shipped))


def save(model: CLIPModel) -> None:
    """Write the model as it ships, beside its tokenizer."""
    model.half().save_pretrained(FOLDER, max_shard_size=SHARD)
    CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    ).save_pretrained(FOLDER)


if __name__ == "__main__":
    sys.exit(main())
