"""A step of teaching beside diffusers' own DreamBooth script, Stable Diffusion 1.5 at real size.

    OMP_NUM_THREADS=1 python benchmarks/teach_step.py --script train_dreambooth_lora.py

``--script`` is examples/dreambooth/train_dreambooth_lora.py of a checkout of diffusers; nothing of
it is kept here. It needs torchvision, for which ``--site`` names a folder where that lies alone, so
that limner is measured without it. The base has random weights, which cost the same time, and is
made in ``--folder`` (4.3 GB) unless it is there. Both teach LoRA of the same rank in float32 on the
CPU, one photograph and one picture of the class a step, the prior term on, everything else as
either has it by default. Each run is a process of its own, in turn. A step lasts from one call of
the optimizer to the next. Peaks are resident memory (VmHWM): of the steps after the first, and of
the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limner.registry.device import let_threads_sleep, tune_allocator

INSTANCE, CLASS = "a photo of zq dog", "a photo of a dog"
KINDS = ("theirs", "ours")


def make_base(folder: Path) -> None:
    """Stable Diffusion 1.5's three networks, untrained, with a tokenizer of single letters."""
    import diffusers
    import torch
    import transformers
    from tokenizers.pre_tokenizers import ByteLevel

    torch.manual_seed(0)
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{one}</w>" for one in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    begin, end = len(tokens) - 2, len(tokens) - 1
    words = transformers.CLIPTextConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        projection_dim=768,
        bos_token_id=begin,
        eos_token_id=end,
        pad_token_id=end,
    )
    diffusers.StableDiffusionPipeline(
        unet=diffusers.UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8
        ),
        vae=diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            sample_size=512,
        ),
        text_encoder=transformers.CLIPTextModel(words),
        tokenizer=transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77),
        scheduler=diffusers.PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def make_pictures(folder: Path, count: int, first: int) -> None:
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        blocks = np.random.default_rng(first + k).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((300, 300)).save(folder / f"{k}.png")


class Steps:
    """What each call of the optimizer's ``step`` found."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.peaks: list[int] = []

    def __call__(self) -> None:
        from limner.runs import peak_memory

        self.peaks.append(peak_memory.peak_bytes() or 0)
        peak_memory.forget_peak()
        self.wall.append(time.monotonic())
        self.cpu.append(time.process_time())

    def numbers(self) -> dict[str, Any]:
        return {
            "wall": [b - a for a, b in zip(self.wall, self.wall[1:], strict=False)],
            "cpu": [b - a for a, b in zip(self.cpu, self.cpu[1:], strict=False)],
            "peak": max(self.peaks[1:]),
            "peak_of_all": max(self.peaks),
        }


def ours(args: argparse.Namespace) -> None:
    from limner.options import TeachOptions

    let_threads_sleep()
    tune_allocator()
    from limner.training.dreambooth import TeachConfig, teach

    options = TeachOptions(
        instance_prompt=INSTANCE,
        class_prompt=CLASS,
        num_class_images=4,
        max_train_steps=args.steps + 1,
        checkpointing_steps=10_000,
        resolution=args.side,
        rank=args.rank,
    )
    folder = args.folder / "run"
    pictures = args.folder / "pictures"
    teach(
        TeachConfig(
            str(args.folder / "base"),
            pictures / "subject",
            folder,
            options,
            class_images=pictures / "class",
            device="cpu",
            anew=True,
        )
    )


def theirs(args: argparse.Namespace) -> None:
    if args.site:
        sys.path.append(str(args.site))
        # PyPI's torchvision is built for CUDA: without its operators only their registration fails.
        name = "torchvision._meta_registrations"
        sys.modules[name] = types.ModuleType(name)
    pictures = args.folder / "pictures"
    given = {
        "pretrained_model_name_or_path": args.folder / "base",
        "instance_data_dir": pictures / "subject",
        "class_data_dir": pictures / "class",
        "instance_prompt": INSTANCE,
        "class_prompt": CLASS,
        "num_class_images": 4,
        "output_dir": args.folder / "theirs",
        "resolution": args.side,
        "train_batch_size": 1,
        "rank": args.rank,
        "max_train_steps": args.steps + 1,
        "learning_rate": 5e-4,
        "seed": 0,
        "report_to": "tensorboard",
    }
    words = [f"--{key}={value}" for key, value in given.items()]
    sys.argv = [str(args.script), "--with_prior_preservation", *words]
    runpy.run_path(str(args.script), run_name="__main__")


def one(args: argparse.Namespace) -> None:
    """A run in this process; its numbers go to ``--json``."""
    import torch

    steps = Steps()
    plain = torch.optim.AdamW.step

    def step(*given: Any, **named: Any) -> Any:
        answer = plain(*given, **named)
        steps()
        return answer

    torch.optim.AdamW.step = step  # type: ignore[method-assign]  # counted from here on
    work: Callable[[argparse.Namespace], None] = {"ours": ours, "theirs": theirs}[args.only]
    work(args)
    args.json.write_text(json.dumps(steps.numbers()), encoding="utf-8")


def table(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    def middle(kind: str, what: str) -> float:
        numbers = [run[what] for run in found[kind]]
        flat = [n for one in numbers for n in (one if isinstance(one, list) else [one])]
        return statistics.median(flat)

    rows = {}
    print(f"{'':<14}{'theirs':>10}{'ours':>10}{'ours / theirs':>16}")
    for what, unit, scale in (
        ("cpu", "cpu s", 1),
        ("wall", "wall s", 1),
        ("peak", "steps, GB", 1e9),
        ("peak_of_all", "whole, GB", 1e9),
    ):
        them, us = (middle(kind, what) / scale for kind in KINDS)
        rows[what] = {"theirs": them, "ours": us, "ratio": us / them}
        print(f"{unit:<14}{them:>10.2f}{us:>10.2f}{us / them:>16.2f}")
    return rows


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--script", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/limner-teach-step"))
    parser.add_argument("--site", type=Path, help="where torchvision lies, if not beside limner")
    parser.add_argument("--steps", type=int, default=3, help="that are counted, a run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--only", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.only:
        one(args)
        return
    if not args.script.is_file():
        print(f"skipped: there is no {args.script}")
        return
    if not (args.folder / "base" / "model_index.json").is_file():
        make_base(args.folder / "base")
    make_pictures(args.folder / "pictures" / "subject", 4, 0)
    make_pictures(args.folder / "pictures" / "class", 4, 100)
    environment = {**os.environ, "LIMNER_HOME": str(args.folder / "home"), "HF_HUB_OFFLINE": "1"}
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for _ in range(args.rounds):
        for kind in KINDS:
            out = args.folder / f"{kind}.json"
            words = [sys.executable, __file__, *arguments, "--only", kind, "--json", str(out)]
            subprocess.run(words, check=True, env=environment, stdout=sys.stderr)
            runs[kind].append(json.loads(out.read_text("utf-8")))
    rows = table(runs)
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "runs": runs}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
