"""Face models: their maps as boxes, pictures of any size, and what is no face model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.errors import ModelError, PromptError, UnknownModel
from limner.models.faces import centerface
from limner.models.faces.centerface import CenterFace, Maps
from limner.models.faces.faces import LONGEST, Faces, seen_at
from limner.models.faces.yunet import YuNet
from limner.options import DetectOptions
from limner.prompts import Text, VisualPrompt
from limner.protocols import ModelRef
from limner.registry import face_choice, store
from limner.registry.pool import load
from limner.registry.weights import Runtime
from tests.face_views import VIEWS, ten_views
from tests.models.tiny_faces import FACE_WH, save_tiny_centerface, save_tiny_yunet

FACE = [VisualPrompt(text=Text("face"))]


class Spy:
    """A network that remembers what it saw and answers one box."""

    def __init__(self, box: tuple[float, float, float, float]) -> None:
        self.box, self.seen = box, []

    def find(self, image: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append(image.shape)
        return np.array([self.box], np.float32), np.array([0.9], np.float32)


@pytest.fixture
def tiny(tmp_path: Path) -> Faces:
    save_tiny_centerface(tmp_path / "model")
    model = load(store.from_folder(tmp_path / "model"), Runtime())
    assert isinstance(model, Faces)
    return model


def dotted(size_wh: tuple[int, int], *points: tuple[int, int], half: int = 4) -> Image.Image:
    """Black, with a white square around each point."""
    pixels = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    for x, y in points:
        pixels[y - half : y + half, x - half : x + half] = 255
    return Image.fromarray(pixels)


def test_maps_become_boxes_as_computed_by_hand() -> None:
    """A point at row 2, column 5: centre ((5 + .5 + .25) 4, (2 + .5 - .5) 4) = (23, 8); height 4 e,
    width 4 e^2. Height comes before width, and y before x."""
    score = np.zeros((1, 4, 8), np.float32)
    score[0, 2, 5], score[0, 1, 1] = 0.7, 0.3
    size, offset = np.zeros((2, 4, 8), np.float32), np.zeros((2, 4, 8), np.float32)
    size[:, 2, 5], offset[:, 2, 5] = (1, 2), (-0.5, 0.25)
    xyxy, scores = centerface.boxes(Maps(score, size, offset, np.zeros((10, 4, 8))), 0.5)
    assert scores.tolist() == pytest.approx([0.7])
    half_w, half_h = 2 * np.e**2, 2 * np.e
    assert xyxy[0].tolist() == pytest.approx([23 - half_w, 8 - half_h, 23 + half_w, 8 + half_h])


def test_a_face_is_found_where_it_is_in_pictures_of_any_size(tiny: Faces) -> None:
    """The frame of the original, enlarged or made smaller, and a size between multiples of 32."""
    for size_wh, scale in (((90, 70), 1.5), ((333, 91), 1.5), ((2560, 1920), 0.625)):
        x, y = size_wh[0] // 3, size_wh[1] // 2
        picture = dotted(size_wh, (x, y), half=round(6 / scale))
        found = tiny.detect(picture, FACE, DetectOptions())
        assert len(found) == 1, size_wh
        x0, y0, x1, y1 = found.xyxy[0]
        assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((x, y), abs=6 / scale)
        assert (x1 - x0, y1 - y0) == pytest.approx([side / scale for side in FACE_WH], rel=0.02)


def test_what_the_network_sees_is_bounded() -> None:
    """108 megapixels must not become gigabytes of activations."""
    spy = Spy((0, 0, 160, 120))
    model = Faces(ModelRef("spy", "faces", ""), spy, 0.5)
    found = model.detect(Image.new("RGB", (6000, 4500)), FACE, DetectOptions())
    assert spy.seen == [(1200, LONGEST, 3)]
    assert found.xyxy[0].tolist() == pytest.approx([0, 0, 600, 450])
    assert seen_at((10_000, 2)).target_wh == (LONGEST, 1)
    assert seen_at((40, 30)).target_wh == (60, 45)


def test_only_faces_can_be_asked_for(tiny: Faces) -> None:
    picture = dotted((90, 70), (40, 40))
    for phrase in ("face", "the faces", "A human  face"):
        assert len(tiny.detect(picture, [VisualPrompt(text=Text(phrase))], DetectOptions())) == 1
    for phrase in ("plate", "cat face", "surface"):
        with pytest.raises(PromptError, match="haar"):
            tiny.detect(picture, [VisualPrompt(text=Text(phrase))], DetectOptions())


def test_thresholds_and_several_prompts(tiny: Faces) -> None:
    picture = dotted((200, 70), (40, 40), (120, 40))
    prompts = [VisualPrompt(text=Text("face")), VisualPrompt(text=Text("faces"))]
    found = tiny.detect(picture, prompts, DetectOptions())
    assert sorted(found.data["class_name"]) == ["face"] * 2 + ["faces"] * 2
    assert len(tiny.detect(picture, prompts, DetectOptions(max_detections=1))) == 1
    strict = DetectOptions(phrase_thresholds=(("faces", 1.0),))
    assert set(tiny.detect(picture, prompts, strict).data["class_name"]) >= {"face"}


def test_a_size_seen_before_changes_no_other(tmp_path: Path) -> None:
    """A network that OpenCV has run at one size gives wrong numbers at the next (4.14)."""
    random = np.random.default_rng(0)
    pictures = [
        random.integers(0, 255, (h, w, 3)).astype(np.uint8) for h, w in ((64, 96), (96, 64))
    ]
    for path, network in (
        (save_tiny_centerface(tmp_path / "c"), CenterFace),
        (save_tiny_yunet(tmp_path / "y"), YuNet),
    ):
        used = network(path)
        for picture in (*pictures, *pictures):
            for mine, fresh in zip(
                used.find(picture, 0.3), network(path).find(picture, 0.3), strict=True
            ):
                np.testing.assert_array_equal(mine, fresh)


def test_yunet_answers_through_opencv(tmp_path: Path) -> None:
    """The loading code is the real one; the network has its interface and random weights."""
    save_tiny_yunet(tmp_path / "yunet")
    model = load(store.from_folder(tmp_path / "yunet"), Runtime())
    assert isinstance(model, Faces)
    picture = np.random.default_rng(0).integers(0, 255, (70, 100, 3)).astype(np.uint8)
    found = model.detect(Image.fromarray(picture), FACE, DetectOptions(threshold=0.3))
    assert len(found)
    assert (found.xyxy >= 0).all()
    assert (found.xyxy[:, 2] <= 100).all()
    assert (np.diff(found.confidence) <= 0).all()
    assert found.confidence.min() >= 0.3


@pytest.mark.parametrize("file", ["centerface.onnx", "face_detection_yunet_2023mar.onnx"])
def test_another_or_broken_network_is_refused(tmp_path: Path, file: str) -> None:
    """Its name alone makes no face model of a file."""
    save = save_tiny_yunet if file.startswith("centerface") else save_tiny_centerface
    other = save(tmp_path / "other")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / file).write_bytes(other.read_bytes())
    with pytest.raises(ModelError, match=r"can't be run by OpenCV|another network"):
        load(store.from_folder(folder), Runtime())
    (folder / file).write_bytes(other.read_bytes()[:300])
    with pytest.raises(ModelError, match=r"no ONNX file|cut off"):
        load(store.from_folder(folder), Runtime())
    other.rename(folder / "model.onnx")
    (folder / file).unlink()
    with pytest.raises(UnknownModel):
        store.from_folder(folder)


# --- CenterFace itself, where `make install` could fetch it ---------------------------------------


def test_centerface_on_the_astronaut(face_home: Path, astronaut: Path) -> None:
    """One face, where it is, as recorded with onnxruntime's numbers."""
    model = load(store.find("centerface"), Runtime())
    assert isinstance(model, Faces)
    found = model.detect(Image.open(astronaut).convert("RGB"), FACE, DetectOptions())
    assert len(found) == 1
    assert found.xyxy[0].tolist() == pytest.approx(ASTRONAUT, abs=2)
    assert found.confidence[0] > 0.85


def test_centerface_gives_onnxruntimes_numbers_at_every_size(
    face_home: Path, astronaut: Path
) -> None:
    """Why there is one network a size; the file's fixed input is freed for onnxruntime's sake."""
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    path = store.where("centerface") / centerface.FILE
    free = onnx.load(path)
    for value in [v for v in free.graph.input if v.name == "input.1"] + list(free.graph.output):
        for axis, name in ((2, "h"), (3, "w")):
            value.type.tensor_type.shape.dim[axis].dim_param = name + value.name
        value.type.tensor_type.shape.dim[0].dim_value = 1
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(free.SerializeToString(), options)
    network = CenterFace(path)
    photo = Image.open(astronaut).convert("RGB")
    for size_wh in ((128, 96), (96, 128), (128, 96)):
        pixels = np.asarray(photo.resize(size_wh))
        batch = pixels.transpose(2, 0, 1)[None].astype(np.float32)
        expected = session.run(list(centerface.OUTPUTS), {"input.1": batch})
        maps = network.maps(pixels)
        mine = (maps.score, maps.size, maps.offset, maps.landmarks)
        for one, other in zip(mine, expected, strict=True):
            np.testing.assert_allclose(one, other[0], atol=1e-3)


def test_centerface_sees_all_ten_views_of_a_face(face_home: Path, astronaut: Path) -> None:
    """Tilted, turned, mirrored, small, dark, half covered, squashed: Haar sees four of these."""
    model = load(store.find("centerface"), Runtime())
    assert isinstance(model, Faces)
    picture = ten_views(Image.open(astronaut).convert("RGB"))
    found = model.detect(picture, FACE, DetectOptions())
    centres = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
    for name, (x, y, w, h) in VIEWS.items():
        inside = ((centres > (x, y)) & (centres < (x + w, y + h))).all(axis=1)
        assert inside.sum() == 1, name
    assert len(found) == len(VIEWS)


ASTRONAUT = [177.6, 64.5, 268.0, 178.1]
"""xyxy in px, as CenterFace gave them in November 2026."""


def test_what_is_said_of_haar_is_what_was_measured() -> None:
    """Not "nearly all": the numbers of docs/faces.md, of the half that nothing was chosen on."""
    measured = (Path(__file__).parents[3] / "docs" / "faces.md").read_text(encoding="utf-8")
    said = face_choice.sentence(face_choice.LAST)
    for row, words in (
        ("| Haar | {} of {} |", "it found {} of {} in photographs"),
        ("| CenterFace, turned as well (`redact`) | {} of {} |", "found {} of these {}"),
    ):
        numbers = face_choice.HAAR_FOUND if "Haar" in row else face_choice.CENTERFACE_FOUND
        assert row.format(numbers, face_choice.FACES) in measured
        assert words.format(numbers, face_choice.FACES) in said
