"""What the cache of stages must keep true: the same answers, computed once, at no risk."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from limner import cli
from limner.cli.commands.demo.choice import FIND
from limner.ops import detections as dets
from limner.ops.masks import MaskCrop
from limner.options import DetectOptions, InpaintOptions, RedactOptions, SegmentOptions
from limner.pipeline.ensemble import MemberBox
from limner.prompts import Box, Mask, Point, Text, VisualPrompt
from limner.registry import pool as runtime
from limner.session import FindOptions, Session
from limner.session.artifacts import outputs_of
from limner.session.cache import disk, packing
from limner.session.cache.disk import StageCache
from limner.session.cache.stages import DETECT, EMBED, MASK
from tests.conftest import need_minis

THING = VisualPrompt(text=Text(FIND))
BOXED = VisualPrompt(box=Box(20, 20, 90, 90))


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    need_minis("mini-owlvit", "mini-sam", "mini-sd-inpaint")
    return Image.open(
        Path(cli.__file__).parent / "commands" / "demo" / "files" / "scene.png"
    ).convert("RGB")


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(tmp_path / "cache")


def mini(cache: StageCache | None = None) -> Session:
    return Session(profile="mini", cache=cache)


def made(run: Any) -> list[tuple[str, int, bytes]]:
    return [(each.role, each.position, each.data) for each in outputs_of(run)]


# --- packing --------------------------------------------------------------------------------------


@given(st.data())
def test_detections_come_back_as_they_were(data: st.DataObject) -> None:
    """To the last bit: a replay is compared with a run that found its outlines at hand."""
    rows = data.draw(st.integers(0, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    masks = [rng.random((9, 7)) < 0.5 for _ in range(rows)]
    found = dets.make(rng.random((rows, 4)), rng.random(rows), range(rows), ["é, ü"] * rows)
    if data.draw(st.booleans()):
        scores = rng.random(rows)
        candidates = [
            dets.Candidates.of([(MaskCrop.of(each), float(score)) for each in (mask, ~mask, mask)])
            for mask, score in zip(masks, scores, strict=True)
        ]
        found = dets.with_masks(found, masks, scores, candidates=candidates)
    if data.draw(st.booleans()):
        found.data["seen_xyxy"] = rng.integers(0, 99, (rows, 4))
        opinion = MemberBox("ü", (0.1, 1.0, 2.0, 3.0), 0.3)
        found = dets.with_column(found, "agreed", [(opinion,) * k for k in range(rows)])
    again, facts = packing.unpack_detections(packing.pack_detections(found, {"tasks": ["x"]}))
    assert facts == {"tasks": ["x"]}
    assert again.data.keys() == found.data.keys()
    for name in ("xyxy", "confidence", "class_id", "mask"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    for name in set(found.data) - {"candidates"}:
        if name == "agreed":
            assert list(again.data[name]) == list(found.data[name])
        else:
            np.testing.assert_array_equal(again.data[name], found.data[name])
    pairs = zip(again.data.get("candidates", ()), found.data.get("candidates", ()), strict=True)
    for one, other in pairs:
        assert [score for _, score in one] == [score for _, score in other]
        assert all((a == b).all() for (a, _), (b, _) in zip(one, other, strict=True))


def test_a_mask_that_is_its_own_first_candidate_is_encoded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 300 boxes each mask was encoded twice, and the answer decoded in the run that made it."""
    encoded: list[MaskCrop] = []
    encode = MaskCrop.to_rle
    monkeypatch.setattr(MaskCrop, "to_rle", lambda crop: encoded.append(crop) or encode(crop))
    mask = np.eye(5, dtype=bool)
    pairs = [(MaskCrop.of(mask), 0.9), (MaskCrop.of(~mask), 0.5)]
    found = dets.make([(0, 0, 5, 5)], [0.9], [0], ["a"])
    found = dets.with_masks(found, [mask], [0.9], candidates=[dets.Candidates.of(pairs)])
    packing.pack_detections(found, {})
    assert [crop.area for crop in encoded] == [5, 20]


def test_what_was_computed_just_now_is_not_read_back(
    scene: Image.Image, cache: StageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding 300 masks took a sixth of the time; the next question is answered from the bytes."""
    read: list[int] = []
    unpack = packing.unpack_detections
    monkeypatch.setattr(
        packing, "unpack_detections", lambda content: read.append(len(content)) or unpack(content)
    )
    session = mini(cache)
    first = session.segment(scene, [BOXED])
    assert read == []
    assert made(session.segment(scene, [BOXED])) == made(first)
    assert len(read) == 1


@given(st.binary(max_size=80), st.integers(0, 400))
def test_what_is_no_answer_is_told_from_one(junk: bytes, cut: int) -> None:
    """A cache may be cut off, or hold what another program wrote: never a crash, never a guess."""
    whole = packing.pack_detections(dets.make([(0, 0, 1, 1)], [0.5], [0], ["a"]), {})
    for content in (junk, whole[:cut], whole[:cut] + junk):
        if content != whole:
            with pytest.raises(packing.Unreadable):
                packing.unpack_detections(content)


# --- the same answers, once -----------------------------------------------------------------------


def test_another_setting_of_the_painter_finds_nothing_anew(
    scene: Image.Image, cache: StageCache
) -> None:
    session = mini(cache)
    for guidance in (1.0, 3.0, 5.0):
        options = InpaintOptions(guidance_scale=guidance, num_inference_steps=2, seed=1)
        run = session.edit(scene, [THING], Text("a red car"), inpaint=options)
    assert session.stages.computed == {MASK: 1, DETECT: 1, EMBED: 1}
    assert session.stages.recalled == {MASK: 2}
    assert "cache" in run.record.seconds
    assert [model["name"] for model in run.record.to_dict()["models"]] == [
        "mini-owlvit",
        "mini-sam",
        "mini-sd-inpaint",
    ]


def test_what_was_at_hand_gives_the_very_same_picture(
    scene: Image.Image, cache: StageCache
) -> None:
    options = InpaintOptions(num_inference_steps=2, seed=1)
    asked: tuple[Any, ...] = (scene, [THING], Text("a red car"))
    fresh = mini().edit(*asked, inpaint=options)
    first = mini(cache).edit(*asked, inpaint=options)
    later = mini(cache)
    again = later.edit(*asked, inpaint=options)
    assert later.stages.computed == {}
    assert len(made(fresh)) == 3
    assert made(fresh) == made(first) == made(again)
    assert fresh.record.job == again.record.job


def test_no_finder_is_loaded_where_its_answer_is_at_hand(
    scene: Image.Image, cache: StageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    mini(cache).cutout(scene, [THING])
    loaded: list[str] = []
    load = runtime.load
    monkeypatch.setattr(
        runtime, "load", lambda weights, *rest: loaded.append(weights.ref.name) or load(weights)
    )
    said: list[str] = []
    session = Session(profile="mini", cache=cache, say=said.append)
    run = session.cutout(scene, [THING])
    assert loaded == []
    assert "mini" in said[0], "who answered is said all the same"
    assert len(run.record.models) == 2


CHANGES: dict[str, Any] = {
    "prompt": lambda s, i: s.segment(i, [VisualPrompt(text=Text("car"))]),
    "box": lambda s, i: s.segment(i, [BOXED]),
    "threshold": lambda s, i: s.segment(
        i, [THING], finding=FindOptions(DetectOptions(threshold=0.2))
    ),
    "multimask": lambda s, i: s.segment(
        i, [THING], finding=FindOptions(segment=SegmentOptions(multimask_output=True))
    ),
    "picture": lambda s, i: s.segment(i.transpose(Image.Transpose.FLIP_LEFT_RIGHT), [THING]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_decides_an_outline_asks_for_it_anew(
    what: str, scene: Image.Image, cache: StageCache
) -> None:
    mini(cache).segment(scene, [THING])
    session = mini(cache)
    CHANGES[what](session, scene)
    assert session.stages.computed[MASK] == 1


def test_other_weights_ask_anew(
    scene: Image.Image, cache: StageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    mini(cache).segment(scene, [BOXED])
    session = mini(cache)
    known = session.models.identities
    session.stages._identities = lambda tasks: {k: v + "'" for k, v in known(tasks).items()}
    session.segment(scene, [BOXED])
    assert session.stages.computed == {MASK: 1, EMBED: 1}


def test_only_the_decoder_is_asked_again_for_another_click(
    scene: Image.Image, cache: StageCache
) -> None:
    """In another process too: an embedding is what takes long."""
    click = VisualPrompt(points=(Point(64, 64),))
    mini(cache).segment(scene, [BOXED])
    session = mini(cache)
    answer = session.segment(scene, [click])
    assert (session.stages.computed[EMBED], session.stages.recalled[EMBED]) == (0, 1)
    assert made(answer) == made(mini().segment(scene, [click]))


def test_looking_in_tiles_asks_each_tile_once(scene: Image.Image, cache: StageCache) -> None:
    """Each is remembered by itself: a run that was killed goes on with the next one."""
    tiles = FindOptions(DetectOptions(look="tiles", slice_wh=160))
    session = mini(cache)
    first = session.detect(scene, [THING], finding=tiles)
    computed = session.stages.computed[DETECT]
    assert computed > 4
    again = mini(cache)
    assert made(again.detect(scene, [THING], finding=tiles)) == made(first)
    assert again.stages.computed[DETECT] == 0


def test_each_model_of_a_consensus_is_remembered_by_itself(
    scene: Image.Image, cache: StageCache
) -> None:
    """And an outline tells who agreed on its box, at hand or not."""
    face = VisualPrompt(text=Text("face"))
    mini(cache).detect(scene, [face])
    both = Session(profile="mini", models={"detect": "mini-owlvit+haar"}, cache=cache)
    found = both.segment(scene, [face], finding=FindOptions(DetectOptions(threshold=0.0)))
    again = Session(profile="mini", models={"detect": "mini-owlvit+haar"}, cache=cache)
    later = again.segment(scene, [face], finding=FindOptions(DetectOptions(threshold=0.0)))
    assert again.stages.computed == {}
    assert len(found.grounding) > 0
    agreed = [run.grounding.detections.data["agreed"].tolist() for run in (found, later)]
    assert agreed[0] == agreed[1]
    names = [model["name"] for model in later.record.models]
    assert names == ["mini-owlvit", "haar", "mini-sam"]


def test_a_mask_that_was_drawn_needs_nobody(scene: Image.Image, cache: StageCache) -> None:
    drawn = np.zeros((scene.height, scene.width), bool)
    drawn[10:40, 10:40] = True
    session = mini(cache)
    session.cutout(scene, [VisualPrompt(mask=Mask(drawn))])
    assert session.stages.computed == {}


@pytest.mark.parametrize("verb", ["detect", "segment"])
def test_loading_a_model_is_no_time_of_a_stage(
    verb: str, scene: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latency is measured without it, whoever loads the model when."""
    load = runtime.load

    def slowly(weights: Any, *rest: Any) -> Any:
        time.sleep(20 if weights.ref.family == "owlvit" else 0)
        return load(weights, *rest)

    monkeypatch.setattr(runtime, "load", slowly)
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.append(seconds))
    clock: list[float] = []
    real = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: real() + sum(clock))
    run = getattr(mini(), verb)(scene, [THING])
    assert clock.count(20) == 1
    assert 0 <= run.grounding.seconds["detect"] < 20


# --- at no risk -----------------------------------------------------------------------------------


def test_nothing_of_a_redaction_reaches_the_disk(scene: Image.Image, cache: StageCache) -> None:
    """An embedding, GrabCut's for one, can be the picture itself."""
    session = mini(cache)
    session.redact(scene, [THING], redact=RedactOptions(region="outline"))
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]
    session.cutout(scene, [THING])
    assert session.stages.computed[EMBED] == 1, "memory may serve both"


def test_a_damaged_answer_is_computed_anew(scene: Image.Image, cache: StageCache) -> None:
    before = made(mini(cache).cutout(scene, [THING]))
    files = list(cache.folder.rglob("*.answer"))
    assert len(files) == 3
    for path in files:
        path.write_bytes(path.read_bytes()[:-5])
    session = mini(cache)
    assert made(session.cutout(scene, [THING])) == before
    assert session.stages.computed == {MASK: 1, DETECT: 1, EMBED: 1}
    assert mini(cache).cutout(scene, [THING]).grounding.seconds.keys() == {"cache"}


def test_a_folder_that_cannot_be_written_costs_only_time(
    scene: Image.Image, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    session = mini(StageCache(tmp_path / "file" / "cache"))
    assert len(session.cutout(scene, [THING]).grounding)


def test_the_folder_may_go_at_any_time(cache: StageCache) -> None:
    import shutil

    cache.put("ab" * 32, b"one")
    shutil.rmtree(cache.folder)
    assert cache.get("ab" * 32) is None
    cache.put("ab" * 32, b"two")
    assert cache.get("ab" * 32) == b"two"


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = StageCache(tmp_path, most_bytes=1000)
    keys = [f"{k:02x}" * 32 for k in range(12)]
    now = time.time()
    for k, key in enumerate(keys[:10]):
        cache.put(key, b"x" * 100)
        os.utime(cache._path(key), (now - 1000 + k,) * 2)
    assert all(cache.get(key) for key in keys[:1])  # used now, so that 1 is the oldest
    cache.put(keys[10], b"x" * 100)
    kept = [key for key in keys if cache._path(key).exists()]
    assert kept == [keys[0], *keys[4:11]]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.answer")) == 800


def test_many_small_answers_are_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "MOST_FILES", 10)
    cache = StageCache(tmp_path)
    for k in range(25):
        cache.put(f"{k:02x}" * 32, b"x")
    assert len(list(tmp_path.rglob("*.answer"))) <= 10


def test_two_who_ask_at_once_compute_once(cache: StageCache, tmp_path: Path) -> None:
    """Processes of a parallel sweep start with the same picture."""
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    pool = [context.Process(target=_compute, args=(cache, log)) for _ in range(2)]
    for process in pool:
        process.start()
    for process in pool:
        process.join()
    assert [process.exitcode for process in pool] == [0, 0]
    assert log.read_text().split() == ["computed"]


def _compute(cache: StageCache, log: Path) -> None:
    with cache.computing(MASK, "ab" * 32):
        if cache.get("ab" * 32) is None:
            time.sleep(0.5)
            with log.open("a") as file:
                file.write("computed\n")
            cache.put("ab" * 32, b"answer")


def test_stages_that_ask_each_other_never_wait_for_themselves(cache: StageCache) -> None:
    """Two keys may share a lock's name; those of two stages never do."""
    done: list[bool] = []

    def work() -> None:
        with cache.computing(MASK, "ab" * 32), cache.computing(DETECT, "ab" * 32):
            done.append(True)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert done
