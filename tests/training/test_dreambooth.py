"""The recipe: the same weights however often it was stopped, golden losses, refusals."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from limner.errors import (
    InputError,
    LimnerError,
    MissingExtra,
    ModelError,
    OptionError,
    OutputError,
    PromptError,
)
from limner.io.save import read_record
from limner.options import TeachOptions
from limner.training import checkpoints, class_images, generate, latents, tensor_cache
from limner.training.base_model import find_base
from limner.training.dreambooth import Callbacks, StepReport, TeachConfig, teach
from tests.models.tiny_sd import save_tiny_sd
from tests.training.photos import photo
from tests.training.teaching import PROMPTS, order


class Killed(BaseException):
    """What no handler catches, as a kill isn't."""


def trained(folder: Path, step: int = 6) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"{step:06}" / "trained.safetensors")


def furthest(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    assert first
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def stop_after(step: int) -> Callbacks:
    def on_step(report: StepReport) -> None:
        if report.step == step:
            raise Killed

    return Callbacks(on_step=on_step)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        pytest.param("text2img", {}, id="lora"),
        pytest.param("inpaint", {"snr_gamma": 5.0}, id="inpaint, min-SNR"),
        pytest.param("text2img", {"train_text_encoder": True}, id="text encoder"),
        pytest.param("text2img", {"method": "full", "learning_rate": 1e-4}, id="full"),
        pytest.param(
            "text2img",
            {"gradient_accumulation_steps": 2, "lr_scheduler": "cosine", "lr_warmup_steps": 2},
            id="accumulation, cosine",
        ),
    ],
)
def test_a_killed_run_goes_on_to_the_same_weights(
    bases: dict[str, Path], photos: Path, tmp_path: Path, kind: str, given: dict[str, Any]
) -> None:
    """Killed at step 5, after the checkpoint of step 4: step 5 is done again."""
    straight, stopped = (
        order(bases[kind], photos, tmp_path / name, **given) for name in ("straight", "stopped")
    )
    first = trained(teach(straight).checkpoint.parents[1])
    before: list[StepReport] = []
    with pytest.raises(Killed):
        teach(stopped, stop_after(5))
    teach(stopped, Callbacks(on_step=before.append))
    assert [report.step for report in before] == [5, 6]
    assert furthest(first, trained(tmp_path / "stopped")) <= 1e-5
    assert furthest(first, trained(tmp_path / "straight", 2)) > 1e-5  # something was learned
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("straight", "stopped")]
    losses = [[json.loads(line)["loss"] for line in log.splitlines()] for log in logs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert len(losses[0]) == 6


GOLDEN = {
    "text2img": [
        (1.0083, 1.1208),
        (1.1987, 1.1537),
        (1.0223, 1.1242),
        (1.0294, 1.0145),
        (1.3744, 0.9981),
        (1.094, 0.9382),
        (1.1082, 0.9979),
        (1.0418, 1.133),
        (0.7893, 1.0427),
        (1.0364, 1.1955),
    ],
    "inpaint": [
        (1.0214, 1.0491),
        (1.2278, 1.1376),
        (1.0476, 1.0512),
        (1.0449, 1.0216),
        (1.2489, 1.054),
        (1.0667, 0.9241),
        (1.133, 0.9132),
        (1.059, 1.1202),
        (0.8783, 1.1024),
        (1.1065, 1.2449),
    ],
}
"""The first ten losses on the CPU in float32: of the subject, and of the prior."""


def with_given_class_images(config: TeachConfig, folder: Path) -> TeachConfig:
    """With three fixed pictures of the class instead of painted ones, whose last bits hang on the
    processor: a hole hangs on its picture's digest."""
    folder.mkdir()
    for k in range(3):
        photo(10 + k, (32, 32)).save(folder / f"{k}.png")
    given = replace(config.options, sample_batch_size=TeachOptions().sample_batch_size)
    return replace(config, class_images=folder, options=given)


@pytest.mark.parametrize("kind", list(GOLDEN))
def test_golden_losses(bases: dict[str, Path], photos: Path, tmp_path: Path, kind: str) -> None:
    """A change of any draw, weight, schedule or step of the optimizer shows here."""
    reports: list[StepReport] = []
    config = order(bases[kind], photos, tmp_path, max_train_steps=10, checkpointing_steps=10)
    teach(with_given_class_images(config, tmp_path / "class"), Callbacks(on_step=reports.append))
    losses = [(round(one.instance, 4), round(one.prior or 0, 4)) for one in reports]
    assert losses == [pytest.approx(pair, abs=5e-4) for pair in GOLDEN[kind]]
    for one in reports:
        assert one.loss == pytest.approx(one.instance + (one.prior or 0))


def test_sdxl_is_taught_too(bases: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    """Its pooled words and sizes go in; its text encoders are refused."""
    asked = order(bases["sdxl-inpaint"], photos, tmp_path, max_train_steps=2)
    taught = teach(asked)
    assert (taught.checkpoint / "pytorch_lora_weights.safetensors").is_file()
    more = replace(asked, options=replace(asked.options, train_text_encoder=True))
    with pytest.raises(OptionError, match="two text encoders"):
        teach(replace(more, folder=tmp_path / "more"))


def test_without_the_prior_no_class_image_is_made(
    bases: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_images, "make", None)
    seen: list[StepReport] = []
    asked = order(bases["text2img"], photos, tmp_path, with_prior_preservation=False)
    teach(asked, Callbacks(on_step=seen.append))
    assert {one.prior for one in seen} == {None}
    assert [one.loss for one in seen] == [one.instance for one in seen]


def test_what_was_computed_once_is_not_computed_again(
    bases: dict[str, Path],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another run of the same class, another seed: no picture is made, encoded or read anew; of a
    class picture that was lost only that one is made."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    made: list[tuple[int, int]] = []
    watch = Callbacks(on_class_image=lambda done, total: made.append((done, total)))
    teach(order(bases["text2img"], photos, tmp_path / "a", max_train_steps=1), watch)
    assert made == [(0, 3), (2, 3), (3, 3)]
    (folder,) = (tensor_cache.folder() / "class-images").iterdir()
    (folder / "00002.png").write_bytes(b"half of a pict")
    made.clear()
    with monkeypatch.context() as patched:
        patched.setattr(latents, "_encoded", None)
        teach(order(bases["text2img"], photos, tmp_path / "b", max_train_steps=1, seed=1), watch)
    assert made == [(2, 3), (3, 3)]


def test_the_autoencoder_and_the_text_encoder_leave_memory(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    taught = teach(order(bases["text2img"], photos, tmp_path, max_train_steps=1))
    assert taught.base.pipe.vae is None
    assert taught.base.pipe.text_encoder is None


def test_validation_pictures_with_and_without_the_identifier(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    given = {"validation_steps": 2, "num_validation_images": 1, "max_train_steps": 4}
    teach(order(bases["text2img"], photos, tmp_path, **given))
    names = sorted(path.name for path in (tmp_path / "validation").iterdir())
    assert names == [
        "000002-with-0.png",
        "000002-without-0.png",
        "000004-with-0.png",
        "000004-without-0.png",
    ]


def test_any_prompt_is_painted_with_the_identifier_and_without(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    """At the end where no steps are named; the same seed of both, so that what differs is the
    subject. A run may go on with other prompts: they decide nothing that is learned."""
    prompts = ("a dog in a car", "sks at sea")
    given = {"validation_prompt": prompts, "num_validation_images": 1}
    heard: list[tuple[str, int]] = []
    watch = Callbacks(on_picture=lambda name, step, _: heard.append((name, step)))
    teach(order(bases["text2img"], photos, tmp_path, max_train_steps=2, **given), watch)
    assert heard == [
        ("with-prompt1-0", 2),
        ("without-prompt1-0", 2),
        ("with-prompt2-0", 2),
        ("without-prompt2-0", 2),
    ]
    folder = tmp_path / "validation"
    records = {path.stem: read_record(path) or {} for path in sorted(folder.iterdir())}
    assert {name: record["prompt"] for name, record in records.items()} == {
        "000002-with-prompt1-0": "a sks dog in a car",
        "000002-without-prompt1-0": "a dog in a car",
        "000002-with-prompt2-0": "sks at sea",
        "000002-without-prompt2-0": "dog at sea",
    }
    assert {record["seed"] for record in records.values()} == {0}
    pictures = [Image.open(folder / f"{name}.png").tobytes() for name in records]
    assert len(set(pictures)) == len(pictures)
    others = {"validation_prompt": "a dog", "validation_steps": 4, "num_validation_images": 1}
    heard.clear()
    teach(order(bases["text2img"], photos, tmp_path, max_train_steps=4, **others), watch)
    assert heard == [("with-0", 4), ("without-0", 4)]


def test_a_validation_prompt_that_is_not_read_to_its_end_is_refused(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(PromptError, match=r"validation prompt .* has \d+ tokens"):
        teach(order(bases["text2img"], photos, tmp_path, validation_prompt="x" * 90))
    with pytest.raises(OptionError, match=r"validation_prompt is what is to be seen.*got ' '"):
        TeachOptions(validation_prompt=("a dog", " "))


def test_class_images_are_made_with_the_steps_and_guidance_that_are_asked(
    bases: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other numbers make other pictures and another run; what was made so before is found."""
    calls: list[tuple[int, float]] = []
    paint = generate.paint

    def watched(*words: Any, steps: int, **more: Any) -> Any:
        calls.append((steps, words[4]))
        return paint(*words, steps=steps, **more)

    monkeypatch.setattr(generate, "paint", watched)
    words = {"instance_prompt": "a sks wee dog", "class_prompt": "a wee dog"}
    usual = order(bases["text2img"], photos, tmp_path / "usual", max_train_steps=1, **words)
    course = {"class_inference_steps": 5, "class_guidance_scale": 5.0}
    other = replace(usual, options=replace(usual.options, **course))
    for config, made_with in (
        (usual, (generate.STEPS, 7.5)),
        (replace(other, folder=tmp_path / "other"), (5, 5.0)),
    ):
        calls.clear()
        teach(config)
        assert calls == [made_with, made_with], "three pictures, two at once"
        calls.clear()
        teach(replace(config, folder=tmp_path / "again", anew=True))
        assert calls == []
    with pytest.raises(OptionError, match="other class_inference_steps, class_guidance_scale"):
        teach(other)


def test_only_so_many_checkpoints_stay(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    teach(order(bases["text2img"], photos, tmp_path, checkpoints_total_limit=2))
    assert [step for step, _ in checkpoints.find(tmp_path / "checkpoints")] == [4, 6]


def test_a_full_disk_leaves_the_last_checkpoint_usable(
    bases: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    asked = order(bases["text2img"], photos, tmp_path)
    with monkeypatch.context() as patched:
        watch = Callbacks(
            on_step=lambda report: (
                patched.setattr(checkpoints, "save_file", full) if report.step == 3 else None
            )
        )
        with pytest.raises(OutputError, match=r"step 4 .*disk is full.*000002"):
            teach(asked, watch)
    assert [step for step, _ in checkpoints.find(tmp_path / "checkpoints")] == [2]
    assert not list(tmp_path.rglob("*.tmp"))
    assert teach(asked).checkpoint.name == "000006"


def test_no_room_for_checkpoints_is_said_before_the_first_step(
    bases: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match="checkpoints_total_limit"):
        teach(order(bases["text2img"], photos, tmp_path), stop_after(1))


Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        pytest.param({"instance_prompt": "a dog"}, OptionError, "no identifier", id="identifier"),
        pytest.param({"class_prompt": "a photo"}, OptionError, "names no class", id="class"),
        pytest.param({"resolution": 36}, OptionError, "multiple of 8", id="resolution"),
        pytest.param({"use_8bit_adam": True}, MissingExtra, r"limner\[bitsandbytes", id="8 bit"),
    ],
)
def test_bad_settings_are_refused(
    bases: dict[str, Path],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    error: type[LimnerError],
    says: str,
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # missing, even where it is installed
    with pytest.raises(error, match=says):
        teach(order(bases["text2img"], photos, tmp_path, **given), stop_after(1))


WITHOUT_THE_PRIOR = {"with_prior_preservation": False}
IDLE: dict[str, tuple[dict[str, Any], str]] = {
    "rank": ({"method": "full", "rank": 9}, "rank has no effect with method full"),
    "warm-up": ({"lr_warmup_steps": 5}, "lr_warmup_steps has .*: take constant_with_warmup"),
    "validation": (
        {"num_validation_images": 1},
        "num_validation_images has no effect without validation_steps or validation_prompt",
    ),
    "class images": (
        {**WITHOUT_THE_PRIOR, "class_inference_steps": 50, "class_guidance_scale": 5.0},
        "class_inference_steps and class_guidance_scale have no effect without with_prior",
    ),
    "the prior": (
        {**WITHOUT_THE_PRIOR, "prior_loss_weight": 0.5, "num_class_images": 9},
        "prior_loss_weight and num_class_images have no effect without with_prior_preservation",
    ),
}


@pytest.mark.parametrize(("given", "says"), IDLE.values(), ids=IDLE)
def test_a_setting_without_effect_is_refused(given: dict[str, Any], says: str) -> None:
    """Somebody who set it believes that it matters."""
    with pytest.raises(OptionError, match=says):
        TeachOptions(**given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param(WITHOUT_THE_PRIOR, "class_images has no effect", id="no prior"),
        pytest.param({"sample_batch_size": 2}, "sample_batch_size has no effect", id="none made"),
        pytest.param(
            {"class_guidance_scale": 5.0}, "class_guidance_scale has no effect", id="no guidance"
        ),
    ],
)
def test_own_class_images_for_nothing_are_refused(
    photos: Path, tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(OptionError, match=says):
        teach(TeachConfig("no-model", photos, tmp_path, TeachOptions(**PROMPTS, **given), photos))


def test_fewer_class_images_than_were_asked_for(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    """Refused before a run that is there is forgotten; unasked, what is there is counted."""
    (tmp_path / "log.jsonl").touch()
    asked = order(bases["text2img"], photos, tmp_path, max_train_steps=1, num_class_images=50)
    few = replace(asked, class_images=photos, options=replace(asked.options, sample_batch_size=4))
    with pytest.raises(OptionError, match=r"has 3 pictures of the class, and .* 50 were asked"):
        teach(replace(few, anew=True))
    assert (tmp_path / "log.jsonl").exists()
    heard: list[str] = []
    done = teach(
        replace(few, options=replace(few.options, num_class_images=100)),
        Callbacks(say=heard.append),
    )
    assert done.class_images == 3
    assert any(line.startswith("3 pictures of the class are taken from") for line in heard)


@pytest.mark.parametrize("name", ["haar", "mini-clip", "flux-schnell"])
def test_a_base_that_is_no_diffusion_model_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"can't be taught a subject.*sd2-base.*mini-sd"):
        find_base(name)


def test_what_helps_a_painter_is_no_base_and_is_not_offered_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refiner and LoRAs for few steps are of the same family: none of them is taught."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    save_tiny_sd(tmp_path / "models" / "sdxl-refiner", kind="sdxl-refiner")
    with pytest.raises(ModelError, match="can't be taught a subject") as caught:
        find_base("sdxl-refiner")
    offered = str(caught.value).partition("take a")[2]
    assert "lcm-lora" not in offered
    assert "refiner" not in offered


def test_a_run_of_something_else_is_not_gone_on_with(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    """Another base, other photographs, another rank; more steps are no other run."""
    asked = order(bases["text2img"], photos, tmp_path, max_train_steps=2)
    teach(asked)
    with pytest.raises(ModelError, match=r"text2img .*other .*--overwrite"):
        teach(replace(asked, model=str(bases["other"])))
    with pytest.raises(OptionError, match="other rank, seed"):
        teach(order(bases["text2img"], photos, tmp_path, rank=3, seed=1))
    longer = order(bases["text2img"], photos, tmp_path, max_train_steps=3)
    assert teach(longer).checkpoint.name == "000003"


def test_a_run_begins_anew_only_when_nothing_speaks_against_it(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    """A typing mistake must not cost the run that is there."""
    teach(order(bases["text2img"], photos, tmp_path, max_train_steps=2))
    before = trained(tmp_path, 2)
    wrong = order(bases["text2img"], photos, tmp_path, resolution=36)
    with pytest.raises(OptionError):
        teach(replace(wrong, anew=True))
    assert furthest(before, trained(tmp_path, 2)) == 0
    other = order(bases["text2img"], photos, tmp_path, max_train_steps=2, seed=1)
    teach(replace(other, anew=True))
    assert furthest(before, trained(tmp_path, 2)) > 0


def test_a_damaged_checkpoint_is_named(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    asked = order(bases["text2img"], photos, tmp_path, max_train_steps=2)
    (teach(asked).checkpoint / "trained.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(ModelError, match="000002 is damaged"):
        teach(asked)


def test_a_masked_background_teaches_nothing(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    """The first loss is that of the subject's half alone, and of a mask of everything the usual."""

    def outline(whole: bool) -> Callable[[Image.Image], npt.NDArray[np.bool_]]:
        def found(image: Image.Image) -> npt.NDArray[np.bool_]:
            mask = np.ones((image.height, image.width), dtype=bool)
            mask[:, image.width // 2 :] = whole
            return mask

        return found

    losses: dict[str, float] = {}
    given: dict[str, Any] = {"max_train_steps": 1, "with_prior_preservation": False}
    for name, watch, masked in (
        ("plain", Callbacks(outline=outline(True)), False),
        ("everything", Callbacks(outline=outline(True)), True),
        ("half", Callbacks(outline=outline(False)), True),
    ):
        seen: list[StepReport] = []
        asked = order(bases["text2img"], photos, tmp_path / name, mask_background=masked, **given)
        teach(asked, replace(watch, on_step=seen.append))
        losses[name] = seen[0].instance
    assert losses["everything"] == pytest.approx(losses["plain"], abs=1e-6)
    assert losses["half"] != pytest.approx(losses["plain"], abs=1e-3)
    with pytest.raises(OptionError, match="give --crop-to"):
        teach(order(bases["text2img"], photos, tmp_path / "none", mask_background=True))


def test_captions_beside_the_photographs_are_what_is_learned(
    bases: dict[str, Path], tmp_path: Path, photos: Path
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "metadata.jsonl").write_text('{"file_name": "01.png", "text": "a dog asleep"}\n')
    taught = teach(order(bases["text2img"], folder, tmp_path / "run", max_train_steps=1))
    assert dict(taught.captions) == {
        "00.png": "a sks dog",
        "01.png": "a sks dog asleep",
        "02.png": "a sks dog",
    }
    (folder / "metadata.jsonl").write_text("dog")
    with pytest.raises(InputError, match=r"metadata\.jsonl:1"):
        teach(order(bases["text2img"], folder, tmp_path / "run", max_train_steps=1))
