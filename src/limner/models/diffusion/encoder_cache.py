"""Parts of a diffusion pipeline that remember: words and pictures are read once, however often they
are painted with other settings.

Exact: what is remembered is the part's own answer to the same numbers. Of an autoencoder that
samples, it is the distribution; the sample is still drawn from each picture's own seed, and so
every later draw from it stays where it was.
"""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import torch

from limner.models.blocks.lru import LruCache

READ = {
    "text_encoder": "forward",
    "text_encoder_2": "forward",
    "text_encoder_3": "forward",
    "vae": "encode",
}
"""Parts of a pipeline, and which of their methods reads what was asked."""
ANSWERS_KEPT = 12
"""The words and their negative, the crop and the crop without its hole, of a few objects. One is
at most a megabyte or so (SDXL's)."""


def cache_encoders(pipe: Any, answers: LruCache[Any]) -> None:
    """Let a pipeline's parts answer from ``answers`` what they were asked before.

    The parts are replaced by shallow copies, which share their weights. Whoever changes weights
    takes another ``answers``.
    """
    for name, method in READ.items():
        part = getattr(pipe, name, None)
        if part is not None:
            cached = copy.copy(part)
            setattr(cached, method, _cached(name, getattr(part, method), answers))
            setattr(pipe, name, cached)


def _cached(name: str, ask: Any, answers: LruCache[Any]) -> Any:
    def answer(*args: Any, **kwargs: Any) -> Any:
        key = digest(name, *args, *kwargs, *kwargs.values())
        return answers.get_or_compute(key, lambda: ask(*args, **kwargs))

    return answer


def digest(*values: Any) -> str:
    """SHA-256 of tensors' types, shapes and contents, and of plain values."""
    sha256 = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            content = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            sha256.update(f"{value.dtype}{tuple(value.shape)}".encode())
            sha256.update(content.tobytes())
        else:
            sha256.update(repr(value).encode())
    return sha256.hexdigest()
