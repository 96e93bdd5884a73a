"""Which packages are installed, limner's own requirements and its extras'."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

SHOWN = (
    "torch transformers diffusers accelerate peft huggingface-hub numpy pillow "
    "opencv-contrib-python-headless supervision sqlalchemy click"
).split()
"""Packages whose versions are worth a line."""

EXTRAS: Mapping[str, str] = {
    "bitsandbytes": "teach --use-8bit-adam",
    "comet": "--track comet",
    "edgetam": "the segmenter edgetam",
    "fastsam": "the segmenters fastsam-s and fastsam-x",
    "heif": "HEIC pictures, as phones take them",
    "matting": "cutout of the main thing, by birefnet and birefnet-lite",
    "optuna": "sweeps that search by Optuna's samplers",
    "perceptual": "LPIPS, FID and KID in scores",
    "postgres": "a store of runs in PostgreSQL",
    "tensorboard": "--track tensorboard",
    "trackio": "--track trackio",
    "vlm": "vision-language models on a server (--detector vlm:NAME)",
}
"""Extra -> what it is for."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")


@dataclass(frozen=True)
class Extra:
    """An extra of limner: packages -> installed version, None where there is none."""

    name: str
    purpose: str
    packages: Mapping[str, str | None]

    @property
    def is_here(self) -> bool:
        return all(self.packages.values())

    @property
    def command(self) -> str:
        """What adds it."""
        return f'pip install "limner[{self.name}]"'


def installed(package: str) -> str | None:
    """The version of a package; None: it isn't installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def required() -> dict[str, str | None]:
    """Packages that limner can't do without, by name."""
    return {name: installed(name) for name, extra in _requirements() if not extra}


def extras() -> list[Extra]:
    """All extras that this limner's own metadata names."""
    packages: dict[str, dict[str, str | None]] = {}
    for name, extra in _requirements():
        if extra:
            packages.setdefault(extra, {})[name] = installed(name)
    return [Extra(name, EXTRAS.get(name, ""), packages[name]) for name in sorted(packages)]


def _requirements() -> Iterator[tuple[str, str]]:
    """``(package, extra)``, the extra empty where it is always needed."""
    try:
        lines = requires("limner") or []
    except PackageNotFoundError:  # run from a folder: nothing says what is needed
        return
    for line in lines:
        extra = _EXTRA.search(line)
        if name := _NAME.match(line):
            yield name[0], extra[1] if extra else ""
