"""The loop of the recipes: how long it runs, what it takes up, where it computes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minis import devices, training
from minis.training import Loss, Plan, train

PLAN = Plan(steps=6, learning_rate=0.1, warmup=1, bf16=False)
SCRIPT = Path(training.__file__).parent / "on_accelerator.sh"


class Recipe:
    """A model of one number that should become 3, and the steps that were asked of it."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.numbers: list[float] = []

    def render(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        return {"noise": torch.tensor([[rng.random()]])}

    def step_loss(self, shown: dict[str, torch.Tensor], rng: np.random.Generator) -> Loss:
        self.numbers.append(float(shown["noise"]))
        return (self.model(shown["noise"].float()) - 3).pow(2).sum(), {}

    def run(self, plan: Plan = PLAN) -> torch.nn.Module:
        return train("one", self.model, plan, self.render, self.step_loss)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where checkpoints go; a recipe's command line without options."""
    monkeypatch.setattr(training, "OUT", tmp_path)
    command(monkeypatch)
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["recipe", *words])


def test_steps_that_a_checkpoint_holds_are_not_done_again(out: Path) -> None:
    """And those that follow are shown what they would have been shown without the break."""
    whole = Recipe()
    whole.run()
    (out / "one.pt").unlink()
    first, second = Recipe(), Recipe()
    first.run(Plan(**{**vars(PLAN), "steps": 4}))
    second.run()
    assert len(second.numbers) == 2
    assert first.numbers + second.numbers == whole.numbers


def test_minutes_bind_and_not_steps(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More steps than the plan has where there is time, fewer where there is none; what was spent
    before a break counts."""
    now = iter(float(second) for second in range(1000))
    monkeypatch.setattr(training, "time", SimpleNamespace(time=lambda: next(now)))
    command(monkeypatch, "--minutes", "1")
    long = Recipe()
    long.run()
    assert len(long.numbers) > PLAN.steps
    after = Recipe()
    after.run()
    assert after.numbers == []
    (out / "one.pt").unlink()
    command(monkeypatch, "--minutes", "0.001")
    short = Recipe()
    short.run()
    assert len(short.numbers) == 1


def test_the_rate_falls_with_the_part_that_is_gone() -> None:
    plan = Plan(steps=100, learning_rate=1.0, warmup=10)
    rates = [training.learning_rate(50, gone, plan) for gone in (0.0, 0.5, 1.0)]
    assert rates == pytest.approx([1.0, 0.505, 0.01])
    assert training.learning_rate(0, 0.0, plan) == pytest.approx(0.1)
    assert training.part_done(plan, None, 25, 1e6) == 0.25
    assert training.part_done(plan, "2", 25, 30.0) == 0.25


def test_other_cores_render_what_this_one_would() -> None:
    """Steps in their order, from where a checkpoint ends."""

    def render(rng: np.random.Generator) -> tuple[float, torch.Tensor]:
        return rng.random(), torch.tensor([rng.random()])

    here = devices.rendered(render, 5, 3, 0)
    there = devices.rendered(render, 5, 3, 2)
    for _ in range(4):
        (a, b), _ = next(here)
        (c, d), _ = next(there)
        assert a == c
        assert torch.equal(b, d)


def test_tensors_are_moved_and_all_else_stays() -> None:
    points = [[(1.0, 2.0)], [(3.0, 4.0)]]
    shown = {"a": torch.ones(2), "b": (torch.ones(1), "word"), "points": points, "none": None}
    moved = devices.moved(shown, torch.device("meta"))
    assert moved["a"].device.type == moved["b"][0].device.type == "meta"
    assert moved["b"][1] == "word"
    assert moved["points"] == points
    assert moved["none"] is None


@pytest.mark.parametrize(
    ("words", "memory", "sentence"),
    [
        (["--device", "tpu"], None, "--device tpu: expected cpu or cuda."),
        (["--device", "cuda"], None, "--device cuda: torch sees no CUDA device here."),
        (["--device", "cuda"], 4e9, "the device has 4 GB, and at least 8 are needed"),
    ],
)
def test_a_device_that_cannot_be_had_is_refused_in_a_sentence(
    words: list[str],
    memory: float | None,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything is loaded or written."""
    command(monkeypatch, *words)
    monkeypatch.setattr("torch.cuda.is_available", lambda: memory is not None)
    card = SimpleNamespace(total_memory=memory)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: card)
    with pytest.raises(SystemExit) as end:
        devices.chosen()
    assert end.value.code == 2
    assert sentence in capsys.readouterr().err


# ---- the script


@pytest.fixture
def script(tmp_path: Path) -> SimpleNamespace:
    """Runs the script with a stand-in for python that only notes its recipes' beginnings and ends,
    and fails the one in ``FAILS``."""
    stand_in = tmp_path / "python"
    stand_in.write_text(
        '#!/bin/bash\n[ "$1" = -m ] || exit "${REFUSES:-0}"\n'
        f'echo "$2" "${{@:3}}" >> {tmp_path}/calls\nsleep .1\n'
        f'[ "$2" = "minis.recipes.${{FAILS:-}}" ] && {{ echo no memory; exit 1; }}\n'
        f"echo end $2 >> {tmp_path}/calls\n"
    )
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)

    def run(*words: str, **names: str) -> tuple[int, list[str], str]:
        environment = {**os.environ, "PYTHON": str(stand_in), "LIMNER_MINIS_OUT": str(tmp_path)}
        done = subprocess.run(
            ["bash", SCRIPT, *words], env={**environment, **names}, capture_output=True, text=True
        )
        calls = (tmp_path / "calls").read_text().splitlines() if done.returncode != 2 else []
        return done.returncode, [call.replace("minis.recipes.", "") for call in calls], done.stderr

    return SimpleNamespace(run=run)


def test_the_script_trains_each_recipe_after_what_it_starts_from(script: SimpleNamespace) -> None:
    """The chains run beside each other; minutes are scaled, and all of them fit into nine."""
    status, calls, _ = script.run("--go-on", PART="0.5")
    assert status == 0
    starts = {call.split()[0]: call for call in calls if not call.startswith("end")}
    names = {path.stem for path in (SCRIPT.parent / "recipes").glob("[a-z]*.py")}
    assert starts.keys() == names
    for before, after in [("clip", "owlvit"), ("owlvit", "blip"), ("vae", "painter"),
                          ("clip", "painter"), ("painter", "painter_canvas")]:  # fmt: skip
        assert calls.index(f"end {before}") < calls.index(starts[after]), (before, after)
    assert all("--device cuda --large" in call and "--go-on" in call for call in starts.values())
    spent = {name: float(call.split("--minutes ")[1].split()[0]) for name, call in starts.items()}
    runs = {"clip": 2, "vae": 2, "dino": 2}
    assert spent["sam"] == 3.75
    words, coder = (runs[name] * spent[name] for name in ("clip", "vae"))
    for chain in (words + spent["owlvit"] + spent["blip"], spent["sam"], 2 * spent["dino"],
                  max(words, coder) + spent["painter"] + spent["painter_canvas"]):  # fmt: skip
        assert chain < 4.5


def test_a_recipe_that_fails_ends_its_chain_and_is_named(script: SimpleNamespace) -> None:
    """Painters don't wait for ever for words that won't come."""
    status, calls, said = script.run(FAILS="clip")
    assert status == 1
    assert "clip failed" in said
    assert "no memory" in said
    assert {"end vae", "end sam", "end dino"} <= set(calls)
    assert not any(call.startswith(("owlvit", "painter")) for call in calls)


def test_a_device_that_is_refused_starts_nothing(script: SimpleNamespace) -> None:
    status, calls, _ = script.run(REFUSES="2")
    assert (status, calls) == (2, [])


def test_what_ships_is_gone_on_from_where_its_parts_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of another size, or none, is no start; one with a part beside it that is thrown away
    after the training is."""
    from transformers import Dinov2Config, Dinov2Model

    def build(layers: int) -> Dinov2Model:
        return Dinov2Model(
            Dinov2Config(
                hidden_size=8,
                num_hidden_layers=layers,
                num_attention_heads=1,
                image_size=8,
                patch_size=8,
            )
        )

    assert not training.fits(build(1), tmp_path / "nothing")
    build(1).save_pretrained(tmp_path / "one")
    assert training.fits(build(1), tmp_path / "one")
    assert not training.fits(build(2), tmp_path / "one")
    beside = build(1)
    beside.names = torch.nn.Linear(8, 3)
    assert training.fits(beside, tmp_path / "one")
    (tmp_path / "trained.json").write_text(json.dumps({"one": {"steps": 6, "seconds": 60}}))
    monkeypatch.setattr(training, "TRAINED", tmp_path / "trained.json")
    assert training.take_up("one", build(1), tmp_path / "one") == (6, 60)
