"""How good an answer is: COCO's average precision, and clicks until an outline is right."""

from limner.evaluation.clicks import first_click, next_click, noc, simulate
from limner.evaluation.coco import CocoScores, evaluate, results_from

__all__ = [
    "CocoScores",
    "evaluate",
    "first_click",
    "next_click",
    "noc",
    "results_from",
    "simulate",
]
