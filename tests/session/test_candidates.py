"""Other masks for a click: seen side by side, chosen, said in the record; never from an edit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from limner import Run, Session
from limner.errors import ImageError, OptionError


class BFloat:
    """As a tensor of torch's bfloat16 answers NumPy."""

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("Got unsupported ScalarType BFloat16")


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """A red square in an orange one, on blue: a click on the inner may mean either."""
    pixels = np.full((120, 160, 3), (40, 90, 160), np.uint8)
    pixels[30:90, 40:110] = (230, 150, 40)
    pixels[50:75, 60:90] = (220, 40, 30)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def clicked(picture: Image.Image) -> Run:
    return Session().segment(picture, points=[[75, 62]], labels=[1])


def test_candidates_are_seen_side_by_side(clicked: Run) -> None:
    offered = clicked.candidates
    masks, scores = offered.masks(), offered.scores()
    assert masks.shape == (len(scores), 120, 160)
    assert len(scores) > 1
    assert np.array_equal(masks[0], clicked.mask), "the first is the run's own"
    assert repr(offered) == f"MaskCandidates({len(scores)})"
    assert offered.image.width > 2 * 160
    assert offered._repr_png_().startswith(b"\x89PNG")


def test_another_is_chosen(clicked: Run) -> None:
    """Mask, box, score and record are the other one's; the run that it comes from stays."""
    before = clicked.mask.copy()
    masks = clicked.candidates.masks()
    last = len(masks) - 1
    other = clicked.choose(last)
    assert np.array_equal(other.mask, masks[last])
    ys, xs = np.nonzero(masks[last])
    assert other.boxes[0].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert other.detections.data["mask_score"][0] == pytest.approx(
        clicked.candidates.scores()[last]
    )
    assert other.record.result["chosen"] == {"0": last}
    assert other.id is None
    assert np.array_equal(clicked.mask, before)
    assert "chosen" not in clicked.record.result
    assert np.array_equal(other.choose(0).mask, before), "and back"


def test_what_cannot_be_chosen_is_refused(clicked: Run, picture: Image.Image) -> None:
    count = len(clicked.candidates.scores())
    with pytest.raises(OptionError, match=f"0 to {count - 1}, got {count}"):
        clicked.choose(count)
    with pytest.raises(OptionError, match="objects 0 to 0 here, got 4"):
        clicked.choose(0, row=4)
    removed = Session().remove(picture, (40, 30, 110, 90))
    with pytest.raises(OptionError, match="remove has used its mask"):
        removed.choose(0)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.linspace(-1, 1, 300).reshape(10, 10, 3), r"-1 to 1\. \(array \+ 1\) / 2"),
        (np.full((4, 4), 200.0), "Divide by 255"),
        (BFloat(), "BFloat16"),
    ],
    ids=["from -1", "to 255", "bfloat16"],
)
def test_arrays_of_other_numbers_say_what_mends_them(array: object, says: str) -> None:
    """Dividing by 255 mends nothing of what is from -1 to 1."""
    with pytest.raises(ImageError, match=says):
        Session().segment(array, (0, 0, 3, 3))  # type: ignore[arg-type]
