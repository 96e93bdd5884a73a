"""How good an answer is: average precision, clicks until an outline is right, outlines, edits,
similarity to a subject; how sensitive an answer is to its prompt; and which threshold to take."""

from limner.evaluation.metrics.average_precision import CocoScores, evaluate, results_from
from limner.evaluation.metrics.boundary import boundary_f, boundary_iou
from limner.evaluation.metrics.d3 import D3Scores, evaluate_d3
from limner.evaluation.metrics.lvis import LvisScores, evaluate_lvis
from limner.evaluation.metrics.noc import first_click, next_click, noc, simulate
from limner.evaluation.metrics.preservation import (
    EditScores,
    edit_scores,
    psnr_outside,
    ssim_outside,
)
from limner.evaluation.metrics.subject_fidelity import SubjectScores, clip_t, subject_scores

__all__ = [
    "CocoScores",
    "D3Scores",
    "EditScores",
    "LvisScores",
    "SubjectScores",
    "boundary_f",
    "boundary_iou",
    "clip_t",
    "edit_scores",
    "evaluate",
    "evaluate_d3",
    "evaluate_lvis",
    "first_click",
    "next_click",
    "noc",
    "psnr_outside",
    "results_from",
    "simulate",
    "ssim_outside",
    "subject_scores",
]
