"""The table of verbs says what the verbs are; one request is one job, in the store and in the
result; a picture is hashed anew for each verb."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner import Box, Extension, Session, VisualPrompt
from limner.errors import OptionError
from limner.io import images
from limner.prompts.syntax import Length
from limner.runs.store import Store
from limner.session.verbs import PERFORM
from limner.verbs import VERBS

BOX = VisualPrompt(box=Box(5, 5, 25, 25))


def picture(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(60, 200, (40, 40, 3), dtype=np.uint8)
    pixels[8:22, 8:22] = (255, 0, 0)
    return Image.fromarray(pixels)


def test_every_verb_of_the_table_is_a_method_with_its_arguments() -> None:
    """A verb that is added to one of them only would be missed by plans, records or replays."""
    assert list(PERFORM) == list(VERBS)
    for name, verb in VERBS.items():
        parameters = inspect.signature(getattr(Session, name)).parameters
        assert {verb.prompts, verb.paints, *verb.options} - {""} <= parameters.keys(), name
        assert verb.name == name


def test_the_store_and_the_result_name_one_job(tmp_path: Path) -> None:
    """``extend`` without an edit had two: of what was given, and of what that means. A result on
    disk was not found by its run's row."""
    run = Session(store=tmp_path / "store").extend(picture(), Extension(left=Length(4)))
    assert run.id is not None
    entry = Store.open(tmp_path / "store").get(run.id)
    assert entry.job == run.record.to_dict()["job"] == entry.record["job"]


def test_a_picture_that_was_changed_in_place_is_another_one() -> None:
    """Its hash is known for one verb only: the next answer must not be that of before."""
    session, image = Session(), picture()
    before = session.segment(image, [BOX])
    image.paste((60, 60, 60), (0, 0, 40, 40))
    image.paste((255, 0, 0), (8, 8, 12, 22))
    after = session.segment(image, [BOX])
    assert before.source.digest != after.source.digest
    assert session.stages.computed["mask"] == 2
    assert not np.array_equal(before.grounding.mask, after.grounding.mask)


def test_a_hash_is_kept_for_a_living_picture_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id is used again: another picture at the same place has a hash of its own."""
    with images.digests_kept():
        assert len({images.digest(picture(seed)) for seed in range(20)}) == 20
        image = picture()
        digest = images.digest(image)
        with monkeypatch.context() as patch, images.digests_kept():
            patch.setattr(Image.Image, "tobytes", lambda *_: pytest.fail("hashed twice"))
            assert images.digest(image) == digest
        image.paste((0, 0, 0), (0, 0, 40, 40))
    assert images.digest(image) != digest


def test_an_argument_that_no_session_takes_is_refused() -> None:
    """They are a typed dictionary now; a slip of the pen must still be an error."""
    with pytest.raises(OptionError, match="mean profile"):
        Session(prfile="mini")  # type: ignore[call-arg]
