"""A subject that an older version taught is listed, shown, painted and exported; a teaching that
was killed goes on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from tests.cli.command import Command

from .verbs import STEPS, pixels, unlike
from .write_samples import BOX, TEACH

PAINT = f"edit small.png {BOX} --inpainter ./painter {STEPS}".split()


def test_a_subject_is_listed_shown_and_exported(limner: Command, samples: Path) -> None:
    (card,) = [each for each in limner.json("teach", "list") if each["name"] == "mycat"]
    assert (card["identifier"], card["class"], card["rank"], card["steps"]) == ("ohwx", "cat", 1, 4)
    assert card["base"]["name"] == "painter"
    assert limner.json("teach", "show", "mycat") == card
    assert "ohwx cat" in limner("teach", "show", "mycat").stdout
    limner("teach", "export", "mycat", "-o", "copy.safetensors")
    adapter = samples / "home" / "subjects" / "mycat" / "pytorch_lora_weights.safetensors"
    assert Path("copy.safetensors").read_bytes() == adapter.read_bytes()
    limner("teach", "export", "mycat", "--layout", "kohya", "-o", "kohya.safetensors")
    limner("teach", "merge", "mycat=0.5", "-o", "merged")


def test_a_subject_is_painted_as_it_was(limner: Command, samples: Path) -> None:
    """And not as the painter alone paints those words."""
    limner(*PAINT, "--paint", "ohwx cat", "--subject", "mycat", "-o", "with.png")
    limner(*PAINT, "--paint", "ohwx cat", "-o", "without.png")
    before = pixels(samples / "expected" / "subject.png")
    assert not unlike(before, pixels(Path("with.png")), exact=False)
    assert unlike(before, pixels(Path("without.png")), exact=False)


def test_a_killed_teaching_goes_on(limner: Command, samples: Path) -> None:
    """From its checkpoint at step 2 and not anew; the learned weights load as they were saved."""
    log = samples / "home" / "subjects" / "halfway" / "run" / "log.jsonl"
    before = log.read_text().splitlines()[:2]
    answer = limner(*shlex.split(TEACH), "--name", "halfway", "--max-train-steps", 4)
    assert "step 1/4" not in answer.stderr
    assert "step 3/4" in answer.stderr
    after = log.read_text().splitlines()
    assert after[:2] == before
    assert [json.loads(line)["step"] for line in after] == [1, 2, 3, 4]
    assert limner.json("teach", "show", "halfway")["steps"] == 4


def test_other_photographs_are_still_refused(limner: Command, samples: Path) -> None:
    """The old run's job is read and held against what is asked for."""
    (samples / "photos" / "0.png").unlink()
    answer = limner.run(*shlex.split(TEACH), "--name", "halfway", "--max-train-steps", 4)
    assert (answer.code, "other photographs" in answer.stderr) == (2, True)
