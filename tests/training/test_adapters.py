"""What was taught, in use: the same picture in limner, plain diffusers, kohya, merged."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import numpy.typing as npt
import pytest
import torch
from peft import LoraConfig
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from limner.errors import ModelError, UnknownModel, WeightsMissing
from limner.models.diffusion import stable_diffusion
from limner.options import InpaintOptions
from limner.prompts import Box, Text, VisualPrompt
from limner.registry import store
from limner.registry.subjects import adapter_of
from limner.registry.weights import Adapter, Runtime, Weights
from limner.runs.store import Store
from limner.session import Run, Session
from limner.session.replay import replay
from limner.training import merge, trainable
from limner.training.dreambooth import teach
from tests.training.teaching import order

SETTINGS = InpaintOptions(num_inference_steps=2, guidance_scale=3.0, seed=7)
WORDS = "a sks dog"
SIDE = 64


@pytest.fixture(scope="module")
def taught(
    bases: dict[str, Path], photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Folders with an adapter: of the U-Net, of it and the text encoder, and of another base."""
    steps: dict[str, Any] = {"max_train_steps": 2, "learning_rate": 0.2}
    runs: dict[str, tuple[str, dict[str, Any]]] = {
        "unet": ("inpaint", {}),
        "both": ("inpaint", {"train_text_encoder": True, "seed": 1}),
        "xl": ("sdxl-inpaint", {}),
    }
    root = tmp_path_factory.mktemp("taught")
    return {
        name: teach(order(bases[kind], photos, root / name, **steps, **given)).checkpoint
        for name, (kind, given) in runs.items()
    }


def painted(base: Path, *adapters: Adapter) -> npt.NDArray[np.uint8]:
    """What limner paints."""
    weights: Weights = replace(store.from_folder(base), adapters=adapters)
    model = stable_diffusion.load(weights, Runtime())
    mask = np.ones((SIDE, SIDE), bool)
    canvas = Image.new("RGB", (SIDE, SIDE), (90, 120, 200))
    return np.asarray(model.inpaint(canvas, mask, Text(WORDS), SETTINGS)[0])


def painted_by_diffusers(base: Path, lora: Path | None) -> npt.NDArray[np.uint8]:
    """The same by diffusers' own pipeline and ``load_lora_weights``."""
    pipe = diffusers.StableDiffusionInpaintPipeline.from_pretrained(
        base, safety_checker=None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    if lora is not None:
        pipe.load_lora_weights(lora.parent, weight_name=lora.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = pipe(
            prompt=WORDS,
            image=Image.new("RGB", (SIDE, SIDE), (90, 120, 200)),
            mask_image=Image.new("L", (SIDE, SIDE), 255),
            width=SIDE,
            height=SIDE,
            strength=1.0,
            num_inference_steps=2,
            guidance_scale=3.0,
            generator=torch.Generator().manual_seed(7),
        )
    return np.asarray(made.images[0])


@pytest.mark.parametrize("which", ["unet", "both"])
def test_the_same_picture_in_plain_diffusers(
    bases: dict[str, Path], taught: dict[str, Path], tmp_path: Path, which: str
) -> None:
    """In diffusers' layout and, exported, in kohya's; and it isn't the picture of the base."""
    adapter = adapter_of(str(taught[which]))
    ours = painted(bases["inpaint"], adapter)
    np.testing.assert_array_equal(ours, painted_by_diffusers(bases["inpaint"], adapter.path))
    file = tmp_path / "kohya.safetensors"
    file.write_bytes(merge.kohya(adapter.path))
    np.testing.assert_array_equal(ours, painted_by_diffusers(bases["inpaint"], file))
    assert (ours != painted(bases["inpaint"])).mean() > 0.1


def test_the_text_encoders_matrices_are_used(
    bases: dict[str, Path], taught: dict[str, Path], tmp_path: Path
) -> None:
    """Without them the picture of the same U-Net is another one."""
    both = adapter_of(str(taught["both"]))
    matrices = load_file(both.path)
    of_words = [name for name in matrices if name.startswith("text_encoder.")]
    assert len(of_words) == 2 * 4 * 2  # two layers, four projections, A and B
    without = tmp_path / "unet.safetensors"
    save_file({k: v for k, v in matrices.items() if k not in of_words}, without)
    unet = painted(bases["inpaint"], adapter_of(str(without)))
    assert (unet != painted(bases["inpaint"], both)).mean() > 0.1


def test_kohyas_names_and_alpha(taught: dict[str, Path]) -> None:
    """As sd-scripts' networks/lora.py names them; alpha is the rank, so that nothing is scaled."""
    from safetensors.torch import load

    found = load(merge.kohya(taught["both"] / "pytorch_lora_weights.safetensors"))
    unet = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_k"
    words = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    for name in (unet, words):
        assert found[f"{name}.lora_down.weight"].shape[0] == 2
        assert found[f"{name}.lora_up.weight"].shape[1] == 2
        assert found[f"{name}.alpha"].item() == 2


def test_sdxl_in_kohyas_layout(bases: dict[str, Path], tmp_path: Path) -> None:
    """All three networks, by the names of sd-scripts, read back by diffusers to the same matrices:
    each in its place, or another picture would be painted."""
    from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import load

    kind = diffusers.StableDiffusionXLInpaintPipeline

    def opened() -> Any:
        return kind.from_pretrained(bases["sdxl-inpaint"], add_watermarker=False)

    def painted_by(pipe: Any) -> npt.NDArray[np.uint8]:
        pipe.set_progress_bar_config(disable=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = pipe(
                prompt=WORDS,
                image=Image.new("RGB", (SIDE, SIDE), (90, 120, 200)),
                mask_image=Image.new("L", (SIDE, SIDE), 255),
                width=SIDE,
                height=SIDE,
                strength=1.0,
                num_inference_steps=2,
                generator=torch.Generator().manual_seed(7),
            )
        return np.asarray(made.images[0])

    pipe = opened()
    base = painted_by(pipe)
    torch.manual_seed(0)
    layers = {}
    for name in ("unet", "text_encoder", "text_encoder_2"):
        part = getattr(pipe, name)
        chosen = list(trainable.TARGETS["unet" if name == "unet" else "text_encoder"])
        part.add_adapter(
            LoraConfig(r=3, lora_alpha=3, init_lora_weights=False, target_modules=chosen)
        )
        matrices = convert_state_dict_to_diffusers(get_peft_model_state_dict(part))
        layers[f"{name}_lora_layers"] = matrices
    kind.save_lora_weights(tmp_path, **layers)
    plain = tmp_path / "pytorch_lora_weights.safetensors"
    exported = tmp_path / "kohya.safetensors"
    exported.write_bytes(merge.kohya(plain, xl=True))
    names = {key.partition(".")[0] for key in load(exported.read_bytes())}
    assert "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_k" in names
    assert "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_out_0" in names
    assert "lora_unet_output_blocks_1_1_transformer_blocks_0_attn1_to_q" in names
    for encoder in ("te1", "te2"):
        assert f"lora_{encoder}_text_model_encoder_layers_1_self_attn_q_proj" in names
    pictures = []
    for path in (plain, exported):
        again = opened()
        again.load_lora_weights(path.parent, weight_name=path.name)
        pictures.append(painted_by(again))
    np.testing.assert_array_equal(*pictures)
    assert (pictures[0] != base).mean() > 0.1
    with pytest.raises(ModelError, match="expected a LoRA for Stable Diffusion 1 or 2"):
        merge.kohya(plain)


def test_an_adapter_made_by_diffusers_is_taken(bases: dict[str, Path], tmp_path: Path) -> None:
    pipe = diffusers.StableDiffusionInpaintPipeline.from_pretrained(
        bases["inpaint"], safety_checker=None, requires_safety_checker=False
    )
    torch.manual_seed(0)
    config = LoraConfig(r=3, lora_alpha=3, init_lora_weights=False, target_modules=["to_k", "to_v"])
    pipe.unet.add_adapter(config)
    from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    matrices = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipe.unet))
    pipe.save_lora_weights(tmp_path, unet_lora_layers=matrices)
    adapter = adapter_of(str(tmp_path))
    ours = painted(bases["inpaint"], adapter)
    np.testing.assert_array_equal(ours, painted_by_diffusers(bases["inpaint"], adapter.path))


def test_several_subjects_with_weights(bases: dict[str, Path], taught: dict[str, Path]) -> None:
    """0 is as if it weren't there; each weight, and the second subject, changes the picture."""
    unet, both = (adapter_of(str(taught[name])) for name in ("unet", "both"))
    base = painted(bases["inpaint"])
    np.testing.assert_array_equal(painted(bases["inpaint"], replace(unet, weight=0.0)), base)
    pictures = [
        painted(bases["inpaint"], *chosen)
        for chosen in (
            (unet,),
            (replace(unet, weight=0.5),),
            (unet, both),
            (unet, replace(both, weight=0.5)),
        )
    ]
    for k, picture in enumerate(pictures):
        assert all((picture != other).any() for other in [base, *pictures[:k]])


def test_merged_is_the_model_and_its_adapter(
    bases: dict[str, Path], taught: dict[str, Path], tmp_path: Path
) -> None:
    adapter = replace(adapter_of(str(taught["unet"])), weight=0.5)
    merge.merge(str(bases["inpaint"]), [adapter], tmp_path / "merged")
    merged, beside = painted(tmp_path / "merged"), painted(bases["inpaint"], adapter)
    assert np.abs(merged.astype(int) - beside).max() <= 1  # other roundings, no other picture
    assert (merged != painted(bases["inpaint"])).mean() > 0.1


def test_a_merged_model_keeps_the_bases_own_settings_and_no_path(
    bases: dict[str, Path], taught: dict[str, Path], tmp_path: Path
) -> None:
    """A guidance that the catalog has for the base became diffusers' 7.5; a merge of a merge and a
    base with a guidance of its own too."""
    own = tmp_path / "base"
    shutil.copytree(bases["inpaint"], own)
    (own / store.DEFAULTS).write_text('{"guidance_scale": 4.0}')
    adapter = adapter_of(str(taught["unet"]))
    merge.merge(str(own), [adapter], tmp_path / "merged")
    merge.merge(str(tmp_path / "merged"), [adapter], tmp_path / "twice")
    for folder in (tmp_path / "merged", tmp_path / "twice"):
        painter = stable_diffusion.load(store.from_folder(folder), Runtime())
        assert painter.resolve(InpaintOptions()).guidance_scale == 4.0
        configs = list(folder.rglob("*.json"))
        assert len(configs) > 5
        assert not [one for one in configs if str(tmp_path) in one.read_text()]
    (own / store.DEFAULTS).write_text('{"guidance": 4.0}')
    with pytest.raises(ModelError, match=r"limner-defaults\.json\) are damaged"):
        stable_diffusion.load(store.from_folder(own), Runtime())


def test_an_exported_adapter_holds_no_path(
    bases: dict[str, Path], taught: dict[str, Path], tmp_path: Path
) -> None:
    """Neither a new one, nor one that an earlier version wrote: the settings and matrices stay."""
    file = taught["both"] / "pytorch_lora_weights.safetensors"
    assert str(bases["inpaint"]).encode() not in file.read_bytes()
    assert merge.diffusers_layout(file) == file.read_bytes()
    with safe_open(file, "pt") as opened:
        about = json.loads(opened.metadata()["lora_adapter_metadata"])
    about["unet.base_model_name_or_path"] = "/home/me/models/sd15"
    earlier = tmp_path / "earlier.safetensors"
    save_file(load_file(file), earlier, {"lora_adapter_metadata": json.dumps(about)})
    data = merge.diffusers_layout(earlier)
    assert b"/home/me" not in data
    (tmp_path / "now.safetensors").write_bytes(data)
    np.testing.assert_array_equal(
        painted(bases["inpaint"], adapter_of(str(tmp_path / "now.safetensors"))),
        painted(bases["inpaint"], adapter_of(str(file))),
    )


def test_full_fine_tuning_becomes_a_model(
    bases: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    given = {"method": "full", "learning_rate": 1e-2, "max_train_steps": 2}
    asked = order(bases["inpaint"], photos, tmp_path / "run", **given)
    checkpoint = teach(asked).checkpoint
    merge.save_taught(str(bases["inpaint"]), checkpoint, tmp_path / "model")
    trained = load_file(checkpoint / "trained.safetensors")
    saved = load_file(tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    assert {f"unet.{name}" for name in saved} == set(trained)
    assert all(torch.equal(saved[name], trained[f"unet.{name}"]) for name in saved)
    assert (painted(tmp_path / "model") != painted(bases["inpaint"])).any()


def test_an_adapter_of_another_architecture_is_refused(
    bases: dict[str, Path], taught: dict[str, Path]
) -> None:
    with pytest.raises(ModelError, match="doesn't fit inpaint"):
        painted(bases["inpaint"], adapter_of(str(taught["xl"])))


def test_no_such_adapter(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"with pytorch_lora_weights\.safetensors"):
        adapter_of(str(tmp_path))
    with pytest.raises(UnknownModel, match="no subject 'nobody'"):
        adapter_of("nobody")


def test_a_run_with_a_subject_is_done_again_with_it(
    bases: dict[str, Path], taught: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another working folder too; without the subject it would be another picture."""
    monkeypatch.chdir(taught["unet"].parent)
    subject = f"./{taught['unet'].name}"
    runs = Store.open(tmp_path / "runs")
    asked: dict[str, Any] = {"models": {"inpaint": str(bases["inpaint"])}, "store": runs}
    canvas = Image.new("RGB", (SIDE, SIDE), (90, 120, 200))
    there = [VisualPrompt(box=Box(8, 8, 56, 56))]

    def edited(**more: Any) -> Run:
        return Session(**asked, **more).edit(canvas, there, Text(WORDS), inpaint=SETTINGS)

    run, plain = edited(subjects={subject: 0.9}), edited()
    assert run.record.job != plain.record.job
    assert run.edits[0].image.tobytes() != plain.edits[0].image.tobytes()
    monkeypatch.chdir(tmp_path)
    again = replay(runs, str(run.id))
    assert again.differing == {"mask 0": 0, "picture 0": 0}
    assert again.changed == ()
