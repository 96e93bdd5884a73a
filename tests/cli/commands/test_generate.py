"""``limner generate`` with the text-to-image model that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner import Session
from limner.errors import ModelError, OptionError
from limner.io.save import read_record
from tests.cli.command import Command
from tests.conftest import need_minis
from tests.models.tiny_sd import save_tiny_lora, save_tiny_sd

MINI = ("--profile", "mini")
NOUNS = ("apple", "cat", "banana", "mushroom", "star")
"""What mini-sd can paint, as mini-clip sees it."""
QUICK = ("--num-inference-steps", 2)


def test_the_noun_is_what_is_painted(limner: Command) -> None:
    """mini-clip, which had no part in it, names most of them among the others."""
    need_minis("mini-sd", "mini-clip")
    encoder = Session(profile="mini").models.encoder
    texts = np.asarray(encoder.encode_texts([f"a photo of a {noun}" for noun in NOUNS]))
    right = 0
    for k, noun in enumerate(NOUNS):
        limner("generate", f"a photo of a {noun}", *MINI, "--seed", 1, "-o", f"{noun}.png")
        (vector,) = np.asarray(encoder.encode_images([Image.open(f"{noun}.png")]))
        right += int((texts @ vector).argmax() == k)
    assert right >= 4


def test_pictures_are_numbered_and_each_says_how_it_was_made(limner: Command) -> None:
    """The path and the seed of each are printed; a seed gives its picture again."""
    need_minis("mini-sd")
    asked = ("generate", "a photo of a rabbit", "--negative-prompt", "a cat", *MINI, *QUICK)
    lines = limner(*asked, "--seed", 3, "--num-images-per-prompt", 2, "-o", "r.png").stdout
    assert lines.splitlines() == ["r.png: seed 3", "r-1.png: seed 4"]
    record = read_record("r-1.png")
    assert record is not None
    assert record["verb"] == "generate"
    assert record["options"]["prompt"] == "a photo of a rabbit"
    assert record["options"]["negative_prompt"] == "a cat"
    assert record["options"]["num_inference_steps"] == 2
    assert record["result"] == {"seeds": [3, 4], "size_wh": [64, 64], "seed": 4}
    assert [model["name"] for model in record["models"]] == ["mini-sd"]
    assert "diffusers" in record["versions"]
    assert "strength" not in record["options"]
    again = limner.json(*asked, "--seed", 4, "-o", "again.png")
    assert again["files"] == ["again.png"]
    first, second, same = (np.asarray(Image.open(f)) for f in ("r.png", "r-1.png", "again.png"))
    np.testing.assert_array_equal(second, same)
    assert (first != second).any()


def test_without_a_name_nothing_is_replaced(limner: Command) -> None:
    """A second try draws another seed, and the file is named by it."""
    need_minis("mini-sd")
    lines = [limner("generate", "a red car!", *MINI, *QUICK).stdout for _ in range(2)]
    files = sorted(Path().glob("*.png"))
    assert len(files) == 2
    for line in lines:
        name, _, seed = line.strip().partition(": seed ")
        assert name == f"a-red-car-{seed}.png"
        assert Path(name) in files


def test_bad_input_is_one_sentence_and_nothing_is_written(limner: Command) -> None:
    Path("there-1.png").write_bytes(b"mine")
    two = ("--num-images-per-prompt", 2)
    for words, sentence in (
        ((), "classical has no model to generate; take --profile mini (nothing to fetch)"),
        (
            ("--model", "mini-sd-inpaint"),
            "one to generate is needed: flux-schnell, qwen-image, z-im",
        ),
        (("--model", "flux-schnell"), "limner models pull flux-schnell"),
        (("--model", "flux-fill"), "one to generate is needed"),
        ((*MINI, "--refiner", "mini-clip"), "one to refine is needed: sdxl-refiner"),
        ((*MINI, "--denoising-end", 0.5), "denoising_end has no effect"),
        (("--model", "mini-ds"), "Did you mean mini-sd"),
        (("--model", "sd15"), "limner models pull sd15"),
        (
            ("--model", "sdxl", "--commercial-safe"),
            "without such limits: flux-schnell, qwen-image, z-image-turbo, mini-sd",
        ),
        ((*MINI, "--width", 63), "width must be a multiple of 8, got 63: take 64."),
        ((*MINI, "--subject", "nobody"), "no subject 'nobody'"),
        ((*MINI, "--scheduler", "Eular"), "no scheduler 'Eular'"),
        ((*MINI, *two, "-o", "there.png"), "there-1.png exists: pass --overwrite"),
        ((*MINI, "-o", "x.gif"), "x.gif ends in .gif"),
    ):
        answer = limner.run("generate", "a rabbit", *words)
        assert answer.code == 2, words
        assert sentence in answer.stderr, answer.stderr
    assert limner.run("generate", "", *MINI).code == 2
    assert [file.name for file in Path().glob("*.*")] in (["there-1.png"], [".home", "there-1.png"])
    assert Path("there-1.png").read_bytes() == b"mine"


def test_a_subject_is_known_to_the_model(limner: Command, tmp_path: Path) -> None:
    """Its weights change the picture, as they change that of edit, and the record names it."""
    folder = save_tiny_sd(tmp_path / "painter", kind="text2img")
    lora = save_tiny_lora(tmp_path / "mydog", folder)
    asked = ("generate", "a dog", "--model", "./painter", *QUICK, "--seed", 1)
    limner(*asked, "-o", "without.png")
    limner(*asked, "--subject", lora, "-o", "with.png")
    pictures = [np.asarray(Image.open(f)) for f in ("without.png", "with.png")]
    assert (pictures[0] != pictures[1]).any()
    assert "mydog" in str((read_record("with.png") or {})["models"])


@pytest.mark.slow
def test_what_mini_sd_was_taught_is_painted_by_its_identifier(limner: Command) -> None:
    """One command teaches, paints prompts of one's own with and without the identifier, and one
    more makes a picture of the subject; the flags are those of the course."""
    need_minis("mini-sd")
    photos = Path(__file__).parents[3] / "examples" / "subject"
    limner(
        *("teach", photos, "--name", "pack", "--model", "mini-sd"),
        *("--instance-prompt", "a photo of ohwx backpack", "--learning-rate", 1e-2),
        *("--class-prompt", "a photo of a backpack", "--max-train-steps", 3),
        *("--num-class-images", 1, "--class-inference-steps", 2, "--class-guidance-scale", 5),
        *("--validation-prompt", "a backpack at sea", "--validation-prompt", "ohwx backpack"),
        *("--num-validation-images", 1),
    )
    folder = Path(".home/subjects/pack")
    names = sorted(file.name for file in (folder / "run" / "validation").iterdir())
    assert names == [
        f"000003-{which}-prompt{k}-0.png" for which in ("with", "without") for k in (1, 2)
    ]
    asked = ("generate", "a photo of ohwx backpack", *MINI, *QUICK, "--seed", 1)
    limner(*asked, "-o", "plain.png")
    limner(*asked, "--subject", "pack", "-o", "pack.png")
    limner(*asked, "--subject", "pack=0", "-o", "none.png")
    plain, taught, none = (np.asarray(Image.open(f)) for f in ("plain.png", "pack.png", "none.png"))
    assert (plain != taught).any()
    np.testing.assert_array_equal(plain, none)
    (model,) = (read_record("pack.png") or {})["models"]
    assert model["name"] == "mini-sd"
    assert "pack" in str(model["adapters"])


def test_the_store_lists_shows_and_makes_it_again(
    limner: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file names its run; nothing is said of an input or of finds, of which there are none."""
    monkeypatch.setenv("LIMNER_STORE", "runs")
    folder = save_tiny_sd(tmp_path / "painter", kind="text2img")
    asked = ("generate", "a dog", "--model", "./painter", *QUICK)
    answer = limner.json(*asked, "--tag", "dogs", "-o", "dog.png")
    limner(*asked, "--no-store", "-o", "unkept.png")
    (row,) = limner("runs", "list", "--tag", "dogs").stdout.splitlines()[1:]
    assert "generate" in row
    assert "a dog" in row
    assert len(limner("runs", "list", "--json").stdout.splitlines()) == 1
    shown = limner("runs", "show", "dog.png").stdout
    assert f"run         {answer['run']}" in shown
    assert "generate: a dog" in shown
    assert "dog.png" in shown
    assert "input" not in shown.partition("model")[0]
    again = limner("runs", "replay", "dog.png").stdout
    assert "generate: 0 pixels differ\n" in again
    save_tiny_sd(folder, kind="text2img", seed=9)
    other = limner.run("runs", "replay", "dog.png")
    assert other.code == 1
    assert "files changed" in other.stdout


def test_from_python(tmp_path: Path) -> None:
    """Settings by their names; slips are answered, and nothing is replaced unasked."""
    session = Session(generate=str(save_tiny_sd(tmp_path / "painter", kind="text2img")))
    pictures = session.generate("a dog", seed=5, num_images_per_prompt=2, num_inference_steps=2)
    assert pictures.seeds == (5, 6)
    assert repr(pictures) == "Generated('a dog': 2 of 64x64, seeds 5, 6)"
    assert pictures._repr_png_().startswith(b"\x89PNG")
    files = pictures.save(tmp_path / "dog.png")
    assert [file.name for file in files] == ["dog.png", "dog-1.png"]
    with pytest.raises(OptionError, match="did you mean guidance_scale"):
        session.generate("a dog", guidance=3)  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="no setting 'strength'"):
        session.generate("a dog", strength=0.5)  # type: ignore[call-arg]
    with pytest.raises(ModelError, match="made for inpainting"):
        Session(generate=str(save_tiny_sd(tmp_path / "fill"))).generate("a dog")
    with pytest.raises(OptionError, match="fast has no effect on generate"):
        Session(profile="mini", fast=True).generate("a dog")
