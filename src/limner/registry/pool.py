"""Where models compute, and which of them are kept in memory.

``choose`` picks device and number format once; ``ModelPool`` loads models and lets go of those not
used lately. torch is imported inside functions: importing this module costs nothing.
"""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limner.errors import (
    FileError,
    LimnerError,
    MissingExtra,
    ModelError,
    OptionError,
    OutOfMemory,
)
from limner.protocols import Model
from limner.registry import weight_files
from limner.registry.catalog import FAMILIES, families
from limner.registry.device import memory_limit
from limner.registry.library_errors import explained
from limner.registry.store import family_of
from limner.registry.weights import Runtime, Weights
from limner.untrusted.json_toml import read_json

# ---- memory


def weight_bytes(weights: Weights) -> int:
    """Size of a model's weight files: about what it takes in memory at the files' precision."""
    if weights.path is None:
        return 0
    family = families().get(weights.ref.family)
    ending = family.weights if family else ".safetensors"
    file_bytes = sum(
        f.stat().st_size for f in weight_files.walk(weights.path) if f.name.endswith(ending)
    )
    return file_bytes + (weight_bytes(weights.refiner) if weights.refiner else 0)


class ModelPool:
    """Live models, the most recently used of them, under a budget of memory.

    No ``LruCache``: that counts values, and here each has a size of its own, known before it is
    loaded; room is made first, so that two large models are never in memory together.

    Safe to use from several threads: a model is loaded once, and one at a time; asking for a live
    one waits for nothing. A model that was let go of lives on while somebody still holds it.

    Args:
        memory_budget: bytes for all models together, by ``weight_bytes``; None: half of the
            machine's memory. A model larger than that is kept alone.
        families: ``module:function`` by family; for tests.
    """

    def __init__(
        self, memory_budget: int | None = None, families: Mapping[str, str] = FAMILIES
    ) -> None:
        if memory_budget is not None and memory_budget <= 0:
            raise OptionError(f"The memory budget is a number of bytes, got {memory_budget}.")
        self.memory_budget = memory_limit() // 2 if memory_budget is None else memory_budget
        self._families = families
        self._live: OrderedDict[object, tuple[Model, int]] = OrderedDict()
        """Least recently used first; ``(model, bytes)``."""
        self._table = threading.Lock()
        self._loading = threading.Lock()

    def get(self, weights: Weights, runtime: Runtime) -> Model:
        """The model, live or loaded now.

        Raises:
            ModelError: the files are damaged or of another architecture, memory ran out, or a
                package is missing.
        """
        settings = repr(sorted(weights.defaults.items()))
        refiner = weights.refiner and (weights.refiner.ref, weights.refiner.path)
        key = (weights.ref, weights.path, weights.adapters, refiner, settings, runtime)
        if (model := self._touch(key)) is not None:
            return model
        with self._loading:
            if (model := self._touch(key)) is not None:  # another thread was quicker
                return model
            size = weight_bytes(weights)
            self._make_room(size)
            model = load(weights, runtime, self._families)
            with self._table:
                self._live[key] = (model, size)
            return model

    def names(self) -> tuple[str, ...]:
        """The live models, least recently used first."""
        with self._table:
            return tuple(model.ref.name for model, _ in self._live.values())

    def clear(self) -> None:
        """Let go of all models."""
        with self._table:
            self._live.clear()
        _return_memory()

    def _touch(self, key: object) -> Model | None:
        with self._table:
            if key not in self._live:
                return None
            self._live.move_to_end(key)
            return self._live[key][0]

    def _make_room(self, size: int) -> None:
        evicted = False
        with self._table:
            while self._live and sum(s for _, s in self._live.values()) + size > self.memory_budget:
                if size == 0:  # a model without weights displaces none
                    break
                self._live.popitem(last=False)
                evicted = True
        if evicted:
            _return_memory()


def _return_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


# ---- loading


def load(weights: Weights, runtime: Runtime, families: Mapping[str, str] = FAMILIES) -> Model:
    """Load a model through its family; what goes wrong is said as a limner error.

    Raises:
        ModelError: naming the damaged or missing file, or why the family can't read the folder.
        MissingExtra: a package that the family needs isn't installed.
        OutOfMemory: with what to lower.
    """
    name = weights.ref.name
    if weights.path is not None and (family := family_of(weights.path)) != weights.ref.family:
        raise ModelError(f"{weights.path} holds a {family} model; {name} is {weights.ref.family}.")
    with explaining(weights, runtime):
        read = _loader(weights.ref.family, families)
        with no_progress_bars():
            model: Model = read(weights, runtime)
    return explained(model, weights)


@contextmanager
def explaining(weights: Weights, runtime: Runtime) -> Iterator[None]:
    """Whatever transformers, diffusers or torch raise while a folder is read, as one sentence.

    Raises:
        ModelError, MissingExtra, OutOfMemory: as ``load``.
    """
    with _default_dtype_kept():
        try:
            yield
        except LimnerError:
            raise
        except Exception as error:
            raise _explained(error, weights, runtime) from error


@contextmanager
def _default_dtype_kept() -> Iterator[None]:
    """torch's default is as before: diffusers leaves bfloat16 where a model can't be made."""
    default_dtype = sys.modules["torch"].get_default_dtype() if "torch" in sys.modules else None
    try:
        yield
    finally:
        if "torch" in sys.modules:
            torch = sys.modules["torch"]
            torch.set_default_dtype(default_dtype or torch.float32)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """transformers and diffusers draw bars on stderr while they load; the family imported them."""
    libraries = [sys.modules[name] for name in ("transformers", "diffusers") if name in sys.modules]
    logs = [library.utils.logging for library in libraries]
    enabled = [log for log in logs if log.is_progress_bar_enabled()]
    for log in enabled:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in enabled:
            log.enable_progress_bar()


def _loader(family: str, families: Mapping[str, str]) -> Callable[[Weights, Runtime], Any]:
    if family not in families:
        raise ModelError(f"No code loads the family {family!r}; known are {', '.join(families)}.")
    module, _, function = families[family].partition(":")
    loader: Callable[[Weights, Runtime], Any] = getattr(importlib.import_module(module), function)
    return loader


def _explained(error: Exception, weights: Weights, runtime: Runtime) -> LimnerError:
    """What a family's ``load`` raised, as the error a user can act on."""
    name = weights.ref.name
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return MissingExtra(f"{name} needs the package {package}: pip install {package}.")
    if isinstance(error, ImportError):
        return MissingExtra(f"{name} needs a package that isn't installed: {_first_line(error)}")
    if _ran_out(error):
        size = weight_bytes(weights) / 1e9
        return OutOfMemory(
            f"{name} ({size:.1f} GB of weights) does not fit in the memory of {runtime.device}. "
            "Take a smaller model (--profile small), --dtype bfloat16, or --device cpu."
        )
    if (broken := _first_broken(weights.path)) is not None:
        path, reason = broken
        return ModelError(
            f"{path} is damaged ({reason}). Delete {weights.path} and run "
            f"`limner models pull {name}`, or copy it anew."
        )
    if (unreadable := _first_unreadable(weights.path)) is not None:
        return ModelError(f"{name} could not be loaded: {unreadable}")
    return ModelError(
        f"{name} could not be loaded from {weights.path}: {type(error).__name__}: "
        f"{_first_line(error)} (`limner models info {name} --verify` checks its files.)"
    )


def _ran_out(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    from limner.registry.oom_signs import SIGNS

    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


def _first_broken(folder: Path | None) -> tuple[Path, str] | None:
    """The first weight file that safetensors can't open, and why."""
    if folder is None:
        return None
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.rglob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            return path, _first_line(error)
    return None


def _first_unreadable(folder: Path | None) -> str | None:
    """What is wrong with the first config that is no JSON, or nested too deep."""
    for path in sorted(folder.rglob("*.json")) if folder else ():
        try:
            read_json(path, what="config")
        except FileError as error:
            return str(error)
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
