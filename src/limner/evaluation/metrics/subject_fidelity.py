"""Similarity of pictures to pictures and to words: DreamBooth's CLIP-T, CLIP-I, DINO, PRES, DIV.

All but DIV, a distance, are means of cosines of an ``Encoder``'s unit rows, as the paper defines
them (Ruiz et al. 2022, arXiv:2208.12242). Its tables use CLIP B/32 (``clip-vit-base-patch32``) and
DINO ViT-S/16 (``dino-vits16``); with another encoder the numbers can't be held against them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from limner.errors import InputError, UnsupportedPrompt
from limner.protocols import Encoder

if TYPE_CHECKING:
    from PIL.Image import Image

Rows = npt.NDArray[np.floating]
"""(N, D), each of length 1."""
Distance = Callable[[Sequence["Image"], Sequence["Image"]], Sequence[float]]
"""The distance of picture k and picture k, such as ``models.blocks.perceptual.lpips``."""


@dataclass(frozen=True)
class SubjectScores:
    """How a personalised painter did; cosines, -1 to 1. None: not asked for, or not to be had."""

    dino: float | None = None
    """Made pictures against real ones of the subject (table 1: DreamBooth Imagen .696)."""
    clip_i: float | None = None
    """The same by CLIP (.812)."""
    clip_t: float | None = None
    """Made pictures against their own prompts (.306)."""
    real_dino: float | None = None
    """Real pictures against each other: what no painter is expected to pass (.774)."""
    real_clip_i: float | None = None
    pres: float | None = None
    """Made pictures of *other* members of the class against the subject's real ones (table 3):
    high means that the whole class was turned into the subject. Lower is better."""
    div: float | None = None
    """Mean LPIPS distance of made pictures of one prompt (table 3). Higher is better."""
    div_dino: float | None = None
    """The same by DINO, 1 less the cosine: not the paper's DIV, but it needs nothing more."""

    def to_dict(self) -> dict[str, float | None]:
        return dataclasses.asdict(self)


def mean_cosine(first: Rows, second: Rows) -> float:
    """Mean cosine of every row of (N, D) with every row of (M, D): CLIP-I, DINO and PRES.

    Raises:
        InputError: no rows, or rows of different lengths.
    """
    _check_rows(first, second)
    return float((np.asarray(first, np.float64) @ np.asarray(second, np.float64).T).mean())


def mean_cosine_within(rows: Rows) -> float | None:
    """Mean cosine of every row with every *other* one; None for fewer than two rows."""
    if len(rows) < 2:
        return None
    cosines = np.asarray(rows, np.float64) @ np.asarray(rows, np.float64).T
    return float(cosines[~np.eye(len(rows), dtype=bool)].mean())


def mean_cosine_of_pairs(first: Rows, second: Rows) -> float:
    """Mean cosine of row k with row k: CLIP-T of pictures and their prompts.

    Raises:
        InputError: no rows, or different numbers or lengths of rows.
    """
    _check_rows(first, second)
    if len(first) != len(second):
        raise InputError(f"Pairs are as many on each side, got {len(first)} and {len(second)}.")
    return float((np.asarray(first, np.float64) * second).sum(axis=1).mean())


def same_prompt(prompts: Sequence[str]) -> list[tuple[int, int]]:
    """Every two pictures of one prompt, by their numbers: what DIV compares."""
    return [(a, b) for a, b in combinations(range(len(prompts)), 2) if prompts[a] == prompts[b]]


def diversity(images: Sequence[Image], prompts: Sequence[str], distance: Distance) -> float | None:
    """DIV: mean distance of every two pictures of one prompt; None where no prompt has two.

    Args:
        distance: LPIPS, as ``models.blocks.perceptual.lpips``.
    """
    pairs = same_prompt(prompts)
    if not pairs:
        return None
    return fmean(distance([images[a] for a, _ in pairs], [images[b] for _, b in pairs]))


def cosine_diversity(rows: Rows, prompts: Sequence[str]) -> float | None:
    """Mean of 1 less the cosine of every two rows of one prompt; None where no prompt has two.

    Diversity where LPIPS can't be had: an encoder sees other differences than LPIPS does.
    """
    pairs = same_prompt(prompts)
    if not pairs:
        return None
    first, second = zip(*pairs, strict=True)
    return 1 - mean_cosine_of_pairs(rows[list(first)], rows[list(second)])


def clip_t(encoder: Encoder, images: Sequence[Image], texts: Sequence[str]) -> float:
    """CLIP-T: mean cosine of each picture with its own words.

    Raises:
        UnsupportedPrompt: the encoder reads no words.
    """
    if not encoder.takes_text:
        raise UnsupportedPrompt(
            f"{encoder.ref.name} reads no words, and CLIP-T compares pictures with words: "
            "take a CLIP, such as clip-vit-base-patch32 or mini-clip."
        )
    return mean_cosine_of_pairs(encoder.encode_images(images), encoder.encode_texts(texts))


def subject_scores(
    real: Sequence[Image],
    samples: Sequence[Image],
    *,
    clip: Encoder | None = None,
    dino: Encoder | None = None,
    prompts: Sequence[str] | None = None,
    others: Sequence[Image] = (),
) -> SubjectScores:
    """DreamBooth's scores, as far as encoders and prompts were given.

    Args:
        real: pictures of the subject.
        samples: what was painted of it.
        prompts: what each of ``samples`` was painted from.
        others: pictures painted of the class without the subject's name, for PRES.

    Raises:
        InputError: no pictures, or not one prompt for each made picture.
    """
    if not real or not samples:
        raise InputError("A subject is scored by its real pictures and by painted ones: both.")
    if prompts is not None and len(prompts) != len(samples):
        raise InputError(f"There are {len(samples)} made pictures and {len(prompts)} prompts.")
    scores: dict[str, float | None] = {}
    if dino is not None:
        rows, painted = dino.encode_images(real), dino.encode_images(samples)
        scores |= {"dino": mean_cosine(painted, rows), "real_dino": mean_cosine_within(rows)}
        scores["div_dino"] = cosine_diversity(painted, prompts or [""] * len(samples))
        if others:
            scores["pres"] = mean_cosine(dino.encode_images(others), rows)
    if clip is not None:
        rows, painted = clip.encode_images(real), clip.encode_images(samples)
        scores |= {"clip_i": mean_cosine(painted, rows), "real_clip_i": mean_cosine_within(rows)}
        if prompts is not None:
            scores["clip_t"] = clip_t(clip, samples, prompts)
    return SubjectScores(**scores)


def _check_rows(first: Rows, second: Rows) -> None:
    if not len(first) or not len(second):
        raise InputError("There is nothing to compare: one side has no pictures.")
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"Rows of {first.shape[1]} and of {second.shape[1]} numbers come of two encoders and "
            "can't be compared."
        )
