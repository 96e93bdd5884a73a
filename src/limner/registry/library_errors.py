"""Errors of libraries inside a user's own model, when it first answers, as a sentence.

transformers and diffusers look at many values of a config only when they compute. A model of the
user's own folder that fails in their code has a config that doesn't fit it, or is of a kind that
nobody tried; one of the catalog has the files that were tried, so that there it is a bug.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limner.errors import LimnerError, ModelError
from limner.protocols import Model
from limner.registry.weights import OWN_FOLDER, Weights

VERBS = (
    "detect", "embed", "segment", "segment_everything", "inpaint", "encode_images",
    "encode_texts", "caption", "matte",
)  # fmt: skip
"""The protocols' methods that compute."""
LIBRARIES = frozenset(
    "torch transformers diffusers accelerate peft tokenizers PIL numpy safetensors".split()
)


def explained(model: Model, weights: Weights) -> Model:
    """The same model; where it lies in a folder of the user's own, what a library raises while it
    answers becomes a ``ModelError`` that names the folder."""
    if weights.ref.licence == OWN_FOLDER and weights.path is not None:
        for verb in VERBS:
            if callable(answers := getattr(model, verb, None)):
                setattr(model, verb, _explaining(answers, weights.path))
    return model


def _explaining(answers: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    @functools.wraps(answers)
    def answers_or_explains(*args: Any, **keywords: Any) -> Any:
        try:
            return answers(*args, **keywords)
        except (LimnerError, MemoryError, OSError):
            raise
        except Exception as error:
            if not _of_a_library(error):
                raise
            reason = next(iter(str(error).strip().splitlines()), "") or "no reason given"
            raise ModelError(
                f"The model in {folder} fails when it is asked ({type(error).__name__}: "
                f"{reason[:200]}): its configs don't fit its weights or each other. Get the files "
                "of one model."
            ) from error

    return answers_or_explains


def _of_a_library(error: Exception) -> bool:
    """Whether it was raised in the code of a library, not in ours or in a caller's callback."""
    last = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return not LIBRARIES.isdisjoint(last.parts)
