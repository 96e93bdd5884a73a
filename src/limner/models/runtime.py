"""Where models compute, and which of them are kept in memory.

``choose`` picks device and number format once; ``ModelPool`` loads models and lets go of those not
used lately. torch is imported inside functions: importing this module costs nothing.
"""

from __future__ import annotations

import gc
import importlib
import os
import platform
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limner.documents import read_json
from limner.errors import (
    FileError,
    LimnerError,
    MissingExtra,
    ModelError,
    OptionError,
    OutOfMemory,
)
from limner.models import weight_files
from limner.models.answering import explained
from limner.models.catalog import FAMILIES, families
from limner.models.source import Runtime, Weights
from limner.models.store import family_of
from limner.protocols import Model

DTYPES: Mapping[str, str] = {
    "float32": "float32",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "fp16": "float16",
    "half": "float16",
}
"""Every accepted name of a number format -> torch's."""


# ---- device and number format


def check_names(device: str | None, dtype: str | None) -> None:
    """Refuse what can't be a device or a number format anywhere, without importing torch.

    Raises:
        OptionError: no such name.
    """
    if device is not None and not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise OptionError(f"device is cpu, cuda, cuda:1 or mps; got {device!r}.")
    if dtype is not None and dtype not in DTYPES:
        raise OptionError(f"dtype is one of {', '.join(DTYPES)}; got {dtype!r}.")


def choose(device: str | None = None, dtype: str | None = None) -> Runtime:
    """The device and number format to compute with.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps"; None: the first GPU, else the CPU.
        dtype: a name in ``DTYPES``; None: the quickest that is safe there. bfloat16 where the
            hardware multiplies it (SAM's encoder 1.6 times as fast as in float32 on a Zen 4 CPU,
            outputs within 1.1 %), float16 on older CUDA, else float32.

    Raises:
        OptionError: no such device here, or no such format.
    """
    here = devices()
    if device is None:
        device = next((name for name in here if name != "cpu"), "cpu")
    elif device == "cuda" and "cuda:0" in here:
        device = "cuda:0"
    if device not in here:
        raise OptionError(f"There is no device {device!r} here; there is {', '.join(here)}.")
    if dtype is None:
        return Runtime(device, _quickest(device))
    if dtype not in DTYPES:
        raise OptionError(f"dtype is one of {', '.join(DTYPES)}; got {dtype!r}.")
    return Runtime(device, DTYPES[dtype])


def devices() -> tuple[str, ...]:
    """Names of the devices on this machine, best first; "cpu" is the last."""
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [f"cuda:{index}" for index in range(cuda)]
    if torch.backends.mps.is_available():
        found.append("mps")
    return (*found, "cpu")


def _quickest(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device == "cpu" and _cpu_multiplies_bfloat16():
        return "bfloat16"
    return "float32"


def _cpu_multiplies_bfloat16() -> bool:
    import torch

    # Without these, torch emulates bfloat16, more slowly than it computes float32.
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


# ---- the allocator

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


SPINS = "1000"
"""A few microseconds."""


def let_threads_sleep() -> bool:
    """Let torch's threads (GNU OpenMP, Linux) sleep soon when they wait for each other.

    By default they spin for milliseconds, and so hold the cores that those they wait for need. On
    two cores of which other work takes one, 40 layers of 64 x 64 took 308 ms instead of 0.8, and
    an edit by the minis 10 s instead of 0.3; with a short spin 4 ms, and 0.8 as before where
    nothing else runs. Without any spin (``OMP_WAIT_POLICY=passive``) 1.8 ms, but 7 there.

    Returns:
        Whether it was done: only before torch is loaded, and when no variable says otherwise.
    """
    if "torch" in sys.modules or any(
        name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    ):
        return False
    os.environ["GOMP_SPINCOUNT"] = SPINS
    return True


def tune_allocator() -> bool:
    """Let glibc keep freed memory instead of returning it after each layer.

    By default every large tensor is mapped anew, and zeroed page by page, each time it is made. Six
    64-channel convolutions at 384 x 384 took 1.7 to 2 times as long that way (1.7 M page faults
    against 20 k), SAM's encoder 1.1 to 1.3 times. Resident memory stays higher in exchange. For a
    process about to load a heavy model; never done on import.

    Returns:
        Whether it was done: only with glibc, and when no ``MALLOC_*_`` variable says otherwise.
    """
    if platform.libc_ver()[0] != "glibc" or any(
        name in os.environ
        for name in ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
    ):
        return False
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 256 * 2**20))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


# ---- memory


def memory_limit() -> int:
    """Bytes of memory this process may use: the machine's, or its container's if that is less."""
    try:
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # Windows
        limit = importlib.import_module("psutil").virtual_memory().total
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = min(limit, int(Path(path).read_text()))
        except (OSError, ValueError):  # no such controller, or "max"
            continue
    return limit


def weight_bytes(weights: Weights) -> int:
    """Size of a model's weight files: about what it takes in memory at the files' precision."""
    if weights.path is None:
        return 0
    family = families().get(weights.ref.family)
    ending = family.weights if family else ".safetensors"
    own = sum(f.stat().st_size for f in weight_files.walk(weights.path) if f.name.endswith(ending))
    return own + (weight_bytes(weights.refiner) if weights.refiner else 0)


class ModelPool:
    """Live models, the most recently used of them, under a budget of memory.

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
    if weights.path is not None and (found := family_of(weights.path)) != weights.ref.family:
        raise ModelError(f"{weights.path} holds a {found} model; {name} is {weights.ref.family}.")
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
    before = sys.modules["torch"].get_default_dtype() if "torch" in sys.modules else None
    try:
        yield
    finally:
        if "torch" in sys.modules:
            torch = sys.modules["torch"]
            torch.set_default_dtype(before or torch.float32)


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
    from limner.models.memory import SIGNS

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
