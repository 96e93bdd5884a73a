"""Everything mode as a user meets it: a mini outlines things by its own thresholds, and where
thresholds leave nothing, it is said what would keep some."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from limner import Session
from limner.pipeline.dropped import dropped_sentence
from limner.rle import from_rle
from tests.cli.command import Command
from tests.conftest import need_minis

LAWN = Path(__file__).parents[2] / "examples" / "scenes" / "lawn.png"


@pytest.fixture(scope="module")
def session() -> Session:
    need_minis("mini-sam")
    return Session(profile="mini")


def test_a_mini_outlines_things(session: Session) -> None:
    """mini-sam reaches neither of SAM's thresholds, so the demo's scene had nothing in it."""
    run = session.segment(LAWN, everything=True)
    truth = json.loads(LAWN.with_suffix(".json").read_text())
    things = [from_rle(each["segmentation"]) for each in truth["annotations"]]
    hits = [max(_iou(thing, mask) for mask in run.masks) > 0.5 for thing in things]
    assert len(things) >= 5
    assert sum(hits) >= len(things) - 1


def test_python_and_the_terminal_say_what_would_keep_some(
    session: Session, limner: Command
) -> None:
    strict = {"pred_iou_thresh": 0.99, "points_per_side": 4}
    run = session.segment(LAWN, everything=True, **strict)
    assert len(run.boxes) == 0
    assert "none of 48 candidates reaches pred_iou_thresh 0.99" in repr(run)
    keep = run.record.result["dropped"]["keep"]
    assert len(session.segment(LAWN, everything=True, **{**strict, **keep}).boxes) > 0
    words = ("--everything", "--pred-iou-thresh", "0.99", "--points-per-side", "4")
    lines = limner("segment", LAWN, *words, "--profile", "mini", "-o", "out.png").stdout
    assert "nothing found" in lines
    assert f"--pred-iou-thresh {keep['pred_iou_thresh']:g} " in lines


@pytest.mark.parametrize(
    ("count", "keep", "wanted"),
    [
        (0, {}, "the model proposed nothing"),
        (7, {}, "each of 7 candidates is empty, and no threshold keeps one"),
        (1, {"conf": 0.2}, "the one candidate doesn't reach conf 0.4; --conf 0.2 would keep some"),
    ],
)
def test_sentences(count: int, keep: dict[str, float], wanted: str) -> None:
    dropped = {"candidates": count, "thresholds": {"conf": 0.4}, "keep": keep}
    assert dropped_sentence(dropped, as_flags=True) == wanted


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())
