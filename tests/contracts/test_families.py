"""What every model family promises, whatever stands behind it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
from PIL import Image

from limner.errors import ImageError, LimnerError, OptionError, UnsupportedPrompt
from limner.options import DetectOptions, InpaintOptions, SegmentOptions
from limner.prompts import Box, Exemplar, Like, Mask, Point, PromptKind, Text, VisualPrompt
from limner.protocols import Captioner, Detector, Encoder, Inpainter, Matting, Segmenter
from limner.registry import catalog
from tests.models.tiny_encoders import save_tiny_clip

from .families import ALL, FAMILIES, Family, load, of

PROMPTED = list(dict.fromkeys([*of("segment"), *of("detect")]))
PHRASE = {"haar": "face", "faces": "face"}  # the families with a fixed vocabulary
OBEYED = {
    ("grounding_dino", "text_threshold"),
    ("grounding_dino", "phrases"),
    ("florence", "phrases"),
}
"""Settings of detection that not every family has."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each family's model, loaded once."""
    return {
        str(family): load(family, tmp_path_factory.mktemp("model") / family.name)
        for family in FAMILIES
    }


@pytest.fixture(scope="session")
def home_with_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with the encoder by which FastSAM reads phrases."""
    home = tmp_path_factory.mktemp("home")
    save_tiny_clip(home / "models" / "clip-vit-base-patch32")
    return home


@pytest.fixture(autouse=True)
def _models_of_tests(home_with_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(home_with_encoder))


@pytest.fixture
def picture() -> Image.Image:
    """A bright textured disc on a dark textured ground, 160 x 128."""
    y, x = np.mgrid[:128, :160]
    disc = (x - 80) ** 2 + (y - 64) ** 2 < 35**2
    texture = np.random.default_rng(0).normal(0, 8, (128, 160, 1))
    base = np.where(disc[..., None], (210, 120, 60), (30, 60, 90))
    return Image.fromarray(np.clip(base + texture, 0, 255).astype(np.uint8))


def say(kind: PromptKind) -> VisualPrompt:
    """The disc, said in one way."""
    array = np.zeros((128, 160), dtype=bool)
    array[35:95, 50:110] = True
    example = Exemplar(np.full((40, 40, 3), 200, np.uint8), Box(5, 5, 30, 30))
    return {
        PromptKind.TEXT: VisualPrompt(text=Text("a cat")),
        PromptKind.EXEMPLAR: VisualPrompt(exemplar=example),
        PromptKind.LIKE: VisualPrompt(likes=(Like(Box(45, 29, 115, 99)),)),
        PromptKind.NEGATIVE_EXEMPLAR_BOX: VisualPrompt(
            likes=(Like(Box(45, 29, 115, 99)), Like(Box(0, 0, 20, 20), positive=False))
        ),
        PromptKind.POINT: VisualPrompt(points=(Point(80, 64),)),
        PromptKind.BACKGROUND_POINT: VisualPrompt(
            points=(Point(80, 64), Point(5, 5, foreground=False))
        ),
        PromptKind.BOX: VisualPrompt(box=Box(45, 29, 115, 99)),
        PromptKind.MASK: VisualPrompt(mask=Mask(array)),
    }[kind]


def test_every_family_of_the_catalog_is_held_to_the_contract() -> None:
    assert {family.name for family in ALL} == set(catalog.families())
    if absent := sorted(f"{family} ({family.needs})" for family in set(ALL) - set(FAMILIES)):
        pytest.skip(f"FAMILY'S PACKAGE MISSING: {', '.join(absent)}")


@pytest.mark.parametrize("family", PROMPTED, ids=str)
def test_accepts_is_what_the_catalog_says(family: Family, models: dict[str, Any]) -> None:
    """The catalog's table is read without importing the family, so the two must agree."""
    assert models[str(family)].accepts == catalog.families()[family.name].accepts


@pytest.mark.parametrize("family", of("segment"), ids=str)
def test_a_segmenter_answers_row_by_row(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    """Row i answers prompt i, alone or beside others, with the keys and types of detections.py."""
    model = models[str(family)]
    assert isinstance(model, Segmenter)
    prompts = [say(kind) for kind in sorted(model.accepts)]
    embedding = model.embed(picture)
    together = model.segment(embedding, prompts, SegmentOptions())
    assert isinstance(together, sv.Detections)
    assert len(together) == len(prompts) == len(model.accepts)
    assert together.mask is not None
    assert together.mask.shape == (len(prompts), 128, 160)
    assert together.data["mask_score"].dtype == np.float32
    assert list(together.data["prompt_index"]) == list(range(len(prompts)))
    for row, prompt in enumerate(prompts):
        alone = model.segment(embedding, [prompt], SegmentOptions())
        assert alone.mask is not None
        assert np.array_equal(together.mask[row], alone.mask[0])
        best, *_ = together.data["candidates"][row]
        assert np.array_equal(best[0], together.mask[row]), "the best candidate is the answer"


@pytest.mark.parametrize("family", of("segment"), ids=str)
def test_an_embedding_is_a_value(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    """Another image in between changes nothing: no image is kept inside the model."""
    model, prompt = models[str(family)], say(PromptKind.BOX)
    embedding = model.embed(picture)
    first = model.segment(embedding, [prompt], SegmentOptions())
    model.segment(model.embed(picture.rotate(90)), [prompt], SegmentOptions())
    again = model.segment(embedding, [prompt], SegmentOptions())
    assert np.array_equal(first.mask, again.mask)


@pytest.mark.parametrize("family", PROMPTED, ids=str)
def test_a_kind_that_is_not_accepted_is_refused(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    """Aloud, naming what is taken; never ignored."""
    model = models[str(family)]
    refused = [kind for kind in PromptKind if kind not in model.accepts]
    assert refused
    if family.task == "segment":
        ask = partial(model.segment, model.embed(picture), options=SegmentOptions())
    else:
        ask = partial(model.detect, picture, options=DetectOptions())
    for kind in refused:
        with pytest.raises(UnsupportedPrompt, match=str(sorted(model.accepts)[0])):
            ask(prompts=[say(kind)])


@pytest.mark.parametrize("family", of("detect"), ids=str)
def test_a_detector_answers_in_pixels_of_the_original(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    """Boxes inside the image, best first, class_id = the prompt's index; none is fine too."""
    model = models[str(family)]
    assert isinstance(model, Detector)
    phrase = Text(PHRASE.get(family.name, "a cat"))
    for threshold in (0.0, 1.0):
        found = model.detect(
            picture, [VisualPrompt(text=phrase)] * 2, DetectOptions(threshold=threshold)
        )
        assert {"class_name", "prompt_index"} <= set(found.data)
        assert found.confidence is not None
        assert (np.diff(found.confidence) <= 0).all()
        assert set(found.data["prompt_index"]) <= {0, 1}
        assert (found.xyxy >= 0).all()
        assert (found.xyxy <= (160, 128, 160, 128)).all()


@pytest.mark.parametrize("family", of("detect"), ids=str)
def test_max_detections_is_a_limit(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    found = models[str(family)].detect(
        picture,
        [VisualPrompt(text=Text(PHRASE.get(family.name, "a cat")))],
        DetectOptions(threshold=0.0, nms_threshold=1.0, max_detections=3),
    )
    assert len(found) <= 3


@pytest.mark.parametrize("family", of("detect"), ids=str)
@pytest.mark.parametrize("idle", [{"text_threshold": 0.2}, {"phrases": "together"}], ids=str)
def test_a_detector_obeys_a_setting_or_refuses_it(
    family: Family, idle: dict[str, Any], models: dict[str, Any], picture: Image.Image
) -> None:
    """Those that read words one by one obey; the others say that it has no effect."""
    prompts = [VisualPrompt(text=Text(PHRASE.get(family.name, "a cat")))]
    if (family.name, *idle) in OBEYED:
        models[str(family)].detect(picture, prompts, DetectOptions(**idle))
        return
    with pytest.raises(OptionError, match=f"{next(iter(idle))} has no effect"):
        models[str(family)].detect(picture, prompts, DetectOptions(**idle))


@pytest.mark.parametrize("family", of("inpaint"), ids=str)
def test_an_inpainter_keeps_size_and_repeats_itself(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    """Same seed, same picture; a picture of the input's size for each that was asked for."""
    model = models[str(family)]
    assert isinstance(model, Inpainter)
    image = picture.resize((128, 128))
    mask = np.zeros((128, 128), dtype=bool)
    mask[40:80, 40:80] = True
    paint = Text("a cat") if model.takes_text else None
    asked = InpaintOptions(seed=3, num_inference_steps=2 if model.takes_text else None)
    settled = model.resolve(asked)
    assert settled.seed == 3
    first, again = (model.inpaint(image, mask, paint, settled) for _ in range(2))
    assert [picture.size for picture in first] == [(128, 128)]
    assert np.array_equal(first[0], again[0])
    inside = np.asarray(first[0])[mask] != np.asarray(image)[mask]
    assert inside.any(), "something was painted"


@pytest.mark.parametrize("family", of("encode"), ids=str)
def test_an_encoder_answers_with_unit_rows(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    """Row i is picture i, alone or beside others; words lie in the same space or are refused."""
    model = models[str(family)]
    assert isinstance(model, Encoder)
    pictures = [picture, picture.rotate(90), picture.resize((40, 90))]
    together = model.encode_images(pictures)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for row, one in enumerate(pictures):
        assert np.allclose(model.encode_images([one])[0], together[row], atol=1e-5)
    width = together.shape[1]
    assert width > 1
    assert model.encode_images([]).shape == (0, width)
    assert model.takes_text == (PromptKind.TEXT in catalog.families()[family.name].accepts)
    if model.takes_text:
        words = model.encode_texts(["a cat", "a dog", ""])
        assert words.shape == (3, width)
        assert words.dtype == np.float32
        assert np.allclose(np.linalg.norm(words, axis=1), 1, atol=1e-5)
        assert model.encode_texts([]).shape == (0, width)
    else:
        with pytest.raises(UnsupportedPrompt, match=r"reads no words.*mini-clip"):
            model.encode_texts(["a cat"])


@pytest.mark.parametrize("family", of("caption"), ids=str)
def test_a_captioner_answers_each_picture(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    """The same sentence for the same picture, whatever else was asked."""
    model = models[str(family)]
    assert isinstance(model, Captioner)
    pictures = [picture, picture.rotate(90), picture]
    together = model.caption(pictures)
    assert len(together) == 3
    assert all(isinstance(sentence, str) and sentence for sentence in together)
    assert together[0] == together[2] == model.caption([picture])[0]
    assert model.caption([]) == []


@pytest.mark.parametrize("family", of("matte"), ids=str)
def test_a_matting_model_takes_the_bright_disc(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    """Alpha of the picture's size in 0..1, the same each time; 0 and 1 alone where it isn't soft,
    and then a person is told."""
    model = models[str(family)]
    assert isinstance(model, Matting)
    first, again = model.matte(picture), model.matte(picture)
    assert first.alpha.shape == (128, 160)
    assert first.alpha.dtype == np.float32
    assert 0 <= first.alpha.min() <= first.alpha.max() <= 1
    assert 0 <= first.score <= 1
    assert np.array_equal(first.alpha, again.alpha)
    assert first.alpha[64, 80] > 0.5 > first.alpha[5, 5]
    assert model.soft == bool(set(np.unique(first.alpha)) - {0, 1})
    assert model.soft or model.caveat


@pytest.mark.parametrize("family", [*of("encode"), *of("caption")], ids=str)
def test_a_picture_that_is_not_rgb_is_refused(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    model = models[str(family)]
    with pytest.raises(ImageError, match="RGB images, got mode L"):
        (model.encode_images if family.task == "encode" else model.caption)([picture.convert("L")])


@pytest.mark.parametrize("family", [*PROMPTED, *of("inpaint")], ids=str)
def test_a_setting_without_effect_is_refused(
    family: Family, models: dict[str, Any], picture: Image.Image
) -> None:
    """With the reason, before any work is done."""
    model = models[str(family)]
    if family.task == "inpaint":
        idle = {"radius": 9} if model.takes_text else {"guidance_scale": 3.0}
        with pytest.raises(OptionError, match="no effect"):
            model.resolve(InpaintOptions(**idle))
    elif family.task == "segment":
        idle = {"iterations": 9} if family.save else {"multimask_output": True}
        with pytest.raises(OptionError, match="no effect"):
            model.segment(model.embed(picture), [say(PromptKind.BOX)], SegmentOptions(**idle))
    else:
        with pytest.raises(LimnerError):
            model.detect(picture, [VisualPrompt(text=Text("x", negative="y"))], DetectOptions())


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_the_reference_says_which_weights_answered(family: Family, models: dict[str, Any]) -> None:
    ref = models[str(family)].ref
    assert ref.family == family.name
    assert ref.licence
    if family.save:
        assert ref.files, "hashes of the weight files"
        assert all(len(digest) == 64 for _, digest in ref.files)
