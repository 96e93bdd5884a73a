"""The OWL adapter against transformers' own path, on tiny models of the real classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
import torch
from PIL import Image

from limner.errors import ModelError, OutOfMemory, PromptError, UnsupportedPrompt, WeightsMissing
from limner.models import owlvit
from limner.models.blocks.lru import LruCache
from limner.models.owlvit import OwlViT, load
from limner.options import DetectOptions
from limner.prompts import Box, Exemplar, Like, Point, Text, VisualPrompt
from limner.protocols import Detector, ModelRef
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_owlvit import Upstream, noise, save_tiny_owlvit

pytestmark = pytest.mark.usefixtures("one_thread")

REF = ModelRef(name="tiny-owl", family="owlvit", licence="Apache-2.0")
ASPECTS = [(600, 400), (300, 700), (500, 500), (1, 300)]
PHRASES = ["dog", "a red cat", "x"]
ALL = DetectOptions(threshold=0.0, nms_threshold=1.0, max_detections=10_000)
"""Every candidate, nothing suppressed."""


@pytest.fixture(scope="module", params=[1, 2], ids=["owlvit", "owlv2"])
def version(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def folder(version: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_owlvit(tmp_path_factory.mktemp("owl"), version=version)


@pytest.fixture(scope="module")
def upstream(folder: Path, version: int) -> Upstream:
    return Upstream(folder, version)


@pytest.fixture
def detector(folder: Path) -> OwlViT:
    return load(Weights(REF, folder), Runtime())


def say(*phrases: str) -> list[VisualPrompt]:
    return [VisualPrompt(text=Text(phrase)) for phrase in phrases]


def show(image: Image.Image, box: Box | None = None) -> VisualPrompt:
    return VisualPrompt(exemplar=Exemplar(np.asarray(image), box))


def assert_same(found: sv.Detections, wanted: tuple[np.ndarray, ...], *, at_least: int) -> None:
    """Equal to 0.5 px and 1e-4, row by row, both best first."""
    xyxy, scores, labels = wanted
    assert len(found) == len(xyxy) >= at_least
    assert np.abs(found.xyxy - xyxy).max(initial=0) <= 0.5
    assert np.abs(found.confidence - scores).max(initial=0) <= 1e-4
    np.testing.assert_array_equal(found.class_id, labels)


def least(size_wh: tuple[int, int]) -> int:
    """How many rows a comparison must have had to mean anything.

    OWLv2 sees a 1 x 300 strip in a square of padding, where the tiny model answers.
    """
    return 0 if min(size_wh) == 1 else 5


@pytest.mark.parametrize("size_wh", ASPECTS, ids=str)
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_phrases_match_transformers(
    detector: OwlViT, upstream: Upstream, size_wh: tuple[int, int], threshold: float
) -> None:
    image = noise(*size_wh)
    options = DetectOptions(threshold=threshold, nms_threshold=1.0, max_detections=10_000)
    found = detector.detect(image, say(*PHRASES), options)
    assert_same(found, upstream.grounded(image, PHRASES, threshold), at_least=least(size_wh))


@pytest.mark.parametrize("size_wh", ASPECTS, ids=str)
@pytest.mark.parametrize("example_wh", [(80, 80), (200, 90)], ids=str)
@pytest.mark.parametrize(("threshold", "nms"), [(0.0, 0.3), (0.3, 0.1), (0.0, 1.0)])
def test_whole_example_matches_transformers(
    detector: OwlViT,
    upstream: Upstream,
    size_wh: tuple[int, int],
    example_wh: tuple[int, int],
    threshold: float,
    nms: float,
) -> None:
    image, example = noise(*size_wh), noise(*example_wh, seed=1)
    options = DetectOptions(threshold=threshold, nms_threshold=nms, max_detections=10_000)
    found = detector.detect(image, [show(example)], options)
    wanted = upstream.guided(image, example, threshold, nms)
    assert (found.confidence >= threshold).all()  # what is shown is what was cut
    assert_same(found, wanted, at_least=min(2, least(size_wh)))
    assert set(found.data["class_name"]) <= {"example"}


@pytest.mark.parametrize("size_wh", [(600, 400), (300, 700), (500, 500), (611, 97)], ids=str)
def test_a_box_in_the_pixels_the_model_saw_comes_back_where_it_was_painted(
    detector: OwlViT, size_wh: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Independent of transformers' post-processing: measure a painted rectangle in the model's
    input, hand the model that box as its answer, and compare with what was painted."""
    width, height = size_wh
    painted = np.array([0.2 * width, 0.3 * height, 0.7 * width, 0.8 * height]).round().astype(int)
    x0, y0, x1, y1 = painted
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[y0:y1, x0:x1] = 255
    image = Image.fromarray(canvas)

    pixels = detector._processor(images=image, return_tensors="np").pixel_values[0, 0]
    bright = pixels - pixels.min()
    side = len(bright)
    centre, extent = [], []
    for axis in (0, 1):  # sum over rows for x, over columns for y
        profile = bright.sum(axis=axis)
        centre.append(((np.arange(side) + 0.5) * profile).sum() / profile.sum() / side)
        extent.append(profile.sum() / profile.max() / side)
    answer = torch.tensor([*centre, *extent], dtype=torch.float32)

    patches = detector._model.num_patches_height * detector._model.num_patches_width
    monkeypatch.setattr(
        detector._model, "box_predictor", lambda *_: answer.expand(1, patches, 4).clone()
    )
    found = detector.detect(image, say("dog"), ALL)
    assert len(found) == patches
    assert np.abs(found.xyxy - painted).max() < 1.5  # one of the model's pixels is up to 7


class Counted:
    """How many images and phrases a model encoded."""

    def __init__(self, detector: OwlViT, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images = self.phrases = 0
        model = detector._model
        embed_image, embed_text = model.image_embedder, model.base_model.get_text_features

        def image_embedder(pixels: torch.Tensor) -> object:
            self.images += len(pixels)
            return embed_image(pixels)

        def get_text_features(**tokens: torch.Tensor) -> object:
            self.phrases += len(tokens["input_ids"])
            return embed_text(**tokens)

        monkeypatch.setattr(model, "image_embedder", image_embedder)
        monkeypatch.setattr(model.base_model, "get_text_features", get_text_features)


def test_each_thing_is_encoded_once(detector: OwlViT, monkeypatch: pytest.MonkeyPatch) -> None:
    count = Counted(detector, monkeypatch)
    image, example = noise(60, 40), noise(50, 50, seed=1)
    first = detector.detect(image, say(*PHRASES), ALL)
    assert (count.images, count.phrases) == (1, 3)

    again = detector.detect(image.copy(), say(*PHRASES), ALL)
    assert (count.images, count.phrases) == (1, 3)
    np.testing.assert_array_equal(first.xyxy, again.xyxy)

    detector.detect(image, say("dog", "new", "dog"), ALL)
    assert (count.images, count.phrases) == (1, 4)

    boxes = [None, Box(0, 0, 25, 25), Box(10, 10, 50, 50)]
    detector.detect(image, [show(example, box) for box in boxes], ALL)
    assert (count.images, count.phrases) == (2, 4)


def test_many_examples_do_not_push_the_image_out(
    detector: OwlViT, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Counted(detector, monkeypatch)
    image, examples = noise(60, 40), [show(noise(30, 30, seed=s)) for s in range(1, 8)]
    for _ in range(3):
        detector.detect(image, examples, ALL)
    assert count.images == 8


def test_more_phrases_than_a_batch(detector: OwlViT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owlvit, "PHRASES_AT_ONCE", 2)
    phrases = [*PHRASES, "dog cat", "y"]
    image = noise(60, 40)
    batched = detector.detect(image, say(*phrases), ALL)
    detector._phrases = LruCache(1)  # fewer than are asked: an answer must not hang on the cache
    monkeypatch.setattr(owlvit, "PHRASES_AT_ONCE", 100)
    whole = detector.detect(image, say(*phrases), ALL)
    np.testing.assert_allclose(batched.confidence, whole.confidence, atol=1e-5)


def test_phrases_and_examples_together_answer_as_alone(detector: OwlViT) -> None:
    image, example = noise(600, 400), show(noise(90, 60, seed=1))
    both = detector.detect(image, [*say("dog"), example], ALL)
    for index, prompt in enumerate([*say("dog"), example]):
        alone = detector.detect(image, [prompt], ALL)
        part = both[both.class_id == index]
        np.testing.assert_allclose(part.confidence, alone.confidence, atol=1e-6)
        np.testing.assert_allclose(part.xyxy, alone.xyxy, atol=1e-3)


def test_a_prompt_given_twice_is_answered_twice(detector: OwlViT) -> None:
    """As when two prompts have the same negative, which grounding asks for each of them."""
    image, example = noise(300, 200), show(noise(60, 60, seed=1))
    options = DetectOptions(threshold=0.0, max_detections=10_000, class_agnostic_nms=True)
    once = detector.detect(image, [*say("dog", "cat"), example], options)
    twice = detector.detect(image, [*say("dog", "cat"), example, *say("cat"), example], options)
    assert len(once) < len(twice)
    for index, same in enumerate([0, 1, 2, 1, 2]):
        part, wanted = twice[twice.class_id == index], once[once.class_id == same]
        assert len(part) == len(wanted) > 0
        np.testing.assert_allclose(part.xyxy, wanted.xyxy)
        np.testing.assert_array_equal(part.data["class_name"], wanted.data["class_name"])


def test_memory_that_runs_out_is_said(detector: OwlViT, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(detector._model, "image_embedder", fail)
    with pytest.raises(OutOfMemory, match="take a smaller detector"):
        detector.detect(noise(60, 40), say("dog"), ALL)


def test_the_box_of_a_whole_example_is_the_whole_example(folder: Path) -> None:
    """In OWL-ViT, where transformers' rule is that box; OWLv2 takes the highest objectness."""
    detector = load(Weights(REF, folder), Runtime())
    if detector._model.config.model_type == "owlv2":
        pytest.skip("OWLv2 chooses by objectness, not by the whole box")
    example = noise(120, 80, seed=2)
    whole = detector._embed_example(Exemplar(np.asarray(example)))
    boxed = detector._embed_example(Exemplar(np.asarray(example), Box(0, 0, 120, 80)))
    torch.testing.assert_close(whole, boxed)


def test_an_example_box_picks_a_patch_that_lies_there(detector: OwlViT) -> None:
    """Ask for what the tiny model does see: the visible part of each candidate in turn."""
    example = noise(240, 180, seed=3)
    seen = detector._see(example)
    _, embeds = detector._model.class_predictor(seen.features)
    visible = np.clip(seen.xyxy, 0, [240, 180, 240, 180])
    visible = visible[(visible[:, 2:] - visible[:, :2] > 1).all(axis=1)]
    assert len(visible) > 5
    picked = set()
    for xyxy in visible:
        query = detector._embed_example(Exemplar(np.asarray(example), Box(*xyxy)))
        patch = int((embeds[0] - query).abs().sum(dim=1).argmin())
        overlap = sv.box_iou_batch(xyxy[None], seen.xyxy)[0]
        assert overlap[patch] >= 0.8 * overlap.max() > 0
        picked.add(patch)
    assert len(picked) > 3


def test_an_example_box_where_nothing_is_seen(
    detector: OwlViT, monkeypatch: pytest.MonkeyPatch
) -> None:
    patches = detector._model.num_patches_height * detector._model.num_patches_width
    boxes = torch.tensor([0.2, 0.2, 0.1, 0.1]).expand(1, patches, 4)
    monkeypatch.setattr(detector._model, "box_predictor", lambda *_: boxes)
    prompt = show(noise(100, 100), Box(60, 60, 90, 90))
    with pytest.raises(PromptError, match="sees nothing in the example's box"):
        detector.detect(noise(60, 40), [prompt], DetectOptions())


def test_rows_are_well_formed(detector: OwlViT) -> None:
    image = noise(300, 200)
    prompts = [*say("dog", "cat"), show(noise(60, 60, seed=1))]
    found = detector.detect(image, prompts, DetectOptions(threshold=0.01))
    assert len(found) > 3
    assert isinstance(detector, Detector)
    assert (found.xyxy.dtype, found.confidence.dtype) == (np.float32, np.float32)
    assert (np.diff(found.confidence) <= 0).all()
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= [300, 200, 300, 200]).all()
    assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()
    np.testing.assert_array_equal(found.class_id, found.data["prompt_index"])
    names = np.array(["dog", "cat", "example"])
    np.testing.assert_array_equal(found.data["class_name"], names[found.class_id])
    best = detector.detect(image, prompts, DetectOptions(threshold=0.01, max_detections=2))
    np.testing.assert_array_equal(best.xyxy, found.xyxy[:2])


def test_nms_is_per_phrase_unless_asked_otherwise(
    detector: OwlViT, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every candidate in one place: the best one of each prompt stays, or the best of all."""
    patches = detector._model.num_patches_height * detector._model.num_patches_width
    boxes = torch.tensor([0.3, 0.3, 0.2, 0.2]).expand(1, patches, 4)
    monkeypatch.setattr(detector._model, "box_predictor", lambda *_: boxes)
    image, prompts = noise(300, 200), [*say("dog"), show(noise(60, 60, seed=1))]
    everything = detector.detect(image, prompts, ALL)
    each = detector.detect(image, prompts, DetectOptions(threshold=0.0))
    assert len(everything) > len(each) == 2
    assert set(each.class_id) == {0, 1}
    one = detector.detect(image, prompts, DetectOptions(threshold=0.0, class_agnostic_nms=True))
    assert one.confidence.tolist() == [everything.confidence.max()]


@pytest.mark.parametrize("prompts", [say("dog"), []], ids=["nothing reaches it", "no prompts"])
def test_an_empty_answer_has_every_key(detector: OwlViT, prompts: list[VisualPrompt]) -> None:
    found = detector.detect(noise(60, 40), prompts, DetectOptions(threshold=1.0))
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)
    assert found.xyxy.dtype == found.confidence.dtype == np.float32
    assert found.class_id.dtype == found.data["prompt_index"].dtype == np.int64
    assert found.data["class_name"].dtype.kind == "U"
    assert len(sv.Detections.merge([found, found])) == 0


def test_thresholds_come_from_options_then_from_the_catalog(folder: Path) -> None:
    """A box in the picture itself has one of its own: it matches itself, and more matches it."""
    defaults = {"threshold": 0.3, "exemplar_threshold": 0.6, "like_threshold": 0.7}
    detector = load(Weights(REF, folder, defaults), Runtime())
    like = VisualPrompt(likes=(Like(Box(0, 0, 9, 9)),))
    prompts = [*say("dog"), show(noise(60, 60)), like]
    assert detector._thresholds(prompts, DetectOptions()).tolist() == [0.3, 0.6, 0.7]
    assert detector._thresholds(prompts, DetectOptions(threshold=0.2)).tolist() == [0.2] * 3
    bare = load(Weights(REF, folder), Runtime())
    assert bare._thresholds(prompts, DetectOptions()).tolist() == [0.1] * 3


REFUSED = {
    "point": (
        VisualPrompt(points=(Point(1, 1),)),
        "can't take a point prompt; it takes example box, exemplar",
    ),
    "phrase and box": (VisualPrompt(text=Text("dog"), box=Box(0, 0, 1, 1)), "a box prompt"),
    "phrase and example": (
        VisualPrompt(text=Text("dog"), exemplar=Exemplar(np.zeros((4, 4, 3), np.uint8))),
        "give two prompts",
    ),
    "negative": (VisualPrompt(text=Text("dog", negative="puppy")), 'no negatives \\("puppy"\\)'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_prompts(detector: OwlViT, name: str) -> None:
    prompt, message = REFUSED[name]
    with pytest.raises(UnsupportedPrompt, match=message):
        detector.detect(noise(60, 40), [*say("cat"), prompt], DetectOptions())


def test_an_example_in_the_image_itself_is_one_from_it(detector: OwlViT) -> None:
    """``--like BOX`` asks what ``--exemplar photo.jpg@BOX`` would; one a prompt, and no "not"."""
    image, box = noise(200, 120), Box(20, 10, 90, 80)
    options = DetectOptions(threshold=0.0)
    like, not_like = Like(box), Like(Box(0, 0, 9, 9), positive=False)
    ours = detector.detect(image, [VisualPrompt(likes=(like,))], options)
    wanted = detector.detect(image, [show(image, box)], options)
    assert len(ours) > 1
    np.testing.assert_array_equal(ours.xyxy, wanted.xyxy)
    np.testing.assert_array_equal(ours.confidence, wanted.confidence)
    assert set(ours.data["class_name"]) == {"example"}
    for likes, says in (((like, like), "two examples"), ((like, not_like), "negative example box")):
        with pytest.raises(UnsupportedPrompt, match=says):
            detector.detect(image, [VisualPrompt(likes=likes)], options)


def test_a_phrase_may_fill_the_encoder_and_no_more(
    detector: OwlViT, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Counted(detector, monkeypatch)
    fits, too_long = " ".join(["dog"] * 14), " ".join(["dog"] * 15)
    with pytest.raises(PromptError, match=r"has 17 tokens.* holds 16"):
        detector.detect(noise(60, 40), say("cat", too_long), DetectOptions())
    assert (count.images, count.phrases) == (0, 0)
    assert len(detector.detect(noise(60, 40), say(fits), ALL)) > 0


def test_bfloat16_moves_boxes_by_little(folder: Path) -> None:
    image, prompts = noise(600, 400), say("dog")
    exact = load(Weights(REF, folder), Runtime())
    rounded = load(Weights(REF, folder), Runtime(dtype="bfloat16"))
    assert rounded._model.base_model.dtype == torch.bfloat16
    moved = np.abs(exact._see(image).xyxy - rounded._see(image).xyxy)
    assert np.median(moved) < 3.0  # of 600 pixels; the stirred box head magnifies differences
    assert moved.max() < 30.0
    found = rounded.detect(image, prompts, ALL)
    assert found.xyxy.dtype == found.confidence.dtype == np.float32
    wanted = exact.detect(image, prompts, ALL)
    assert len(found) == len(wanted) > 5
    assert np.abs(found.confidence - wanted.confidence).max() < 0.1


@pytest.fixture
def broken(folder: Path, tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def test_weights_that_can_not_be_read(broken: Path) -> None:
    with pytest.raises(WeightsMissing, match="tiny-owl needs a folder"):
        load(Weights(REF), Runtime())
    with pytest.raises(WeightsMissing, match="tiny-owl can't be read"):
        load(Weights(REF, broken / "nowhere"), Runtime())
    made = (broken / "preprocessor_config.json").read_text()
    (broken / "preprocessor_config.json").write_text(made.replace("96", "64"))
    with pytest.raises(ModelError, match=r"of 96 pixels and .* 64 x 64"):
        load(Weights(REF, broken), Runtime())
    (broken / "model.safetensors").unlink()
    with pytest.raises(WeightsMissing, match=r"model\.safetensors"):
        load(Weights(REF, broken), Runtime())
    (broken / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ModelError, match="holds a clip model; this family reads owlvit and owlv2"):
        load(Weights(REF, broken), Runtime())


def test_weights_that_lack_tensors(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(broken / "model.safetensors")
    del tensors["class_head.dense0.weight"]
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsMissing, match=r"lack 1 .* class_head\.dense0\.weight"):
        load(Weights(REF, broken), Runtime())
