"""SAM 2, SAM 3's clicks and HQ-SAM on tiny models of the real classes with random weights, against
transformers' own path. Its processor for SAM 2 needs torchvision, so its steps are taken here one
by one; the pixels are held against the processor's own numbers, written down."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    Sam2Model,
    Sam3TrackerModel,
    SamHQModel,
    SamHQProcessor,
)

from limner.errors import ModelError, WeightsMissing
from limner.models.blocks.square_resize import SquareResize
from limner.models.sam import sam, sam2
from limner.models.sam.prompt_tensors import mask_logits
from limner.models.sam.segmenter import SamSegmenter
from limner.options import EverythingOptions, SegmentOptions
from limner.prompts import Box, Mask, Point, VisualPrompt
from limner.protocols import EverythingSegmenter, ModelRef, PackableSegmenter
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_owlvit import noise
from tests.models.tiny_sam import save_tiny_sam, tiny_processor
from tests.models.tiny_sam2 import save_tiny_sam2, save_tiny_sam_hq
from tests.models.tiny_sam3 import save_tiny_sam3_tracker, save_tiny_sam3_video

REF = ModelRef("tiny", "sam2", "Apache-2.0")
SIZES = {"wide": (160, 96), "tall": (61, 143)}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DEFAULT = SegmentOptions()


def load_sam2(folder: Path, **runtime: Any) -> SamSegmenter:
    return sam2.load(Weights(REF, folder), Runtime(**runtime))


def load_hq(folder: Path) -> SamSegmenter:
    return sam.load_hq(Weights(REF, folder), Runtime())


def some_mask(size_wh: tuple[int, int]) -> Mask:
    array = np.zeros(size_wh[::-1], dtype=bool)
    array[20:60, 10:40] = True
    return Mask(array)


POINT = VisualPrompt(points=(Point(40.5, 60.25),))
BOX = VisualPrompt(box=Box(8.3, 10, 50, 88.7))
PROMPTS = {
    "point": POINT,
    "points": VisualPrompt(points=(Point(40, 60), Point(10, 20), Point(55, 90, False))),
    "box": BOX,
    "point in box": VisualPrompt(points=(Point(20, 30, False),), box=BOX.box),
    "mask": VisualPrompt(mask=some_mask(SIZES["wide"])),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("sams")
    return {
        "sam2": save_tiny_sam2(base / "sam2"),
        "sam3_tracker": save_tiny_sam3_tracker(base / "tracker"),
        "sam_hq": save_tiny_sam_hq(base / "hq"),
    }


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, SamSegmenter]:
    return {
        name: load_hq(folder) if name == "sam_hq" else load_sam2(folder)
        for name, folder in folders.items()
    }


@pytest.fixture(scope="module")
def tiny(models: dict[str, SamSegmenter]) -> SamSegmenter:
    return models["sam2"]


# --- pixels -----------------------------------------------------------------------------------

GOLDEN = {
    ("sam2", (160, 96)): "36d1217bd39d1427d4838660c486a43bce563ac502b24a6fb6dead9d66ff244f",
    ("sam2", (61, 143)): "a29769b7317ad136769cff729f92c02d8e9a0be607d5e39b72c3595d2aaabdfe",
    ("sam3", (160, 96)): "bcf956c41fce26aa51de0fb8558b771957691d839817f89c7c687977769cfe24",
    ("sam3", (61, 143)): "81fe47a6c04d169d45b72f62b93815b2f8528d487fabd01fd5f2236de55cb2da",
}
"""SHA-256 of ``pixel_values`` by transformers 5.23's ``Sam2ImageProcessor`` at 128 pixels and
``Sam3ImageProcessor`` at 112, with torchvision 0.28.0 and torch 2.13.0 on x86-64."""
PIXELS = {
    ("sam2", (160, 96)): [0.0398150, -0.1828068, -0.1449580, 1.1759478],
    ("sam2", (61, 143)): [-0.3026801, 1.0673002, 1.2205882, -1.0724183],
    ("sam3", (160, 96)): [0.0745098, 0.1372549, -0.1058824, 0.2078431],
    ("sam3", (61, 143)): [-0.0980392, -0.0039216, -0.2156863, -0.6156863],
}
"""Of the same: the values at 0, 5000, 20000 and the end."""


@pytest.mark.parametrize("which", GOLDEN, ids=lambda which: f"{which[0]} {which[1]}")
def test_pixels_are_those_of_the_upstream_processors(which: tuple[str, tuple[int, int]]) -> None:
    """Without torchvision: to the last bit where these were made, to one step of 255 anywhere."""
    kind, (width, height) = which
    half = (0.5, 0.5, 0.5)
    squash = SquareResize(128, MEAN, STD) if kind == "sam2" else SquareResize(112, half, half)
    array = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels = squash.pixels(Image.fromarray(array))
    np.testing.assert_allclose(pixels.flatten()[[0, 5000, 20000, -1]], PIXELS[which], atol=0.02)
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert hashlib.sha256(pixels.numpy().tobytes()).hexdigest() == GOLDEN[which]


def test_a_processor_of_another_size_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["sam2"], tmp_path / "sam2")
    said = {"size": {"height": 256, "width": 256}}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match=r"128 x 128 pixels.*256 x 256"):
        load_sam2(folder)


# --- masks ------------------------------------------------------------------------------------


def squashed(image: Image.Image, prompt: VisualPrompt, side: int, mean: Any, std: Any) -> Any:
    """``Sam2Processor``'s steps: the image and coordinates to a square, in float32."""
    rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    square = torch.nn.functional.interpolate(
        rgb, (side, side), mode="bilinear", antialias=True, align_corners=False
    )
    centred = square.float() - torch.tensor(mean)[:, None, None] * 255
    scale = torch.tensor([side / image.width, side / image.height])
    inputs = {"pixel_values": centred / (torch.tensor(std)[:, None, None] * 255)}
    if prompt.points:
        xy = torch.tensor([[[(p.x, p.y) for p in prompt.points]]])
        inputs["input_points"] = xy * scale
        inputs["input_labels"] = torch.tensor([[[p.label for p in prompt.points]]])
    if prompt.box:
        inputs["input_boxes"] = torch.tensor([[prompt.box.xyxy]]) * scale.repeat(2)
    return inputs


def upstream(name: str, folder: Path, image: Image.Image, prompt: VisualPrompt) -> Any:
    """The model and what it is asked."""
    if name == "sam_hq":
        model = SamHQModel.from_pretrained(folder).eval()
        asked: dict[str, Any] = {}
        if prompt.points:
            asked["input_points"] = [[[[p.x, p.y] for p in prompt.points]]]
            asked["input_labels"] = [[[p.label for p in prompt.points]]]
        if prompt.box:
            asked["input_boxes"] = [[list(prompt.box.xyxy)]]
        made = SamHQProcessor(tiny_processor())(images=image, return_tensors="pt", **asked)
        return model, {key: made[key] for key in ("pixel_values", *asked)}
    if name == "sam2":
        return Sam2Model.from_pretrained(folder).eval(), squashed(image, prompt, 128, MEAN, STD)
    half = (0.5, 0.5, 0.5)
    tracker = Sam3TrackerModel.from_pretrained(folder).eval()
    inputs = squashed(image, prompt, 112, half, half)
    inputs["image_embeddings"] = tracker_features(tracker, inputs.pop("pixel_values"))
    return tracker, inputs


def tracker_features(tracker: Any, pixels: torch.Tensor) -> list[torch.Tensor]:
    """transformers 5.23 adds "no memory" to the coarsest of four maps, which it then leaves out;
    SAM 3's own code leaves it out first (sam1_task_predictor.py), and so do we."""
    fine, middle, grid = tracker.get_image_embeddings(pixels)
    return [fine, middle, grid + tracker.no_memory_embedding.detach().reshape(1, -1, 1, 1)]


@pytest.mark.parametrize("multimask", [True, False], ids=["three masks", "one mask"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["sam2", "sam3_tracker", "sam_hq"])
def test_masks_are_those_of_transformers_to_the_pixel(
    models: dict[str, SamSegmenter],
    folders: dict[str, Path],
    name: str,
    size: str,
    multimask: bool,
) -> None:
    """Points, boxes and masks, enlarged as ``post_process_masks`` does."""
    image = noise(*SIZES[size])
    embedding = models[name].embed(image)
    frame = embedding.data.frame
    asked = {kind: p for kind, p in PROMPTS.items() if kind != "mask" or size == "wide"}
    for kind, prompt in asked.items():
        found = models[name].segment(
            embedding, [prompt], SegmentOptions(multimask_output=multimask)
        )
        model, inputs = upstream(name, folders[name], image, prompt)
        if prompt.mask:
            logits = mask_logits(prompt.mask.array, frame, 32)
            inputs["input_masks"] = torch.from_numpy(logits)[None, None]
        with torch.no_grad():
            out = model(**inputs, multimask_output=multimask)
        if name == "sam_hq":
            (theirs,) = tiny_processor().post_process_masks(
                out.pred_masks, [image.size[::-1]], [frame.steps[0].target_wh[::-1]], binarize=False
            )
            logits = theirs[0].numpy()
        else:
            logits = torch.nn.functional.interpolate(
                out.pred_masks[0], image.size[::-1], mode="bilinear", align_corners=False
            ).numpy()[0]
        expected, sure = logits > 0, np.abs(logits) > 1e-4  # nearer, the processor decides
        assert sure.mean() > 0.99
        scores = out.iou_scores[0, 0].numpy()
        (candidates,) = found.data["candidates"]
        assert len(candidates) == len(expected) == (3 if multimask else 1)
        for (mask, score), m in zip(candidates, np.argsort(-scores, kind="stable"), strict=True):
            np.testing.assert_array_equal(mask[sure[m]], expected[m][sure[m]], err_msg=kind)
            assert score == pytest.approx(np.clip(scores[m], 0, 1), abs=1e-5)
        assert any(0 < mask.mean() < 1 for mask in expected), "empty masks show nothing"


def test_an_unstable_mask_gives_way_to_the_best_of_three(tmp_path: Path) -> None:
    """``dynamic_multimask_via_stability``, which the checkpoints of SAM 2.1 are set to."""
    never, always = (
        load_sam2(save_tiny_sam2(tmp_path / f"{stable}", stable=stable)) for stable in (0.0, 1.1)
    )
    image = noise(*SIZES["wide"])
    single, chosen = (
        model.segment(model.embed(image), [BOX], DEFAULT) for model in (never, always)
    )
    three = always.segment(always.embed(image), [BOX], SegmentOptions(multimask_output=True))
    assert chosen.data["mask_score"] == three.data["mask_score"]
    np.testing.assert_array_equal(chosen.mask, three.mask)
    assert single.data["mask_score"] != three.data["mask_score"]


def plain_features(model: Any, pixels: torch.Tensor) -> list[torch.Tensor]:
    return list(model.get_image_embeddings(pixels))


# --- folders ----------------------------------------------------------------------------------


def test_a_video_models_folder_is_read_without_its_memory(tmp_path: Path) -> None:
    """The hub's checkpoints are of ``Sam2VideoModel`` and ``Sam3VideoModel``."""
    image = noise(*SIZES["wide"])
    for save, upstream_model in (
        (lambda folder: save_tiny_sam2(folder, video=True), Sam2Model),
        (save_tiny_sam3_video, Sam3TrackerModel),
    ):
        folder = save(tmp_path / upstream_model.__name__)
        model = load_sam2(folder)
        features = model.embed(image).data.features
        theirs = upstream_model.from_pretrained(folder).eval()
        pixels = model._network._squash.pixels(image)
        asked = tracker_features if upstream_model is Sam3TrackerModel else plain_features
        expected = asked(theirs, pixels)
        assert len(features) == len(expected) == 3
        for ours, other in zip(features, expected, strict=True):
            torch.testing.assert_close(ours, other)


def test_folders_it_cant_read_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    """Weights of another architecture, and weights with holes."""
    from safetensors.torch import load_file, save_file

    with pytest.raises(ModelError, match="holds a sam model; this family reads sam2"):
        load_sam2(save_tiny_sam(tmp_path / "sam"))
    with pytest.raises(ModelError, match="holds a sam2 model; this family reads sam_hq"):
        load_hq(folders["sam2"])
    hollow = shutil.copytree(folders["sam2"], tmp_path / "hollow")
    tensors = load_file(hollow / "model.safetensors")
    del tensors["no_memory_embedding"]
    save_file(tensors, hollow / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsMissing, match=r"lack 1 of tiny's tensors.*no_memory"):
        load_sam2(hollow)
    lying = shutil.copytree(folders["sam_hq"], tmp_path / "lying")
    shutil.copy(folders["sam2"] / "config.json", lying / "config.json")
    with pytest.raises(ModelError, match=r"is \(.*\) and should be \(.*files of one model"):
        load_sam2(lying)


# --- what it shares with SAM ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sam2", "sam3_tracker", "sam_hq"])
def test_an_embedding_survives_the_disk(models: dict[str, SamSegmenter], name: str) -> None:
    model, image = models[name], noise(*SIZES["wide"])
    assert isinstance(model, PackableSegmenter)
    embedding = model.embed(image)
    packed = model.pack(embedding)
    again = model.unpack(packed, image)
    first, second = (model.segment(one, [BOX], DEFAULT) for one in (embedding, again))
    np.testing.assert_array_equal(first.mask, second.mask)
    lost = dict(list(packed.items())[:-1])
    for wrong in (lost, {**packed, "feature_0": packed["feature_0"][..., :-1]}):
        with pytest.raises(ModelError, match="embed it again"):
            model.unpack(wrong, image)


def test_everything_mode_answers(tiny: SamSegmenter) -> None:
    assert isinstance(tiny, EverythingSegmenter)
    options = EverythingOptions(
        points_per_side=3, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=1.0
    )
    found = tiny.segment_everything(tiny.embed(noise(*SIZES["wide"])), options)
    assert 3 < len(found) <= 27


def test_prompts_asked_together_answer_as_each_alone(
    tiny: SamSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In passes of several too, as on a GPU."""
    embedding = tiny.embed(noise(*SIZES["wide"]))
    asked = [*PROMPTS.values(), VisualPrompt(box=Box(60, 5, 150, 60))]
    alone = [tiny.segment(embedding, [prompt], DEFAULT).mask[0] for prompt in asked]
    monkeypatch.setattr(tiny, "_at_once", 8)
    together = tiny.segment(embedding, asked, DEFAULT)
    np.testing.assert_array_equal(together.mask, alone)


def test_images_of_any_shape_are_seen(tiny: SamSegmenter) -> None:
    """Squashed, a long image loses no side."""
    for size_wh in ((1, 90), (3000, 2)):
        found = tiny.segment(
            tiny.embed(noise(*size_wh)), [VisualPrompt(points=(Point(0, 1),))], DEFAULT
        )
        assert found.mask.shape == (1, *size_wh[::-1])


def test_bfloat16_answers_nearly_the_same(tiny: SamSegmenter, folders: dict[str, Path]) -> None:
    half = load_sam2(folders["sam2"], dtype="bfloat16")
    image = noise(*SIZES["wide"])
    assert half._network.model.vision_encoder.dtype == torch.bfloat16
    ours, full = (
        model.segment(model.embed(image), [POINT, BOX], DEFAULT).mask for model in (half, tiny)
    )
    assert ((ours == full).mean(axis=(1, 2)) > 0.9).all()
