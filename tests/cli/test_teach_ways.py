"""``limner teach`` each way: precisions, methods, predictions, processes, trackers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from limner.options import TeachOptions
from limner.registry.subjects import folder_of as subject_folder
from limner.registry.weights import Runtime
from limner.training import generate, instance_images, latents
from limner.training.base_model import find_base, open_base
from limner.training.dreambooth import Callbacks, StepReport, TeachConfig, teach
from limner.training.noise import StepPosition, draw
from limner.training.step import Stepper
from tests.cli.command import Command
from tests.models.tiny_sd import save_tiny_sd
from tests.training.photos import folder_of, photo

PROMPTS = {"instance_prompt": "a sks dog", "class_prompt": "a dog"}
SIDE = 32


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stable Diffusion 1.5's kind, SDXL's, and one that predicts v as Stable Diffusion 2 does."""
    root = tmp_path_factory.mktemp("bases")
    made = {
        "sd": save_tiny_sd(root / "sd", kind="text2img"),
        "sdxl": save_tiny_sd(root / "sdxl", kind="sdxl-inpaint"),
        "v": save_tiny_sd(root / "v", kind="text2img"),
    }
    schedule = made["v"] / "scheduler" / "scheduler_config.json"
    schedule.write_text(
        json.dumps({**json.loads(schedule.read_text()), "prediction_type": "v_prediction"})
    )
    return made


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("subject"), 3)


@pytest.fixture(scope="module")
def plain(
    bases: dict[str, Path], photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, StepReport]:
    """The first step of a LoRA of the U-Net alone, in float32."""
    root = tmp_path_factory.mktemp("plain")
    options = TeachOptions(**PROMPTS, resolution=SIDE, max_train_steps=1)
    found: dict[str, StepReport] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LIMNER_HOME", str(root / "home"))
        for kind in ("sd", "sdxl"):
            asked = TeachConfig(str(bases[kind]), photos, root / kind, options, photos, "cpu")
            teach(asked, Callbacks(on_step=partial(found.__setitem__, kind)))
    return found


def words(base: Path, photos: Path, *more: object) -> tuple[object, ...]:
    given = [f"--{name.replace('_', '-')}={text}" for name, text in PROMPTS.items()]
    small = ("--resolution", SIDE, "--max-train-steps", 2, "--device", "cpu")
    asked = ("--name", "it", "--model", base, "--class-images", photos, *given, *small)
    return ("teach", photos, *asked, *more)


def losses(name: str = "it") -> list[dict[str, float]]:
    log = subject_folder(name) / "run" / "log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def learned(name: str = "it") -> dict[str, torch.Tensor]:
    return load_file(
        subject_folder(name) / "run" / "checkpoints" / "000002" / "trained.safetensors"
    )


WAYS: dict[str, tuple[str, tuple[str, ...], float]] = {
    "bf16": ("sd", ("--mixed-precision", "bf16"), 5e-3),
    "bf16, text encoder": ("sd", ("--mixed-precision", "bf16", "--train-text-encoder"), 5e-3),
    "checkpointing": ("sd", ("--gradient-checkpointing", "--train-text-encoder"), 1e-5),
    "full": ("sd", ("--method", "full"), 1e-5),
    "SDXL": ("sdxl", ("--mixed-precision", "bf16"), 5e-3),
}
"""Base, flags, and how far the first loss may be from float32's, LoRA's and the U-Net's alone: the
same draws are seen by the same, still untaught model."""


@pytest.mark.parametrize(("kind", "more", "near"), WAYS.values(), ids=WAYS)
def test_each_way_sees_the_same_first_step(
    limner: Command,
    bases: dict[str, Path],
    photos: Path,
    plain: dict[str, StepReport],
    kind: str,
    more: tuple[str, ...],
    near: float,
) -> None:
    """And learns, in float32, and says nothing that a person needn't read."""
    told = limner(*words(bases[kind], photos, *more))
    assert "Warning" not in told.stderr
    first = losses()[0]
    for term in ("instance", "prior"):
        assert first[term] == pytest.approx(getattr(plain[kind], term), abs=near)
    found = learned()
    assert {one.dtype for one in found.values()} == {torch.float32}
    assert all(bool(one.isfinite().all()) for one in found.values())
    parts = {name.partition(".")[0] for name in found}
    assert parts == {"unet", *(["text_encoder"] if "--train-text-encoder" in more else [])}
    if "--method" in more:
        assert "unet.conv_in.weight" in found
        model = subject_folder("it") / "model"
        photo(9, (64, 64)).save("scene.png")
        asked = ("edit", "scene.png", "--box", "10,10,50,50", "--paint", "a sks dog")
        limner(*asked, "--inpainter", model, "--num-inference-steps", 2, "-o", "out.png")


def test_v_prediction_and_min_snr_as_diffusers_has_them(
    limner: Command, bases: dict[str, Path], photos: Path
) -> None:
    """The first loss by diffusers' own noise, velocity and SNR."""
    from diffusers import DDPMScheduler
    from diffusers.training_utils import compute_snr

    limner(*words(bases["v"], photos, "--snr-gamma", 5))
    base = open_base(find_base(str(bases["v"])), Runtime("cpu", "float32"))
    said = latents.read(base, [PROMPTS["instance_prompt"]])
    kept = instance_images.read(photos, SIDE).usable
    shown = draw(
        latents.encode(base, [one.image for one in kept], [0] * 3),
        1,
        1000,
        StepPosition(seed=0, step=0),
        0,
    )
    schedule = DDPMScheduler.from_pretrained(bases["v"], subfolder="scheduler")
    z = schedule.add_noise(shown.x, shown.eps, shown.t)
    with torch.no_grad():
        answer = base.pipe.unet(z, shown.t, encoder_hidden_states=said.states).sample
    square = (answer - schedule.get_velocity(shown.x, shown.eps, shown.t)).pow(2).mean()
    snr = compute_snr(schedule, shown.t)
    expected = float((snr.clamp(max=5) / (snr + 1) * square).mean())
    assert losses()[0]["instance"] == pytest.approx(expected, abs=1e-5)
    assert expected != pytest.approx(float(square), abs=1e-2)  # the weight matters


def test_accumulated_batches_are_one_step(
    limner: Command, bases: dict[str, Path], photos: Path
) -> None:
    """Twice the photographs a step, the same number of steps."""
    limner(*words(bases["sd"], photos, "--gradient-accumulation-steps", 2))
    assert [one["step"] for one in losses()] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "more", "says"),
    [
        pytest.param("sd", ("--mixed-precision", "fp16"), "on the CPU take bf16", id="fp16"),
        pytest.param("sdxl", ("--train-text-encoder",), "two text encoders", id="SDXL's words"),
    ],
)
def test_what_cant_be_is_refused(
    limner: Command,
    bases: dict[str, Path],
    photos: Path,
    kind: str,
    more: tuple[str, ...],
    says: str,
) -> None:
    answer = limner.run(*words(bases[kind], photos, *more))
    assert (answer.code, says in answer.stderr) == (2, True), answer.stderr


def test_adam_in_8_bits(limner: Command, bases: dict[str, Path], photos: Path) -> None:
    """Where bitsandbytes is, on the CPU too: a state in 8 bits, and a resumed run the same."""
    pytest.importorskip("bitsandbytes")
    more = ("--method", "full", "--use-8bit-adam", "--checkpointing-steps", 1)
    limner(*words(bases["sd"], photos, *more))
    straight = learned()
    (subject_folder("it") / "run" / "checkpoints" / "000002" / "state.json").unlink()
    assert "Going on from step 1." in limner(*words(bases["sd"], photos, *more)).stderr
    again = learned()
    assert max(float((again[n] - straight[n]).abs().max()) for n in straight) <= 1e-5
    path = subject_folder("it") / "run" / "checkpoints" / "000002" / "optimizer.pt"
    state = torch.load(path, weights_only=True)["state"]
    kept = [
        one for each in state.values() for one in each["__bnb_optimizer_quant_state__"].values()
    ]
    assert torch.uint8 in {one.dtype for one in kept if isinstance(one, torch.Tensor)}


@pytest.mark.slow
def test_two_processes_share_every_step(
    limner: Command, bases: dict[str, Path], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``torchrun`` on the CPU (gloo): the weights of one process that takes both shares itself."""
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    command = [*launch, "-m", "limner", *map(str, words(bases["sd"], photos))]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 steps, 3 photographs") == 1
    terms = Stepper._terms

    def both(self: Stepper, place: StepPosition) -> tuple[torch.Tensor, torch.Tensor | None]:
        shares = [terms(self, replace(place, process=k, processes=2)) for k in (0, 1)]
        (first, of_first), (second, of_second) = shares
        assert of_first is not None
        assert of_second is not None
        return (first + second) / 2, (of_first + of_second) / 2

    monkeypatch.setattr(Stepper, "_terms", both)
    options = TeachOptions(**PROMPTS, resolution=SIDE, max_train_steps=2)
    alone = TeachConfig(str(bases["sd"]), photos, Path("alone"), options, photos, "cpu")
    expected = load_file(teach(alone).checkpoint / "trained.safetensors")
    found = learned()
    assert max(float((found[n] - expected[n]).abs().max()) for n in expected) <= 1e-5


def test_a_teaching_is_tracked_and_kept_as_a_run(
    limner: Command, bases: dict[str, Path], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of every step and validation pictures, in a real tracker; the run in the store, which
    can't be replayed. SDXL in bf16, whose text encoders are gone when it paints."""
    accumulator: Callable[..., Any] = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    ).EventAccumulator
    monkeypatch.setenv("LIMNER_STORE", "runs")
    monkeypatch.setattr(generate, "STEPS", 2)
    painted = ("--validation-steps", 2, "--num-validation-images", 1, "--mixed-precision", "bf16")
    told = ("--track", "tensorboard", "--track-to", "kept", "--tag", "mine")
    limner(*words(bases["sdxl"], photos, *painted, *told))
    folders = {path.parent for path in Path("kept").rglob("events.out.*")}
    folder = min(folders, key=lambda path: len(path.parts))  # settings lie in one below
    events = accumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    for name, key in (("loss", "loss"), ("loss/instance", "instance"), ("loss/prior", "prior")):
        found = [(one.step, one.value) for one in events.Scalars(name)]
        assert found == [(one["step"], pytest.approx(one[key], abs=1e-6)) for one in losses()]
    pictures = [name for name in events.Tags()["images"] if name.startswith("validation/")]
    assert sorted(pictures) == ["validation/with-0", "validation/without-0"]
    shown = limner.json("runs", "show", "latest")
    assert (shown["verb"], shown["status"], shown["tags"]) == ("teach", "done", ["mine"])
    assert shown["record"]["result"]["loss"] == losses()[-1]["loss"]
    assert len([file for file in shown["files"] if file["role"] == "picture"]) == 2
    refused = limner.run("runs", "replay", "latest")
    assert (refused.code, "can't replay that" in refused.stderr) == (2, True)
