"""A model of the catalog that is only made for tests, and its files."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save

from limner.registry import catalog
from limner.registry.catalog import ModelEntry

CONFIG = b'{"model_type": "sam"}'
WEIGHTS = save({"w": np.arange(50_000, dtype=np.float32)})
NEWER = save({"w": np.arange(50_000, dtype=np.float32) + 1})
SAM = {"config.json": CONFIG, "preprocessor_config.json": b"{}", "model.safetensors": WEIGHTS}
EXTRAS = {"pytorch_model.bin": b"pickle", "README.md": b"# hello", "model.onnx": b"onnx"}


def an_entry(**changes: object) -> ModelEntry:
    values = {
        "name": "tiny-sam",
        "description": "a double",
        "task": "segment",
        "family": "sam",
        "licence": "MIT",
        "commercial": "yes",
        "size_mb": 0.2,
        "size_from": "its bytes",
        "repo": "someone/tiny-sam",
        "defaults": {"mask_threshold": 0.0},
        "allow": catalog.families()["sam"].allow,
    }
    return ModelEntry(**{**values, **changes})  # type: ignore[arg-type]


def by_hand(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder
