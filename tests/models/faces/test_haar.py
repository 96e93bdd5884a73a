"""The cascades on the astronaut (NASA, public domain), which the project ships."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from limner.models.faces.haar import KINDS, SMALLEST, WORKING_SIDE, Cascade, cascade_detect
from limner.ops.obscure import redact

ASTRONAUT = Path(__file__).parents[3] / "examples" / "photos" / "astronaut.png"
FACE_CENTRE = (224.0, 112.0)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.asarray(cv2.cvtColor(cv2.imread(str(ASTRONAUT)), cv2.COLOR_BGR2RGB))


def holds(box: np.ndarray, point: tuple[float, float]) -> bool:
    return bool(box[0] < point[0] < box[2] and box[1] < point[1] < box[3])


def test_one_face_and_where(astronaut: np.ndarray) -> None:
    boxes, scores = cascade_detect(astronaut, "face")
    assert boxes.shape == (1, 4)
    assert scores.shape == (1,)
    assert holds(boxes[0], FACE_CENTRE)
    assert 60 < boxes[0, 2] - boxes[0, 0] < 140
    assert 0 < scores[0] <= 1


def test_two_eyes_in_the_face(astronaut: np.ndarray) -> None:
    faces, _ = cascade_detect(astronaut, "face")
    eyes, scores = cascade_detect(astronaut, "eyes")
    assert len(eyes) == 2
    assert all(holds(faces[0], tuple((eye[:2] + eye[2:]) / 2)) for eye in eyes)
    assert list(scores) == sorted(scores, reverse=True)


def test_the_mirror_image_has_the_mirrored_face(astronaut: np.ndarray) -> None:
    boxes, _ = cascade_detect(np.ascontiguousarray(astronaut[:, ::-1]), "face")
    assert len(boxes) == 1
    assert holds(boxes[0], (512 - FACE_CENTRE[0], FACE_CENTRE[1]))


@pytest.mark.parametrize("style", ["blur", "pixelate", "solid"])
def test_a_redacted_face_is_not_found_again(astronaut: np.ndarray, style: str) -> None:
    boxes, _ = cascade_detect(astronaut, "face")
    mask = np.zeros(astronaut.shape[:2], bool)
    x0, y0, x1, y1 = boxes[0].astype(int)
    mask[y0:y1, x0:x1] = True
    again, _ = cascade_detect(redact(astronaut, mask, style=style), "face")
    assert not any(holds(box, FACE_CENTRE) for box in again)


def test_a_small_face_on_a_large_photograph(astronaut: np.ndarray) -> None:
    large = np.full((3000, 4000, 3), 128, np.uint8)
    large[1500:2012, 2600:3112] = astronaut
    boxes, _ = cascade_detect(large, "human face")
    assert len(boxes) == 1
    assert holds(boxes[0], (2600 + FACE_CENTRE[0], 1500 + FACE_CENTRE[1]))
    assert boxes[0, 2] - boxes[0, 0] > SMALLEST * 4000 / WORKING_SIDE


def test_min_size_is_in_pixels_of_the_image(astronaut: np.ndarray) -> None:
    assert len(cascade_detect(astronaut, "face", min_size=60)[0]) == 1
    assert len(cascade_detect(astronaut, "face", min_size=200)[0]) == 0


SIZES = [(1, 1), (1, 40), (40, 1), (5, 300), (64, 64), (2, 10_000), (10_000, 2), (1, 3000)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["face", "cat face", "license plate", "full body"])
def test_nothing_on_a_flat_or_tiny_image(kind: str, size: tuple[int, int]) -> None:
    boxes, scores = cascade_detect(np.full((*size, 3), 90, np.uint8), kind)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_every_kind_names_cascades_that_load() -> None:
    cascades: set[Cascade] = {cascade for some in KINDS.values() for cascade in some}
    assert len(cascades) >= 8
    for cascade in cascades:
        assert (Path(cv2.data.haarcascades) / cascade.file).is_file()


def test_the_phrase_is_read_loosely(astronaut: np.ndarray) -> None:
    assert len(cascade_detect(astronaut, "  Human  FACE ")[0]) == 1


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"kind": "unicorn"}, "license plate"),
        ({"scale_factor": 1.0}, "over 1"),
        ({"min_neighbors": -1}, "0 or more"),
        ({"image": np.zeros((9, 9), np.uint8)}, "RGB"),
    ],
)
def test_wrong_input_says_what_was_expected(bad: dict[str, object], says: str) -> None:
    good = {"image": np.zeros((9, 9, 3), np.uint8), "kind": "face"}
    arguments = good | bad
    with pytest.raises(ValueError, match=says):
        cascade_detect(arguments.pop("image"), arguments.pop("kind"), **arguments)
