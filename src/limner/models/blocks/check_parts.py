"""A model folder's small parts, tried once when they are read.

transformers and diffusers take nearly anything from a config and fail at the first picture, far
from the file that is at fault. So an image processor is given a small picture, a tokenizer a few
words and a scheduler its steps, and what goes wrong names the file.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner.errors import ModelError

APART_S = 60
MOST_SIDE = 8192
"""Pixels: what a processor would make larger takes all memory."""
SIDES = ("height", "width", "max_height", "max_width")
IMAGE_FILES = ("preprocessor_config.json", "processor_config.json", "image_processor.json")
WORDS = "a cat on a mat"


def try_part(part: Any, folder: Path) -> None:
    """Refuse an image processor or a tokenizer that can't do its work.

    Raises:
        ModelError: with the file and what went wrong.
    """
    if hasattr(part, "image_mean") or hasattr(part, "do_resize"):
        _try_processor(part, next(iter(_files(folder, IMAGE_FILES)), folder / IMAGE_FILES[0]))
    elif hasattr(part, "tokenize"):
        try_tokenizer(part, folder)


def try_tokenizer(tokenizer: Any, folder: Path, *, room: int | None = None) -> None:
    """Refuse a tokenizer that makes nothing of words.

    Args:
        room: tokens that its text encoder has places for; None: not known.

    Raises:
        ModelError: as ``try_part``; or it says that it makes more tokens than there are places for.
    """
    file = folder / "tokenizer_config.json"
    try:
        holds = int(tokenizer.model_max_length)
        # As pipelines do, but where no length is known, which is told below.
        padded = room is not None and holds <= room
        more = {"padding": "max_length", "max_length": holds, "truncation": True} if padded else {}
        ids = tokenizer(WORDS, **more).input_ids
    except Exception as error:
        raise _refused(file, "makes nothing of words", error) from error
    if not ids or holds < 4:
        raise ModelError(f"{file} and its tokenizer make nothing of words: get the files again.")
    if room is not None and holds > room:
        raise ModelError(
            f"{file} says model_max_length {holds:g}, and the text encoder beside it has places "
            f"for {room}: get the files of one model."
        )


def try_scheduler(scheduler: Any, folder: Path) -> None:
    """Refuse a scheduler that can't lay out a few steps.

    Raises:
        ModelError: as ``try_part``.
    """
    file = folder / "scheduler_config.json"
    try:
        with warnings.catch_warnings():  # of diffusers towards numpy and itself
            warnings.simplefilter("ignore")
            fresh = type(scheduler).from_config(scheduler.config)
            fresh.set_timesteps(4)
            whole = bool(np.isfinite(np.asarray(fresh.timesteps, dtype=float)).all())
            betas = getattr(fresh, "betas", None)
            whole = whole and (betas is None or bool(betas.isfinite().all()))
    except Exception as error:
        raise _refused(file, "can't lay out steps", error) from error
    if not whole:
        raise ModelError(f"{file} lays out steps that aren't finite numbers: get the file again.")


def try_apart(path: Path, reader: str) -> None:
    """Have a native library read a stranger's file in a process of its own first: some crash on a
    spoilt file, and take the process along (OpenCV 4.13's ONNX importer does).

    Args:
        reader: ``module:function`` that takes the file's path. What it raises is not looked at:
            it is raised again, and explained, where the file is then read.

    Raises:
        ModelError: the process crashed, or took more than a minute.
    """
    module, _, function = reader.partition(":")
    code = f"import sys, pathlib, {module} as m; m.{function}(pathlib.Path(sys.argv[1]))"
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-P",
                "-c",
                code,
                str(path),
            ],  # -P: nothing of the working folder is run
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=APART_S,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{path} could not be read within {APART_S} s: is it the file you mean?"
        ) from None
    if done.returncode < 0:
        raise ModelError(
            f"{path} is damaged or of another kind: what reads it crashed (signal "
            f"{-done.returncode}), in a process of its own. Get the file again."
        )


def _try_processor(processor: Any, file: Path) -> None:
    in_all = hasattr(processor, "merge_size")  # Qwen's edges are pixels of the whole picture
    for name in ("size", "crop_size", "pad_size"):
        size = getattr(processor, name, None)
        sides = {**size} if isinstance(size, Mapping) else dict(getattr(size, "__dict__", {}))
        for key, side in sides.items():
            most = MOST_SIDE**2 if in_all and key not in SIDES else MOST_SIDE
            if side is not None and not (isinstance(side, int) and 1 <= side <= most):
                raise ModelError(
                    f"{file} says {name} {key} {side!r}: expected pixels, 1 to {most}. Get the "
                    "file again."
                )
    picture = Image.new("RGB", (56, 84), (90, 120, 200))
    try:
        pixels = np.asarray(processor(images=[picture], return_tensors="np")["pixel_values"][0])
        whole = pixels.size > 0 and bool(np.isfinite(pixels).all())
    except Exception as error:
        raise _refused(file, "makes nothing of a picture", error) from error
    if not whole:
        raise ModelError(
            f"{file} makes numbers of a picture that aren't finite: its image_std or "
            "rescale_factor is wrong. Get the file again."
        )


def _files(folder: Path, names: tuple[str, ...]) -> list[Path]:
    return [folder / name for name in names if (folder / name).is_file()]


def _refused(file: Path, what: str, error: Exception) -> ModelError:
    lines = str(error).strip().splitlines()
    reason = lines[0][:200] if lines else type(error).__name__
    return ModelError(f"What {file} describes {what} ({reason}): get the file again.")
