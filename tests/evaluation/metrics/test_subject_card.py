"""Which checkpoint to keep, by numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from limner.errors import InputError
from limner.evaluation.metrics import dreambooth_prompts
from limner.evaluation.metrics.subject_card import PainterScores, SubjectCard
from limner.protocols import ModelRef


class Angles:
    """Encodes a picture as the unit vector at the angle that its red says, in degrees; a text at
    the angle that it is."""

    ref = ModelRef("angles", "double", "none")
    takes_text = True

    def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        return self._rows([image.getpixel((0, 0))[0] for image in images])  # type: ignore[index]

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return self._rows([float(text) for text in texts])

    def _rows(self, degrees: Sequence[float]) -> npt.NDArray[np.float32]:
        radians = np.radians(np.array(degrees, np.float64))
        return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def at(*degrees: int) -> list[Image.Image]:
    return [Image.new("RGB", (2, 2), (angle, 0, 0)) for angle in degrees]


def card() -> SubjectCard:
    """Photographs at 0° and 20°; untaught portraits and class pictures at 90°, words too."""
    real, far = at(0, 20), at(90, 90)
    return SubjectCard(real, far, far, ["90", "90"], dino=Angles(), clip=Angles())


def cos(*degrees: float) -> float:
    return sum(math.cos(math.radians(one)) for one in degrees) / len(degrees)


def test_scores_by_hand() -> None:
    """Portraits at 10° and 30°, class pictures at 80° and 90°."""
    scored = card()
    assert scored.ceiling.dino == pytest.approx(cos(20), abs=1e-6)
    found = scored.score("100", at(10, 30), at(80, 90))
    assert found.name == "100"
    assert found.dino == pytest.approx(cos(10, 10, 30, 10), abs=1e-6)
    assert found.clip_i == found.dino
    assert found.clip_t == pytest.approx(cos(80, 60), abs=1e-6)
    assert found.pres == pytest.approx(cos(80, 60, 90, 70), abs=1e-6)
    assert found.leak == pytest.approx(cos(80, 60, 90, 70) - cos(90, 70), abs=1e-6)
    assert found.drift == pytest.approx(1 - cos(10, 0), abs=1e-6)
    assert (scored.untaught.leak, scored.untaught.name) == (0.0, "before")
    assert scored.untaught.drift == pytest.approx(0, abs=1e-6)


def test_diversity_is_by_dino_and_by_lpips_where_there_is_one() -> None:
    """Both portraits are of one prompt: 20° apart by DINO; LPIPS says what it says."""
    assert card().score("1", at(10, 30), at(80, 90)).div_dino == pytest.approx(
        1 - cos(20), abs=1e-6
    )
    assert card().untaught.div is None
    real, far = at(0, 20), at(90, 90)
    scored = SubjectCard(
        real, far, far, ["90", "90"], dino=Angles(), clip=Angles(), lpips=lambda *_: [0.25]
    )
    assert scored.score("1", at(10, 30), far).div == 0.25
    alone = SubjectCard(real, far, far, ["90", "80"], dino=Angles(), clip=Angles())
    assert alone.untaught.div_dino is None  # no prompt has two


def test_worth_by_hand() -> None:
    """Half the way in likeness, .8 of the obedience, a quarter of the way leaked."""
    scored = card()
    before, way = scored.untaught, scored.ceiling.dino - scored.untaught.dino
    found = replace(before, dino=before.dino + way / 2, clip_t=before.clip_t * 0.8, leak=way / 4)
    assert scored.total(found) == pytest.approx((0.5 * 0.8 * 0.75) ** (1 / 3))
    assert scored.total(before) == 0  # it isn't like the subject at all
    assert scored.total(replace(found, leak=-1.0)) <= 1  # no reward for fleeing the subject


def test_a_model_that_obeyed_nothing_loses_no_obedience() -> None:
    """Untaught portraits at 180° from their words: CLIP-T −1. Before, all were worth 0."""
    real, far = at(0, 20), at(90, 90)
    scored = SubjectCard(real, far, far, ["270", "270"], dino=Angles(), clip=Angles())
    way = scored.ceiling.dino - scored.untaught.dino
    half = replace(scored.untaught, dino=scored.untaught.dino + way / 2)
    assert scored.total(half) == pytest.approx(0.5 ** (1 / 3))
    assert scored.best([scored.untaught, half]) is half


def test_the_best_gives_up_none_of_the_three() -> None:
    scored = card()
    before, way = scored.untaught, scored.ceiling.dino - scored.untaught.dino
    half = replace(before, name="100", dino=before.dino + way / 2)
    rows = [
        half,
        replace(half, name="200", dino=scored.ceiling.dino, clip_t=-0.1),  # copies, obeys nobody
        replace(half, name="300", dino=scored.ceiling.dino, leak=way),  # the whole class is it
        replace(half, name="400"),  # no better than the first
    ]
    best = scored.best(rows)
    assert best is not None
    assert best.name == "100"
    with pytest.raises(InputError, match="no checkpoint"):
        scored.best([])


def test_none_is_best_where_none_comes_half_way() -> None:
    """The best of bad ones was named: DINO -.06 where half way is .41. What obeys nobody is no
    best either, however like the subject."""
    scored = card()
    before, way = scored.untaught, scored.ceiling.dino - scored.untaught.dino
    assert scored.half_way == pytest.approx(before.dino + way / 2)
    near = replace(before, dino=before.dino + 0.49 * way)
    mute = replace(before, dino=scored.ceiling.dino, clip_t=-0.1)
    assert scored.total(near) > 0
    assert scored.best([near, mute]) is None


def test_one_photograph_has_no_ceiling() -> None:
    with pytest.raises(InputError, match="two photographs"):
        SubjectCard(at(0), at(9), at(9), ["9"], dino=Angles(), clip=Angles())


def test_scores_as_json_values() -> None:
    row = PainterScores("1", 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    assert row.to_dict() == {
        "name": "1",
        "dino": 0.1,
        "clip_i": 0.2,
        "clip_t": 0.3,
        "pres": 0.4,
        "leak": 0.5,
        "drift": 0.6,
        "div": None,
        "div_dino": None,
    }


def test_the_datasets_prompts(shared_data: object) -> None:
    """All 25 of both lists are the file's own."""
    import re
    from pathlib import Path

    file = Path(str(shared_data)) / "dreambooth" / "prompts_and_classes.txt"
    if not file.is_file():
        pytest.skip(f"SHARED DATA MISSING: {file}")
    said = re.findall(r"^'(.*)'\.format", file.read_text(), re.MULTILINE)
    plain = tuple(prompt.replace("{0} {1}", "{}") for prompt in said)
    assert plain == dreambooth_prompts.OBJECTS + dreambooth_prompts.LIVE
    assert len(plain) == 50
