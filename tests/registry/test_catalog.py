import dataclasses
import importlib
import re

import pytest

from limner.errors import LicenceRefused, ModelError, UnknownModel
from limner.options import DetectOptions, EverythingOptions, InpaintOptions, SegmentOptions
from limner.prompts import PromptKind
from limner.registry import catalog
from limner.registry.costs import COSTS
from limner.registry.resolve import resolve

ENTRIES = list(catalog.catalog().values())
OPTIONS = {
    "segment": SegmentOptions,
    "detect": DetectOptions,
    "inpaint": InpaintOptions,
    "generate": InpaintOptions,
    "accelerate": InpaintOptions,
}
MINIS = [entry for entry in ENTRIES if entry.shipped]


def test_every_task_can_be_done_for_money_and_without_a_network() -> None:
    """A commercial user is never left without a model, nor is one on a train."""
    helpers = {"refine", "accelerate"}  # they paint nothing by themselves
    for task in set(catalog.TASKS) - helpers:
        # To generate there is mini-sd alone: what else the catalog has are Stable Diffusions.
        assert len(catalog.commercial(task)) >= (1 if task == "generate" else 2), task
        assert catalog.offline(task), task


def test_the_minis_are_in_the_catalog() -> None:
    assert [entry.name for entry in MINIS] == [
        "mini-sam",
        "mini-owlvit",
        "mini-sd-inpaint",
        "mini-sd",
        "mini-clip",
        "mini-dino",
        "mini-blip",
    ]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_what_it_costs_and_allows(entry: catalog.ModelEntry) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", entry.name), "it becomes a folder's name"
    assert entry.description
    assert entry.licence
    assert entry.size_from
    assert entry.commercial == "yes" or entry.limits, "a limit must be explained"
    options = OPTIONS.get(entry.task)
    known = {f.name for f in dataclasses.fields(options)} if options else set()
    known |= (
        {f.name for f in dataclasses.fields(EverythingOptions)} if entry.family == "sam" else set()
    )
    known |= {"exemplar_threshold", "like_threshold"} if entry.family == "owlvit" else set()
    known |= {"conf", "iou"} if entry.family == "fastsam" else set()
    known |= {"num_beams", "length_penalty"} if entry.family == "blip" else set()
    known |= {"num_beams", "caption_task"} if entry.family == "florence" else set()
    assert set(entry.defaults) <= known
    if entry.weightless:
        assert entry.size_mb == 0
    elif entry.shipped:
        assert entry.size == "ships with limner"
        assert entry.commercial == "yes"
    elif entry.how:
        assert entry.size_mb > 0
        assert entry.repo is None
        assert "an environment of its own" in entry.how
    elif entry.wheel:
        assert entry.repo is None
        assert entry.size_mb == pytest.approx(entry.wheel.bytes / 1e6, abs=0.5)
        assert re.fullmatch(r"[0-9a-f]{64}", entry.wheel.sha256)
    else:
        assert entry.size_mb > 0
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.repo or "")
        ending = catalog.families()[entry.family].weights
        assert any(pattern.endswith(ending) for pattern in entry.allow)
        other = {".bin", ".ckpt", ".pt", ".onnx"} - {ending}
        assert not [p for p in entry.allow if p.endswith(tuple(other))]


def test_every_model_has_its_costs() -> None:
    assert set(COSTS) == {entry.name for entry in ENTRIES}


def test_no_dead_or_doubled_id_is_fetched() -> None:
    # SAM 3's file holds two models: what takes phrases and what takes clicks.
    live = [entry.repo for entry in ENTRIES if entry.repo and entry.name != "sam3-tracker"]
    live += [repo for entry in ENTRIES for repo in entry.fallbacks]
    dead = [repo for entry in ENTRIES for repo in entry.former]
    assert len(set(live)) == len(live)
    assert not set(live) & set(dead)
    assert not [
        repo for repo in live if repo.startswith(("runwayml/", "stabilityai/stable-diffusion-2"))
    ]


def test_every_family_has_code_and_facts() -> None:
    assert set(catalog.families()) == set(catalog.FAMILIES)
    endpoints = {"vlm"}  # whose models are the user's own
    assert {entry.family for entry in ENTRIES} | endpoints == set(catalog.FAMILIES)
    for place in catalog.FAMILIES.values():
        assert re.fullmatch(r"limner\.models(\.\w+)+:load\w*", place)
    types = [kind for family in catalog.families().values() for kind in family.types]
    assert len(types) == len(set(types)), "a folder's type names one family"


def test_what_reads_phrases_for_a_family_can() -> None:
    readers = [family.text_encoder for family in catalog.families().values()]
    assert set(filter(None, readers)) <= set(catalog.able(PromptKind.TEXT, task="encode"))


def test_the_table_says_what_the_adapters_say() -> None:
    from limner.models import birefnet, blip, clip, dino, grounding_dino, owlvit
    from limner.models.classical import adapters as classical
    from limner.models.classical import middle
    from limner.models.diffusion import loading, other_pipelines, pipeline_table, stable_diffusion
    from limner.models.faces import faces
    from limner.models.fastsam import fastsam
    from limner.models.florence import florence
    from limner.models.lama import lama
    from limner.models.sam import sam3, segmenter
    from limner.models.vlm import detector, qwen

    adapters = {
        "fastsam": fastsam.FastSam,
        "sam": segmenter.SamSegmenter,
        "sam_hq": segmenter.SamSegmenter,
        "sam2": segmenter.SamSegmenter,
        "edgetam": segmenter.SamSegmenter,
        "sam3": sam3.Sam3,
        "owlvit": owlvit.OwlViT,
        "grounding_dino": grounding_dino.GroundingDino,
        "florence": florence.Florence,
        "grabcut": classical.GrabCut,
        "haar": classical.Haar,
        "faces": faces.Faces,
        "vlm": detector.VisionLanguageModel,
        "qwen_vl": detector.VisionLanguageModel,
    }
    families = catalog.families()
    assert {name: families[name].accepts for name in adapters} == {
        name: adapter.accepts for name, adapter in adapters.items()
    }
    painters = {
        "stable_diffusion": stable_diffusion.StableDiffusion,
        "opencv_inpaint": classical.OpenCvInpaint,
        "diffusion_fill": other_pipelines.DiffusionFill,
        "lama": lama.Lama,
    }
    encoders = {"clip": clip.Clip, "dino": dino.Dino}
    for name, reader in (painters | encoders).items():
        assert (PromptKind.TEXT in families[name].accepts) is reader.takes_text
    captioners = {"blip": blip.Blip}
    mattings = {"middle": middle.Middle, "birefnet": birefnet.BiRefNet}
    assert not any(families[name].accepts for name in mattings)
    others = {**painters, **encoders, **captioners, **mattings}
    assert set(adapters) | set(others) == set(families)
    assert set(families["qwen_vl"].types) == set(qwen.ARCHITECTURES)
    assert set(families["dino"].types) == set(dino.ARCHITECTURES)
    assert set(families["stable_diffusion"].types) == set(loading.PIPELINES)
    assert set(families["diffusion_fill"].types) == set(pipeline_table.PIPELINES)
    assert families["lama"].types == (lama.FILE,)


def test_an_adapter_for_few_steps_fits_a_painter_and_says_how_it_paints() -> None:
    """``--fast`` picks by these names, and takes these settings."""
    accelerators = [entry for entry in ENTRIES if entry.task == "accelerate"]
    served = [name for entry in accelerators for name in entry.accelerates]
    assert len(served) == len(set(served)) >= 2, "one adapter a painter"
    for entry in accelerators:
        assert all(catalog.catalog()[name].family == entry.family for name in entry.accelerates)
        assert entry.defaults["scheduler"] == "LCMScheduler"
        assert 4 <= entry.defaults["num_inference_steps"] <= 8
        assert 1 <= entry.defaults["guidance_scale"] <= 2
    assert not [e.name for e in ENTRIES if e.accelerates and e.task != "accelerate"]


def test_every_family_loads_by_its_name() -> None:
    for place in catalog.FAMILIES.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_profiles_name_a_model_for_every_task() -> None:
    assert set(catalog.profiles()) == {"classical", "mini", "small", "base", "large"}
    for name in catalog.profiles():
        chosen = catalog.profile(name)
        lacks = {"encode", "caption", "remove", "generate"} if name == "classical" else set()
        helping = {"refine", "accelerate"}  # they work for a painter, and only when asked to
        assert set(chosen) == {*catalog.TASKS, "remove"} - helping - lacks
        for slot, model in chosen.items():
            task = "inpaint" if slot == "remove" else slot
            assert task in catalog.catalog()[model].tasks
        if "remove" in chosen:
            family = catalog.families()[catalog.catalog()[chosen["remove"]].family]
            assert PromptKind.TEXT not in family.accepts, "what removes needs no words"
    assert all(catalog.catalog()[m].weightless for m in catalog.profile("classical").values())
    mini = {k: v for k, v in catalog.profile("mini").items() if k not in ("remove", "matte")}
    assert all(catalog.catalog()[m].shipped for m in mini.values())


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match="classical, mini, small, base, large"):
        catalog.profile("tiny")


@pytest.mark.parametrize(
    ("typed", "name", "said"),
    [
        ("slimsam-77", "slimsam-77", None),
        ("SlimSAM-77", "slimsam-77", None),
        ("facebook/sam-vit-base", "sam-vit-base", None),
        ("https://huggingface.co/facebook/sam-vit-base", "sam-vit-base", None),
        ("zigeng/slimsam-uniform-50", "slimsam-50", None),
        (
            "runwayml/stable-diffusion-inpainting",
            "sd15-inpaint",
            "stable-diffusion-v1-5/stable-diffusion-inpainting",
        ),
        (
            "stabilityai/stable-diffusion-2-inpainting",
            "sd2-inpaint",
            "sd2-community/stable-diffusion-2-inpainting",
        ),
    ],
)
def test_resolve(typed: str, name: str, said: str | None) -> None:
    entry, sentence = resolve(typed)
    assert entry.name == name
    if said is None:
        assert sentence is None
    else:
        assert sentence is not None
        assert "gone" in sentence
        assert typed in sentence
        assert said in sentence


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("sam-vit-bse", "sam-vit-base"),
        ("slimsam", "slimsam-"),
        ("owlv2", "owlv2-base-patch16-ensemble"),
        ("google/owlvit-base-patch-32", "owlvit-base-patch32"),
        ("xyzzy", "limner models list"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(typed: str, nearest: str) -> None:
    with pytest.raises(UnknownModel, match=re.escape(typed)) as caught:
        resolve(typed)
    assert nearest in str(caught.value)


@pytest.mark.parametrize("typed", ["", " ", "/", "https://huggingface.co/"])
def test_an_empty_name_means_no_model(typed: str) -> None:
    with pytest.raises(UnknownModel, match="limner models list"):
        resolve(typed)


@pytest.mark.parametrize(
    ("kind", "task", "among", "not_among"),
    [
        (PromptKind.BOX, "segment", "grabcut", "haar"),
        (PromptKind.TEXT, "detect", "haar", "sd15-inpaint"),
        (PromptKind.EXEMPLAR, "detect", "owlvit-base-patch32", "haar"),
        (PromptKind.TEXT, "inpaint", "sd15-inpaint", "opencv-inpaint"),
        (None, "inpaint", "opencv-inpaint", "haar"),
        (PromptKind.POINT, None, "slimsam-77", "haar"),
    ],
)
def test_able(kind: PromptKind | None, task: str | None, among: str, not_among: str) -> None:
    names = catalog.able(kind, task=task)
    assert among in names
    assert not_among not in names


def test_weightless_models_do_every_task() -> None:
    assert catalog.weightless("segment") == ("grabcut",)
    assert catalog.weightless("detect") == ("haar",)
    assert catalog.weightless("inpaint") == ("opencv-inpaint",)


def test_the_minis_do_every_task_with_nothing_to_fetch() -> None:
    assert {task: catalog.offline(task) for task in catalog.TASKS} == {
        "segment": ("grabcut", "mini-sam"),
        "detect": ("haar", "mini-owlvit"),
        "inpaint": ("opencv-inpaint", "mini-sd-inpaint", "mini-sd"),
        "generate": ("mini-sd",),
        "refine": (),
        "accelerate": (),
        "encode": ("mini-clip", "mini-dino"),
        "caption": ("mini-blip",),
        "matte": ("grabcut-middle",),
    }


def test_commercial_safe_refuses_and_names_what_may_be_used() -> None:
    refused = 0
    for entry in ENTRIES:
        if entry.commercial == "yes":
            catalog.require_commercial(entry)
            continue
        refused += 1
        with pytest.raises(LicenceRefused) as caught:
            catalog.require_commercial(entry)
        assert entry.licence in str(caught.value)
        free = ", ".join(catalog.commercial(entry.task)) or "no model in the catalog"
        assert free in str(caught.value)
    assert refused == sum(entry.commercial != "yes" for entry in ENTRIES) > 0


TINY = """
[profiles.p]
segment = "m"
[families.sam]
accepts = ["box"]
allow = ["config.json", "model.safetensors"]
[models.m]
description = "d"
task = "segment"
family = "sam"
repo = "a/b"
licence = "MIT"
commercial = "yes"
size_mb = 1
size_from = "s"
"""


def test_parse_gives_a_model_its_familys_files() -> None:
    assert catalog.parse(TINY).models["m"].allow == ("config.json", "model.safetensors")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('licence = "MIT"', 'license = "MIT"', "license"),
        ('licence = "MIT"\n', "", "lacks licence"),
        ('task = "segment"', 'task = "segmnt"', "segmnt"),
        ('commercial = "yes"', 'commercial = "maybe"', "maybe"),
        ('family = "sam"', 'family = "smm"', "smm"),
        ("[families.sam]", "[families.mas]", "mas"),
        ('segment = "m"', 'segment = "n"', "has n"),
        ("[profiles.p]", "[profile.p]", "profile"),
        ('repo = "a/b"', 'repo = "a/b"\nshipped = true', "one or none"),
        ('repo = "a/b"', 'repo = "a/b"\nhow = "by hand"', "by hand"),
    ],
)
def test_a_mistake_in_the_table_is_an_error(old: str, new: str, complaint: str) -> None:
    assert old in TINY
    with pytest.raises(ModelError, match=complaint):
        catalog.parse(TINY.replace(old, new, 1))


def test_the_catalog_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        catalog.catalog()["sam-vit-base"] = ENTRIES[0]  # type: ignore[index]
    with pytest.raises(TypeError):
        ENTRIES[0].defaults["mask_threshold"] = 1.0  # type: ignore[index]
