"""The readers of strangers' files, each with small valid files and the command that reads them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner.cli import main
from limner.registry import catalog, lock, subjects
from tests.evaluation import labelled
from tests.fuzz.harness import Target
from tests.models.tiny_faces import save_tiny_centerface
from tests.models.tiny_owlvit import save_tiny_owlvit
from tests.models.tiny_sd import save_tiny_lora, save_tiny_sd
from tests.vlm_server import Trouble, VlmServer

SUITE = """\
description: a disc
models: [grabcut]
prompts:
- {find: {box: "{{at}}"}, label: a box}
settings: [{iterations: 1}]
defaults: {mask: mask.png, assert: [{type: latency, value: 1min}]}
cases:
- {description: "easy {{name | upper}}", image: in.png, vars: {name: x, at: "2,2,20,20"},
   assert: [{type: iou, value: 0.1, weight: 2}]}
"""
RECIPE = """\
description = "a disc"
image = "in.png"
mask = "mask.png"
[segment]
[sweep]
iterations = {from = 1, to = 3, step = 2}
find = [{box = [2, 2, 20, 20]}]
[search]
objective = "iou"
"""
SIDE = 24


def photo(folder: Path) -> None:
    """A red disc on grey noise, and its outline."""
    y, x = np.mgrid[:SIDE, :SIDE]
    disc = (x - 11) ** 2 + (y - 11) ** 2 < 7**2
    pixels = np.random.default_rng(7).integers(120, 150, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[disc] = (190, 30, 30)
    Image.fromarray(pixels).save(folder / "in.png")
    Image.fromarray(disc.astype(np.uint8) * 255).save(folder / "mask.png")


def pictures(folder: Path) -> None:
    photo(folder)
    with Image.open(folder / "in.png") as image:
        image.load()
    exif = Image.Exif()
    exif[274], exif[270] = 6, "a disc"
    for ending in ("jpg", "gif", "bmp", "webp"):
        image.save(folder / f"in.{ending}", exif=exif)
    image.save(folder / "in.tif", compression="tiff_lzw")
    Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 100).save(
        folder / "in16.png"
    )


def mask_files(folder: Path) -> None:
    photo(folder)
    with Image.open(folder / "mask.png") as mask:
        mask.convert("1").save(folder / "mask1.png")
        mask.convert("RGBA").save(folder / "mask4.png")


def text(name: str, content: str) -> Any:
    def write(folder: Path) -> None:
        photo(folder)
        (folder / name).write_text(content)

    return write


def prompted(folder: Path) -> None:
    """Files of prompts, and a dataset that was made of one, with what a rerun goes on from."""
    photo(folder)
    (folder / "photos").mkdir()
    for name in ("a.png", "b.png"):
        (folder / "photos" / name).write_bytes((folder / "in.png").read_bytes())
    rows = ["file,label,x0,y0,x1,y1,x,y", "a.png,disc,2,2,20,20,,", "b.png,spot,,,,,11,11"]
    (folder / "boxes.csv").write_text("\n".join(rows) + "\n")
    (folder / "classes.yaml").write_text("person: [face]\nnobody:\n- human face\n")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert main([*LABEL]) == 0


LABEL = ("label", "photos", "--prompts", "boxes.csv", "--iterations", "1", "-o", "out")


def scored(write: Any) -> Any:
    """Labels of a format in ``data``, and boxes that were predicted for them."""

    def written(folder: Path) -> None:
        write(folder / "data")
        names = {7: "a", 9: "b.png"} if write is not labelled.coco else {7: 7, 9: 9}
        shift = 16 if write is not labelled.coco else 0
        rows = [
            {
                "image_id": names[7],
                "category_id": 17 - shift,
                "bbox": [10, 5, 20, 20],
                "score": 0.9,
            },
            {"image_id": names[9], "category_id": 17 - shift, "bbox": [0, 0, 20, 40], "score": 0.5},
        ]
        (folder / "r.json").write_text(json.dumps(rows))

    return written


SCORE = ("score", "detect", "data", "--predictions", "r.json", "--json")


@cache
def lora() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        painter = save_tiny_sd(Path(place) / "sd")
        return save_tiny_lora(Path(place) / "lora", painter).read_bytes()


def subject(folder: Path) -> None:
    """A subject that was taught, as the model folder has it."""
    own = folder / "home" / "subjects" / "dog"
    own.mkdir(parents=True)
    card = {
        "name": "dog", "identifier": "sks", "class": "dog", "called": "sks dog",
        "base": {"name": "tiny", "asked_for": "tiny", "files": [["unet/w.safetensors", "0" * 64]]},
        "instance_prompt": "a sks dog", "class_prompt": "a dog", "steps": 10, "side": 64,
        "licence": "MIT", "created": "2026-01-01T00:00:00+00:00", "kind": "lora", "rank": 2,
        "consent": None, "options": {"rank": 2, "learning_rate": 1e-4},
        "photographs": {"a.png": "0" * 64}, "captions": {}, "class_images": 5,
        "warnings": ["dark"], "thumbnails": ["a.png"],
        "scores": {
            "models": [{"name": "dino", "revision": "1"}], "prompts": ["a dog"], "seeds": 2,
            "ceiling": {"dino": 0.9, "clip_i": 0.9}, "best": "10", "pictures": [],
            "rows": [{"name": "10", "dino": 0.5, "clip_t": 0.3, "div": None}],
        },
    }  # fmt: skip
    (own / subjects.CARD).write_text(json.dumps(card))
    (own / subjects.ADAPTER).write_bytes(lora())


def locked(folder: Path) -> None:
    """A model's folder with its record, the lock, and an endpoint."""
    model = folder / "home" / "models" / "slimsam-77"
    model.mkdir(parents=True)
    files = {
        "config.json": b'{"model_type": "sam"}',
        "model.safetensors": b"\2" + b"\0" * 7 + b"{}",
    }
    marks = {}
    for name, content in files.items():
        (model / name).write_bytes(content)
        marks[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    entry = {
        "repo": catalog.catalog()["slimsam-77"].repo, "commit": "c" * 40,
        "pulled_at": "2026-01-01T00:00:00+00:00", "checked_ns": 1, "files": marks,
    }  # fmt: skip
    (model / lock.RECORD).write_text(json.dumps(entry))
    text = json.dumps({"version": 1, "models": {"slimsam-77": entry}})
    (folder / "home" / lock.LOCK).write_text(text)
    (folder / "home" / "endpoints.toml").write_text(
        '[here]\nurl = "http://127.0.0.1:9/v1"\nmodel = "gpt-4o"\ntimeout = 3.5\nretries = 0\n'
    )


def detector(folder: Path) -> None:
    photo(folder)
    save_tiny_owlvit(folder / "model")


def painter(folder: Path) -> None:
    photo(folder)
    save_tiny_sd(folder / "model")


def face_model(folder: Path) -> None:
    photo(folder)
    save_tiny_centerface(folder / "model")


def reply(folder: Path) -> None:
    """What a server answers, byte for byte."""
    photo(folder)
    boxes = {"boxes": [{"bbox_2d": [3, 3, 18, 18], "label": "a disc"}]}
    message = {"role": "assistant", "content": json.dumps(boxes)}
    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }  # fmt: skip
    (folder / "reply.json").write_text(json.dumps(answer))
    (folder / "home").mkdir()


@cache
def server() -> VlmServer:
    """One for all cases of a child."""
    return VlmServer().__enter__()


def serve(folder: Path) -> None:
    body = (folder / "reply.json").read_bytes()
    server().troubles[:] = [Trouble(200, body, {"Content-Type": "application/json"})] * 3
    (folder / "home" / "endpoints.toml").write_text(
        f'[here]\nurl = "{server().url}"\nmodel = "gpt-4o"\nretries = 0\nmax_calls = 3\n'
    )


DETECT = (
    "detect",
    "in.png",
    "--text",
    "red",
    "--detector",
    "./model",
    "--threshold",
    "0",
    "-o",
    "o.png",
)
PAINT = (
    "edit", "in.png", "--box", "4,4,20,20", "--paint", "a cat", "--inpainter", "./model",
    "--num-inference-steps", "1", "--no-cache", "-o", "o.png",
)  # fmt: skip

TARGETS = (
    Target("pictures", pictures, ["in*"], ["redact", "{file}", "--box", "2,2,9,9", "-o", "o.png"]),
    Target("masks", mask_files, ["mask*"], ["cutout", "in.png", "--mask", "{file}", "-o", "o.png"]),
    Target("suites", text("s.yaml", SUITE), ["s.yaml"], ["eval", "s.yaml"], codes=(0, 1, 2, 100)),
    Target("recipes", text("r.toml", RECIPE), ["r.toml"], ["sweep", "r.toml", "-o", "out"]),
    Target("yolo", scored(labelled.yolo), ["data/labels/*", "data/data.yaml"], SCORE),
    Target("voc", scored(labelled.voc), ["data/Annotations/*"], SCORE),
    Target("coco", scored(labelled.coco), ["data/annotations.json"], SCORE),
    Target("predictions", scored(labelled.coco), ["r.json"], SCORE),
    Target("prompts", prompted, ["boxes.csv"], ["label", "photos", "--prompts", "boxes.csv",
           "--iterations", "1", "-o", "new"], share=0.5),
    Target("phrases", prompted, ["classes.yaml"],
           ["segment", "in.png", "--prompts", "classes.yaml", "-o", "o.png"]),
    Target("answers", prompted, ["out/.limner-label.jsonl"], LABEL, share=0.5),
    Target("cards", subject, ["home/subjects/dog/*.json"], ["teach", "show", "dog"]),
    Target("locks", locked, ["home/models.lock.json", "home/models/*/limner.json"],
           ["models", "info", "slimsam-77", "--verify"]),
    Target("endpoints", locked, ["home/endpoints.toml"], ["models", "info", "vlm:here"]),
    Target("configs", detector, ["model/*.json", "model/*.txt"], DETECT),
    Target("pipelines", painter, ["model/*.json", "model/*/*.json"], PAINT, share=0.5),
    Target("safetensors", detector, ["model/*.safetensors"], DETECT),
    Target("onnx", face_model, ["model/*.onnx"],
           ["detect", "in.png", "--text", "face", "--detector", "./model", "-o", "o.png"],
           share=0.5),
    Target("lora", subject, ["home/subjects/dog/*.safetensors"],
           ["teach", "export", "dog", "--layout", "kohya", "-o", "o.safetensors"]),
    Target("replies", reply, ["reply.json"],
           ["detect", "in.png", "--text", "a disc", "--detector", "vlm:here", "-o", "o.png"],
           before=serve),
)  # fmt: skip
