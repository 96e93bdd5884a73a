"""mini-blip: says what a scene holds: nouns with their counts.

Cost: 40 minutes on one core. Target: F1 of the nouns in captions of held-out scenes .75.

The picture side starts from mini-owlvit's first three layers (with more, the minis together pass
30 MB); the words are learned from the captions that list every thing (arXiv 2201.12086, its
captioning loss alone). Things are named in the order in which they are read, left to right, so
that there is one right answer to learn. A plain classifier of the patches that show a thing stands
beside the words, because a caption alone teaches 123 nouns slowly; it is thrown away.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    OwlViTForObjectDetection,
)

from minis import growing, scenes
from minis.captions import NUMBERS, listing, plural
from minis.drawings import phrase, trained_nouns
from minis.recipes import clip, owlvit
from minis.scene import Scene
from minis.training import SHARD, SHIPPED, Loss, Plan, to_tensor, train

FOLDER = SHIPPED / "mini-blip"
VISION_LAYERS, MOST_TOKENS = 3, 40
SEES = owlvit.SMALL_SEES
BATCH = 16
PLAN = Plan(steps=6400, learning_rate=1e-3, warmup=150, bf16=False, muon=True)


def vocabulary() -> BertTokenizer:
    """Every word that a listing can hold, and nothing else."""
    words = {"a", "an", "and", ",", *NUMBERS[1:]}
    for noun in trained_nouns():
        for form in (phrase(noun), plural(phrase(noun))):
            words |= set(re.findall(r"\w+|[^\w\s]", form))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*special, *sorted(words)]
    tokenizer = BertTokenizer(vocab={word: n for n, word in enumerate(tokens)})
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    return tokenizer


def build(tokenizer: BertTokenizer) -> BlipForConditionalGeneration:
    """The model with mini-owlvit's image encoder; the text decoder is new."""
    text = {
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "encoder_hidden_size": clip.VISION["hidden_size"],
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MOST_TOKENS + 8,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "attention_probs_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
    }
    vision = {
        **clip.VISION,
        "image_size": SEES,
        "num_hidden_layers": VISION_LAYERS,
        "initializer_range": 0.02,
        "hidden_act": "quick_gelu",
    }
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    start = OwlViTForObjectDetection.from_pretrained(owlvit.FOLDER, dtype=torch.float32)
    copy_image_encoder(model, start.owlvit.vision_model)
    return model


@torch.no_grad()
def copy_image_encoder(model: BlipForConditionalGeneration, encoder: torch.nn.Module) -> None:
    """BLIP has no norm before its first layer: that one is left out."""
    mine = model.vision_model
    mine.embeddings.patch_embedding.weight.copy_(encoder.embeddings.patch_embedding.weight)
    mine.embeddings.patch_embedding.bias.zero_()
    mine.embeddings.class_embedding.copy_(encoder.embeddings.class_embedding[None, None])
    places = growing.regridded(encoder.embeddings.position_embedding.weight, SEES // owlvit.PATCH)
    mine.embeddings.position_embedding.copy_(places[None])
    for new, old in zip(mine.encoder.layers, encoder.encoder.layers, strict=False):
        attention = old.self_attn
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        new.self_attn.qkv.weight.copy_(torch.cat([part.weight for part in parts]))
        new.self_attn.qkv.bias.copy_(torch.cat([part.bias for part in parts]))
        new.self_attn.projection.load_state_dict(attention.out_proj.state_dict())
        for name in ("layer_norm1", "layer_norm2", "mlp"):
            getattr(new, name).load_state_dict(getattr(old, name).state_dict())
    mine.post_layernorm.load_state_dict(encoder.post_layernorm.state_dict())


def caption(scene: Scene) -> str:
    """The listing, from left to right."""
    return listing(sorted(scene.things, key=lambda thing: thing.centre[0]))


def main() -> None:
    tokenizer = vocabulary()
    model = build(tokenizer)
    nouns, split = trained_nouns(), scenes.train_blended()
    index = {noun: k for k, noun in enumerate(nouns)}
    model.beside = torch.nn.Linear(clip.VISION["hidden_size"], len(nouns))

    def render(rng: np.random.Generator) -> dict[str, Any]:
        batch = [scenes.scene(int(rng.integers(1 << 40)), split) for _ in range(BATCH)]
        batch = [scene for scene in batch if scene.things]
        words = [caption(scene) for scene in batch]
        tokens = tokenizer(words, padding=True, return_tensors="pt")
        ids = tokens.input_ids.clone()
        ids[:, 0] = tokenizer.bos_token_id  # as BLIP's captions begin
        labels = ids.masked_fill(tokens.attention_mask == 0, -100)
        labels[:, 0] = -100
        pixels = F.interpolate(
            to_tensor([scene.image for scene in batch]),
            size=(SEES, SEES),
            mode="bilinear",
        )
        rows, patches, meant = [], [], []
        for row, scene in enumerate(batch):
            answering, owners = owlvit.assign(scene, SEES // owlvit.PATCH)
            rows += [row] * len(answering)
            patches += [1 + patch for patch in answering]  # the first position is no patch
            meant += [index[scene.things[k].noun] for k in owners]
        return {
            "asked": {
                "pixel_values": pixels,
                "input_ids": ids,
                "attention_mask": tokens.attention_mask,
                "labels": labels,
            },
            "answering": (torch.tensor(rows), torch.tensor(patches)),
            "meant": torch.tensor(meant),
        }

    def step_loss(shown: dict[str, Any], rng: np.random.Generator) -> Loss:
        out = model(**shown["asked"])
        guesses = model.beside(out.last_hidden_state[shown["answering"]]).float()
        word_loss = F.cross_entropy(guesses, shown["meant"])
        hit = (guesses.argmax(dim=1) == shown["meant"]).float().mean()
        numbers = {"words": float(out.loss.detach()), "top1": float(hit)}
        return out.loss + 0.5 * word_loss, numbers

    finished = train("blip", model, PLAN, render, step_loss, FOLDER)
    del finished.beside
    save(finished, tokenizer)


def save(model: BlipForConditionalGeneration, tokenizer: BertTokenizer) -> None:
    """Write the model as it ships."""
    model.half().save_pretrained(FOLDER, max_shard_size=SHARD)
    BlipImageProcessorPil(
        size={"height": SEES, "width": SEES},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    ).save_pretrained(FOLDER)
    tokenizer.save_pretrained(FOLDER)


if __name__ == "__main__":
    sys.exit(main())
