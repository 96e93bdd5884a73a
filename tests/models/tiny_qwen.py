"""Qwen2.5-VL and Qwen3-VL of the real classes, saved as the hub saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tests.models.tiny_encoders import stirred

Kind = Literal["qwen2_5_vl", "qwen3_vl"]

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}


def save_tiny_qwen(
    folder: Path, *, kind: Kind = "qwen2_5_vl", says: str | None = None, seed: int = 0
) -> Path:
    """A model that sees its picture in patches as the real one does and writes bytes.

    Args:
        says: what it always answers, by weights in which each token decides the next and nothing
            else does. None: random weights, which write nonsense.
    """
    tokenizer, answer = _tokenizer(says)
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("im_end", "image_pad")}
    text: dict[str, Any] = {
        **HEADS,
        "hidden_size": 32 if says is None else len(tokenizer),
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 4096,
        "eos_token_id": ids["im_end"],
        "bos_token_id": None,
        "pad_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
    }
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 32}
    vision["out_hidden_size"] = text["hidden_size"]
    special = {
        "image_token_id": ids["image_pad"],
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }
    model: Any
    if kind == "qwen2_5_vl":
        text["rope_parameters"]["mrope_section"] = _sections(text["hidden_size"] // 2)
        vision["fullatt_block_indexes"] = [1]
        model = Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=vision, **special)
        )
    else:
        text["head_dim"] = 16
        text["rope_parameters"] |= {"mrope_interleaved": True}
        vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 64}
        model = Qwen3VLForConditionalGeneration(
            Qwen3VLConfig(text_config=text, vision_config=vision, **special)
        )
    stirred(model, seed)
    if says is not None:
        _let_each_token_decide_the_next(model, [*answer, ids["im_end"]], tokenizer)
    model.save_pretrained(folder)
    patch = {"patch_size": 14} if kind == "qwen2_5_vl" else {"patch_size": 16}
    Qwen2VLImageProcessorPil(**patch).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _sections(head: int) -> list[int]:
    half = head // 2
    return [half - 2 * (half // 3), half // 3, half // 3]


def _tokenizer(says: str | None) -> tuple[Any, list[int]]:
    """Bytes, control tokens, and the whole answer as one token of its own."""
    vocab = {char: n for n, char in enumerate(bytes_to_unicode().values())}
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=[], unk_token=None)
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    if says is not None:
        tokenizer.add_tokens([says])
    return tokenizer, tokenizer(says or "")["input_ids"]


def _let_each_token_decide_the_next(model: Any, answer: list[int], tokenizer: Any) -> None:
    """One-hot embeddings through layers that add nothing, and a table as the head."""
    with torch.no_grad():
        for name, parameter in model.model.language_model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.zero_()
        model.get_input_embeddings().weight.copy_(torch.eye(len(tokenizer)))
        head = torch.zeros_like(model.lm_head.weight)
        before = tokenizer("\n")["input_ids"][-1]  # the last token of the question
        for token in answer:
            head[token, before] = 1.0
            before = token
        model.lm_head.weight = torch.nn.Parameter(head)
