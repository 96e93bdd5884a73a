"""Whatever stops a run, the same command goes on from the last checkpoint, to the same weights."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from limner.errors import OutOfMemory, OutputError
from limner.registry.subjects import folder_of
from limner.training import checkpoints
from limner.training.dreambooth import Callbacks, StepReport, teach
from limner.training.step import Stepper
from tests.cli.command import Command
from tests.training.teaching import PROMPTS, order

STEPS = 12


def furthest(first: Path, second: Path) -> float:
    one, other = (load_file(path / "trained.safetensors") for path in (first, second))
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def words(name: str, base: Path, photos: Path) -> list[str]:
    given = {
        "name": name,
        "model": base,
        "instance-prompt": PROMPTS["instance_prompt"],
        "class-prompt": PROMPTS["class_prompt"],
        "class-images": photos,
        "resolution": 32,
        "max-train-steps": STEPS,
        "checkpointing-steps": 3,
        "checkpoints-total-limit": 2,
        "device": "cpu",
    }
    return ["teach", str(photos), *(f"--{key}={value}" for key, value in given.items())]


@pytest.mark.slow
def test_a_process_killed_at_a_random_step(
    bases: dict[str, Path], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command ends with the weights of a run that nobody killed, wherever it was."""
    step = random.SystemRandom().randrange(1, STEPS - 4)
    command = [sys.executable, "-m", "limner", *words("killed", bases["text2img"], photos)]
    log = folder_of("killed") / "run" / "log.jsonl"
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while run.poll() is None and (not log.is_file() or log.read_text().count("\n") < step):
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    _, said = run.communicate()
    assert run.returncode == -signal.SIGKILL, f"after step {step}: {said}"
    for name in ("killed", "straight"):
        Command(capsys.readouterr)(*words(name, bases["text2img"], photos))
    ends = [
        folder_of(one) / "run" / "checkpoints" / f"{STEPS:06}" for one in ("killed", "straight")
    ]
    assert furthest(*ends) <= 1e-5, f"killed after step {step}"
    assert len(log.read_text().splitlines()) == STEPS


@pytest.mark.slow
def test_ctrl_c_at_a_random_step(bases: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    """A real SIGINT: what was reached is kept, and gone on from."""
    # A shell lets what it starts in the background ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    step = random.SystemRandom().randrange(1, 6)

    def interrupt(report: StepReport) -> None:
        if report.step == step:
            signal.raise_signal(signal.SIGINT)

    stopped, straight = (
        order(bases["text2img"], photos, tmp_path / name) for name in ("stopped", "straight")
    )
    with pytest.raises(KeyboardInterrupt):
        teach(stopped, Callbacks(on_step=interrupt))
    left = [reached for reached, _ in checkpoints.find(tmp_path / "stopped" / "checkpoints")]
    assert left == [2, 4][: (step - 1) // 2], f"after step {step}"
    assert furthest(teach(stopped).checkpoint, teach(straight).checkpoint) <= 1e-5


def test_no_memory_in_the_middle_of_a_run(
    bases: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be lowered is said, and with it the run goes on where it was."""
    terms = Stepper._terms

    def hungry(self: Stepper, place: object) -> object:
        if getattr(place, "step", 0) == 4:
            torch.empty(2**58)
        return terms(self, place)  # type: ignore[arg-type]

    asked = order(bases["text2img"], photos, tmp_path / "stopped")
    with monkeypatch.context() as patched:
        patched.setattr(Stepper, "_terms", hungry)
        with pytest.raises(OutOfMemory, match="gradient-checkpointing"):
            teach(asked)
    assert [step for step, _ in checkpoints.find(tmp_path / "stopped" / "checkpoints")] == [2, 4]
    frugal = order(bases["text2img"], photos, tmp_path / "stopped", gradient_checkpointing=True)
    straight = order(bases["text2img"], photos, tmp_path / "straight")
    assert furthest(teach(frugal).checkpoint, teach(straight).checkpoint) <= 1e-5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_no_room_for_the_log(bases: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    """The disk fills between two checkpoints: one sentence, and the last checkpoint is whole."""
    log = tmp_path / "log.jsonl"

    def fill(report: StepReport) -> None:
        if report.step == 3:
            log.unlink()
            os.symlink("/dev/full", log)

    asked = order(bases["text2img"], photos, tmp_path)
    with pytest.raises(OutputError, match=r"log\.jsonl can't be written .*last checkpoint"):
        teach(asked, Callbacks(on_step=fill))
    assert [step for step, _ in checkpoints.find(tmp_path / "checkpoints")] == [2]
    log.unlink()
    assert teach(asked).checkpoint.name == "000006"
