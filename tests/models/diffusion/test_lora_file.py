"""LoRA files of strangers: every layout to the same numbers, or a sentence that names it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from limner.errors import ModelError, OptionError
from limner.models.diffusion import lora_file
from limner.models.diffusion.loading import open_pipeline
from limner.models.diffusion.lora import add_adapters
from limner.registry import store
from limner.registry.subjects import adapter_of, parse, with_distinct_names
from limner.registry.weights import Adapter, Runtime, Weights
from tests.models.tiny_sd import save_tiny_sd

UNET = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k"
OTHER = "up_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q"
WORDS = "encoder.layers.0.self_attn.q_proj"
Matrices = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {"sd": save_tiny_sd(root / "sd"), "xl": save_tiny_sd(root / "xl", kind="sdxl-inpaint")}


def pair(width: int, rank: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrices (rank, width) and (width, rank)."""
    made = torch.Generator().manual_seed(seed)
    return torch.randn(rank, width, generator=made), torch.randn(width, rank, generator=made)


def kohya(*layers: tuple[str, int, int, float]) -> Matrices:
    """Layers of (kohya's name, width, rank, alpha)."""
    found: Matrices = {}
    for seed, (name, width, rank, alpha) in enumerate(layers):
        down, up = pair(width, rank, seed)
        found |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        found[f"{name}.alpha"] = torch.tensor(alpha)
    return found


def named(name: str, prefix: str = "lora_unet_") -> str:
    return prefix + name.replace(".", "_")


WORDS_OF_KOHYA = named(f"text_model.{WORDS}", "lora_te_")
MIXED = kohya((named(UNET), 32, 4, 1.0), (named(OTHER), 32, 2, 5.0), (WORDS_OF_KOHYA, 16, 3, 2.0))
"""No two layers of one rank or one alpha."""


def deltas(base: Path, file: Path, weight: float = 1.0) -> dict[str, torch.Tensor]:
    """What a file adds to each weight of a model, measured by its layers' answers."""
    weights: Weights = replace(
        store.from_folder(base), adapters=(replace(adapter_of(str(file)), weight=weight),)
    )
    plain, pipe = (open_pipeline(weights, Runtime()) for _ in range(2))
    add_adapters(pipe, weights)
    found = {}
    for part in ("unet", "text_encoder", "text_encoder_2"):
        before = dict(getattr(plain, part).named_modules()) if hasattr(plain, part) else {}
        for name, module in getattr(pipe, part).named_modules() if before else ():
            if hasattr(module, "lora_A") and len(module.lora_A):
                eye = torch.eye(module.in_features)
                with torch.no_grad():
                    zero = torch.zeros(1, module.in_features)
                    ours = (module(eye) - module(zero)).T
                    found[f"{part}.{name}"] = ours - before[name].weight
    return found


def written(path: Path, matrices: Matrices, about: dict[str, str] | None = None) -> Path:
    save_file({key: one.contiguous() for key, one in matrices.items()}, path, about)
    return path


def test_each_layer_has_its_own_rank_and_scale(bases: dict[str, Path], tmp_path: Path) -> None:
    """``alpha / rank * up @ down`` (sd-scripts' networks/lora.py). diffusers 0.42 loses those of
    the text encoder where they differ."""
    found = deltas(bases["sd"], written(tmp_path / "mixed.safetensors", MIXED), 0.5)
    assert len(found) == 3
    for key, name, alpha in (
        (f"unet.{UNET}", named(UNET), 1.0),
        (f"unet.{OTHER}", named(OTHER), 5.0),
        (f"text_encoder.{WORDS}", WORDS_OF_KOHYA, 2.0),
    ):
        down, up = MIXED[f"{name}.lora_down.weight"], MIXED[f"{name}.lora_up.weight"]
        torch.testing.assert_close(
            found[key], 0.5 * alpha / len(down) * up @ down, atol=1e-5, rtol=1e-5
        )


def test_padding_with_zeros_changes_nothing(bases: dict[str, Path], tmp_path: Path) -> None:
    """Half of the layers at twice their rank and alpha, as programs that resize ranks leave it."""
    names = [named(UNET), named(OTHER), WORDS_OF_KOHYA]
    plain = kohya(*((name, width, 4, 4.0) for name, width in zip(names, (32, 32, 16), strict=True)))
    padded = dict(plain)
    for name in names[1:]:
        down, up = plain[f"{name}.lora_down.weight"], plain[f"{name}.lora_up.weight"]
        padded[f"{name}.lora_down.weight"] = torch.cat([down, torch.zeros_like(down)])
        padded[f"{name}.lora_up.weight"] = torch.cat([up, torch.zeros_like(up)], dim=1)
        padded[f"{name}.alpha"] = torch.tensor(8.0)
    first, second = (
        deltas(bases["sd"], written(tmp_path / f"{k}.safetensors", one))
        for k, one in enumerate((plain, padded))
    )
    assert first.keys() == second.keys()
    for key in first:
        torch.testing.assert_close(first[key], second[key], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("down", "up", "text"),
    [
        ("lora_A.weight", "lora_B.weight", "text_model."),
        ("lora.down.weight", "lora.up.weight", ""),
        ("lora_A.default.weight", "lora_B.default.weight", "text_model."),
    ],
)
def test_spellings_of_diffusers_layout(
    bases: dict[str, Path], tmp_path: Path, down: str, up: str, text: str
) -> None:
    """Without settings in the header a layer counts as it is."""
    found: Matrices = {}
    for seed, (part, name, width) in enumerate(
        (("unet", UNET, 32), ("text_encoder", text + WORDS, 16))
    ):
        a, b = pair(width, 2, seed)
        found |= {f"{part}.{name}.{down}": a, f"{part}.{name}.{up}": b}
    added = deltas(bases["sd"], written(tmp_path / "it.safetensors", found))
    for seed, (key, width) in enumerate(((f"unet.{UNET}", 32), (f"text_encoder.{WORDS}", 16))):
        a, b = pair(width, 2, seed)
        torch.testing.assert_close(added[key], b @ a, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        ({"unet.r": 4, "unet.lora_alpha": 2}, 0.5),
        ({"unet.lora_alpha": 2, "unet.alpha_pattern": {"attn1.to_k": 8}}, 2.0),
        ({"unet.lora_alpha": 2, "unet.use_rslora": True}, 1.0),
    ],
)
def test_the_headers_settings_count(
    bases: dict[str, Path], tmp_path: Path, settings: dict[str, Any], factor: float
) -> None:
    down, up = pair(32, 4, 0)
    matrices = {f"unet.{UNET}.lora_A.weight": down, f"unet.{UNET}.lora_B.weight": up}
    about = {"lora_adapter_metadata": json.dumps(settings)}
    found = deltas(bases["sd"], written(tmp_path / "it.safetensors", matrices, about))
    torch.testing.assert_close(found[f"unet.{UNET}"], factor * up @ down, atol=1e-5, rtol=1e-5)


def test_the_names_of_stabilitys_u_net(bases: dict[str, Path], tmp_path: Path) -> None:
    """As SDXL's LoRA files have them: block 2 on the way down is the first of the second."""
    name = "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_k"
    matrices = kohya((name, 32, 2, 2.0))
    (key, added), *more = deltas(
        bases["xl"], written(tmp_path / "it.safetensors", matrices)
    ).items()
    assert (key, more) == (f"unet.{UNET}", [])
    down, up = matrices[f"{name}.lora_down.weight"], matrices[f"{name}.lora_up.weight"]
    torch.testing.assert_close(added, up @ down, atol=1e-5, rtol=1e-5)


def dora(base: Path) -> tuple[Matrices, torch.Tensor]:
    """A DoRA of one layer, and what its weight becomes (arXiv:2402.09353, equation 5)."""
    matrices = kohya((named(UNET), 32, 4, 4.0), (WORDS_OF_KOHYA, 16, 3, 3.0))
    pipe = open_pipeline(store.from_folder(base), Runtime())
    own = dict(pipe.unet.named_modules())[UNET].weight
    lengths = torch.linspace(0.5, 2, 32)[:, None]
    matrices[f"{named(UNET)}.dora_scale"] = lengths
    turned = (
        own
        + matrices[f"{named(UNET)}.lora_up.weight"] @ (matrices[f"{named(UNET)}.lora_down.weight"])
    )
    whole = lengths * turned / turned.norm(dim=1, keepdim=True)
    return matrices, (whole - own).detach()


def test_doras_lengths_are_honoured(bases: dict[str, Path], tmp_path: Path) -> None:
    """Of one part of the model alone too; of weight 0 it isn't there."""
    matrices, expected = dora(bases["sd"])
    file = written(tmp_path / "dora.safetensors", matrices)
    found = deltas(bases["sd"], file)
    torch.testing.assert_close(found[f"unet.{UNET}"], expected, atol=1e-4, rtol=1e-4)
    assert f"text_encoder.{WORDS}" in found
    assert deltas(bases["sd"], file, 0.0) == {}
    with pytest.raises(OptionError, match=r"can't have the weight 0\.5"):
        deltas(bases["sd"], file, 0.5)


def without_lengths(matrices: Matrices) -> Matrices:
    return {**matrices, **kohya((named(OTHER), 32, 4, 4.0))}


def test_lengths_that_cannot_be_applied_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    matrices, _ = dora(bases["sd"])
    half = written(tmp_path / "half.safetensors", without_lengths(matrices))
    with pytest.raises(ModelError, match="are for 1 of 2 layers"):
        deltas(bases["sd"], half)
    by_column = {**matrices, f"{named(UNET)}.dora_scale": torch.ones(1, 7)}
    with pytest.raises(ModelError, match="not one for each row"):
        deltas(bases["sd"], written(tmp_path / "column.safetensors", by_column))


def one(key: str, *shape: int) -> Matrices:
    return {key: torch.ones(shape or (4, 32))}


NAN = {f"{named(UNET)}.lora_down.weight": torch.full((4, 32), float("nan"))}
NOWHERE = named("down_blocks.9.attentions.0.to_k")
REFUSED: dict[str, tuple[Matrices, str]] = {
    "layers that aren't here": (
        {**MIXED, **kohya((NOWHERE, 32, 4, 4.0))},
        r"doesn't fit sd: .* 1 of its 4 layers are of no layer here, such as unet down_blocks_9",
    ),
    "other sizes": (
        kohya((named(UNET), 64, 4, 4.0), (named(OTHER), 32, 4, 4.0)),
        r"doesn't fit sd: .* 1 of its 2 layers have other sizes: .* 64x64, which is 32x32 here",
    ),
    "not a number": ({**MIXED, **NAN}, r"1 of 9 tensors, such as lora_unet_.*aren't finite"),
    "half a pair": (
        one(f"{named(UNET)}.lora_down.weight"),
        "unet down_blocks_1_.* has no up matrix",
    ),
    "ranks that differ within a pair": (
        {**kohya((named(UNET), 32, 4, 4.0)), **one(f"{named(UNET)}.lora_up.weight", 32, 3)},
        "can't be multiplied",
    ),
    "old attention processors": (
        one("down_blocks.0.attn1.to_k.lora.down.weight"),
        "old attention processors",
    ),
    "FLUX": (one("transformer.transformer_blocks.0.attn.to_q.lora_A.weight"), "FLUX"),
    "FLUX by kohya": (one("lora_unet_double_blocks_0_img_attn_proj.lora_down.weight"), "FLUX"),
    "LyCORIS": (one(f"{named(UNET)}.hada_w1_a"), "LyCORIS"),
    "peft": (one("base_model.model.unet.to_k.lora_A.weight"), "peft saved"),
    "a textual inversion": (one("emb_params"), "textual inversion"),
    "a whole model": (one("model.diffusion_model.out.0.weight"), "a whole model"),
    "something": (one("layer.weight"), "neither diffusers' layout nor kohya's"),
    "a bias": (
        {**MIXED, **one(f"{named(UNET)}.lora_up.bias")},
        r"1 of 10 tensors, such as .*\.lora_up\.bias, are in neither",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("matrices", "says"), REFUSED.values(), ids=REFUSED)
def test_refused_in_one_sentence_that_names_it(
    bases: dict[str, Path], tmp_path: Path, matrices: Matrices, says: str
) -> None:
    """Never the painter's fault where it is the file's, nor a line for each layer."""
    file = written(tmp_path / "it.safetensors", matrices)
    with pytest.raises(ModelError, match=says) as refused:
        deltas(bases["sd"], file)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400 + len(str(file))


def test_settings_that_never_end_are_refused(tmp_path: Path) -> None:
    """The header is a stranger's too: nested deep, of another kind, a pattern that never ends."""
    for text in (
        "[" * 100_000,
        "[1]",
        json.dumps({"unet.lora_alpha": "much"}),
        json.dumps({"unet.alpha_pattern": {"(a+)+$": 1}}),
    ):
        down, up = pair(32, 4, 0)
        matrices = {f"unet.{UNET}.lora_A.weight": down, f"unet.{UNET}.lora_B.weight": up}
        about = {"lora_adapter_metadata": text}
        with pytest.raises(ModelError):
            lora_file.read(written(tmp_path / "it.safetensors", matrices, about))


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "it.safetensors").write_bytes(b"{" * 100)
    with pytest.raises(ModelError, match="can't be read"):
        lora_file.read(tmp_path / "it.safetensors")


def test_a_path_may_have_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one is the weight's, unless it is the path's."""
    monkeypatch.chdir(tmp_path)
    for folder in ("v=1", "w=0.5"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.safetensors").touch()
    for text, expected in {
        "./v=1/x.safetensors": ("./v=1/x.safetensors", 1.0),
        "./v=1/x.safetensors=0.5": ("./v=1/x.safetensors", 0.5),
        "./v=1": ("./v=1", 1.0),
        "./w=0.5": ("./w=0.5", 1.0),
        "./w=0.5=0.25": ("./w=0.5", 0.25),
        "./gone=1/x.safetensors": ("./gone=1/x.safetensors", 1.0),
        "mydog=0.8": ("mydog", 0.8),
        "mydog": ("mydog", 1.0),
    }.items():
        assert parse(text) == expected
    for text in ("mydog=", "=1", "", "./v=1/x.safetensors=lots", "a=nan", "a=3"):
        with pytest.raises(OptionError, match="NAME or NAME=WEIGHT"):
            parse(text)


def adapter(path: str, name: str) -> Adapter:
    return Adapter(name, Path(path), 1.0, "00")


def test_files_of_one_name_are_told_apart() -> None:
    """By their folders; one file twice is a mistake."""
    first, second, third = with_distinct_names(
        [
            adapter("/a/b/x.safetensors", "x.safetensors"),
            adapter("/a/c/x.safetensors", "x.safetensors"),
            adapter("/a/c/y.safetensors", "y.safetensors"),
        ]
    )
    assert [first.name, second.name] == ["b/x.safetensors", "c/x.safetensors"]
    assert third.name == "y.safetensors"
    with pytest.raises(OptionError, match="came twice"):
        with_distinct_names([adapter("/a/x.safetensors", "x"), adapter("/a/./x.safetensors", "y")])
