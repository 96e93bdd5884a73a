"""FastSAM through the store, from a folder as a user's export makes it; what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limner.errors import (
    LicenceRefused,
    MissingExtra,
    ModelError,
    OptionError,
    PromptError,
    UnknownModel,
    UnsafeWeights,
    WeightsMissing,
)
from limner.models.fastsam.fastsam import FastSam, alone, network_input
from limner.models.fastsam.yolo_decode import decode
from limner.ops import masks, transforms
from limner.options import EverythingOptions, SegmentOptions
from limner.prompts import Box, Point, Text, VisualPrompt
from limner.protocols import EverythingSegmenter, PackableSegmenter
from limner.registry import catalog, store
from limner.registry.pool import ModelPool, weight_bytes
from limner.registry.pull import pull
from limner.registry.weights import Runtime
from limner.session import Session
from limner.session.choices import ModelChoices
from limner.session.model_slots import Models
from tests.models.tiny_encoders import save_tiny_clip
from tests.models.tiny_fastsam import TOLD, TinyYoloSeg, save_tiny_fastsam


def load(folder: Path) -> FastSam:
    model = ModelPool().get(store.from_folder(folder), Runtime())
    assert isinstance(model, FastSam)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "fastsam-s"
    save_tiny_fastsam(made)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> FastSam:
    return load(folder)


@pytest.fixture
def photo(astronaut: Path) -> Image.Image:
    return Image.open(astronaut).convert("RGB").resize((160, 120))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dynamic", "size_wh", "network_wh"),
    [
        (False, (160, 120), (128, 128)),
        (False, (100, 300), (128, 128)),
        (True, (160, 120), (128, 96)),
        (True, (100, 300), (64, 128)),
    ],
)
def test_everything_is_what_the_network_says(
    dynamic: bool,
    size_wh: tuple[int, int],
    network_wh: tuple[int, int],
    tmp_path: Path,
    astronaut: Path,
) -> None:
    """The exported file, loaded from disk, gives the masks of the torch module that it was made
    from; a graph that takes any size gets no more padding than its stride asks for."""
    network = save_tiny_fastsam(tmp_path / "m", dynamic=dynamic)
    image = Image.open(astronaut).convert("RGB").resize(size_wh)
    model = load(tmp_path / "m")
    found = model.segment_everything(model.embed(image), EverythingOptions())
    frame = transforms.letterbox(size_wh, network_wh, centred=True)
    with torch.inference_mode():
        raw, prototypes = network(torch.from_numpy(network_input(np.asarray(image), frame)))
    things = decode(raw[0].numpy(), prototypes[0].numpy(), frame, conf=0.4, iou=0.9)
    assert len(found) == len(things) > 20
    assert found.confidence is not None
    assert found.mask is not None
    assert np.allclose(found.confidence, things.confidence, atol=1e-4)
    assert (np.diff(found.confidence) <= 0).all()
    # In float32, cut at 0: a few pixels may fall the other way.
    assert (np.array(found.mask) != np.array(things.masks)).mean() < 1e-4
    assert np.array_equal(found.xyxy, things.xyxy)


def test_the_input_is_centred_on_grey() -> None:
    """RGB, not BGR, in 0..1; the odd row of padding goes below, as in Ultralytics."""
    red = np.zeros((5, 16, 3), dtype=np.uint8)
    red[..., 0] = 255
    frame = transforms.letterbox((16, 5), (16, 16), centred=True)
    batch = network_input(red, frame)
    assert batch.shape == (1, 3, 16, 16)
    assert batch.dtype == np.float32
    inside = batch[0, :, 5:10]
    assert (inside[0] == 1).all()
    assert (inside[1:] == 0).all()
    outside = np.delete(batch[0], np.s_[5:10], axis=1)
    assert np.allclose(outside, 114 / 255)


# --- prompts --------------------------------------------------------------------------------------


def test_the_network_is_asked_once_whatever_is_prompted(
    model: FastSam, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred prompts choose among the masks of one pass."""
    embedding = model.embed(photo)
    monkeypatch.setattr(model, "_graph", None)
    prompts = [VisualPrompt(points=(Point(x, 60),)) for x in range(0, 160, 2)]
    steps: list[tuple[int, int]] = []
    found = model.segment(embedding, prompts, SegmentOptions(), lambda *at: steps.append(at))
    assert len(found) == len(prompts)
    assert steps[-1] == (80, 80)
    assert found.mask is not None
    for row, prompt in enumerate(prompts):
        mask, score = found.data["candidates"][row][0]
        assert np.array_equal(mask, found.mask[row])
        assert score == pytest.approx(found.data["mask_score"][row])
        if not mask.any():
            assert found.xyxy[row].tolist() == [prompt.points[0].x, 60, prompt.points[0].x, 60]
        else:
            assert mask[60, int(prompt.points[0].x)]


def test_a_phrase_is_held_against_each_mask(folder: Path, photo: Image.Image, home: Path) -> None:
    """By CLIP, which is fetched from the store when the first phrase comes: the answer is the mask
    whose cosine with it is highest, its score the softmax over all masks, 100 times the cosine."""
    model = load(folder)
    embedding = model.embed(photo)
    asked = [VisualPrompt(text=Text(phrase)) for phrase in ("a red car", "two apples")]
    box = VisualPrompt(box=Box(10, 10, 90, 90))
    with pytest.raises(WeightsMissing, match=r"clip-vit-base-patch32.*limner models pull clip"):
        model.segment(embedding, asked, SegmentOptions())
    assert len(model.segment(embedding, [box], SegmentOptions())), "needs no encoder"
    save_tiny_clip(home / "models" / "clip-vit-base-patch32")
    found = model.segment(embedding, [asked[0], box, asked[1]], SegmentOptions())
    assert found.data["class_name"].tolist() == ["a red car", "box", "two apples"]

    things = embedding.data.things
    clip = ModelPool().get(store.find("clip-vit-base-patch32"), Runtime())
    large = np.flatnonzero(things.area > 100).tolist()
    looks = clip.encode_images([alone(np.asarray(photo), things, row) for row in large])  # type: ignore[attr-defined]
    texts = clip.encode_texts(["a red car", "two apples"])  # type: ignore[attr-defined]
    shares = torch.softmax(torch.from_numpy(100 * texts @ looks.T), 1).numpy()
    assert found.mask is not None
    for row, of_phrase in ((0, shares[0]), (2, shares[1])):
        assert np.array_equal(found.mask[row], things.masks[large[int(of_phrase.argmax())]])
        assert found.data["mask_score"][row] == pytest.approx(of_phrase.max(), rel=1e-3)
        scores = [score for _, score in found.data["candidates"][row]]
        assert scores == sorted(scores, reverse=True)


def test_what_is_held_against_a_phrase_is_the_mask_alone(
    model: FastSam, photo: Image.Image
) -> None:
    """Square and whole, black around it: CLIP would cut off the ends of what is long, and find the
    neighbours in the bounding box (ultralytics#23765)."""
    things = model.embed(photo).data.things
    pixels = np.full((120, 160, 3), 200, dtype=np.uint8)
    for row in range(5):
        seen = np.asarray(alone(pixels, things, row))
        assert seen.shape[0] == seen.shape[1]
        assert (seen == 200).all(axis=2).sum() == things.area[row]
        assert set(np.unique(seen)) <= {0, 200}


def test_a_phrase_where_nothing_was_found_means_nothing(folder: Path, home: Path) -> None:
    """No encoder is loaded for it."""
    model = load(folder)
    model._conf = 1.0
    embedding = model.embed(Image.new("RGB", (64, 64)))
    found = model.segment(embedding, [VisualPrompt(text=Text("a cat"))], SegmentOptions())
    assert found.mask is not None
    assert not found.mask.any()
    assert len(model.segment_everything(embedding, EverythingOptions())) == 0


def test_a_phrase_with_a_negative_is_refused(model: FastSam, photo: Image.Image) -> None:
    prompt = VisualPrompt(text=Text("person", negative="sunglasses"))
    with pytest.raises(PromptError, match="sunglasses"):
        model.segment(model.embed(photo), [prompt], SegmentOptions())


def test_everything_mends_small_holes_and_specks(model: FastSam, photo: Image.Image) -> None:
    """As in SAM's everything mode; what it has no use for is refused."""
    embedding = model.embed(photo)
    things = embedding.data.things
    found = model.segment_everything(embedding, EverythingOptions(min_mask_region_area=50))
    assert found.mask is not None
    assert len(found) == len(things)
    changed = 0
    for row in range(len(things)):
        mended = masks.drop_specks(masks.fill_holes(things.masks[row], 50), 50)
        assert np.array_equal(found.mask[row], mended)
        changed += not np.array_equal(mended, things.masks[row])
    assert changed
    with pytest.raises(OptionError, match="points_per_side has no effect"):
        model.segment_everything(embedding, EverythingOptions(points_per_side=8))


# --- embeddings -----------------------------------------------------------------------------------


def test_an_embedding_can_be_kept(model: FastSam, photo: Image.Image) -> None:
    """Packed and unpacked, it answers the same."""
    assert isinstance(model, PackableSegmenter)
    assert isinstance(model, EverythingSegmenter)
    embedding = model.embed(photo)
    again = model.unpack(model.pack(embedding), photo)
    prompts = [VisualPrompt(box=Box(10, 10, 90, 90)), VisualPrompt(points=(Point(80, 60),))]
    for ask in (
        lambda one: model.segment(one, prompts, SegmentOptions()),
        lambda one: model.segment_everything(one, EverythingOptions()),
    ):
        first, second = ask(embedding), ask(again)
        assert np.array_equal(np.array(first.mask), np.array(second.mask))
        assert np.array_equal(first.confidence, second.confidence)
        assert np.array_equal(first.xyxy, second.xyxy)


def test_arrays_of_another_image_or_model_are_refused(model: FastSam, photo: Image.Image) -> None:
    packed = dict(model.pack(model.embed(photo)))
    with pytest.raises(ModelError, match="embed it again"):
        model.unpack(packed, photo.resize((40, 40)))
    with pytest.raises(ModelError, match="embed it again"):
        model.unpack({**packed, "bits": packed["bits"][:-3]}, photo)
    with pytest.raises(ModelError, match="embed it again"):
        model.unpack({"grid": np.zeros(3)}, photo)


def test_another_exports_embedding_is_refused(
    model: FastSam, photo: Image.Image, tmp_path: Path
) -> None:
    """Folders of one name, other weights in them."""
    save_tiny_fastsam(tmp_path / "fastsam-s", seed=1)
    other = load(tmp_path / "fastsam-s")
    with pytest.raises(ModelError, match="embed it again"):
        model.segment(other.embed(photo), [VisualPrompt(box=Box(1, 1, 9, 9))], SegmentOptions())


# --- folders --------------------------------------------------------------------------------------


def test_a_pickle_beside_the_export_is_not_touched(tmp_path: Path) -> None:
    """As ``yolo export`` leaves them, side by side."""
    save_tiny_fastsam(tmp_path / "m")
    (tmp_path / "m" / "FastSAM-s.pt").write_bytes(b"not opened")
    weights = store.from_folder(tmp_path / "m")
    assert weights.ref.family == "fastsam"
    assert [name for name, _ in weights.ref.files] == ["FastSAM-s.onnx"]
    assert weight_bytes(weights) == (tmp_path / "m" / "FastSAM-s.onnx").stat().st_size
    before = store.identity_of_folder(tmp_path / "m")
    (tmp_path / "m" / "FastSAM-s.onnx").touch()
    assert before != store.identity_of_folder(tmp_path / "m")


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({**TOLD, "task": "detect"}, "type onnx detect; limner loads"),
        ({}, "onnx of an unsaid task"),
    ],
)
def test_another_task_is_refused(told: Mapping[str, str], complaint: str, tmp_path: Path) -> None:
    save_tiny_fastsam(tmp_path / "m", told=told)
    with pytest.raises(UnknownModel, match=complaint):
        store.from_folder(tmp_path / "m")


def test_a_yolo_of_many_classes_is_refused(tmp_path: Path) -> None:
    names = "{0: 'person', 1: 'car'}"
    save_tiny_fastsam(tmp_path / "m", classes=2, told={**TOLD, "names": names})
    with pytest.raises(ModelError, match="2 kinds of things"):
        load(tmp_path / "m")


def test_a_graph_with_other_outputs_is_refused(tmp_path: Path) -> None:
    """Such as one that has its suppression in it (``nms=True``)."""
    save_tiny_fastsam(tmp_path / "m", classes=2)
    with pytest.raises(ModelError, match="without nms=True"):
        load(tmp_path / "m")


def test_two_files_in_a_folder_are_refused(tmp_path: Path) -> None:
    save_tiny_fastsam(tmp_path / "m")
    (tmp_path / "m" / "FastSAM-x.onnx").write_bytes(
        (tmp_path / "m" / "FastSAM-s.onnx").read_bytes()
    )
    with pytest.raises(ModelError, match=r"FastSAM-s\.onnx, FastSAM-x\.onnx"):
        store.from_folder(tmp_path / "m")


def test_a_damaged_graph_is_said_in_one_sentence(tmp_path: Path) -> None:
    """What the head of the file can't show, onnxruntime finds."""
    save_tiny_fastsam(tmp_path / "m")
    path = tmp_path / "m" / "FastSAM-s.onnx"
    path.write_bytes(path.read_bytes().replace(b"Conv", b"Cnov"))
    with pytest.raises(ModelError, match="can't be read by onnxruntime"):
        load(tmp_path / "m")


def test_onnxruntime_missing_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install has none."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r'pip install "limner\[fastsam\]"'):
        load(folder)


# --- the catalog ----------------------------------------------------------------------------------


def test_the_catalogs_models_say_how_they_are_had(home: Path) -> None:
    """limner has nowhere to fetch them from, and says what to do and where to put the file; once
    it is there, the model is found like any other."""
    entry = catalog.catalog()["fastsam-s"]
    assert not entry.weightless
    for get in (store.find, pull):
        with pytest.raises(WeightsMissing) as caught:
            get(entry)
        assert "yolo export" in str(caught.value)
        assert str(home / "models" / "fastsam-s") in str(caught.value)
    (home / "models" / "fastsam-s").mkdir(parents=True)
    (home / "models" / "fastsam-s" / "FastSAM-s.pt").write_bytes(b"a pickle")
    with pytest.raises(UnsafeWeights, match="Export it to ONNX"):
        store.find(entry)
    save_tiny_fastsam(home / "made")
    (home / "made" / "FastSAM-s.onnx").rename(home / "models" / "fastsam-s" / "FastSAM-s.onnx")
    weights = pull(entry)
    assert [name for name, _ in weights.ref.files] == ["FastSAM-s.onnx"]
    model = ModelPool().get(weights, Runtime())
    assert model.ref.licence == "AGPL-3.0"
    with (home / "models" / "fastsam-s" / "FastSAM-s.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UnsafeWeights, match="changed"):
        store.find(entry)


def test_what_reads_its_phrases_is_part_of_its_identity(folder: Path, home: Path) -> None:
    """Answers to phrases are remembered by it: another encoder's must not be taken for them."""
    models = Models(ModelChoices("small", {"segment": str(folder)}), say=lambda sentence: None)
    before = models.identities(["segment"])["segment"]
    assert before == models.identities(["segment"])["segment"]
    save_tiny_clip(home / "models" / "clip-vit-base-patch32")
    assert models.identities(["segment"])["segment"] != before


def test_what_read_a_phrase_is_in_the_record(folder: Path, photo: Image.Image, home: Path) -> None:
    """Also where the answer was at hand; of a run that asked no phrase it is no part."""
    save_tiny_clip(home / "models" / "clip-vit-base-patch32")
    session = Session(models={"segment": str(folder)})
    phrase, box = VisualPrompt(text=Text("a red car")), VisualPrompt(box=Box(10, 10, 90, 90))
    for asked, names in (
        (phrase, [folder.name, "clip-vit-base-patch32"]),
        (box, [folder.name]),
        (phrase, [folder.name, "clip-vit-base-patch32"]),
    ):
        models = session.segment(photo, [asked]).record.models
        assert [Path(model["name"]).name for model in models] == names
    assert models[1]["files"]
    at_hand = session.stages.recalled["mask"]
    again = session.segment(photo, [phrase]).record.models
    assert session.stages.recalled["mask"] == at_hand + 1
    assert again == models


@pytest.mark.parametrize("name", ["fastsam-s", "fastsam-x"])
def test_commercial_safe_refuses_it_and_names_others(name: str) -> None:
    with pytest.raises(LicenceRefused, match=r"AGPL.*sam-vit-base.*grabcut"):
        catalog.require_commercial(catalog.catalog()[name])


def test_ultralytics_is_never_imported(model: FastSam) -> None:
    """AGPL-3.0: nothing here may come to need it."""
    assert not [name for name in sys.modules if name.partition(".")[0] == "ultralytics"]


def test_the_network_it_is_tested_with_has_the_heads_layout() -> None:
    """(1, 37, cells at strides 8, 16 and 32) and (1, 32, a quarter of each side)."""
    raw, prototypes = TinyYoloSeg()(torch.zeros(1, 3, 64, 96))
    assert raw.shape == (1, 37, 8 * 12 + 4 * 6 + 2 * 3)
    assert prototypes.shape == (1, 32, 16, 24)
