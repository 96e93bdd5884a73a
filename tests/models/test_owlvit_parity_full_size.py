"""OWL-ViT B/32 at its real size, random weights, against transformers' own path.

Costs about 35 s of processor time (20 s on two idle cores), 1.5 GB of memory, and 0.6 GB of disk
for as long as it runs: the weights are saved as the hub saves them and loaded by both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessorPil

from limner.models.owlvit import OwlViT, load
from limner.options import DetectOptions
from limner.prompts import Exemplar, Text, VisualPrompt
from limner.protocols import ModelRef
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_owlvit import Upstream, noise, save_clip_tokenizer, stir

PHRASES = ["dog", "a red cat"]
ALL = DetectOptions(threshold=0.0, nms_threshold=1.0, max_detections=10_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("owlvit-base-patch32")
    save_clip_tokenizer(folder)
    model = OwlViTForObjectDetection(OwlViTConfig())
    stir(model, seed=0)
    model.save_pretrained(folder)
    OwlViTImageProcessorPil().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> OwlViT:
    ref = ModelRef(name="owlvit-base-patch32", family="owlvit", licence="Apache-2.0")
    return load(Weights(ref, folder), Runtime())


@pytest.fixture(scope="module")
def upstream(folder: Path) -> Upstream:
    return Upstream(folder, version=1)


@pytest.mark.parametrize("size_wh", [(600, 400), (300, 700), (500, 500)], ids=str)
def test_phrases(detector: OwlViT, upstream: Upstream, size_wh: tuple[int, int]) -> None:
    image = noise(*size_wh)
    found = detector.detect(image, [VisualPrompt(text=Text(p)) for p in PHRASES], ALL)
    xyxy, scores, labels = upstream.grounded(image, PHRASES, threshold=0.0)
    assert len(found) == len(xyxy) == 24 * 24
    assert set(labels) == {0, 1}
    # Scores may tie to the last bit, so rows are paired by where they are.
    ours, theirs = np.lexsort(found.xyxy.round().T), np.lexsort(xyxy.round().T)
    assert np.abs(found.xyxy[ours] - xyxy[theirs]).max() <= 0.5
    assert np.abs(found.confidence[ours] - scores[theirs]).max() <= 1e-4
    np.testing.assert_array_equal(found.class_id[ours], labels[theirs])


def test_an_example(detector: OwlViT, upstream: Upstream) -> None:
    image, example = noise(600, 400), noise(90, 120, seed=1)
    prompt = VisualPrompt(exemplar=Exemplar(np.asarray(example)))
    options = DetectOptions(threshold=0.0, nms_threshold=0.3, max_detections=10_000)
    found = detector.detect(image, [prompt], options)
    xyxy, scores, _ = upstream.guided(image, example, threshold=0.0, nms_threshold=0.3)
    assert len(found) == len(xyxy) > 10
    assert np.abs(found.xyxy - xyxy).max() <= 0.5
    assert np.abs(found.confidence - scores).max() <= 1e-4
