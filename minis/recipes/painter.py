"""mini-sd-inpaint: paints the noun asked for into a hole.

Cost: 6 minutes for the latents and 90 for the U-Net on one core. Target: mini-clip knows the noun
in .55 of the holes at once and in .80 among its first five; higher with guidance than without; half
of a noun is gone when it is the negative prompt.

limner repaints a crop centred on the mask, so that is what this learns: 64 px, a hole in the middle
with its surroundings, something drawn in the hole. Latents are computed once. The prediction is v
(arXiv 2202.00512), the noise schedule ends in pure noise (arXiv 2305.08891), losses are weighted by
min-SNR (arXiv 2303.09556), and one caption in eight is empty, for guidance (arXiv 2207.12598).
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderTiny,
    DDIMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from minis import devices
from minis.captions import described
from minis.drawings import drawing, phrase, training_styles
from minis.recipes import clip, vae
from minis.scene import Bools, Pixels, Thing
from minis.scenes import alpha_on, background, paste, photographed, turned
from minis.training import LARGE, OUT, SHARD, SHIPPED, Loss, Plan, to_tensor, train
from minis.vocabulary import fill

FOLDER = SHIPPED / "mini-sd-inpaint"
NOUNS = tuple(
    "airplane alarm_clock anchor apple backpack balloon banana bear bicycle birthday_cake boot "
    "bread cactus candle car cat cherry_blossom coffee_cup corn die dress eggplant fire "
    "four_leaf_clover grapes hamburger house ice_cream jack-o-lantern key ladybug lemon "
    "light_bulb mushroom padlock palm_tree panda pear pizza rocket rose snowflake star "
    "strawberry sunflower tree truck watermelon".split()
)
"""What the painters were taught: 48 of the 123 trained nouns."""
SIDE, LATENTS = vae.SIDE, vae.LATENTS
GRID = SIDE // 8
PICTURES, AT_ONCE = 72_000, 250
LESSONS = "--lessons"
"""Option: how many pictures are shown, in place of ``PICTURES``."""
BATCH = 64
PLAN = Plan(steps=12_400, learning_rate=1e-3, warmup=300, ema=0.999, bf16=False, weight_decay=0.01)
TEMPLATES = ("{}", "{a}", "{a}", "{a}", "a photo of {a}", "a picture of {a}", "a drawing of {a}")
NOTHING = ("nothing", "background", "empty background")
"""Asked for where the hole was empty from the start."""
EMPTY_PART, DROPPED_PART = 0.05, 0.12
TEXT_LAYERS = 2
WIDTHS, LARGE_WIDTHS = (64, 80), (96, 128)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a painter is shown at once."""

    image: Pixels
    hole: Bools
    caption: str


# ---- what is shown


def hole_mask(rng: np.random.Generator) -> Bools:
    """A hole around the middle: an ellipse, a box, something between, or a drawing's outline."""
    size = SIDE * rng.uniform(0.42, 0.92)
    aspect = np.exp(rng.uniform(-0.45, 0.45))
    half = np.minimum(0.5 * size * np.array([min(1, aspect), min(1, 1 / aspect)]), SIDE / 2)
    centre = SIDE / 2 + rng.uniform(-1, 1, 2) * (SIDE / 2 - half) * 0.35
    if rng.random() < 0.35:
        return _outline(rng, size, centre)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    power = float(rng.choice([2, 2, 3, 5, 40]))
    far = np.abs((x - centre[0]) / half[0]) ** power + np.abs((y - centre[1]) / half[1]) ** power
    mask: Bools = far <= 1
    return mask


def _outline(rng: np.random.Generator, size: float, centre: npt.NDArray[np.float64]) -> Bools:
    drawn = drawing(str(rng.choice(NOUNS)), str(rng.choice(training_styles())))
    stamp = turned(drawn.rgba, rng, size * 0.85)
    corner = centre - np.array(stamp.shape[1::-1]) / 2
    alpha = alpha_on(stamp, (int(corner[0]), int(corner[1])), SIDE)
    grown = int(rng.integers(2, 7))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grown + 1,) * 2)
    mask: Bools = cv2.dilate(alpha, kernel) > 127 / 255
    return mask


def lesson(rng: np.random.Generator) -> Lesson:
    """A hole, and what was drawn in it: as large as it can be with all of it inside."""
    hole = hole_mask(rng)
    canvas = background(rng, SIDE, False)
    if rng.random() < 0.3:  # something beside the hole
        other = drawing(str(rng.choice(NOUNS)), str(rng.choice(training_styles())))
        stamp = turned(other.rgba, rng, SIDE * rng.uniform(0.3, 0.6))
        before = canvas.copy()
        x, y = rng.integers(-SIDE // 4, SIDE, 2)
        paste(canvas, stamp, (int(x), int(y)))
        canvas[hole] = before[hole]
    if rng.random() < EMPTY_PART:
        return Lesson(photographed(canvas, rng), hole, str(rng.choice(NOTHING)))
    noun, style = str(rng.choice(NOUNS)), str(rng.choice(training_styles()))
    drawn = drawing(noun, style)
    _fit(canvas, hole, drawn.rgba, rng)
    caption = fill(str(rng.choice(TEMPLATES)), phrase(noun))
    if rng.random() < 0.25:
        caption = described(Thing(noun, style, drawn.colour, hole))
    return Lesson(photographed(canvas, rng), hole, caption)


def _fit(
    canvas: npt.NDArray[np.float32], hole: Bools, rgba: Pixels, rng: np.random.Generator
) -> None:
    ys, xs = np.nonzero(hole)
    middle = np.array([xs.mean(), ys.mean()])
    room = np.array([np.ptp(xs) + 1, np.ptp(ys) + 1])
    stamp = turned(rgba, rng, 96, most_degrees=10)
    scale = float((room / stamp.shape[1::-1]).min())
    for _ in range(8):
        size = np.maximum(2, np.round(np.array(stamp.shape[1::-1]) * scale)).astype(int)
        small = cv2.resize(stamp, size.tolist(), interpolation=cv2.INTER_AREA)
        corner = np.round(middle - size / 2).astype(int).tolist()
        drawn = alpha_on(small, corner, SIDE) > 127 / 255
        if np.count_nonzero(drawn & hole) > 0.985 * np.count_nonzero(small[..., 3] > 127):
            break
        scale *= 0.93
    outside = canvas[~hole]
    paste(canvas, small, corner)
    canvas[~hole] = outside


# ---- what is computed once


@dataclass(frozen=True, eq=False)
class Library:
    """Lessons as the U-Net sees them. N lessons, (N, 16, 8, 8) float16 latents."""

    pictures: torch.Tensor
    masked: torch.Tensor
    """Latents of the pictures with the hole gray."""
    holes: torch.Tensor
    """(N, 1, 8, 8) float16, 1 in the hole, by the nearest pixel, as diffusers shrinks a mask."""
    captions: list[str]


def library() -> Library:
    """Make the lessons, ``--lessons`` many, or read those that were made before."""
    amount = int(devices.option(LESSONS) or PICTURES)
    path = OUT / f"lessons-{amount}.pt"
    if not path.exists():
        device = devices.chosen()
        coder = AutoencoderTiny.from_pretrained(vae.finished()).eval()
        coder.to(device, torch.bfloat16).to(memory_format=torch.channels_last)
        workers = devices.spare_cores() if device.type != "cpu" else 0
        shown = devices.rendered(_lessons, 7, 0, workers)
        steps = -(-amount // AT_ONCE)
        parts = [_encoded(coder, *part) for part, _ in islice(shown, steps)]
        pictures, masked, holes = (torch.cat([part[k] for part in parts]) for k in range(3))
        captions = [caption for part in parts for caption in part[3]]
        lessons = {"pictures": pictures, "masked": masked, "holes": holes, "captions": captions}
        OUT.mkdir(parents=True, exist_ok=True)
        torch.save(lessons, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)
    return Library(**torch.load(path, weights_only=True))


def _lessons(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    shown = [lesson(rng) for _ in range(AT_ONCE)]
    holes = torch.from_numpy(np.stack([one.hole for one in shown])[:, None]).float()
    return to_tensor([one.image for one in shown]), holes, [one.caption for one in shown]


@torch.no_grad()
def _encoded(
    coder: AutoencoderTiny, pictures: torch.Tensor, holes: torch.Tensor, captions: list[str]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[str]]:
    both = torch.cat([pictures, pictures * (holes < 0.5)]).to(coder.device, coder.dtype)
    latents = coder.encode(both.to(memory_format=torch.channels_last)).latents.half().cpu()
    small = F.interpolate(holes, size=(GRID, GRID)).half()
    return latents[: len(holes)], latents[len(holes) :], small, captions


@torch.no_grad()
def read(captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """(K, L, D) hidden states of the K different captions, the empty one first; (N,) which."""
    tokenizer, encoder = text_parts()
    different = ["", *sorted(set(captions))]
    tokens = tokenizer(different, padding="max_length", return_tensors="pt").input_ids
    states = torch.cat([encoder(part).last_hidden_state for part in tokens.split(256)])
    index = {caption: k for k, caption in enumerate(different)}
    return states, torch.tensor([index[caption] for caption in captions])


def text_parts() -> tuple[CLIPTokenizer, CLIPTextModel]:
    """mini-clip's tokenizer, and its text encoder without the last layer: 0.8 MB less."""
    tokenizer = CLIPTokenizer.from_pretrained(clip.FOLDER, local_files_only=True)
    whole = CLIPModel.from_pretrained(clip.FOLDER, dtype=torch.float32)
    config = copy.deepcopy(whole.config.text_config)
    config.num_hidden_layers = TEXT_LAYERS
    encoder = CLIPTextModel(config)
    encoder.load_state_dict(whole.text_model.state_dict(), strict=False)
    return tokenizer, encoder.eval().requires_grad_(False)


# ---- the U-Net


def build(channels: int) -> UNet2DConditionModel:
    """A U-Net over 8 x 8 and 4 x 4 positions, with random weights."""
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=GRID,
        in_channels=channels,
        out_channels=LATENTS,
        block_out_channels=LARGE_WIDTHS if LARGE in sys.argv else WIDTHS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        layers_per_block=1,
        cross_attention_dim=clip.TEXT["hidden_size"],
        attention_head_dim=4,  # in this class the number of heads
        norm_num_groups=16,
    )


def schedule() -> DDIMScheduler:
    """The noise that both painters learn from, and their sampler."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )


def denoising_loss(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    latents: torch.Tensor,
    beside: torch.Tensor | None,
    states: torch.Tensor,
) -> torch.Tensor:
    """Mean squared error of v, weighted by min(SNR, 5) / (SNR + 1) (arXiv 2303.09556, for v)."""
    noise = torch.randn_like(latents)
    t = torch.randint(0, 1000, (len(latents),))
    noisy = scheduler.add_noise(latents, noise, t)
    target = scheduler.get_velocity(latents, noise, t)
    seen = noisy if beside is None else torch.cat([noisy, beside], dim=1)
    guess = unet(seen, t, encoder_hidden_states=states).sample.float()
    alpha = scheduler.alphas_cumprod.to(t.device)[t]
    snr = alpha / (1 - alpha)
    weight = snr.clamp(max=5) / (snr + 1) + 0.05  # a floor: pure noise has an SNR of 0
    return (weight * (guess - target).pow(2).mean(dim=(1, 2, 3))).mean()


def draw_batch(rng: np.random.Generator, which: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lessons of a step, and which caption each has: 0, the empty one, where it was dropped."""
    rows = torch.from_numpy(rng.integers(0, len(which), BATCH))
    captions = which[rows].clone()
    captions[torch.from_numpy(rng.random(BATCH) < DROPPED_PART)] = 0
    return rows, captions


def main() -> None:
    shown = library()
    states, which = read(shown.captions)
    scheduler = schedule()
    unet = build(2 * LATENTS + 1)

    def render(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows, captions = draw_batch(rng, which)
        beside = torch.cat([shown.holes[rows], shown.masked[rows]], dim=1).float()
        return shown.pictures[rows].float(), beside, states[captions]

    def step_loss(
        batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], rng: np.random.Generator
    ) -> Loss:
        return denoising_loss(unet, scheduler, *batch), {}

    finished = train("painter", unet, PLAN, render, step_loss, FOLDER / "unet")
    save(finished, FOLDER)


def save(unet: UNet2DConditionModel, folder: Path) -> None:
    """Write the whole pipeline as it ships."""
    tokenizer, encoder = text_parts()
    inpaints = unet.config.in_channels > LATENTS
    kind = StableDiffusionInpaintPipeline if inpaints else StableDiffusionPipeline
    kind(
        vae=AutoencoderTiny.from_pretrained(vae.finished()).half(),
        text_encoder=encoder.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, max_shard_size=SHARD)


if __name__ == "__main__":
    sys.exit(main())
