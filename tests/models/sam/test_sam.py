"""The adapter on a tiny model of the real classes, with random weights, against transformers' own
path: ``SamProcessor``, ``SamModel``, ``post_process_masks``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
import torch
from PIL import Image
from transformers import SamImageProcessorPil, SamModel, SamProcessor

from limner.errors import (
    ImageError,
    ModelError,
    OptionError,
    OutOfMemory,
    PromptError,
    UnsupportedPrompt,
    WeightsMissing,
)
from limner.models.blocks.oom import guard_memory
from limner.models.sam import automatic, prompt_tensors, segmenter
from limner.models.sam.enlarging import Pass
from limner.models.sam.prompt_tensors import mask_logits
from limner.models.sam.sam import load, sam_frame
from limner.models.sam.segmenter import SamSegmenter
from limner.ops import detections, masks
from limner.options import EverythingOptions, SegmentOptions
from limner.pipeline import SAYS_WHAT
from limner.prompts import Box, Mask, Point, PromptKind, Text, VisualPrompt
from limner.protocols import EverythingSegmenter, ModelRef
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_sam import SIDE, save_tiny_sam, tiny_processor

REF = ModelRef("sam-tiny", "sam", "Apache-2.0")
SIZES = {
    "landscape": (160, 96),
    "portrait": (61, 143),
    "square": (128, 128),
    "one pixel wide": (1, 90),
}
DEFAULT = SegmentOptions()

POINT = VisualPrompt(points=(Point(40.5, 60.25),))
POINTS = VisualPrompt(points=(Point(40, 60), Point(10, 20), Point(55, 90, foreground=False)))
BOX = VisualPrompt(box=Box(8.3, 10, 50, 88.7))
POINT_IN_BOX = replace(BOX, points=POINT.points)
PROMPTS = {"1 point": POINT, "3 points": POINTS, "box": BOX, "point in box": POINT_IN_BOX}


def picture(size_wh: tuple[int, int], seed: int = 0) -> Image.Image:
    width, height = size_wh
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def fitted(prompt: VisualPrompt, size_wh: tuple[int, int]) -> VisualPrompt:
    """The prompt, meant for 61 x 96 pixels, squeezed into a smaller image."""
    x, y = min(1, size_wh[0] / 61), min(1, size_wh[1] / 96)
    points = tuple(replace(p, x=p.x * x, y=p.y * y) for p in prompt.points)
    box = prompt.box and Box(*np.array(prompt.box.xyxy) * (x, y, x, y))
    return replace(prompt, points=points, box=box)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="module")
def sam(folder: Path) -> SamSegmenter:
    return load(Weights(REF, folder), Runtime())


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """(M, H, W) bool masks and (M,) scores of transformers' own path, unsorted."""
    model = SamModel.from_pretrained(folder).eval()
    processor = SamProcessor(tiny_processor())

    def answer(
        image: Image.Image, prompt: VisualPrompt, multimask: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        asked: dict[str, Any] = {}
        if prompt.points:
            asked["input_points"] = [[[[p.x, p.y] for p in prompt.points]]]
            asked["input_labels"] = [[[p.label for p in prompt.points]]]
        if prompt.box:
            asked["input_boxes"] = [[list(prompt.box.xyxy)]]
        inputs = processor(images=image, return_tensors="pt", **asked)
        with torch.no_grad():
            out = model(
                pixel_values=inputs["pixel_values"],
                multimask_output=multimask,
                **{key: inputs[key] for key in asked},
            )
        (found,) = processor.post_process_masks(
            out.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
        )
        return found[0].numpy(), out.iou_scores[0, 0].numpy()

    return answer


@pytest.mark.parametrize("multimask", [True, False], ids=["three masks", "one mask"])
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("size_wh", SIZES.values(), ids=SIZES)
def test_masks_are_those_of_transformers_to_the_pixel(
    sam: SamSegmenter,
    theirs: Callable[..., Any],
    size_wh: tuple[int, int],
    prompt: VisualPrompt,
    multimask: bool,
) -> None:
    image, prompt = picture(size_wh), fitted(prompt, size_wh)
    expected, scores = theirs(image, prompt, multimask)
    options = SegmentOptions(multimask_output=multimask)
    found = sam.segment(sam.embed(image), [prompt], options)
    (candidates,) = found.data["candidates"]
    assert len(candidates) == len(expected) == (3 if multimask else 1)
    for (mask, score), m in zip(candidates, np.argsort(-scores), strict=True):
        np.testing.assert_array_equal(mask, expected[m])
        assert score == pytest.approx(np.clip(scores[m], 0, 1), abs=1e-5)  # an IoU is a share
    np.testing.assert_array_equal(found.mask[0], candidates[0][0])
    if min(size_wh) > 1:
        assert any(0 < mask.mean() < 1 for mask in expected), "a test of empty masks shows nothing"


def some_mask(size_wh: tuple[int, int]) -> Mask:
    width, height = size_wh
    array = np.zeros((height, width), dtype=bool)
    array[height // 4 : height // 2, width // 3 :] = True
    return Mask(array)


@pytest.mark.parametrize("at_once", [1, 4, segmenter.PROMPTS_AT_ONCE])
def test_prompts_of_different_shapes_asked_together_answer_as_each_alone(
    sam: SamSegmenter, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(sam, "_at_once", at_once)
    size_wh = SIZES["landscape"]
    embedding = sam.embed(picture(size_wh))
    other_mask = Mask(~some_mask(size_wh).array)
    prompts = [
        POINT,
        POINTS,
        BOX,
        VisualPrompt(mask=some_mask(size_wh)),
        replace(POINT, mask=other_mask),
        POINT_IN_BOX,
        VisualPrompt(points=(Point(100, 30),)),
        VisualPrompt(mask=other_mask),
        replace(POINT_IN_BOX, mask=some_mask(size_wh)),
        VisualPrompt(box=Box(60, 5, 150, 60)),
    ] * 3
    steps: list[tuple[int, int]] = []
    together = sam.segment(embedding, prompts, DEFAULT, lambda *step: steps.append(step))
    assert len(together) == len(prompts)
    for row, prompt in enumerate(prompts):
        alone = sam.segment(embedding, [prompt], DEFAULT)
        np.testing.assert_array_equal(together.mask[row], alone.mask[0], err_msg=f"row {row}")
        assert len(together.data["candidates"][row]) == len(alone.data["candidates"][0])
    different = {together.mask[row].tobytes() for row in range(10)}
    assert len(different) == 10
    assert together.class_id.tolist() == together.data["prompt_index"].tolist() == [*range(30)]
    assert together.data["class_name"][:4].tolist() == ["point", "point", "box", "mask"]
    assert steps[-1] == (30, 30)
    assert steps == sorted(steps)


def test_a_batch_too_large_for_memory_is_split(
    sam: SamSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = sam.embed(picture((100, 80)))
    prompts = [VisualPrompt(points=(Point(9 * k, 5 * k),)) for k in range(11)]
    for at_once, expected in {8: [(8, 11), (11, 11)], 64: [(11, 11)]}.items():
        monkeypatch.setattr(sam, "_at_once", at_once)
        steps: list[tuple[int, int]] = []
        sam.segment(embedding, prompts, DEFAULT, lambda *step, to=steps: to.append(step))
        assert steps == expected


CANDIDATES = {
    "1 point": (POINT, None, 3),
    "2 foreground points": (VisualPrompt(points=(Point(1, 1), Point(2, 2))), None, 1),
    "point and background": (
        VisualPrompt(points=(Point(1, 1), Point(2, 2, foreground=False))),
        None,
        1,
    ),
    "box": (BOX, None, 1),
    "point in box": (POINT_IN_BOX, None, 1),
    "box, three asked for": (BOX, True, 3),
    "1 point, one asked for": (POINT, False, 1),
}


@pytest.mark.parametrize(("prompt", "multimask", "count"), CANDIDATES.values(), ids=CANDIDATES)
def test_candidates_are_kept_best_first(
    sam: SamSegmenter, prompt: VisualPrompt, multimask: bool | None, count: int
) -> None:
    embedding = sam.embed(picture((100, 100)))
    found = sam.segment(embedding, [prompt], SegmentOptions(multimask_output=multimask))
    (candidates,) = found.data["candidates"]
    scores = [score for _, score in candidates]
    assert len(candidates) == count
    assert scores == sorted(scores, reverse=True)
    assert all(mask.shape == (100, 100) and mask.dtype == bool for mask, _ in candidates)
    assert candidates[0][0].base is found.mask or candidates[0][0].base is found.mask.base
    assert found.data["mask_score"].dtype == np.float32
    assert found.data["mask_score"][0] == found.confidence[0] == np.float32(scores[0])


def test_boxes_hold_their_masks_last_pixel(sam: SamSegmenter) -> None:
    found = sam.segment(sam.embed(picture((100, 90))), [POINT, BOX], DEFAULT)
    for mask, xyxy in zip(found.mask, found.xyxy, strict=True):
        assert tuple(xyxy) == masks.box_of(mask)


def test_an_empty_mask_stays_in_its_row(sam: SamSegmenter) -> None:
    embedding = sam.embed(picture((100, 100)))
    prompts = [POINT, BOX, VisualPrompt(mask=some_mask((100, 100)))]
    found = sam.segment(embedding, prompts, SegmentOptions(mask_threshold=1e6))
    assert not found.mask.any()
    np.testing.assert_allclose(
        found.xyxy,
        [[40.5, 60.25] * 2, [29.15, 49.35] * 2, [66.5, 37.5] * 2],
        rtol=1e-6,
    )


def test_no_prompts_no_rows(sam: SamSegmenter) -> None:
    assert len(sam.segment(sam.embed(picture((64, 64))), [], DEFAULT)) == 0


def test_the_threshold_comes_from_the_options_or_the_checkpoint(folder: Path) -> None:
    strict = load(Weights(REF, folder, {"mask_threshold": 2.0}), Runtime())
    embedding = strict.embed(picture((90, 90)))
    areas = [
        strict.segment(embedding, [BOX], SegmentOptions(mask_threshold=value)).mask.sum()
        for value in (0.0, None, 2.0)
    ]
    assert areas[0] > areas[1] == areas[2]


def test_the_encoder_runs_once_an_image(sam: SamSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    sam._network.model.vision_encoder.register_forward_hook(lambda *_: calls.append(1))
    embedding = sam.embed(picture((90, 70)))
    for prompt in PROMPTS.values():
        sam.segment(embedding, [fitted(prompt, (61, 70))], DEFAULT)
    sam.segment_everything(embedding, EverythingOptions(points_per_side=2))
    assert len(calls) == 1


def test_embeddings_are_values(sam: SamSegmenter) -> None:
    first, same, other = (sam.embed(picture((90, 70), seed)) for seed in (0, 0, 1))
    assert first.digest == same.digest != other.digest
    sam.segment(other, [POINT], DEFAULT)
    again, fresh = (sam.segment(embedding, [POINT], DEFAULT) for embedding in (first, same))
    np.testing.assert_array_equal(again.mask, fresh.mask)


def test_it_is_an_everything_segmenter(sam: SamSegmenter) -> None:
    assert isinstance(sam, EverythingSegmenter)
    assert sam.accepts == set(PromptKind) - SAYS_WHAT


# --- mask prompts -----------------------------------------------------------------------------


def test_each_mask_prompt_changes_its_own_row(sam: SamSegmenter) -> None:
    size_wh = SIZES["portrait"]
    embedding = sam.embed(picture(size_wh))
    mask = some_mask(size_wh)
    prompts = [BOX, replace(BOX, mask=mask), replace(BOX, mask=Mask(~mask.array))]
    found = sam.segment(embedding, prompts, DEFAULT)
    assert len({row.tobytes() for row in found.mask}) == 3


@pytest.mark.parametrize("size_wh", [*SIZES.values(), (4000, 2667)], ids=[*SIZES, "12 megapixels"])
def test_mask_logits_lie_where_the_image_lies(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    frame = sam_frame(size_wh, SIDE)
    array = np.zeros((height, width), dtype=bool)
    array[: (height + 1) // 2] = True
    logits = mask_logits(array, frame, SIDE // 4)
    assert logits.shape == (SIDE // 4, SIDE // 4)
    assert logits.dtype == np.float32
    assert logits.min() == -prompt_tensors.MASK_LOGIT
    assert logits.max() <= prompt_tensors.MASK_LOGIT * 1.0001
    covered = ((logits / prompt_tensors.MASK_LOGIT + 1) / 2).sum() * 16
    right, bottom = frame.forward_points([[width, (height + 1) // 2]])[0]
    # whole pixels are drawn, and 1-pixel images are drawn 1 pixel wide
    assert covered == pytest.approx(frame.steps[0].target_wh[0] * bottom, rel=0.02)
    assert (logits[int(bottom / 4) + 2 :] == -prompt_tensors.MASK_LOGIT).all()
    assert (logits[:, int(right / 4) + 2 :] == -prompt_tensors.MASK_LOGIT).all()


# --- refusals ---------------------------------------------------------------------------------


def test_prompts_it_cant_take_are_refused(sam: SamSegmenter) -> None:
    embedding = sam.embed(picture((100, 100)))
    with pytest.raises(UnsupportedPrompt, match="can't take a text prompt"):
        sam.segment(embedding, [replace(BOX, text=Text("dog"))], DEFAULT)
    with pytest.raises(PromptError, match="outside the image"):
        sam.segment(embedding, [VisualPrompt(points=(Point(100, 5),))], DEFAULT)
    with pytest.raises(OptionError, match=r"iterations has no effect on sam-tiny.*one pass"):
        sam.segment(embedding, [BOX], SegmentOptions(iterations=3))


def test_another_models_embedding_is_refused(sam: SamSegmenter, folder: Path) -> None:
    newer = load(Weights(replace(REF, revision="abc"), folder), Runtime())
    embedding = sam.embed(picture((50, 50)))
    for call in (
        lambda: newer.segment(embedding, [], DEFAULT),
        lambda: newer.segment_everything(embedding, EverythingOptions()),
        lambda: sam.segment(replace(embedding, data=None), [], DEFAULT),
    ):
        with pytest.raises(ModelError, match="embed it again"):
            call()


def test_images_it_cant_take_are_refused(sam: SamSegmenter) -> None:
    with pytest.raises(ImageError, match="too long"):
        sam.embed(picture((1, 2 * SIDE + 1)))
    with pytest.raises(ImageError, match="mode RGB"):
        sam.embed(picture((50, 50)).convert("L"))
    sam.embed(picture((1, 2 * SIDE)))


def test_folders_it_cant_read_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(WeightsMissing, match="none was given"):
        load(Weights(REF), Runtime())
    with pytest.raises(WeightsMissing, match=r"config\.json"):
        load(Weights(REF, tmp_path), Runtime())
    (tmp_path / "config.json").write_text('{"model_type": "sam2"}')
    with pytest.raises(ModelError, match="holds a sam2 model"):
        load(Weights(REF, tmp_path), Runtime())
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(WeightsMissing, match=r"model\.safetensors"):
        load(Weights(REF, tmp_path), Runtime())


def test_weights_with_holes_are_refused(tmp_path: Path, folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["mask_decoder.iou_token.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(WeightsMissing, match=r"lack 1 of sam-tiny's tensors.*iou_token"):
        load(Weights(REF, tmp_path), Runtime())


def test_the_image_processor_may_be_missing_but_not_anothers(tmp_path: Path) -> None:
    bare = load(Weights(REF, save_tiny_sam(tmp_path, processor=False)), Runtime())
    image = picture((100, 60))
    (seen,) = bare.embed(image).data.features
    tiny_processor().save_pretrained(tmp_path)
    whole = load(Weights(REF, tmp_path), Runtime())
    assert torch.equal(whole.embed(image).data.features[0], seen)
    SamImageProcessorPil().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="makes them 1024"):
        load(Weights(REF, tmp_path), Runtime())


# --- precision and memory -----------------------------------------------------------------------


def test_bfloat16_answers_nearly_the_same(sam: SamSegmenter, folder: Path) -> None:
    half = load(Weights(REF, folder), Runtime(dtype="bfloat16"))
    image = picture((100, 80))
    embedding = half.embed(image)
    assert half._network.model.vision_encoder.dtype == torch.bfloat16
    assert embedding.data.features[0].dtype == torch.float32
    prompts = [POINT, BOX, replace(POINTS, points=POINTS.points[:2])]
    prompts = [fitted(prompt, (61, 80)) for prompt in prompts]
    ours, full = (
        model.segment(seen, prompts, DEFAULT)
        for model, seen in ((half, embedding), (sam, sam.embed(image)))
    )
    assert ours.data["mask_score"].dtype == np.float32
    agreement = (ours.mask == full.mask).mean(axis=(1, 2))
    assert (agreement > 0.9).all()


MEMORY_ERRORS = {
    "cuda": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "device's"),
    "cpu": (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "machine's"),
    "windows": (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "machine's"),
    "mps": (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "device's"),
    "numpy": (MemoryError("Unable to allocate 9 GiB"), "machine's"),
}


@pytest.mark.parametrize(("error", "where"), MEMORY_ERRORS.values(), ids=MEMORY_ERRORS)
def test_running_out_of_memory_says_what_to_lower(error: Exception, where: str) -> None:
    with (
        pytest.raises(OutOfMemory, match=f"{where} memory ran out: lower it\\."),
        guard_memory("lower it"),
    ):
        raise error


def test_other_errors_pass_the_memory_guard() -> None:
    with pytest.raises(RuntimeError, match="shapes"), guard_memory("lower it"):
        raise RuntimeError("shapes can't be multiplied")


def test_a_real_failed_allocation_is_recognised() -> None:
    with pytest.raises(OutOfMemory), guard_memory("lower it"):
        torch.empty(2**62, dtype=torch.uint8)


# --- everything mode ----------------------------------------------------------------------------

LENIENT = EverythingOptions(
    points_per_side=4,
    points_per_batch=5,
    pred_iou_thresh=0.0,
    stability_score_thresh=0.7,
    stability_score_offset=0.05,
    box_nms_thresh=1.0,
)


def reference_everything(
    sam: SamSegmenter, image: Image.Image, options: EverythingOptions
) -> list[tuple[float, bytes]]:
    """Score and mask of what transformers' ``filter_masks`` leaves, without suppression."""
    processor = tiny_processor()
    grid = sam.embed(image).data.features[0]
    _, points, _, labels = processor.generate_crop_boxes(
        image, SIDE, points_per_crop=options.points_per_side
    )
    inputs = processor(image, return_tensors="pt")
    with torch.no_grad():
        out = sam._network.model(
            image_embeddings=grid,
            input_points=points.transpose(1, 2).reshape(1, -1, 1, 2),
            input_labels=labels.transpose(1, 2).reshape(1, -1, 1),
        )
    (full,) = processor.post_process_masks(
        out.pred_masks,
        inputs["original_sizes"],
        inputs["reshaped_input_sizes"],
        binarize=False,
    )
    width, height = image.size
    rles, scores, _ = processor.filter_masks(
        full,
        out.iou_scores[0],
        (height, width),
        [0, 0, width, height],
        pred_iou_thresh=options.pred_iou_thresh,
        stability_score_thresh=options.stability_score_thresh,
        stability_score_offset=options.stability_score_offset,
    )
    return [
        (float(score), masks.from_rle(rle).tobytes())
        for score, rle in zip(scores, rles, strict=True)
    ]


@pytest.mark.parametrize("iou_thresh", [0.0, 0.3], ids=["every score", "only good scores"])
@pytest.mark.parametrize("size_wh", [SIZES["landscape"], SIZES["portrait"]], ids=["wide", "tall"])
def test_everything_keeps_what_transformers_filter_keeps(
    sam: SamSegmenter, size_wh: tuple[int, int], iou_thresh: float
) -> None:
    image, options = picture(size_wh), replace(LENIENT, pred_iou_thresh=iou_thresh)
    expected = reference_everything(sam, image, options)
    found = sam.segment_everything(sam.embed(image), options)
    assert 1 < len(expected) < 3 * 16
    assert len(found) == len(expected)
    ours = sorted((found.mask[row].tobytes(), s) for row, s in enumerate(found.confidence))
    theirs = sorted((mask, min(max(score, 0.0), 1.0)) for score, mask in expected)  # shares
    assert [mask for mask, _ in ours] == [mask for mask, _ in theirs]
    np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], rtol=1e-4)


def test_everything_is_compact_sorted_and_says_where_it_asked(sam: SamSegmenter) -> None:
    image = picture((160, 96))
    steps: list[tuple[int, int]] = []
    found = sam.segment_everything(sam.embed(image), LENIENT, lambda *step: steps.append(step))
    assert steps == [(5, 16), (10, 16), (15, 16), (16, 16)]
    assert isinstance(found.mask, sv.CompactMask)
    assert len(found) > 3
    assert found.confidence.tolist() == sorted(found.confidence, reverse=True)
    assert found.data["mask_score"].tolist() == found.confidence.tolist()
    assert (found.data["stability_score"] >= 0.7).all()
    assert set(found.data["class_name"]) == {"object"}
    assert found.data["prompt_index"].tolist() == [*range(len(found))]
    grid = {(x, y) for x, y in (automatic.point_grid(4) * (160, 96)).astype(np.float32)}
    assert {(x, y) for x, y in found.data["point_xy"]} <= grid
    for row in range(len(found)):
        assert tuple(found.xyxy[row]) == masks.box_of(found.mask[row])


def test_everything_never_holds_many_dense_masks(
    sam: SamSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive, most = [], [0]
    enlarge = segmenter.enlarge

    def watched(logits: torch.Tensor, passes: Sequence[Pass]) -> torch.Tensor:
        import weakref

        alive[:] = [ref for ref in alive if ref() is not None]
        full = enlarge(logits, passes)
        alive.append(weakref.ref(full))
        most[0] = max(most[0], len(alive))
        return full

    monkeypatch.setattr(segmenter, "enlarge", watched)
    sam.segment_everything(sam.embed(picture((160, 96))), LENIENT)
    assert 1 <= most[0] <= 2


def test_suppression_drops_the_worse_of_two_alike(sam: SamSegmenter) -> None:
    embedding = sam.embed(picture((160, 96)))
    everything = sam.segment_everything(embedding, LENIENT)
    found = sam.segment_everything(embedding, replace(LENIENT, box_nms_thresh=0.5))
    assert 0 < len(found) < len(everything)
    overlap = sv.box_iou_batch(found.xyxy, found.xyxy) - np.eye(len(found))
    assert overlap.max() <= 0.5
    dropped = [row for row, xyxy in enumerate(everything.xyxy) if xyxy not in found.xyxy]
    kept = sv.box_iou_batch(everything.xyxy[dropped], found.xyxy)
    assert ((kept > 0.5) & (found.confidence >= everything.confidence[dropped, None])).any(1).all()


def test_specks_and_holes_are_mended(sam: SamSegmenter) -> None:
    embedding = sam.embed(picture((160, 96)))
    options = replace(LENIENT, min_mask_region_area=40)
    raw, mended = (sam.segment_everything(embedding, o) for o in (LENIENT, options))
    assert 0 < len(mended) <= len(raw)
    assert mended.confidence.tolist() == sorted(mended.confidence, reverse=True)
    looked = 0
    for row in range(len(mended)):
        mask = mended.mask[row]
        looked += 1
        np.testing.assert_array_equal(masks.drop_specks(mask, 40), mask)
        np.testing.assert_array_equal(masks.fill_holes(mask, 40), mask)
        assert tuple(mended.xyxy[row]) == masks.box_of(mask)
    assert looked == len(mended)


def test_of_masks_alike_the_one_that_needed_no_mending_stays() -> None:
    def found(array: np.ndarray, score: float) -> automatic.StableMask:
        xyxy = masks.box_of(array)
        assert xyxy
        mask = detections.compact(masks.MaskCrop.of(array))
        return automatic.StableMask(mask, xyxy, score, 1.0, (0.0, 0.0))

    whole = np.zeros((20, 30), dtype=bool)
    whole[2:12, 3:20] = True
    specked = whole.copy()
    specked[18, 28] = True
    mended = automatic._mended(
        [found(specked, 0.9), found(whole, 0.8)], below_area=5, most_overlap=0.7
    )
    assert [one.score for one in mended] == [0.8]


def test_nothing_found_is_an_answer(sam: SamSegmenter) -> None:
    options = replace(LENIENT, stability_score_thresh=1.0, stability_score_offset=100.0)
    found = sam.segment_everything(sam.embed(picture((160, 96))), options)
    assert len(found) == 0
    assert found.data["point_xy"].shape == (0, 2)


def test_the_grid_lies_at_cell_centres() -> None:
    np.testing.assert_allclose(
        automatic.point_grid(2), [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    )
    assert len(automatic.point_grid(32)) == 1024


STABILITY = {
    "certain": ([9.0, -9.0], 1.0),
    "half": ([0.5, 9.0], 0.5),
    "nowhere": ([-9.0, -9.0], float("nan")),
}


@pytest.mark.parametrize(("logits", "expected"), STABILITY.values(), ids=STABILITY)
def test_stability_score(logits: list[float], expected: float) -> None:
    score = automatic.stability_score(torch.tensor(logits), 0.0, 1.0)
    assert score == pytest.approx(expected, nan_ok=True)
