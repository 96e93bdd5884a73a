"""Attempts to undo a redaction, by somebody who knows the code, the font and the layout.

Each attack is run on a real blur and a real mosaic as well, which it undoes: so it can be seen that
it would find something if something were left.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from limner.ops import masks
from limner.ops.obscure import STYLES, redact

from .command import Command

DIGITS = "0123456789"
BOX = (24, 30, 196, 58)
LOSSLESS = ("png", "webp", "tif")
Hide = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(H, W, 3) uint8 and its mask -> the redaction; before rounding, where it has fractions."""


def plate(number: str) -> np.ndarray:
    """A form with a number in it: (90, 220, 3), every digit in a cell of its own."""
    form = Image.new("RGB", (220, 90), (245, 245, 240))
    draw = ImageDraw.Draw(form)
    draw.text((24, 4), "Account no.", (60, 60, 80), ImageFont.load_default(18))
    for place, digit in enumerate(number):
        draw.text((30 + 16 * place, 30), digit, (20, 20, 30), ImageFont.load_default(24))
    return np.asarray(form)


def covered() -> np.ndarray:
    """What ``redact --box`` covers."""
    mask = np.zeros((90, 220), bool)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    return masks.dilate_parts(mask, lambda side: round(0.15 * side))


def real_blur(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The default until 0.1: a Gaussian of a fifth of the part's side, of the part's own pixels."""
    y, x = np.nonzero(mask)
    sigma = 0.2 * max(np.ptp(y), np.ptp(x))
    weight = mask.astype(np.float32)
    stack = np.dstack([image * weight[..., None], weight]).astype(np.float32)
    wide = cv2.GaussianBlur(stack, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    mean = wide[..., :3] / np.maximum(wide[..., 3:], 1e-9)
    return np.where(mask[..., None], mean, image)


def real_mosaic(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Six blocks along the longer side, each the mean of what it hides."""
    y, x = np.nonzero(mask)
    side = int(np.ceil(max(np.ptp(y), np.ptp(x)) / 6))
    hidden = image.astype(np.float64)
    for top, left in itertools.product(
        range(y.min(), y.max(), side), range(x.min(), x.max(), side)
    ):
        window = (slice(top, top + side), slice(left, left + side))
        inside = mask[window]
        if inside.any():
            hidden[window][inside] = image[window][inside].mean(axis=0)
    return hidden


def searching(hide: Hide, digits: int) -> Callable[[np.ndarray], str]:
    """A linear search for the number whose redaction is nearest to the one that is shown.

    Each digit at each place adds its own change to the redaction of an empty form. The sums of both
    halves are looked through pair by pair; of the best pairs the redactions themselves decide.
    """
    mask = covered()

    def seen(number: str) -> np.ndarray:
        return hide(plate(number), mask)[mask][:, 0].astype(np.float64)

    blank = seen(" " * digits)
    changes = np.array([[seen(" " * k + d) - blank for d in DIGITS] for k in range(digits)])
    _, _, axes = np.linalg.svd(changes.reshape(digits * 10, -1), full_matrices=False)
    changes = changes @ axes[:20].T
    half = digits // 2
    first, second = (
        np.array([sum(pick) for pick in itertools.product(*part)])
        for part in (changes[:half], changes[half:])
    )

    def guess(shown: np.ndarray) -> str:
        target = shown[mask][:, 0].astype(np.float64)
        wanted = axes[:20] @ (target - blank) - first
        apart = (wanted**2).sum(1)[:, None] - 2 * wanted @ second.T + (second**2).sum(1)
        best = np.argpartition(apart, 30, axis=None)[:30]
        numbers = [f"{k // len(second):0{half}}{k % len(second):0{digits - half}}" for k in best]
        return min(numbers, key=lambda n: float(((np.rint(seen(n)) - target) ** 2).sum()))

    return guess


def digits_right(hide: Hide, numbers: Sequence[str]) -> int:
    guess = searching(hide, len(numbers[0]))
    found = [guess(np.rint(hide(plate(number), covered()))) for number in numbers]
    return sum(
        a == b for n, g in zip(numbers, found, strict=True) for a, b in zip(n, g, strict=True)
    )


def styled(style: str) -> Hide:
    return lambda image, mask: redact(image, mask, style=style)


NUMBERS = ["".join(random.Random(seed).choices(DIGITS, k=6)) for seed in range(4)]


def test_the_attack_reads_a_number_under_a_real_blur() -> None:
    """Otherwise the tests below would say nothing."""
    assert digits_right(real_blur, NUMBERS[:2]) == 12


@pytest.mark.parametrize("style", STYLES)
def test_a_number_stays_hidden(style: str) -> None:
    """Guessing gets one digit of ten: of 24, seven or more by luck in 1 of 100."""
    assert digits_right(styled(style), NUMBERS) <= 6


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("suffix", LOSSLESS)
def test_files_of_ten_digit_numbers_are_the_same_file(
    limner: Command, style: str, suffix: str
) -> None:
    """Whatever search there is, it can't tell apart what is equal; PNG lost 20 of 20 digits."""
    files = []
    for number in ("0123456789", "8888888888", " " * 10):
        Image.fromarray(plate(number)).save("in.png")
        answer = limner("redact", "in.png", "--box", ",".join(map(str, BOX)), "--style", style,
               "--no-record", "--no-store", "--overwrite", "-o", f"out.{suffix}")  # fmt: skip
        assert "not looked at again" in answer.stdout
        files.append(Path(f"out.{suffix}").read_bytes())
        shown = np.asarray(Image.open(f"out.{suffix}").convert("RGB"))
        expected = redact(plate(number), covered(), style=style)
        np.testing.assert_array_equal(shown, expected, "the attack knows the code")
    assert files[0] == files[1] == files[2]


def portraits() -> list[np.ndarray]:
    """100 smooth patches that differ as faces do, on one background: (64, 64, 3)."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(100):
        patch = cv2.resize(rng.normal(128, 40, (6, 6)), (48, 48), interpolation=cv2.INTER_CUBIC)
        picture = np.full((64, 64, 3), 90, np.uint8)
        picture[8:56, 8:56] = np.clip(patch, 0, 255).astype(np.uint8)[..., None]
        made.append(picture)
    return made


def known_again(hide: Hide) -> int:
    """Of 100 redacted portraits, how many are nearest to the right one of 100 noisy copies that
    were redacted likewise."""
    rng = np.random.default_rng(1)
    mask = np.zeros((64, 64), bool)
    mask[8:56, 8:56] = True

    def seen(picture: np.ndarray) -> np.ndarray:
        values = hide(picture, mask)[mask].astype(float).ravel()
        values -= values.mean()
        return values / (np.linalg.norm(values) + 1e-9)

    def copied(picture: np.ndarray) -> np.ndarray:
        noisy = np.roll(picture, rng.integers(-2, 3, 2), (0, 1)) + rng.normal(0, 6, picture.shape)
        return np.where(mask[..., None], np.clip(noisy, 0, 255), picture).astype(np.uint8)

    people = portraits()
    listed = np.array([seen(copied(person)) for person in people])
    return sum(int(np.argmax(listed @ seen(person))) == k for k, person in enumerate(people))


@pytest.mark.parametrize("hide", [real_blur, real_mosaic], ids=["blur", "mosaic"])
def test_the_attack_knows_people_under_a_real_blur_and_mosaic(hide: Hide) -> None:
    assert known_again(hide) > 50


@pytest.mark.parametrize("style", STYLES)
def test_nobody_is_known_again(style: str) -> None:
    """Guessing gets 1 of 100; blur and mosaic gave 86 and 99 away."""
    assert known_again(styled(style)) <= 3


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_knows_nothing_of_what_it_hides(style: str, seed: int) -> None:
    """Boxes, discs, speckle, parts that touch the frame, a soft outline cut at half, all of it."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    y, x = np.indices((60, 80))
    soft = cv2.GaussianBlur((np.hypot(y - 30, x - 40) < 15).astype(np.float32), (0, 0), 3)
    mask = [
        (y > 10) & (y < 30) & (x > 10) & (x < 50),
        np.hypot(y - 5, x - 70) < 20,
        rng.random((60, 80)) < 0.3,
        rng.random((60, 80)) < 0.98,
        soft >= 0.5,
        np.ones((60, 80), bool),
    ][seed]
    other = np.where(mask[..., None], rng.integers(0, 256, picture.shape, dtype=np.uint8), picture)
    hidden = redact(picture, mask, style=style)
    np.testing.assert_array_equal(hidden, redact(other, mask, style=style))
    np.testing.assert_array_equal(hidden[~mask], picture[~mask])
