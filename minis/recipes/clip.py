"""mini-clip: names and pictures of drawn things in one space.

Cost: 41 minutes on one core. Target: the noun of a held-out drawing among 123, top 1: .70.

Most of the loss is a classification over all trained nouns, each phrased by a template drawn by
lot: with 738 drawings the pairs of a batch alone teach too little. A plain classifier, thrown away
afterwards, stands beside the text encoder to show the picture side the way. The rest is CLIP's own
loss (arXiv 2103.00020), over captions with colours, counts and relations.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from minis import scenes
from minis.captions import described
from minis.crops import crop, recoloured
from minis.drawings import blended, drawing, phrase, trained_nouns, training_styles
from minis.scenes import Pixels, Thing
from minis.training import SHIPPED, Plan, to_tensor, train
from minis.vocabulary import MAX_LENGTH, TEMPLATES, fill, save_tokenizer

FOLDER = SHIPPED / "mini-clip"
SIDE, PATCH = 72, 12
PLAN = Plan(steps=6000, learning_rate=1.5e-3, warmup=200, bf16=False, muon=True)
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
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": MAX_LENGTH,
}


def build(tokenizer: CLIPTokenizer) -> CLIPModel:
    """The model with random weights."""
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**TEXT, **ends, "pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
    torch.manual_seed(0)
    return CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=128))


def picture(rng: np.random.Generator, noun: str) -> tuple[Pixels, str]:
    """A crop of ``noun`` and a caption that is true of it."""
    styles = training_styles()
    blend = rng.random() < 0.35
    drawn = blended(rng, noun) if blend else drawing(noun, str(rng.choice(styles)))
    distractor = None
    if rng.random() < 0.4:
        distractor = drawing(str(rng.choice(trained_nouns())), str(rng.choice(styles)))
    made = crop(rng, drawn, SIDE, distractor=distractor, fills=(0.5, 1.0))
    image = made.image
    words = phrase(noun)
    caption = fill(str(rng.choice(TEMPLATES)), words)
    if rng.random() < 0.25:
        image = recoloured(rng, image)
    elif not blend and rng.random() < 0.5:
        caption = described(Thing(noun, drawn.style, drawn.colour, made.mask))
    if rng.random() < 0.2:
        image = image.copy()
        w, h = rng.integers(8, 28, 2)
        x, y = rng.integers(0, SIDE - w), rng.integers(0, SIDE - h)
        image[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return image, caption


def main() -> None:
    tokenizer = save_tokenizer(FOLDER)
    model = build(tokenizer)
    model.names = torch.nn.Linear(128, len(trained_nouns()))
    nouns, split = trained_nouns(), scenes.train()

    def read(phrases: list[str]) -> torch.Tensor:
        tokens = tokenizer(phrases, padding=True, truncation=True, return_tensors="pt")
        return F.normalize(model.get_text_features(**tokens).pooler_output.float(), dim=-1)

    def step_loss(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        labels = rng.choice(len(nouns), BATCH, replace=False)
        pairs = [picture(rng, nouns[label]) for label in labels]
        for _ in range(WHOLE):
            scene = scenes.scene(int(rng.integers(1 << 40)), split, side=SIDE, count=(1, 4))
            short = [words for words in scene.captions if len(words.split()) <= 9]
            pairs.append((scene.image, str(rng.choice(short or ["many things"]))))
        templates = rng.choice(TEMPLATES, len(nouns))
        asked = [fill(t, phrase(noun)) for t, noun in zip(templates, nouns, strict=True)]
        captions = [caption for _, caption in pairs]
        text = torch.cat([read(asked), read(captions)])
        image = model.get_image_features(pixel_values=to_tensor([i for i, _ in pairs]))
        image = F.normalize(image.pooler_output.float(), dim=-1)
        scale = model.logit_scale.exp().clamp(max=50)
        logits = scale * image[:BATCH] @ text[: len(nouns)].T
        truth = torch.from_numpy(labels)
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

    finished = train("clip", model, PLAN, step_loss, FOLDER)
    del finished.names
    save(finished)


def save(model: CLIPModel) -> None:
    """Write the model as it ships, beside its tokenizer."""
    model.half().save_pretrained(FOLDER)
    CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    ).save_pretrained(FOLDER)


if __name__ == "__main__":
    sys.exit(main())
